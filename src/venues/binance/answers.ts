import type { TradeNumbering } from '../../domain/event.ts'
import {
  asInstrument,
  asVenueSymbol,
  type InstrumentInfo,
  type Market,
  type VenueSymbol,
} from '../../domain/instrument.ts'
import { VenueProtocolError } from '../errors.ts'
import type { VenueBookSnapshot, VenueKline, VenueTicker, VenueTrade } from '../venue.ts'
import {
  type AggTradePayload,
  type DepthAnswer,
  expected,
  isEventTime,
  isId,
  isObject,
  type KlineRow,
  refuseAggTrade,
  refuseDepthAnswer,
  refuseKlineRow,
  refuseTickerAnswer,
  refuseTradeRow,
  type TickerAnswer,
  type TradeRow,
  type Unchecked,
} from './wire.ts'

/*
 * REST answers -> domain, pure. All throw VenueProtocolError when an answer is not what it should be; times come in ms.
 * Source: binance/binance-spot-api-docs rest-api.md "Market data endpoints", read 2026-07.
 */

const US_PER_MS = 1_000

/** A whole book. */
export function parseDepth(
  answer: unknown,
  symbol: VenueSymbol,
  depth: number,
  receivedTimeUs: number,
): VenueBookSnapshot {
  const refusal = isObject(answer) ? refuseDepthAnswer(answer) : expected('answer', 'an object', answer)
  if (refusal !== null) throw wrongAnswer('depth', symbol, refusal)
  const { lastUpdateId, bids, asks } = answer as DepthAnswer
  return {
    kind: 'snapshot',
    topic: `rest:depth:${symbol}`,
    symbol,
    venueTimeUs: null,
    receivedTimeUs,
    source: 'binance.rest.depth',
    last: lastUpdateId,
    bids,
    asks,
    depth,
  }
}

/** Rows of `/historicalTrades` or `/trades`, or of `/aggTrades`; ids below `fromId` are left out, ids must rise. */
export function parseTrades(
  answer: unknown,
  endpoint: 'historicalTrades' | 'trades' | 'aggTrades',
  symbol: VenueSymbol,
  fromId: number,
  receivedTimeUs: number,
): VenueTrade[] {
  if (!Array.isArray(answer)) throw wrongAnswer(endpoint, symbol, expected('answer', 'an array', answer))
  const numbering: TradeNumbering = endpoint === 'aggTrades' ? 'aggTrade' : 'trade'
  const topic = `rest:${endpoint}:${symbol}`
  const source = `binance.rest.${endpoint}`
  const trades: VenueTrade[] = []
  let before = -1
  for (const row of answer as unknown[]) {
    const fields = admitTrade(row, endpoint, symbol)
    if (fields.id <= before) {
      throw wrongAnswer(endpoint, symbol, `rising ids expected, found ${fields.id} after ${before}`)
    }
    before = fields.id
    if (fields.id < fromId) continue
    trades.push({
      kind: 'trade',
      topic,
      symbol,
      venueTimeUs: fields.timeMs * US_PER_MS,
      receivedTimeUs,
      source,
      numbering,
      id: fields.id,
      price: fields.price,
      quantity: fields.quantity,
      side: fields.buyerMaker ? 'sell' : 'buy',
    })
  }
  return trades
}

interface TradeFields {
  readonly id: number
  readonly price: string
  readonly quantity: string
  readonly timeMs: number
  readonly buyerMaker: boolean
}

function admitTrade(row: unknown, endpoint: string, symbol: VenueSymbol): TradeFields {
  if (!isObject(row)) throw wrongAnswer(endpoint, symbol, expected('row', 'an object', row))
  const refusal = endpoint === 'aggTrades' ? refuseAggTrade(row, US_PER_MS) : refuseTradeRow(row)
  if (refusal !== null) throw wrongAnswer(endpoint, symbol, refusal)
  if (endpoint === 'aggTrades') {
    const { a, p, q, T, m } = row as unknown as AggTradePayload
    return { id: a, price: p, quantity: q, timeMs: T, buyerMaker: m }
  }
  const { id, price, qty, time, isBuyerMaker } = row as unknown as TradeRow
  return { id, price, quantity: qty, timeMs: time, buyerMaker: isBuyerMaker }
}

/** Bars in ascending order; one is closed when its close time lies before `venueNowUs`. */
export function parseKlines(
  answer: unknown,
  symbol: VenueSymbol,
  interval: string,
  venueNowUs: number,
  receivedTimeUs: number,
): VenueKline[] {
  if (!Array.isArray(answer)) throw wrongAnswer('klines', symbol, expected('answer', 'an array', answer))
  const topic = `rest:klines:${symbol}:${interval}`
  let before = -1
  return (answer as unknown[]).map((unchecked): VenueKline => {
    const refusal = refuseKlineRow(unchecked)
    if (refusal !== null) throw wrongAnswer('klines', symbol, refusal)
    const row = unchecked as KlineRow
    if (row[0] <= before) {
      throw wrongAnswer('klines', symbol, `rising open times expected, found ${row[0]} after ${before}`)
    }
    before = row[0]
    return {
      kind: 'kline',
      topic,
      symbol,
      venueTimeUs: null,
      receivedTimeUs,
      source: 'binance.rest.klines',
      interval,
      openTimeUs: row[0] * US_PER_MS,
      closeTimeUs: row[6] * US_PER_MS,
      open: row[1],
      high: row[2],
      low: row[3],
      close: row[4],
      volume: row[5],
      quoteVolume: row[7],
      trades: row[8],
      takerBuyVolume: row[9],
      takerBuyQuoteVolume: row[10],
      closed: row[6] * US_PER_MS < venueNowUs,
      firstTradeId: null,
      lastTradeId: null,
    }
  })
}

