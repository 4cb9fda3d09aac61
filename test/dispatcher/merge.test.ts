import { expect } from 'chai'
import fc from 'fast-check'
import { offerOf, payloadOf } from '../../src/dispatcher/canonical.ts'
import { defaultDispatcherLimits } from '../../src/dispatcher/dispatcher.ts'
import type { LineOffer } from '../../src/dispatcher/line-offer.ts'
import { mergeOffers } from '../../src/dispatcher/merge.ts'
import { Book } from '../../src/domain/book/book.ts'
import { judgeDelta } from '../../src/domain/book/join.ts'
import type { GapCause, Level } from '../../src/domain/event.ts'
import type { VenueEvent } from '../../src/venues/venue.ts'
import { World } from './world.ts'

const world = new World()
const offer = (event: VenueEvent, declare: GapCause | '' = ''): LineOffer => ({
  ...offerOf(event, payloadOf(event), 'trace'),
  declare,
})
const ids = (offers: readonly LineOffer[]): string[] => offers.map(({ id, merged }) => `${id} +${merged}`)
const dataOf = (one: LineOffer | undefined) => JSON.parse(one?.data ?? '{}') as Record<string, unknown>

describe('what waits for a bus that cannot keep up', () => {
  it('keeps of quotes and tickers the newest, and says for how many it stands', () => {
    const quotes = mergeOffers([1, 2, 3].map((id) => offer(world.quote(id))))
    expect(ids(quotes)).to.deep.equal(['3 +2'])
    expect(dataOf(quotes[0])).to.include({ bidPrice: '1.0', merged: 2 })
    expect(ids(mergeOffers([...quotes, offer(world.quote(4))]))).to.deep.equal(['4 +3'])
    expect(dataOf(mergeOffers([...quotes, offer(world.quote(4))])[0])).to.include({ merged: 3 })
    expect(ids(mergeOffers([offer(world.ticker(10)), offer(world.ticker(20))]))).to.deep.equal(['20 +1'])
  })

  it('leaves to the script what is no newer than the one before', () => {
    expect(ids(mergeOffers([5, 3, 4].map((id) => offer(world.quote(id)))))).to.deep.equal(['5 +0', '4 +1'])
  })

  it('keeps of every bar its newest update, and every final one', () => {
    const bars = [
      world.kline(60, 1, false),
      world.kline(300, 1, false, '5m'),
      world.kline(60, 2, false),
      world.kline(60, 3, true),
      world.kline(120, 1, false),
      world.kline(300, 4, false, '5m'),
      world.kline(120, 2, false),
    ]
    expect(ids(mergeOffers(bars.map((bar) => offer(bar))))).to.deep.equal([
      '1m@60@3@closed +2',
      '5m@300@4 +1',
      '1m@120@2 +1',
    ])
  })

  it('merges nothing over an interruption, so that its gap stays where it is', () => {
    const quotes = [
      offer(world.quote(1)),
      offer(world.quote(2)),
      offer(world.quote(3), 'disconnect'),
      offer(world.quote(4)),
      offer(world.quote(5)),
    ]
    const merged = mergeOffers(quotes)
    expect(ids(merged)).to.deep.equal(['2 +1', '3 +0', '5 +1'])
    expect(merged.map(({ declare }) => declare)).to.deep.equal(['', 'disconnect', ''])
  })

  it('merges no deltas across a change of the quality of their book', () => {
    const words = ['LIVE', 'LIVE', 'CROSSED', 'CROSSED', 'LIVE'] as const
    const deltas = words.map((quality, at) => ({ ...offer(world.delta(at + 1, at + 1)), quality }))
    expect(mergeOffers(deltas).map(({ first, id, quality }) => `${first}-${id} ${quality}`)).to.deep.equal([
      '1-2 LIVE',
      '3-4 CROSSED',
      '5-5 LIVE',
    ])
  })

  it('never merges trades, nor what was in a stream before', () => {
    const trades = [1, 2].map((id) => offer(world.trade(id)))
    expect(mergeOffers(trades)).to.deep.equal(trades)
    const quotes = [1, 2].map((id) => ({ ...offer(world.quote(id)), known: 'acknowledged' as const }))
    expect(mergeOffers(quotes)).to.deep.equal(quotes)
  })

  it('joins deltas in a row and stops at a hole', () => {
    const deltas = [world.delta(1, 2), world.delta(3, 5), world.delta(7, 8), world.delta(8, 9)]
    const merged = mergeOffers(deltas.map((delta) => offer(delta)))
    expect(merged.map(({ first, id, merged }) => [first, id, merged])).to.deep.equal([
      ['1', '5', 1],
      ['7', '9', 1],
    ])
    expect(dataOf(merged[0])).to.include({ first: '1', last: '5', merged: 1 })
  })

  it('leaves a book where the deltas one by one would have brought it, wherever it stood', () => {
    const price = fc.integer({ min: 1, max: 12 }).map((cents) => (cents / 10).toFixed(2))
    const level = fc.tuple(price, fc.constantFrom('0', '0.000', '1', '2.50', '7'))
    const side = fc.array(level, { maxLength: 5 })
    const delta = fc.record({ width: fc.integer({ min: 1, max: 4 }), overlap: fc.nat(3), bids: side, asks: side })
    fc.assert(
      fc.property(side, side, fc.array(delta, { minLength: 2, maxLength: 30 }), fc.nat(40), (bids, asks, plan, at) => {
        let last = 100
        const deltas = plan.map(({ width, overlap, ...levels }) => {
          const first = Math.max(101, last + 1 - overlap)
          last += width
          return { ...world.delta(first, last), ...levels }
        })
        // Merged in two steps, as it happens when the queue fills twice.
        const half = mergeOffers(deltas.slice(0, plan.length >> 1).map((event) => offer(event)))
        const merged = mergeOffers([...half, ...deltas.slice(plan.length >> 1).map((event) => offer(event))])
        const one = new Book()
        const other = new Book()
        for (const book of [one, other]) book.replace(bids, asks)
        // The book may stand anywhere among them already, by another line.
        const stands = at % plan.length
        for (const event of deltas.slice(0, stands)) for (const book of [one, other]) book.apply(event.bids, event.asks)
        let have = stands === 0 ? 100 : (deltas[stands - 1]?.last as number)
        for (const event of deltas.slice(stands)) one.apply(event.bids, event.asks)
        let told = 0
        for (const { low, high, data, merged: more } of merged) {
          told += more + 1
          if (judgeDelta(have, { low, high }) === 'stale') continue
          expect(judgeDelta(have, { low, high })).to.equal('apply')
          const levels = JSON.parse(data) as { bids: Level[]; asks: Level[] }
          other.apply(levels.bids, levels.asks)
          have = high
        }
        expect(have).to.equal(last)
        expect(told, 'each is counted once').to.equal(plan.length)
        expect(other.topBids(20)).to.deep.equal(one.topBids(20))
        expect(other.topAsks(20)).to.deep.equal(one.topAsks(20))
      }),
    )
  })
})

