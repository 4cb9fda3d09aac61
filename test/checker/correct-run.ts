import type { CheckedStreams } from '../../src/checker/checker.ts'
import type { RawEntry } from '../../src/checker/stream-check.ts'
import { type Level, NaiveBook } from '../support/oracle.ts'

/**
 * A ledger and the streams a correct Meltica would have made of it, both from a seed: every channel of one instrument,
 * with gaps that are told, filled late, healed by a delta or by a snapshot, with bars from REST and a change of epoch.
 */

const FIELDS = 'v type market instrument epoch seq key venueSeq venueTime receivedTime source trace quality data'.split(
  ' ',
)

export interface StreamEntry {
  type: string
  epoch: string
  seq: number
  key: string
  venueSeq: string
  venueTime: string
  receivedTime: string
  source: string
  quality: string
  data: Record<string, unknown>
}

export class Run implements CheckedStreams {
  readonly ledger: string[] = []
  readonly streams = new Map<string, StreamEntry[]>()
  readonly members = new Map<string, Record<string, unknown>[]>()

  of(channel: string): StreamEntry[] {
    const entries = this.streams.get(channel) ?? []
    this.streams.set(channel, entries)
    return entries
  }

  membersOf(channel: string): Record<string, unknown>[] {
    const members = this.members.get(channel) ?? []
    this.members.set(channel, members)
    return members
  }

  /** Numbers a stream anew, so that a change of its entries does not show in `seq`. */
  renumber(channel: string): void {
    for (const [at, entry] of this.of(channel).entries()) entry.seq = at + 1
  }

  async channels(): Promise<string[]> {
    return [...this.streams.keys()].map((channel) => `BINANCE-SPOT:BTC-USDT:${channel}`)
  }

  async *entries(channel: string): AsyncGenerator<RawEntry> {
    for (const [at, entry] of this.of(channel.split(':')[2] as string).entries())
      yield { id: `${1_700_000_000_000 + at}-0`, fields: flatOf(entry) }
  }

  async gapLedger(channel: string): Promise<string[]> {
    return this.membersOf(channel.split(':')[2] as string).map((member) => JSON.stringify(member))
  }
}

function flatOf({ data, ...entry }: StreamEntry): string[] {
  const fields: Record<string, string> = {
    v: '1',
    market: 'BINANCE-SPOT',
    instrument: 'BTC-USDT',
    trace: '0123456789abcdef0123456789abcdef',
    ...entry,
    seq: `${entry.seq}`,
    data: JSON.stringify(data),
  }
  return FIELDS.flatMap((name) => [name, fields[name] as string])
}

/** Mulberry32: small, seeded, good enough to vary a test. */
export function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

const START_MS = 1_700_000_000_000
const EPOCHS = ['1700000000000000', '1700000005000000']

export function correctRun(seed: number): Run {
  const run = new Run()
  const random = randomOf(seed)
  const frame = (atMs: number, stream: string, data: object): void => {
    const url = 'wss://stream.binance.com:9443/stream'
    run.ledger.push(JSON.stringify({ ts: atMs, conn: 'a', kind: 'ws', url, msg: JSON.stringify({ stream, data }) }))
  }
  const add = (
    channel: string,
    atMs: number,
    entry: Partial<StreamEntry> & Pick<StreamEntry, 'type' | 'data'>,
  ): void => {
    const entries = run.of(channel)
    const venueSeq = entry.venueSeq ?? ''
    entries.push({
      epoch: EPOCHS[atMs < START_MS + 5_000 ? 0 : 1] as string,
      seq: entries.length + 1,
      key: `BTC-USDT:${entry.type}:${venueSeq}`,
      venueSeq,
      venueTime: '',
      receivedTime: `${atMs * 1000 + 7}`,
      source: 'binance.ws',
      quality: '',
      ...entry,
    })
  }
  const gap = (channel: string, atMs: number, from: number | string, to: number | string, interval?: string): void =>
    add(channel, atMs, {
      type: `${channel}.GAP`,
      venueSeq: `${interval ? `${interval}@` : ''}${from}-${to}`,
      source: 'dispatcher.gap',
      quality: channel === 'ORDERBOOK' ? 'GAPPED' : '',
      data: { from, to, cause: 'lost', ...(interval ? { interval } : {}) },
    })
  const member = (channel: string, from: number | string, to: number | string, how: string, filled: boolean): void => {
    const openedAt = START_MS * 1000
    const members = run.membersOf(channel)
    // The ledger is a set: two intervals that were interrupted together are one member.
    if (members.some((one) => one.from === from && one.to === to)) return
    members.push({ from, to, cause: 'lost', openedAt, filledAt: filled ? openedAt + 9 : null, how })
  }
  makeTrades(random, frame, add, gap, member)
  makeQuotes(random, frame, add, gap, member)
  makeTickers(random, frame, add)
  const bars = (['1s', '2s'] as const).map((interval) => makeBars(interval, random, frame, add, gap, member))
  for (let index = 0; index < 80; index += 1) for (const bar of bars) bar(index)
  makeBook(run, random, frame, add, gap, member)
  return run
}

