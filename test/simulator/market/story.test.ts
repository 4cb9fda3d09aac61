import { expect } from 'chai'
import fc from 'fast-check'
import { INTERVALS, nextOpen } from '../../../src/simulator/market/intervals.ts'
import { NaiveBook, scaled, trimmed } from '../../support/oracle.ts'
import { type Frame, type MarketRun, runMarket } from './run-market.ts'

/** The last one is that of the property tests, which FC_SEED repeats. */
const SEEDS = [1, 20_251_009, fc.readConfigureGlobal().seed ?? 2]
const SECONDS = 50

interface Snapshot {
  readonly symbol: string
  /** How many frames had been told before it was asked for. */
  readonly after: number
  // biome-ignore lint/suspicious/noExplicitAny: the answer as it came
  readonly answer: any
}

/** Runs over a minute's end; books are asked for at odd moments, streams are left and taken up again meanwhile. */
async function record(seed: number): Promise<MarketRun & { snapshots: Snapshot[] }> {
  const run = runMarket({ seed, instruments: ['BTCUSDT', 'ETHUSDT', 'XRPUSDT', 'LTCBTC'], rate: 400 })
  const snapshots: Snapshot[] = []
  for (let step = 0; step < SECONDS * 40; step += 1) {
    run.clock.advance(25)
    const symbol = ['BTCUSDT', 'ETHUSDT', 'XRPUSDT', 'LTCBTC'][step % 4] as string
    if (step % 7 === 0) {
      snapshots.push({ symbol, after: run.frames.length, answer: await run.rest(`depth?symbol=${symbol}&limit=5000`) })
    }
  }
  return { ...run, snapshots }
}

const sum = (frames: readonly Frame[], value: (data: Frame['data']) => bigint): bigint =>
  frames.reduce((total, { data }) => total + value(data), 0n)

