import type { RestAnswer } from '../source.ts'
import { digits, divideRounded } from './digits.ts'
import { exchangeInfo } from './exchange-info.ts'
import type { DayStatistics } from './feeds.ts'
import { isInterval, MINUTE_MS } from './intervals.ts'
import type { Listing } from './listing.ts'
import { Random } from './random.ts'
import { aggregateRows, klineRows, ROWS_MAX, type Span, tradeRows } from './rest-rows.ts'

const ROWS_DEFAULT = 500
const DEPTH_DEFAULT = 100
/** A larger limit is clipped to this. */
export const DEPTH_LIMIT_MAX = 5000
const AVERAGE_PRICE_MINUTES = 5
/**
 * Of the depth answers these shares come from a host that is behind: at the end of the last delta, and, just after the
 * stream was taken up, from before its first delta, so that the client has to ask again.
 */
const AT_DELTA_END_SHARE = 0.25
const BEFORE_BUFFER_SHARE = 0.25
const BEFORE_BUFFER_BATCHES_MAX = 2

/** A request the venue refuses, with its code. */
class Refusal {
  readonly answer: RestAnswer
  constructor(code: number, message: string) {
    this.answer = { status: 400, body: JSON.stringify({ code, msg: message }) }
  }
}

/** The venue's public REST answers, made from the state of the listings. Told the time with every request. */
export class MarketRest {
  readonly #listings: readonly Listing[]
  readonly #requestWeightMax: number
  readonly #bySymbol: ReadonlyMap<string, Listing>
  /** Of its own, so that requests do not change the market. */
  readonly #random: Random

  constructor(listings: readonly Listing[], seed: number, requestWeightMax: number) {
    this.#requestWeightMax = requestWeightMax
    this.#listings = listings
    this.#bySymbol = new Map(listings.map((listing) => [listing.spec.symbol, listing]))
    this.#random = new Random(seed, 1)
  }

  /** null: no such endpoint. */
  answer(path: string, query: URLSearchParams, nowMs: number): RestAnswer | null {
    try {
      const body = this.#body(path, query, nowMs)
      return body === null ? null : { status: 200, body }
    } catch (refusal) {
      if (refusal instanceof Refusal) return refusal.answer
      throw refusal
    }
  }

  #body(path: string, query: URLSearchParams, nowMs: number): string | null {
    switch (path) {
      case '/api/v3/ping':
        return '{}'
      case '/api/v3/time':
        return `{"serverTime":${nowMs}}`
      case '/api/v3/exchangeInfo':
        return exchangeInfo(
          this.#several(query).map((listing) => listing.spec),
          nowMs,
          this.#requestWeightMax,
        )
      case '/api/v3/depth':
        return this.#depth(query)
      case '/api/v3/trades':
        return tradeRows(this.#one(query), { ...spanOf(query), fromId: null })
      case '/api/v3/historicalTrades':
        return tradeRows(this.#one(query), spanOf(query))
      case '/api/v3/aggTrades': {
        const span = spanOf(query)
        if (span.fromId !== null && (span.startMs !== null || span.endMs !== null)) {
          throw new Refusal(-1128, 'Combination of optional parameters invalid.')
        }
        return aggregateRows(this.#one(query), span)
      }
      case '/api/v3/klines':
      case '/api/v3/uiKlines': {
        const listing = this.#one(query)
        const interval = mandatory(query, 'interval')
        if (!isInterval(interval)) throw new Refusal(-1120, 'Invalid interval.')
        return klineRows(listing, interval, spanOf(query), nowMs)
      }
      case '/api/v3/avgPrice':
        return averagePrice(this.#one(query), nowMs)
      case '/api/v3/ticker/24hr': {
        const mini = query.get('type') === 'MINI'
        return this.#each(query, (listing) => dayText(listing.spec.symbol, listing.dayStatistics(nowMs), mini))
      }
      case '/api/v3/ticker/price':
        return this.#each(query, (listing) => {
          return `{"symbol":"${listing.spec.symbol}","price":"${listing.dayStatistics(nowMs).last}"}`
        })
      case '/api/v3/ticker/bookTicker':
        return this.#each(query, bookTickerText)
      default:
        return null
    }
  }

  #depth(query: URLSearchParams): string {
    const listing = this.#one(query)
    const limit = Math.min(DEPTH_LIMIT_MAX, integer(query, 'limit') ?? DEPTH_DEFAULT)
    if (limit === 0) throw new Refusal(-1130, "Data sent for parameter 'limit' is not valid.")
    return listing.depth.snapshot(limit, this.#batchesBack(listing))
  }

  #batchesBack(listing: Listing): number {
    const share = this.#random.unit()
    const { batchesSinceWanted, depth } = listing
    const beforeBuffer = batchesSinceWanted + 2
    const justTakenUp = batchesSinceWanted >= 1 && batchesSinceWanted <= BEFORE_BUFFER_BATCHES_MAX
    if (share < BEFORE_BUFFER_SHARE) return justTakenUp && beforeBuffer <= depth.batchesBackMax ? beforeBuffer : 0
    return share < BEFORE_BUFFER_SHARE + AT_DELTA_END_SHARE ? 1 : 0
  }

