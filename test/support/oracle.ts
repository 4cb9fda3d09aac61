import { createHash } from 'node:crypto'
import type { CaptureLine } from './capture.ts'

/**
 * What a correct client must make of a Binance capture, worked out in the plainest way: everything in memory, levels in a
 * map, best prices by looking at all of them. It follows VENUES B5 and the words of captures/README.md, shares no code
 * with `src/`, and is itself tested against the expected results that came with the recordings.
 */

export type Level = readonly [price: string, quantity: string]

export interface TradesExpected {
  count: number
  sum_qty: string
  sum_notional: string
  taker_buy: number
  taker_sell: number
  first_id: number
  last_id: number
}

export interface BookExpected {
  state: 'live' | 'waiting'
  diff_events: number
  applied: number
  dropped_stale: number
  ignored_old: number
  left_in_buffer: number
  gaps: number
  gap_list: { line: number; expected_U: number; got_U: number }[]
  unusable_snapshots: number
  not_contiguous: number
  sync_points: { lastUpdateId: number; first_U: number; first_u: number }[]
  final_update_id: number | null
  top20: { bids: Level[]; asks: Level[] }
  top20_sha256: string
  bid_levels: number
  ask_levels: number
  bbo_sequence_sha256: string
  /** Of each delta that was applied, in order: its first and last id. */
  appliedRanges: [first: number, last: number][]
}

export interface Expected {
  trades: Record<string, TradesExpected>
  aggTrades: Record<string, TradesExpected>
  bookTicker: Record<string, { count: number; last: { u: number; best_bid: Level; best_ask: Level } }>
  klines: Record<string, number>
  tickers: Record<string, number>
  books: Record<string, BookExpected>
}

interface Delta {
  readonly U: number
  readonly u: number
  readonly b: Level[]
  readonly a: Level[]
  readonly line: number
}

/** Plain text of a decimal without trailing zeros, as the expected files write it. */
export function trimmed(text: string): string {
  return text.includes('.') ? text.replace(/0+$/, '').replace(/\.$/, '') : text
}

const PLACES = 20
/** A decimal as an integer count of 10^-20. */
export function scaled(text: string): bigint {
  const [whole, fraction = ''] = text.split('.')
  if (!/^\d+$/.test(whole as string) || !/^\d*$/.test(fraction) || fraction.length > PLACES)
    throw new Error(`expected a plain decimal, found ${text}`)
  return BigInt(whole as string) * 10n ** BigInt(PLACES) + BigInt(fraction.padEnd(PLACES, '0') || '0')
}

/** An integer count of 10^-places as trimmed text. */
export function unscaled(value: bigint, places = PLACES): string {
  const digits = value.toString().padStart(places + 1, '0')
  return trimmed(`${digits.slice(0, -places)}.${digits.slice(-places)}`)
}

/** One side or both of a book, by the rules alone: absolute quantities, zero removes. */
export class NaiveBook {
  readonly bids = new Map<string, string>()
  readonly asks = new Map<string, string>()

  set(bids: readonly Level[], asks: readonly Level[]): void {
    for (const [side, levels] of [
      [this.bids, bids],
      [this.asks, asks],
    ] as const)
      for (const [price, quantity] of levels)
        if (scaled(quantity) === 0n) side.delete(trimmed(price))
        else side.set(trimmed(price), trimmed(quantity))
  }

  clear(): void {
    this.bids.clear()
    this.asks.clear()
  }

  best(side: 'bids' | 'asks'): Level | undefined {
    let best: Level | undefined
    let bestPrice = 0n
    for (const level of this[side]) {
      const price = scaledCached(level[0])
      if (best && (side === 'bids' ? price <= bestPrice : price >= bestPrice)) continue
      best = level
      bestPrice = price
    }
    return best
  }

  top(count: number): { bids: Level[]; asks: Level[] } {
    const by = (direction: number) => (one: Level, other: Level) =>
      scaledCached(one[0]) < scaledCached(other[0]) ? -direction : direction
    return {
      bids: [...this.bids].sort(by(-1)).slice(0, count),
      asks: [...this.asks].sort(by(1)).slice(0, count),
    }
  }

  topSha256(count: number): string {
    const { bids, asks } = this.top(count)
    const lines = [...bids.map((level) => ['b', ...level]), ...asks.map((level) => ['a', ...level])]
    return sha256(lines.map((line) => `${line.join('|')}\n`).join(''))
  }
}

