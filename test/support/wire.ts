import { expect } from 'chai'
import type { Redis } from 'ioredis'
import { decodeEntry, ENTRY_FIELDS, type Entry } from '../../src/bus/contract.ts'
import type { CheckedStreams } from '../../src/checker/checker.ts'
import type { RawEntry } from '../../src/checker/stream-check.ts'
import { BookReader } from '../../src/consumer/reader.ts'
import type { CaptureLine } from './capture.ts'
import { type BookExpected, type Expected, type Level, NaiveBook, scaled, trimmed, unscaled } from './oracle.ts'

/**
 * Redis as a reader in another language sees it: the catalog, the streams it names and their gap ledgers, read with plain
 * commands and judged from the wire contract alone.
 */
export interface WireStream {
  readonly raw: readonly RawEntry[]
  readonly entries: readonly Entry[]
  readonly gapLedger: readonly string[]
}

const PAGE = 5_000
const EMPTY: WireStream = { raw: [], entries: [], gapLedger: [] }

export class Wire implements CheckedStreams {
  /** By `INSTRUMENT:CHANNEL`. */
  readonly streams = new Map<string, WireStream>()

  static async read(client: Redis, prefix: string): Promise<Wire> {
    const wire = new Wire()
    for (const [name, key] of Object.entries(await client.hgetall(`${prefix}:catalog`))) {
      const raw: RawEntry[] = []
      for (let from = '-'; ; ) {
        const page = await client.xrange(key, from, '+', 'COUNT', PAGE)
        for (const [id, fields] of page) raw.push({ id, fields })
        if (page.length < PAGE) break
        from = `(${raw.at(-1)?.id}`
      }
      const entries = raw.map(({ id, fields }) => {
        const decoded = decodeEntry(fields)
        if (!decoded.ok) throw new Error(`${key} ${id}: ${decoded.problem}`)
        return decoded.entry
      })
      wire.streams.set(name.slice(name.indexOf(':') + 1), {
        raw,
        entries,
        gapLedger: await client.zrange(`${key}:gaps`, 0, -1),
      })
    }
    return wire
  }

  of(instrument: string, channel: string): WireStream {
    return this.streams.get(`${instrument}:${channel}`) ?? EMPTY
  }

  count(instrument: string, type: string): number {
    return this.of(instrument, type.split('.')[0] as string).entries.filter((entry) => entry.type === type).length
  }

  async channels(): Promise<string[]> {
    return [...this.streams.keys()].map((name) => `BINANCE-SPOT:${name}`)
  }

  async *entries(channel: string): AsyncGenerator<RawEntry> {
    yield* this.streams.get(channel.slice(channel.indexOf(':') + 1))?.raw ?? []
  }

  async gapLedger(channel: string): Promise<readonly string[]> {
    return this.streams.get(channel.slice(channel.indexOf(':') + 1))?.gapLedger ?? []
  }
}

/** Every stream: the contract's fields in their order, `seq` dense, `key` unique. */
export function expectDense(wire: Wire): void {
  const wrong: string[] = []
  const names = ENTRY_FIELDS.join()
  for (const [name, { raw, entries }] of wire.streams) {
    const keys = new Set<string>()
    for (const [at, { seq, key }] of entries.entries()) {
      const fields = (raw[at] as RawEntry).fields.filter((_, index) => index % 2 === 0).join()
      if (fields !== names) wrong.push(`${name} ${key}: expected the fields ${names}, found ${fields}`)
      if (seq !== `${at + 1}`) wrong.push(`${name} ${key}: expected seq ${at + 1}, found ${seq}`)
      if (keys.has(key)) wrong.push(`${name} ${key}: stands twice`)
      keys.add(key)
    }
  }
  expect(wrong.slice(0, 5)).to.deep.equal([])
}

const naming = /^(.+?)(USDT|USDC|FDUSD|TUSD|BUSD|USD1|DAI|USD|BTC|ETH|BNB|EUR|TRY|BRL|GBP|JPY)$/
/** The canonical name of a venue symbol. */
export const instrumentOf = (symbol: string): string => symbol.replace(naming, '$1-$2')

/**
 * Counts, sums, first and last ids, gaps and final books against what the oracle says of the capture. `lives`: processes that
 * wrote one after the other. Each may refresh a book that stands just where its snapshot is, which says nothing new; the
 * oracle knows of one life.
 */
export function expectOracle(wire: Wire, expected: Expected, lives = 1): void {
  const symbols = new Set(
    [expected.trades, expected.aggTrades, expected.bookTicker, expected.klines, expected.books].flatMap(Object.keys),
  )
  for (const symbol of symbols) {
    const instrument = instrumentOf(symbol)
    const trades = expected.trades[symbol] ?? expected.aggTrades[symbol]
    expect(tradesOf(wire, instrument), `trades of ${symbol}`).to.deep.equal(
      trades && {
        ...{ count: trades.count, sum_qty: trades.sum_qty, sum_notional: trades.sum_notional },
        ...{ taker_buy: trades.taker_buy, taker_sell: trades.taker_sell },
        ...{ first_id: trades.first_id, last_id: trades.last_id },
      },
    )
    const counts = {
      QUOTE: expected.bookTicker[symbol]?.count ?? 0,
      TICKER: expected.tickers[symbol] ?? 0,
      'KLINE.SUMMARY': expected.klines[symbol] ?? 0,
      'TRADE.GAP': 0,
      'QUOTE.GAP': 0,
      'TICKER.GAP': 0,
      'KLINE.GAP': 0,
    }
    for (const [type, count] of Object.entries(counts))
      expect(wire.count(instrument, type), `${type} of ${symbol}`).to.equal(count)
    expectBook(wire, instrument, expected.books[symbol], lives)
  }
}

