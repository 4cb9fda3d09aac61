import { isDecimal, isUnsignedDecimal } from '../../domain/decimal.ts'
import type { Level } from '../../domain/event.ts'

/**
 * The venue's payloads as types, and the checks that admit them. Each `refuseX` answers null when the payload is what its
 * type says, else what was expected and what was found; after that nobody checks again. Fields that are not listed are
 * nobody's business: the venue adds some every year.
 *
 * Units: times in the connection's unit (ms unless asked for us). Source: binance/binance-spot-api-docs
 * web-socket-streams.md "Detailed Stream information" and rest-api.md, read 2026-07.
 */

/** A JSON object nobody has checked. */
export type Unchecked = Readonly<Record<string, unknown>>

/** Microseconds in one unit of the venue's times. */
export type UsPerUnit = 1 | 1000

export interface TradePayload {
  readonly t: number
  readonly p: string
  readonly q: string
  readonly T: number
  /** The buyer was the maker, so the taker sold. */
  readonly m: boolean
}

export interface AggTradePayload extends Omit<TradePayload, 't'> {
  readonly a: number
}

export interface BookTickerPayload {
  readonly u: number
  readonly b: string
  readonly B: string
  readonly a: string
  readonly A: string
}

export interface DepthUpdatePayload {
  readonly E: number
  readonly U: number
  readonly u: number
  readonly b: readonly Level[]
  readonly a: readonly Level[]
}

export interface TickerPayload {
  readonly E: number
  readonly p: string
  readonly P: string
  readonly w: string
  readonly c: string
  readonly Q: string
  readonly b: string
  readonly B: string
  readonly a: string
  readonly A: string
  readonly o: string
  readonly h: string
  readonly l: string
  readonly v: string
  readonly q: string
  readonly O: number
  readonly C: number
  /** -1 where the window holds no trade, as `L`. */
  readonly F: number
  readonly L: number
  readonly n: number
}

export interface KlinePayload {
  readonly E: number
  readonly k: {
    readonly t: number
    readonly T: number
    readonly i: string
    /** First and last trade id, -1 where there were no trades; only of use, so not required. */
    readonly f: unknown
    readonly L: unknown
    readonly o: string
    readonly c: string
    readonly h: string
    readonly l: string
    readonly v: string
    readonly n: number
    readonly x: boolean
    readonly q: string
    readonly V: string
    readonly Q: string
  }
}

/** 2001-09-09 in us. Nothing at this venue is older, and milliseconds read as microseconds lie far below it. */
export const EVENT_TIME_US_MIN = 1e15

const ID = 'a safe integer >= 0'
const TIME = 'a Unix time in the unit of the connection, after 2001 and a safe integer in us'
const AMOUNT = 'a decimal string without sign or exponent'
const SIGNED = 'a decimal string without exponent'
const SIDES = 'an array of [price, quantity] pairs of decimal strings'