const prices = new Map<string, bigint>()
function scaledCached(price: string): bigint {
  let value = prices.get(price)
  if (value === undefined) {
    value = scaled(price)
    prices.set(price, value)
  }
  return value
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** The life of one symbol's book (VENUES B5, steps 1 to 6). */
class BookOracle {
  readonly book = new NaiveBook()
  readonly result: Omit<BookExpected, 'top20' | 'top20_sha256' | 'bid_levels' | 'ask_levels' | 'bbo_sequence_sha256'> =
    {
      state: 'waiting',
      diff_events: 0,
      applied: 0,
      dropped_stale: 0,
      ignored_old: 0,
      left_in_buffer: 0,
      gaps: 0,
      gap_list: [],
      unusable_snapshots: 0,
      not_contiguous: 0,
      sync_points: [],
      final_update_id: null,
      appliedRanges: [],
    }
  #buffer: Delta[] = []
  #id: number | null = null
  #synced: number | null = null
  #previousLast: number | null = null
  readonly #bbo = createHash('sha256')
  readonly #withBbo: boolean

  constructor(withBbo: boolean) {
    this.#withBbo = withBbo
  }

  delta(delta: Delta): void {
    this.result.diff_events += 1
    if (this.#previousLast !== null && delta.U !== this.#previousLast + 1) this.result.not_contiguous += 1
    this.#previousLast = delta.u
    if (this.#id === null) this.#buffer.push(delta)
    else this.#live(delta)
  }

  snapshot(last: number, bids: Level[], asks: Level[]): void {
    if (this.#id !== null) return
    const first = this.#buffer[0]
    if (first && last < first.U - 1) {
      this.result.unusable_snapshots += 1
      return
    }
    this.book.clear()
    this.book.set(bids, asks)
    this.#id = last
    this.#synced = last
    const buffered = this.#buffer
    this.#buffer = []
    for (const delta of buffered)
      if (this.#id === null) this.#buffer.push(delta)
      else this.#live(delta)
  }

  #live(delta: Delta): void {
    const id = this.#id as number
    if (delta.u <= id) {
      // A book counts as joined from the first event that was applied on its snapshot.
      this.result[this.#synced === null ? 'ignored_old' : 'dropped_stale'] += 1
      return
    }
    if (delta.U > id + 1) {
      this.result.gaps += 1
      this.result.gap_list.push({ line: delta.line, expected_U: id + 1, got_U: delta.U })
      this.#id = null
      this.#buffer = [delta]
      return
    }
    if (this.#synced !== null) {
      this.result.sync_points.push({ lastUpdateId: this.#synced, first_U: delta.U, first_u: delta.u })
      this.#synced = null
    }
    this.book.set(delta.b, delta.a)
    this.#id = delta.u
    this.result.applied += 1
    this.result.appliedRanges.push([delta.U, delta.u])
    if (!this.#withBbo) return
    const fields = [this.book.best('bids') ?? ['', ''], this.book.best('asks') ?? ['', '']].flat()
    this.#bbo.update(`${[delta.u, ...fields].join('|')}\n`)
  }

  end(): BookExpected {
    return {
      ...this.result,
      state: this.#id === null ? 'waiting' : 'live',
      left_in_buffer: this.#buffer.length,
      final_update_id: this.#id,
      top20: this.book.top(20),
      top20_sha256: this.book.topSha256(20),
      bid_levels: this.book.bids.size,
      ask_levels: this.book.asks.size,
      bbo_sequence_sha256: this.#bbo.digest('hex'),
    }
  }
}

interface TradeSum extends TradesExpected {
  qty: bigint
  notional: bigint
}

function addTrade(into: Record<string, TradeSum>, symbol: string, id: number, data: Record<string, unknown>): void {
  const qty = scaled(data.q as string)
  into[symbol] ??= {
    count: 0,
    sum_qty: '0',
    sum_notional: '0',
    taker_buy: 0,
    taker_sell: 0,
    first_id: id,
    last_id: id,
    qty: 0n,
    notional: 0n,
  }
  const sum = into[symbol]
  sum.count += 1
  sum.qty += qty
  sum.notional += qty * scaled(data.p as string)
  if (data.m === true) sum.taker_sell += 1
  else sum.taker_buy += 1
  sum.last_id = id
}

function closeTrades(sums: Record<string, TradeSum>): Record<string, TradesExpected> {
  const closed: Record<string, TradesExpected> = {}
  for (const [symbol, { qty, notional, ...rest }] of Object.entries(sums))
    closed[symbol] = { ...rest, sum_qty: unscaled(qty), sum_notional: unscaled(notional, 2 * PLACES) }
  return closed
}

/** Runs over a whole capture. `withBbo` also hashes the best prices after every applied delta, which takes longer. */
export function expectedOf(lines: readonly CaptureLine[], withBbo = false): Expected {
  const trades: Record<string, TradeSum> = {}
  const aggTrades: Record<string, TradeSum> = {}
  const expected: Expected = { trades: {}, aggTrades: {}, bookTicker: {}, klines: {}, tickers: {}, books: {} }
  const books: Record<string, BookOracle> = {}
  const bookOf = (symbol: string): BookOracle => {
    books[symbol] ??= new BookOracle(withBbo)
    return books[symbol]
  }
  for (const [line, { kind, url, msg }] of lines.entries()) {
    if (kind === 'http') {
      const { pathname, searchParams } = new URL(url)
      if (!pathname.endsWith('/depth')) continue
      const answer = JSON.parse(msg)
      bookOf(searchParams.get('symbol') as string).snapshot(answer.lastUpdateId, answer.bids, answer.asks)
      continue
    }
    if (kind !== 'ws') continue
    const { stream, data } = JSON.parse(msg)
    const symbol = data.s as string
    const topic = (stream as string).split('@')[1] as string
    if (topic === 'trade') addTrade(trades, symbol, data.t, data)
    else if (topic === 'aggTrade') addTrade(aggTrades, symbol, data.a, data)
    else if (topic === 'depth') bookOf(symbol).delta({ U: data.U, u: data.u, b: data.b, a: data.a, line })
    else if (topic === 'ticker') expected.tickers[symbol] = (expected.tickers[symbol] ?? 0) + 1
    else if (topic.startsWith('kline')) expected.klines[symbol] = (expected.klines[symbol] ?? 0) + 1
    else if (topic === 'bookTicker') {
      const best_bid: Level = [trimmed(data.b), trimmed(data.B)]
      const best_ask: Level = [trimmed(data.a), trimmed(data.A)]
      const count = (expected.bookTicker[symbol]?.count ?? 0) + 1
      expected.bookTicker[symbol] = { count, last: { u: data.u, best_bid, best_ask } }
    } else throw new Error(`the oracle does not know the stream ${stream}`)
  }
  expected.trades = closeTrades(trades)
  expected.aggTrades = closeTrades(aggTrades)
  for (const [symbol, book] of Object.entries(books)) expected.books[symbol] = book.end()
  return expected
}