type Random = (below: number) => number
type Frame = (atMs: number, stream: string, data: object) => void
type Add = (channel: string, atMs: number, entry: Partial<StreamEntry> & Pick<StreamEntry, 'type' | 'data'>) => void
type Gap = (channel: string, atMs: number, from: number | string, to: number | string, interval?: string) => void
type Member = (channel: string, from: number | string, to: number | string, how: string, filled: boolean) => void

const decimal = (random: Random, from: number): string => `${from + random(50)}.${10 + random(90)}000000`
const atOf = (index: number): number => START_MS + index * 100

function makeTrades(random: Random, frame: Frame, add: Add, gap: Gap, member: Member): void {
  const first = 1000 + random(100)
  const trades = Array.from({ length: 100 }, (_, index) => ({
    ...{ e: 'trade', E: atOf(index), s: 'BTCUSDT', t: first + index, p: decimal(random, 100), q: decimal(random, 1) },
    ...{ T: atOf(index), m: random(2) === 0 },
  }))
  for (const trade of trades) frame(trade.E, 'btcusdt@trade', trade)
  const append = (index: number, atMs: number, source: string): void => {
    const trade = trades[index] as (typeof trades)[number]
    const side = trade.m ? 'sell' : 'buy'
    const data = { id: `${trade.t}`, price: trade.p, quantity: trade.q, side }
    add('TRADE', atMs, { type: 'TRADE', venueSeq: `${trade.t}`, venueTime: `${trade.T * 1000}`, source, data })
  }
  // One hole is filled by REST while the stream goes on, one is given up.
  const filled = { from: 10 + random(10), length: 1 + random(6) }
  const givenUp = { from: 60 + random(10), length: 1 + random(6) }
  for (let index = 0; index < trades.length; index += 1) {
    for (const hole of [filled, givenUp])
      if (index === hole.from) {
        index += hole.length
        gap('TRADE', atOf(index), `${first + hole.from}`, `${first + index - 1}`)
        member(
          'TRADE',
          `${first + hole.from}`,
          `${first + index - 1}`,
          hole === filled ? 'rest' : 'given-up',
          hole === filled,
        )
      }
    append(index, atOf(index), 'binance.ws.trade')
    if (index === filled.from + filled.length + 5)
      for (let late = 0; late < filled.length; late += 1)
        append(filled.from + late, atOf(index), 'binance.rest.historicalTrades')
  }
}