  #one(query: URLSearchParams): Listing {
    return this.#find(mandatory(query, 'symbol'))
  }

  #find(symbol: string): Listing {
    const listing = this.#bySymbol.get(symbol)
    if (!listing) throw new Refusal(-1121, 'Invalid symbol.')
    return listing
  }

  /** The listings named by `symbol` or `symbols`, or all. */
  #several(query: URLSearchParams): readonly Listing[] {
    const symbol = query.get('symbol')
    if (symbol !== null) return [this.#find(symbol)]
    const symbols = query.get('symbols')
    if (symbols === null) return this.#listings
    if (!/^\["[A-Z0-9]+"(,"[A-Z0-9]+")*\]$/.test(symbols)) {
      throw new Refusal(-1100, "Illegal characters found in parameter 'symbols'; legal range is '[\"A-Z0-9\"]'.")
    }
    return [...new Set(symbols.slice(2, -2).split('","'))].map((name) => this.#find(name))
  }

  #each(query: URLSearchParams, text: (listing: Listing) => string): string {
    const rows = this.#several(query).map(text)
    return query.get('symbol') === null ? `[${rows.join()}]` : (rows[0] as string)
  }
}

function mandatory(query: URLSearchParams, name: string): string {
  const value = query.get(name)
  if (value) return value
  throw new Refusal(-1102, `Mandatory parameter '${name}' was not sent, was empty/null, or malformed.`)
}

function integer(query: URLSearchParams, name: string): number | null {
  const value = query.get(name)
  if (value === null) return null
  if (/^[0-9]{1,20}$/.test(value)) return Number(value)
  throw new Refusal(-1100, `Illegal characters found in parameter '${name}'; legal range is '^[0-9]{1,20}$'.`)
}

function spanOf(query: URLSearchParams): Span {
  const limit = Math.min(ROWS_MAX, integer(query, 'limit') ?? ROWS_DEFAULT)
  if (limit === 0) throw new Refusal(-1130, "Data sent for parameter 'limit' is not valid.")
  return {
    fromId: integer(query, 'fromId'),
    startMs: integer(query, 'startTime'),
    endMs: integer(query, 'endTime'),
    limit,
  }
}

function bookTickerText({ spec, top }: Listing): string {
  const { priceDecimals, quantityDecimals } = spec
  return `{"symbol":"${spec.symbol}","bidPrice":"${digits(top.bidTicks, priceDecimals)}","bidQty":"${digits(top.bidLots, quantityDecimals)}","askPrice":"${digits(top.askTicks, priceDecimals)}","askQty":"${digits(top.askLots, quantityDecimals)}"}`
}

function averagePrice(listing: Listing, nowMs: number): string {
  const { spec, bars } = listing
  const recent = bars.since(nowMs - AVERAGE_PRICE_MINUTES * MINUTE_MS, Infinity)
  const scale = 10n ** BigInt(8 - spec.priceDecimals)
  const price = recent
    ? digits(divideRounded(recent.notional * scale, BigInt(recent.lots)), 8)
    : listing.dayStatistics(nowMs).last
  return `{"mins":${AVERAGE_PRICE_MINUTES},"price":"${price}","closeTime":${nowMs}}`
}

function dayText(symbol: string, day: DayStatistics, mini: boolean): string {
  const { open: openPrice, high: highPrice, low: lowPrice, volume, quoteVolume, openTimeMs, closeTimeMs } = day
  const end = {
    openTime: openTimeMs,
    closeTime: closeTimeMs,
    firstId: day.firstTradeId,
    lastId: day.lastTradeId,
    count: day.trades,
  }
  if (mini)
    return JSON.stringify({ symbol, openPrice, highPrice, lowPrice, lastPrice: day.last, volume, quoteVolume, ...end })
  return JSON.stringify({
    symbol,
    priceChange: day.change,
    priceChangePercent: day.changePercent,
    weightedAvgPrice: day.vwap,
    prevClosePrice: day.previousClose,
    lastPrice: day.last,
    lastQty: day.lastQuantity,
    bidPrice: day.bid,
    bidQty: day.bidQuantity,
    askPrice: day.ask,
    askQty: day.askQuantity,
    openPrice,
    highPrice,
    lowPrice,
    volume,
    quoteVolume,
    ...end,
  })
}