export function isObject(value: unknown): value is Unchecked {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/** When something happened. */
export function isEventTime(value: unknown, usPerUnit: UsPerUnit): value is number {
  return isTime(value, usPerUnit) && value * usPerUnit >= EVENT_TIME_US_MIN
}

/** Any point in time, the epoch itself included: windows of instruments without trades begin there. */
function isTime(value: unknown, usPerUnit: UsPerUnit): value is number {
  return isId(value) && value * usPerUnit <= Number.MAX_SAFE_INTEGER
}

function isAmount(value: unknown): value is string {
  return typeof value === 'string' && isUnsignedDecimal(value)
}

export function refuseTrade(payload: Unchecked, usPerUnit: UsPerUnit): string | null {
  if (!isId(payload.t)) return expected('t', ID, payload.t)
  return refuseTradeBody(payload, usPerUnit)
}

export function refuseAggTrade(payload: Unchecked, usPerUnit: UsPerUnit): string | null {
  if (!isId(payload.a)) return expected('a', ID, payload.a)
  return refuseTradeBody(payload, usPerUnit)
}

function refuseTradeBody(payload: Unchecked, usPerUnit: UsPerUnit): string | null {
  if (!isAmount(payload.p)) return expected('p', AMOUNT, payload.p)
  if (!isAmount(payload.q)) return expected('q', AMOUNT, payload.q)
  if (!isEventTime(payload.T, usPerUnit)) return expected('T', TIME, payload.T)
  if (typeof payload.m !== 'boolean') return expected('m', 'true or false', payload.m)
  return null
}

export function refuseBookTicker(payload: Unchecked): string | null {
  if (!isId(payload.u)) return expected('u', ID, payload.u)
  if (!isAmount(payload.b)) return expected('b', AMOUNT, payload.b)
  if (!isAmount(payload.B)) return expected('B', AMOUNT, payload.B)
  if (!isAmount(payload.a)) return expected('a', AMOUNT, payload.a)
  if (!isAmount(payload.A)) return expected('A', AMOUNT, payload.A)
  return null
}

export function refuseDepthUpdate(payload: Unchecked, usPerUnit: UsPerUnit): string | null {
  if (!isEventTime(payload.E, usPerUnit)) return expected('E', TIME, payload.E)
  if (!isId(payload.U)) return expected('U', ID, payload.U)
  if (!isId(payload.u)) return expected('u', ID, payload.u)
  if (payload.U > payload.u) return `U <= u expected, found U ${payload.U} and u ${payload.u}`
  if (!isSide(payload.b)) return expectedSide('b', payload.b)
  if (!isSide(payload.a)) return expectedSide('a', payload.a)
  return null
}

const TICKER_AMOUNTS = ['w', 'c', 'Q', 'b', 'B', 'a', 'A', 'o', 'h', 'l', 'v', 'q'] as const

export function refuseTicker(payload: Unchecked, usPerUnit: UsPerUnit): string | null {
  if (!isEventTime(payload.E, usPerUnit)) return expected('E', TIME, payload.E)
  for (const field of TICKER_AMOUNTS) if (!isAmount(payload[field])) return expected(field, AMOUNT, payload[field])
  if (typeof payload.p !== 'string' || !isDecimal(payload.p)) return expected('p', SIGNED, payload.p)
  if (typeof payload.P !== 'string' || !isDecimal(payload.P)) return expected('P', SIGNED, payload.P)
  if (!isTime(payload.O, usPerUnit)) return expected('O', TIME, payload.O)
  if (!isTime(payload.C, usPerUnit)) return expected('C', TIME, payload.C)
  if (!isId(payload.F) && payload.F !== -1) return expected('F', `${ID}, or -1`, payload.F)
  if (!isId(payload.L) && payload.L !== -1) return expected('L', `${ID}, or -1`, payload.L)
  if (!isId(payload.n)) return expected('n', ID, payload.n)
  return null
}

/** `GET /api/v3/ticker/24hr` of one symbol, type FULL. */
export interface TickerAnswer {
  readonly priceChange: string
  readonly priceChangePercent: string
  readonly weightedAvgPrice: string
  readonly lastPrice: string
  readonly lastQty: string
  readonly bidPrice: string
  readonly bidQty: string
  readonly askPrice: string
  readonly askQty: string
  readonly openPrice: string
  readonly highPrice: string
  readonly lowPrice: string
  readonly volume: string
  readonly quoteVolume: string
  readonly openTime: number
  readonly closeTime: number
  readonly firstId: number
  readonly lastId: number
  readonly count: number
}

const TICKER_ANSWER_AMOUNTS = [
  ...(['weightedAvgPrice', 'lastPrice', 'lastQty', 'bidPrice', 'bidQty', 'askPrice', 'askQty'] as const),
  ...(['openPrice', 'highPrice', 'lowPrice', 'volume', 'quoteVolume'] as const),
]

export function refuseTickerAnswer(answer: Unchecked, symbol: string): string | null {
  if (answer.symbol !== symbol) return expected('symbol', `"${symbol}" as asked for`, answer.symbol)
  for (const field of TICKER_ANSWER_AMOUNTS) if (!isAmount(answer[field])) return expected(field, AMOUNT, answer[field])
  for (const field of ['priceChange', 'priceChangePercent'] as const) {
    const value = answer[field]
    if (typeof value !== 'string' || !isDecimal(value)) return expected(field, SIGNED, value)
  }
  for (const field of ['openTime', 'closeTime'] as const)
    if (!isTime(answer[field], 1_000)) return expected(field, TIME, answer[field])
  for (const field of ['firstId', 'lastId'] as const)
    if (!isId(answer[field]) && answer[field] !== -1) return expected(field, `${ID}, or -1`, answer[field])
  return isId(answer.count) ? null : expected('count', ID, answer.count)
}

const KLINE_AMOUNTS = ['o', 'c', 'h', 'l', 'v', 'q', 'V', 'Q'] as const

export function refuseKline(payload: Unchecked, interval: string, usPerUnit: UsPerUnit): string | null {
  if (!isEventTime(payload.E, usPerUnit)) return expected('E', TIME, payload.E)
  const bar = payload.k
  if (!isObject(bar)) return expected('k', 'an object', bar)
  if (bar.i !== interval) return expected('k.i', `"${interval}" as in the topic`, bar.i)
  if (!isTime(bar.t, usPerUnit)) return expected('k.t', TIME, bar.t)
  if (!isTime(bar.T, usPerUnit)) return expected('k.T', TIME, bar.T)
  if (bar.T < bar.t) return `k.t <= k.T expected, found k.t ${bar.t} and k.T ${bar.T}`
  for (const field of KLINE_AMOUNTS) if (!isAmount(bar[field])) return expected(`k.${field}`, AMOUNT, bar[field])
  if (!isId(bar.n)) return expected('k.n', ID, bar.n)
  if (typeof bar.x !== 'boolean') return expected('k.x', 'true or false', bar.x)
  return null
}

/**
 * A depth answer. An instrument that has no book yet is answered with `lastUpdateId` -1, which is refused: nothing can be
 * joined to it.
 */
export interface DepthAnswer {
  readonly lastUpdateId: number
  readonly bids: readonly Level[]
  readonly asks: readonly Level[]
}

export function refuseDepthAnswer(answer: Unchecked): string | null {
  if (!isId(answer.lastUpdateId)) return expected('lastUpdateId', ID, answer.lastUpdateId)
  if (!isSide(answer.bids)) return expectedSide('bids', answer.bids)
  if (!isSide(answer.asks)) return expectedSide('asks', answer.asks)
  return null
}

/** One row of `/historicalTrades` and `/trades`; `time` in ms. */
export interface TradeRow {
  readonly id: number
  readonly price: string
  readonly qty: string
  readonly time: number
  readonly isBuyerMaker: boolean
}

export function refuseTradeRow(row: Unchecked): string | null {
  if (!isId(row.id)) return expected('id', ID, row.id)
  if (!isAmount(row.price)) return expected('price', AMOUNT, row.price)
  if (!isAmount(row.qty)) return expected('qty', AMOUNT, row.qty)
  if (!isEventTime(row.time, 1000)) return expected('time', TIME, row.time)
  if (typeof row.isBuyerMaker !== 'boolean') return expected('isBuyerMaker', 'true or false', row.isBuyerMaker)
  return null
}

/**
 * One row of `/klines`: open time, open, high, low, close, volume, close time, quote volume, trades, taker base volume,
 * taker quote volume; times in ms.
 */
export type KlineRow = readonly [
  number,
  string,
  string,
  string,
  string,
  string,
  number,
  string,
  number,
  string,
  string,
  ...unknown[],
]

const KLINE_ROW_AMOUNTS = [1, 2, 3, 4, 5, 7, 9, 10] as const

export function refuseKlineRow(row: unknown): string | null {
  if (!Array.isArray(row) || row.length < 11) return expected('row', 'an array of at least 11 values', row)
  if (!isEventTime(row[0], 1000)) return expected('[0]', TIME, row[0])
  if (!isEventTime(row[6], 1000)) return expected('[6]', TIME, row[6])
  if (row[6] < row[0]) return `[0] <= [6] expected, found ${row[0]} and ${row[6]}`
  for (const at of KLINE_ROW_AMOUNTS) if (!isAmount(row[at])) return expected(`[${at}]`, AMOUNT, row[at])
  if (!isId(row[8])) return expected('[8]', ID, row[8])
  return null
}

function isSide(value: unknown): value is readonly Level[] {
  if (!Array.isArray(value)) return false
  for (let at = 0; at < value.length; at++) if (!isLevel(value[at])) return false
  return true
}

function isLevel(level: unknown): boolean {
  return Array.isArray(level) && level.length === 2 && isAmount(level[0]) && isAmount(level[1])
}

function expectedSide(field: string, found: unknown): string {
  if (!Array.isArray(found)) return expected(field, SIDES, found)
  const at = found.findIndex((level) => !isLevel(level))
  return expected(`${field}[${at}]`, 'a [price, quantity] pair of decimal strings', found[at])
}

const FOUND_LENGTH_MAX = 100

/** `field: X expected, found Y`, with Y as JSON and cut to a bound. */
export function expected(field: string, what: string, found: unknown): string {
  const text = found === undefined ? 'nothing' : (JSON.stringify(found) ?? typeof found)
  const shown = text.length > FOUND_LENGTH_MAX ? `${text.slice(0, FOUND_LENGTH_MAX)}...` : text
  return `${field}: ${what} expected, found ${shown}`
}