function tradesOf(wire: Wire, instrument: string) {
  const trades = wire.of(instrument, 'TRADE').entries.flatMap((entry) => (entry.type === 'TRADE' ? [entry.data] : []))
  if (trades.length === 0) return undefined
  let quantity = 0n
  let notional = 0n
  for (const trade of trades) {
    quantity += scaled(trade.quantity)
    notional += scaled(trade.quantity) * scaled(trade.price)
  }
  const buys = trades.filter(({ side }) => side === 'buy').length
  return {
    ...{ count: trades.length, sum_qty: unscaled(quantity), sum_notional: unscaled(notional, 40) },
    ...{ taker_buy: buys, taker_sell: trades.length - buys },
    ...{ first_id: Number(trades[0]?.id), last_id: Number(trades.at(-1)?.id) },
  }
}

function expectBook(wire: Wire, instrument: string, expected: BookExpected | undefined, lives: number): void {
  const { entries } = wire.of(instrument, 'ORDERBOOK')
  if (expected === undefined || expected.sync_points.length === 0) {
    expect(entries.length, `ORDERBOOK entries of ${instrument}`).to.equal(0)
    return
  }
  const snapshots = entries.flatMap(({ type, venueSeq }) => (type === 'ORDERBOOK.SNAPSHOT' ? [venueSeq] : []))
  const places = new Set(snapshots).size
  expect(snapshots.length - places, `refreshes of ${instrument}`).to.be.below(lives)
  expect(
    {
      deltas: wire.count(instrument, 'ORDERBOOK.DELTA'),
      snapshots: places,
      gaps: wire.count(instrument, 'ORDERBOOK.GAP'),
    },
    `ORDERBOOK of ${instrument}`,
  ).to.deep.equal({ deltas: expected.applied, snapshots: expected.sync_points.length, gaps: expected.gaps })
  const naive = new NaiveBook()
  const reader = new BookReader()
  const ranges: [number, number][] = []
  const gaps: { expected_U: number; got_U: number }[] = []
  for (const entry of entries) {
    if (reader.step(entry) === 'unjoined') throw new Error(`${entry.key}: a reader has no book for it`)
    if (entry.type === 'ORDERBOOK.SNAPSHOT') naive.clear()
    if (entry.type === 'ORDERBOOK.DELTA') ranges.push([Number(entry.data.first), Number(entry.data.last)])
    if (entry.type === 'ORDERBOOK.GAP' && 'from' in entry.data)
      gaps.push({ expected_U: Number(entry.data.from), got_U: Number(entry.data.to) + 1 })
    if ('bids' in entry.data) naive.set(entry.data.bids, entry.data.asks as Level[])
  }
  expect(ranges, `deltas of ${instrument}`).to.deep.equal(expected.appliedRanges)
  expect(gaps, `gaps of ${instrument}`).to.deep.equal(
    expected.gap_list.map(({ expected_U, got_U }) => ({ expected_U, got_U })),
  )
  expect(reader.joined).to.equal(expected.state === 'live')
  if (expected.final_update_id !== null) expect(reader.have).to.equal(BigInt(expected.final_update_id))
  expect(naive.top(20)).to.deep.equal(expected.top20)
  expect(naive.topSha256(20)).to.equal(expected.top20_sha256)
  expect({ bids: naive.bids.size, asks: naive.asks.size }).to.deep.equal(
    { bids: expected.bid_levels, asks: expected.ask_levels },
    `levels of ${instrument}`,
  )
  const top = reader.top(20)
  const trimmedLevels = (levels: readonly Level[]): Level[] => levels.map(([p, q]) => [trimmed(p), trimmed(q)])
  expect({ bids: trimmedLevels(top.bids), asks: trimmedLevels(top.asks) }).to.deep.equal(expected.top20)
}

/** Hash of the twenty best levels a side that a reader of the whole stream ends with. */
export function bookOf(wire: Wire, instrument: string): string {
  const naive = new NaiveBook()
  for (const entry of wire.of(instrument, 'ORDERBOOK').entries) {
    if (entry.type === 'ORDERBOOK.SNAPSHOT') naive.clear()
    if ('bids' in entry.data) naive.set(entry.data.bids, entry.data.asks as Level[])
  }
  return naive.topSha256(20)
}

/** Digits in = digits out: every trade, quote and level of the streams is literally the venue's text. */
export function expectDigits(wire: Wire, lines: readonly CaptureLine[]): void {
  const texts = new Map<string, string>()
  for (const { kind, msg } of lines) {
    if (kind !== 'ws') continue
    const { stream, data } = JSON.parse(msg)
    const topic = (stream as string).split('@')[1]
    const instrument = instrumentOf(data.s)
    if (topic === 'trade') texts.set(`${instrument}:TRADE:${data.t}`, [data.p, data.q].join())
    if (topic === 'aggTrade') texts.set(`${instrument}:TRADE:${data.a}`, [data.p, data.q].join())
    if (topic === 'bookTicker') texts.set(`${instrument}:QUOTE:${data.u}`, [data.b, data.B, data.a, data.A].join())
    if (topic === 'depth') texts.set(`${instrument}:ORDERBOOK.DELTA:${data.u}`, JSON.stringify([data.b, data.a]))
  }
  const wrong: string[] = []
  for (const { entries } of wire.streams.values())
    for (const { type, key, data } of entries) {
      let found = texts.get(key)
      if (type === 'TRADE') found = [data.price, data.quantity].join()
      else if (type === 'QUOTE') found = Object.values(data).join()
      else if (type === 'ORDERBOOK.DELTA') found = JSON.stringify([data.bids, data.asks])
      if (found !== texts.get(key)) wrong.push(`${key}: expected ${texts.get(key)}, found ${found}`)
    }
  expect(wrong.slice(0, 5)).to.deep.equal([])
}