describe('a dispatcher whose bus does not keep up', () => {
  const limits = { ...defaultDispatcherLimits, queueEventsMax: 100, readAheadEventsMax: 1_000 }

  it('merges at the bound of its queue, loses no trade, and its book is right', async () => {
    const world = new World({ limits })
    world.dispatcher.event(world.delta(1, 1))
    await world.settle()
    world.rest.snapshots[0]?.answer(world.snapshot(1))
    await world.dispatcher.whenIdle()
    const opened = Promise.withResolvers<void>()
    world.bus.gate = opened.promise
    for (let round = 2; round <= 400; round++) {
      world.dispatcher.event(world.delta(round, round, 'BTCUSDT', [[`${round % 7}`, `${round}`]]))
      world.dispatcher.event(world.quote(round))
      world.dispatcher.event(world.ticker(round))
      if (round % 10 === 0) world.dispatcher.event(world.trade(round / 10))
      expect(world.dispatcher.stats().queueEvents).to.be.at.most(100)
      expect(world.dispatcher.saturated).to.equal(false)
    }
    opened.resolve()
    await world.dispatcher.whenIdle()
    expect(world.bus.ids('BTC-USDT', 'TRADE')).to.have.length(40)
    const book = new Book()
    let have = 0
    let stood = 0
    for (const { type, data } of world.bus.entries('BTC-USDT', 'ORDERBOOK')) {
      const { first, last, bids, merged } = JSON.parse(data)
      if (type === 'SNAPSHOT') book.replace(bids, [])
      else {
        if (have > 1) expect(Number(first)).to.equal(have + 1)
        stood += 1 + (merged ?? 0)
        book.apply(bids, [])
      }
      have = Number(last)
    }
    expect(have).to.equal(400)
    expect(stood).to.equal(399)
    expect(book.topBids(7)).to.deep.equal(['6', '5', '4', '3', '2', '1', '0'].map((p) => [p, `${newestOf(Number(p))}`]))
    expect(world.bus.ids('BTC-USDT', 'QUOTE').at(-1)).to.equal('QUOTE 400')
    const { merged } = world.dispatcher.stats()
    expect(merged.ORDERBOOK).to.be.greaterThan(200)
    expect(Object.keys(merged)).to.have.members(['ORDERBOOK', 'QUOTE', 'TICKER'])
    expect(world.incidents.map(({ kind }) => kind)).to.deep.equal(['overloaded', 'relieved'])
  })

  it('asks the sockets to stand still only when what is left cannot be merged', async () => {
    const world = new World({ limits })
    const opened = Promise.withResolvers<void>()
    world.bus.gate = opened.promise
    for (let id = 1; id <= 120; id++) {
      world.dispatcher.event(world.trade(id))
      if (id === 99) expect(world.dispatcher.saturated).to.equal(false)
    }
    expect(world.dispatcher.saturated).to.equal(true)
    opened.resolve()
    await world.dispatcher.whenIdle()
    expect(world.dispatcher.saturated).to.equal(false)
    expect(world.bus.ids('BTC-USDT', 'TRADE')).to.have.length(120)
    expect(world.incidents.map(({ kind }) => kind)).to.deep.equal(['overloaded', 'saturated', 'relieved', 'drained'])
  })
})

/** The last round up to 400 that set this price. */
function newestOf(price: number): number {
  for (let round = 400; ; round--) if (round % 7 === price) return round
}