/** The statistics of the last 24 h; they carry no time of the venue's but the end of their window. */
export function parseTicker24hr(answer: unknown, symbol: VenueSymbol, receivedTimeUs: number): VenueTicker {
  const refusal = isObject(answer) ? refuseTickerAnswer(answer, symbol) : expected('answer', 'an object', answer)
  if (refusal !== null) throw wrongAnswer('ticker/24hr', symbol, refusal)
  const ticker = answer as TickerAnswer
  return {
    kind: 'ticker',
    topic: `rest:ticker24hr:${symbol}`,
    symbol,
    venueTimeUs: null,
    receivedTimeUs,
    source: 'binance.rest.ticker24hr',
    open: ticker.openPrice,
    high: ticker.highPrice,
    low: ticker.lowPrice,
    last: ticker.lastPrice,
    lastQuantity: ticker.lastQty,
    change: ticker.priceChange,
    changePercent: ticker.priceChangePercent,
    vwap: ticker.weightedAvgPrice,
    volume: ticker.volume,
    quoteVolume: ticker.quoteVolume,
    bidPrice: ticker.bidPrice,
    bidQuantity: ticker.bidQty,
    askPrice: ticker.askPrice,
    askQuantity: ticker.askQty,
    openTimeUs: ticker.openTime * US_PER_MS,
    closeTimeUs: ticker.closeTime * US_PER_MS,
    firstTradeId: ticker.firstId === -1 ? null : ticker.firstId,
    lastTradeId: ticker.lastId === -1 ? null : ticker.lastId,
    trades: ticker.count,
  }
}

/** The venue's clock, microseconds. */
export function parseTime(answer: unknown): number {
  if (!isObject(answer) || !isEventTime(answer.serverTime, US_PER_MS)) {
    throw wrongAnswer('time', null, expected('answer', 'an object with serverTime in ms', answer))
  }
  return answer.serverTime * US_PER_MS
}

export interface ExchangeInfo {
  readonly instruments: readonly InstrumentInfo[]
  /** Symbols whose entry could not be understood and was left out; one odd listing must not hide all others. */
  readonly skipped: number
  /** Null where the answer does not say. */
  readonly weightPerMinute: number | null
  readonly serverTimeUs: number | null
}

export function parseExchangeInfo(answer: unknown, market: Market): ExchangeInfo {
  if (!isObject(answer) || !Array.isArray(answer.symbols)) {
    throw wrongAnswer('exchangeInfo', null, expected('answer', 'an object with an array of symbols', answer))
  }
  const symbols: unknown[] = answer.symbols
  const instruments = symbols.flatMap((entry) => parseInstrument(entry, market) ?? [])
  if (instruments.length === 0 && symbols.length > 0) {
    throw wrongAnswer('exchangeInfo', null, expected('symbols[0]', 'symbol, baseAsset and quoteAsset', symbols[0]))
  }
  return {
    instruments,
    skipped: symbols.length - instruments.length,
    weightPerMinute: weightPerMinuteOf(answer.rateLimits),
    serverTimeUs: isEventTime(answer.serverTime, US_PER_MS) ? answer.serverTime * US_PER_MS : null,
  }
}

function parseInstrument(entry: unknown, market: Market): InstrumentInfo | null {
  if (!isObject(entry)) return null
  const { symbol, baseAsset, quoteAsset } = entry
  if (!isName(symbol) || !isName(baseAsset) || !isName(quoteAsset)) return null
  const filters = Array.isArray(entry.filters) ? entry.filters.filter(isObject) : []
  return {
    market,
    instrument: asInstrument(`${baseAsset}-${quoteAsset}`),
    symbol: asVenueSymbol(symbol),
    base: baseAsset,
    quote: quoteAsset,
    tickSize: filterText(filters, ['PRICE_FILTER'], 'tickSize'),
    stepSize: filterText(filters, ['LOT_SIZE'], 'stepSize'),
    minNotional: filterText(filters, ['NOTIONAL', 'MIN_NOTIONAL'], 'minNotional'),
    status: typeof entry.status === 'string' ? entry.status : '',
  }
}

const NAME_LENGTH_MAX = 64

/** Names become parts of Redis keys and of lists separated by spaces. */
function isName(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    value.length > 0 &&
    value.length <= NAME_LENGTH_MAX &&
    !/[\s:{}"\\*\p{Cc}]/u.test(value)
  )
}

function filterText(filters: readonly Unchecked[], types: readonly string[], field: string): string {
  const value = filters.find((filter) => types.includes(String(filter.filterType)))?.[field]
  return typeof value === 'string' ? value : ''
}

function weightPerMinuteOf(rateLimits: unknown): number | null {
  if (!Array.isArray(rateLimits)) return null
  const limit = rateLimits
    .filter(isObject)
    .find(
      (rule) => rule.rateLimitType === 'REQUEST_WEIGHT' && rule.interval === 'MINUTE' && rule.intervalNum === 1,
    )?.limit
  return isId(limit) && limit > 0 ? limit : null
}

function wrongAnswer(endpoint: string, symbol: VenueSymbol | null, detail: string): VenueProtocolError {
  return new VenueProtocolError(`Binance ${endpoint}${symbol === null ? '' : ` of ${symbol}`}: ${detail}`)
}