function makeQuotes(random: Random, frame: Frame, add: Add, gap: Gap, member: Member): void {
  let u = 5000
  const hole = { from: 20 + random(20), length: 1 + random(5) }
  let received = 0
  for (let index = 0; index < 80; index += 1) {
    u += 1 + random(5)
    const quote = { u, s: 'BTCUSDT', b: decimal(random, 90), B: decimal(random, 1), a: decimal(random, 150), A: '1.0' }
    frame(atOf(index), 'btcusdt@bookTicker', quote)
    if (index >= hole.from && index < hole.from + hole.length) continue
    const now = atOf(index) * 1000 + 7
    if (index === hole.from + hole.length) {
      gap('QUOTE', atOf(index), received, now)
      member('QUOTE', received, now, 'unfillable', false)
    }
    received = now
    const data = { bidPrice: quote.b, bidQuantity: quote.B, askPrice: quote.a, askQuantity: quote.A }
    add('QUOTE', atOf(index), { type: 'QUOTE', venueSeq: `${u}`, source: 'binance.ws.bookTicker', data })
  }
}

function makeTickers(random: Random, frame: Frame, add: Add): void {
  for (let index = 0; index < 20; index += 1) {
    const E = atOf(index * 5)
    const price = () => decimal(random, 100)
    const ticker = {
      ...{
        e: '24hrTicker',
        E,
        s: 'BTCUSDT',
        p: `-${price()}`,
        P: '-1.5',
        w: price(),
        x: price(),
        c: price(),
        Q: price(),
      },
      ...{ b: price(), B: price(), a: price(), A: price(), o: price(), h: price(), l: price(), v: price(), q: price() },
      ...{ O: E - 86_400_000, C: E, F: 1, L: 100 + index, n: 100 + index },
    }
    frame(E, 'btcusdt@ticker', ticker)
    const data = {
      ...{ open: ticker.o, high: ticker.h, low: ticker.l, last: ticker.c, lastQuantity: ticker.Q, change: ticker.p },
      ...{ changePercent: ticker.P, vwap: ticker.w, volume: ticker.v, quoteVolume: ticker.q, bidPrice: ticker.b },
      ...{ bidQuantity: ticker.B, askPrice: ticker.a, askQuantity: ticker.A, openTime: ticker.O * 1000 },
      ...{ closeTime: ticker.C * 1000, firstTradeId: '1', lastTradeId: `${ticker.L}`, trades: ticker.n },
    }
    add('TICKER', E, { type: 'TICKER', venueSeq: `${E * 1000}`, venueTime: `${E * 1000}`, data })
  }
}

/** Answers the step of one interval, so that the bars of all of them can be mixed in one stream. */
function makeBars(
  interval: '1s' | '2s',
  random: Random,
  frame: Frame,
  add: Add,
  gap: Gap,
  member: Member,
): (index: number) => void {
  const spanMs = interval === '1s' ? 1000 : 2000
  let trades = 0
  let received = 0
  let missed: (() => void) | null = null
  // The interruption swallows the end of a bar, which REST brings later, and the beginning of the next.
  const hole = { from: 18 + random(2), to: 23 + random(3) }
  return (index) => {
    const E = atOf(index)
    const open = Math.floor((E - START_MS) / spanMs) * spanMs + START_MS
    if (open === E) trades = 0
    trades += 1 + random(3)
    const closed = E + 100 === open + spanMs
    const price = () => decimal(random, 100)
    const bar = {
      ...{ t: open, T: open + spanMs - 1, s: 'BTCUSDT', i: interval, f: 1, L: 2, o: price(), c: price(), h: price() },
      ...{ l: price(), v: price(), n: trades, x: closed, q: price(), V: price(), Q: price(), B: '0' },
    }
    frame(E, `btcusdt@kline_${interval}`, { e: 'kline', E, s: 'BTCUSDT', k: bar })
    const append = (atMs: number, source: string): void =>
      add('KLINE', atMs, {
        type: 'KLINE.SUMMARY',
        venueSeq: `${interval}@${open * 1000}@${bar.n}${closed ? '@closed' : ''}`,
        venueTime: source.includes('rest') ? '' : `${E * 1000}`,
        source,
        data: {
          ...{ interval, openTime: open * 1000, closeTime: bar.T * 1000, open: bar.o, high: bar.h, low: bar.l },
          ...{ close: bar.c, volume: bar.v, quoteVolume: bar.q, trades: bar.n, takerBuyVolume: bar.V },
          ...{ takerBuyQuoteVolume: bar.Q, closed },
        },
      })
    if (index >= hole.from && index < hole.to) {
      if (closed && interval === '1s') missed = () => append(atOf(hole.to) + 1, 'binance.rest.klines')
      return
    }
    if (index === hole.to) {
      gap('KLINE', E, received, E * 1000 + 7, interval)
      member('KLINE', received, E * 1000 + 7, 'unfillable', false)
    }
    received = E * 1000 + 7
    append(E, `binance.ws.kline_${interval}`)
    missed?.()
    missed = null
  }
}