for (const seed of SEEDS) {
  describe(`the story of a generated market, seed ${seed}`, () => {
    let run: Awaited<ReturnType<typeof record>>
    const of = (symbol: string, feed: string): Frame[] =>
      run.frames.filter((frame) => frame.symbol === symbol && frame.feed === feed)
    const symbols = ['BTCUSDT', 'ETHUSDT', 'XRPUSDT', 'LTCBTC']

    before(async function () {
      this.timeout(30_000)
      run = await record(seed)
    })

    it('numbers trades without a hole and merges them into aggregates of one price and side', () => {
      for (const symbol of symbols) {
        const trades = of(symbol, 'trade')
        expect(trades.length).to.be.above(50)
        for (const [index, { data }] of trades.entries()) expect(data.t).to.equal(trades[0]?.data.t + index)
        let next = trades[0]?.data.t
        const aggregates = of(symbol, 'aggTrade')
        for (const [index, { data }] of aggregates.entries()) {
          expect(data.a).to.equal(aggregates[0]?.data.a + index)
          expect(data.f).to.equal(next)
          const merged = trades.slice(data.f - trades[0]?.data.t, data.l + 1 - trades[0]?.data.t)
          for (const trade of merged) expect([trade.data.p, trade.data.m]).to.deep.equal([data.p, data.m])
          expect(sum(merged, ({ q }) => scaled(q))).to.equal(scaled(data.q))
          next = data.l + 1
        }
        expect(next).to.equal(trades.at(-1)?.data.t + 1)
      }
    })

    it('tells both depth streams in contiguous batches, each at its own pace', () => {
      for (const symbol of symbols) {
        for (const [feed, periodMs] of [
          ['depth@100ms', 100],
          ['depth', 1000],
        ] as const) {
          const deltas = of(symbol, feed)
          expect(deltas.length).to.be.above(20)
          for (const [index, { data }] of deltas.entries()) {
            expect(data.u).to.be.at.least(data.U)
            const before = deltas[index - 1]?.data
            if (!before) continue
            expect(data.U).to.equal(before.u + 1)
            expect(data.E - before.E).to.be.at.least(periodMs)
          }
        }
        const ends = new Set(of(symbol, 'depth@100ms').map(({ data }) => data.u))
        for (const { data } of of(symbol, 'depth')) expect(ends.has(data.u)).to.equal(true)
      }
    })

    it('has after every delta the top that the newest bookTicker up to it told', () => {
      for (const symbol of symbols) {
        const snapshot = run.snapshots.find((one) => one.symbol === symbol) as Snapshot
        const book = new NaiveBook()
        book.set(snapshot.answer.bids, snapshot.answer.asks)
        const tickers: Frame['data'][] = []
        let checked = 0
        for (const { feed, data } of run.frames.filter((frame) => frame.symbol === symbol)) {
          if (feed === 'bookTicker') {
            if (tickers.length > 0) expect(data.u).to.be.above(tickers.at(-1).u)
            tickers.push(data)
          }
          if (feed !== 'depth@100ms' || data.u <= snapshot.answer.lastUpdateId) continue
          book.set(data.b, data.a)
          const ticker = tickers.findLast(({ u }) => u <= data.u)
          if (!ticker) continue
          expect(book.best('bids')).to.deep.equal([trimmed(ticker.b), trimmed(ticker.B)])
          expect(book.best('asks')).to.deep.equal([trimmed(ticker.a), trimmed(ticker.A)])
          expect(scaled(ticker.a) > scaled(ticker.b)).to.equal(true)
          checked += 1
        }
        expect(checked).to.be.above(50)
      }
    })

    it('comes to one book from every snapshot, by either depth stream, ids inside and at the end of deltas', () => {
      const places = { inside: 0, atEnd: 0 }
      for (const symbol of symbols) {
        const finals = new Set<string>()
        const deltas = of(symbol, 'depth@100ms')
        const last = of(symbol, 'depth').at(-1)?.data.u
        for (const [index, { answer }] of run.snapshots.filter((one) => one.symbol === symbol).entries()) {
          const id = answer.lastUpdateId
          if (id > last) continue
          if (deltas.some(({ data }) => data.U <= id && id < data.u)) places.inside += 1
          else if (deltas.some(({ data }) => data.u === id)) places.atEnd += 1
          if (index % 4 !== 0) continue
          for (const feed of ['depth@100ms', 'depth']) {
            const book = new NaiveBook()
            book.set(answer.bids, answer.asks)
            for (const { data } of of(symbol, feed)) if (data.u > id && data.u <= last) book.set(data.b, data.a)
            finals.add(JSON.stringify([[...book.bids].sort(), [...book.asks].sort()]))
          }
        }
        expect(finals.size).to.equal(1)
      }
      expect(places.inside).to.be.above(5)
      expect(places.atEnd).to.be.above(5)
    })

    it('adds up the trades in every kline, closed or not, and in REST klines', async () => {
      for (const symbol of symbols) {
        const trades = of(symbol, 'trade')
        for (const interval of INTERVALS) {
          const klines = of(symbol, `kline_${interval}`)
          expect(klines.length).to.be.above(0)
          const bars = new Map(klines.map(({ data }) => [data.k.t, data]))
          for (const { E, k } of bars.values()) {
            const within = trades.filter(({ data }) => data.T >= k.t && data.T <= k.T && data.t <= k.L)
            const bought = within.filter(({ data }) => !data.m)
            expect([k.f, k.L, k.n]).to.deep.equal([within[0]?.data.t, within.at(-1)?.data.t, within.length])
            expect([k.o, k.c]).to.deep.equal([within[0]?.data.p, within.at(-1)?.data.p])
            expect(scaled(k.v)).to.equal(sum(within, ({ q }) => scaled(q)))
            expect(scaled(k.V)).to.equal(sum(bought, ({ q }) => scaled(q)))
            expect(scaled(k.q) * scaled('1')).to.equal(sum(within, ({ p, q }) => scaled(p) * scaled(q)))
            expect(scaled(k.Q) * scaled('1')).to.equal(sum(bought, ({ p, q }) => scaled(p) * scaled(q)))
            expect(scaled(k.h)).to.equal(within.reduce((high, { data }) => max(high, scaled(data.p)), 0n))
            if (!k.x) continue
            expect(E).to.equal(k.T + 1)
            const [row] = await run.rest(`klines?symbol=${symbol}&interval=${interval}&startTime=${k.t}&limit=1`)
            expect(row).to.deep.equal([k.t, k.o, k.h, k.l, k.c, k.v, k.T, k.q, k.n, k.V, k.Q, '0'])
          }
        }
      }
    })

    it('closes every bar that traded once, at its end, and tells nothing of it afterwards', () => {
      for (const symbol of symbols) {
        for (const interval of ['1s', '1m'] as const) {
          const closed = new Set<number>()
          const opens = new Set<number>()
          for (const { data } of of(symbol, `kline_${interval}`)) {
            expect(closed.has(data.k.t)).to.equal(false)
            opens.add(data.k.t)
            if (data.k.x) closed.add(data.k.t)
          }
          const endMs = run.clock.monotonicMs()
          for (const openMs of opens) expect(closed.has(openMs)).to.equal(nextOpen(interval, openMs) <= endMs)
        }
      }
    })

    it('adds up the day in the ticker, with the top of the book', () => {
      for (const symbol of symbols) {
        let traded = 0n
        let count = 0
        let first: number | null = null
        let last: Frame['data'] = null
        let top: Frame['data'] = null
        for (const { feed, data } of run.frames.filter((frame) => frame.symbol === symbol)) {
          if (feed === 'bookTicker') top = data
          if (feed === 'trade') {
            traded += scaled(data.q)
            count += 1
            first ??= data.t
            last = data
          }
          if (feed !== 'ticker') continue
          expect([data.n, data.c, data.Q, data.L, data.F]).to.deep.equal(
            last ? [count, last.p, last.q, last.t, first] : [0, data.c, data.Q, -1, -1],
          )
          expect(scaled(data.v)).to.equal(traded)
          if (top) expect([data.b, data.B, data.a, data.A]).to.deep.equal([top.b, top.B, top.a, top.A])
          if (last) expect(scaled(data.w) >= scaled(data.l) && scaled(data.w) <= scaled(data.h)).to.equal(true)
          expect(data.C - data.O).to.equal(86_400_000)
        }
        expect(count).to.be.above(50)
      }
    })

    it('trades only at prices that the book offered just before', () => {
      for (const symbol of symbols) {
        let top: Frame['data'] = null
        let fresh = false
        for (const { feed, data } of run.frames.filter((frame) => frame.symbol === symbol)) {
          if (feed === 'bookTicker') {
            top = data
            fresh = true
          }
          if (feed !== 'aggTrade' || !top) continue
          const offered = scaled(data.m ? top.b : top.a)
          const price = scaled(data.p)
          if (fresh) expect(price).to.equal(offered)
          else expect(data.m ? price <= offered : price >= offered).to.equal(true)
          fresh = false
        }
      }
    })
  })
}

const max = (one: bigint, other: bigint): bigint => (one > other ? one : other)
