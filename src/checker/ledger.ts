/**
 * The checker's own reading of a ledger: a capture whose lines are Binance frames and answers, and lines that say which
 * fault was made. Nothing here is shared with the adapter that is being checked.
 */

/** Content of an event as one text; what the checker compares. Digits are kept as they stand. */
export interface LedgerRow {
  readonly kind: 'trade' | 'aggTrade' | 'quote' | 'ticker' | 'kline'
  readonly symbol: string
  /** trade, aggregate or update id; close time (us) of a ticker; open time (us) of a bar. */
  readonly id: number
  /** Bars: see `barMinor`; else 0. */
  readonly minor: number
  readonly interval: string
  /** Microseconds of the venue's clock, 0 where it tells none. */
  readonly timeUs: number
  readonly content: string
}

export type Levels = readonly (readonly [price: string, quantity: string])[]

export interface LedgerDelta {
  readonly kind: 'delta'
  readonly symbol: string
  readonly first: number
  readonly last: number
  readonly timeUs: number
  readonly bids: Levels
  readonly asks: Levels
}

export interface LedgerSnapshot {
  readonly kind: 'snapshot'
  readonly symbol: string
  readonly last: number
  /** Levels a side that were asked for. */
  readonly depth: number
  readonly bids: Levels
  readonly asks: Levels
}

/** A line that says a fault was made, and a line that holds nothing to check. */
export type LedgerNote = LedgerFault | { readonly kind: 'skipped' }

export interface LedgerFault {
  readonly kind: 'fault'
  /** An update that reached clients not at all, spoilt, or behind a newer one, and that the venue tells only once. */
  readonly struck: LedgerRow | null
}

export type LedgerEvent = LedgerRow | LedgerDelta | LedgerSnapshot | LedgerNote

const SKIPPED: LedgerNote = { kind: 'skipped' }
const FAULT: LedgerFault = { kind: 'fault', struck: null }
/** Faults after which nobody could have put the struck frame into its place. */
const STRIKING: ReadonlySet<unknown> = new Set(['drop', 'gap', 'reorder', 'delay', 'corrupt'])
type Fields = Readonly<Record<string, unknown>>

/** Reads one line of a ledger. What holds no event is `skipped`, also when it cannot be read. */
export function readLedgerLine(text: string): LedgerEvent {
  const line = parse(text)
  if (!line) return SKIPPED
  if (line.kind === 'fault') return readFault(line)
  const message = parse(line.msg)
  if (!message || typeof line.url !== 'string') return SKIPPED
  if (line.kind === 'http') return readAnswer(line.url, message)
  if (line.kind !== 'ws') return SKIPPED
  const toUs = /[?&]timeUnit=MICROSECOND/i.test(line.url) ? 1 : 1000
  const data = (message.data ?? message) as Fields
  return readFrame(String(message.stream ?? ''), data, toUs)
}

function parse(text: unknown): Fields | null {
  if (typeof text !== 'string') return null
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Fields) : null
  } catch {
    return null
  }
}

function readAnswer(url: string, body: Fields): LedgerEvent {
  const { pathname, searchParams } = new URL(url, 'http://ledger')
  const symbol = searchParams.get('symbol')
  if (!pathname.endsWith('/api/v3/depth') || !symbol || !Array.isArray(body.bids)) return SKIPPED
  return {
    kind: 'snapshot',
    symbol,
    last: Number(body.lastUpdateId),
    depth: Number(searchParams.get('limit') ?? 100),
    bids: body.bids as unknown as Levels,
    asks: body.asks as Levels,
  }
}

/** Trades, book deltas and closed bars can be had a second time; best prices, statistics and open bars cannot. */
function readFault(line: Fields): LedgerFault {
  const data = STRIKING.has(line.fault) ? parse(line.msg) : null
  if (!data || typeof line.stream !== 'string') return FAULT
  const row = readFrame(line.stream, data, 1000)
  if (row.kind === 'quote' || row.kind === 'ticker') return { kind: 'fault', struck: row }
  return row.kind === 'kline' && row.minor < CLOSED ? { kind: 'fault', struck: row } : FAULT
}

function readFrame(stream: string, data: Fields, toUs: number): LedgerEvent {
  const symbol = String(data.s ?? '')
  const row = (kind: LedgerRow['kind'], id: number, time: unknown, content: string, minor = 0, interval = '') =>
    ({ kind, symbol, id, minor, interval, timeUs: time === undefined ? 0 : Number(time) * toUs, content }) as const
  const word = data.e ?? (stream.endsWith('@bookTicker') ? 'bookTicker' : '')
  switch (word) {
    case 'trade':
      return row('trade', Number(data.t), data.T, tradeContent(data.p, data.q, !data.m))
    case 'aggTrade':
      return row('aggTrade', Number(data.a), data.T, tradeContent(data.p, data.q, !data.m))
    case 'bookTicker':
      return row('quote', Number(data.u), undefined, [data.b, data.B, data.a, data.A].join('|'))
    case '24hrTicker':
      return row('ticker', Number(data.C) * toUs, data.E, pick(data, 'o h l c Q p P w v q b B a A n'))
    case 'kline': {
      const bar = data.k as Fields
      const content = pick(bar, 'i o h l c v q n V Q x')
      const minor = barMinor(Number(bar.n), bar.x === true)
      return row('kline', Number(bar.t) * toUs, data.E, content, minor, String(bar.i))
    }
    case 'depthUpdate':
      return {
        kind: 'delta',
        symbol,
        first: Number(data.U),
        last: Number(data.u),
        timeUs: Number(data.E) * toUs,
        bids: data.b as Levels,
        asks: data.a as Levels,
      }
    default:
      return SKIPPED
  }
}

const pick = (fields: Fields, names: string): string =>
  names
    .split(' ')
    .map((name) => String(fields[name]))
    .join('|')

export const tradeContent = (price: unknown, quantity: unknown, takerBuys: boolean): string =>
  `${price}|${quantity}|${takerBuys ? 'buy' : 'sell'}`

/** Place of a bar's state among the states of the same bar: closed after open, then by the number of trades. */
export const barMinor = (trades: number, closed: boolean): number => (closed ? CLOSED : 0) + trades
const CLOSED = 2 ** 50

export const levelsContent = (bids: Levels, asks: Levels): string => `${bids.join(';')}#${asks.join(';')}`