function makeBook(run: Run, random: Random, frame: Frame, add: Add, gap: Gap, member: Member): void {
  const book = new NaiveBook()
  const levels = (from: number): Level[] =>
    Array.from({ length: 30 }, (_, at) => [`${from + at}.50000000`, `${1 + random(9)}.0000`])
  book.set(levels(70), levels(101))
  const sides = () => book.top(Infinity)
  let last = 9_000
  const url = 'https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000'
  const answer = { lastUpdateId: last, ...sides() }
  run.ledger.push(JSON.stringify({ ts: START_MS, conn: 'r', kind: 'http', url, msg: JSON.stringify(answer) }))
  const snapshot = (atMs: number): void =>
    add('ORDERBOOK', atMs, {
      type: 'ORDERBOOK.SNAPSHOT',
      venueSeq: `${last}`,
      key: `BTC-USDT:ORDERBOOK.SNAPSHOT:${last}@${atMs * 1000 + 7}`,
      source: 'binance.rest.depth',
      data: { last: `${last}`, ...sides(), depth: 1000 },
    })
  snapshot(START_MS)
  // The first hole ends at a snapshot, behind deltas that nobody could apply; the second when the lost deltas come late.
  const replaced = { from: 15 + random(5), lost: 1 + random(4), until: 28 + random(4) }
  const healed = { from: 50 + random(5), lost: 1 + random(4) }
  let late: (() => void)[] = []
  let lateTo = 0
  let holeFrom = 0
  for (let index = 0; index < 90; index += 1) {
    const E = atOf(index)
    const U = last + 1
    const u = last + 1 + random(4)
    const change = (from: number): Level[] =>
      Array.from({ length: random(4) }, () => [
        `${from + random(30)}.5000`,
        random(3) === 0 ? '0.000' : `${1 + random(9)}.00`,
      ])
    const [b, a] = [change(70), change(101)]
    frame(E, 'btcusdt@depth@100ms', { e: 'depthUpdate', E, s: 'BTCUSDT', U, u, b, a })
    const append = (): void =>
      add('ORDERBOOK', E, {
        type: 'ORDERBOOK.DELTA',
        venueSeq: `${u}`,
        venueTime: `${E * 1000}`,
        source: 'binance.ws.depth',
        data: { first: `${U}`, last: `${u}`, bids: b, asks: a },
      })
    book.set(b, a)
    last = u
    if (index === replaced.from || index === healed.from) holeFrom = U
    if (index >= replaced.from && index <= replaced.until) {
      if (index === replaced.from + replaced.lost) gap('ORDERBOOK', E, `${holeFrom}`, `${U - 1}`)
      if (index === replaced.until) {
        snapshot(E)
        member('ORDERBOOK', `${holeFrom}`, `${last}`, 'snapshot', true)
      }
    } else if (index >= healed.from && index < healed.from + healed.lost) {
      if (late.length === 0) lateTo = u
      late.push(append)
    } else {
      if (late.length > 0) {
        gap('ORDERBOOK', E, `${holeFrom}`, `${U - 1}`)
        // The first late delta joins the book again, and the hole ends with it; the others continue it.
        member('ORDERBOOK', `${holeFrom}`, `${lateTo}`, 'delta', true)
      }
      for (const appendLate of late) appendLate()
      late = []
      append()
    }
  }
}
