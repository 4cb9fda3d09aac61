import { Pool } from 'undici'
import type { TradeNumbering } from '../../domain/event.ts'
import type { InstrumentInfo, Market, VenueSymbol } from '../../domain/instrument.ts'
import type { Clock } from '../../lib/clock.ts'
import { metrics } from '../../telemetry/metrics.ts'
import { type RequestBudget, RequestPriority } from '../budget.ts'
import { VenueConnectionError, VenueProtocolError } from '../errors.ts'
import type { VenueBookSnapshot, VenueKline, VenuePolls, VenueRest, VenueTicker, VenueTrade } from '../venue.ts'
import { parseDepth, parseExchangeInfo, parseKlines, parseTicker24hr, parseTime, parseTrades } from './answers.ts'
import { errorOf, retryAfterMsOf, usedWeightOf } from './refusals.ts'
import { depthWeight, RequestWeight } from './weights.ts'

export interface BinanceRestOptions {
  readonly market: Market
  /** Base address, for example `https://api.binance.com`; the test network's ends in `/api`. */
  readonly restUrl: string
  readonly clock: Clock
  readonly budget: RequestBudget
  /** Levels a side asked for by `fetchBookSnapshot`; 1,000 when absent. */
  readonly depthLimit?: number
  /** For a whole depth answer, which a simulated venue may hold back; 30 s when absent. */
  readonly depthTimeoutMs?: number
  /** For every other whole answer; 10 s when absent. */
  readonly timeoutMs?: number
  readonly connectTimeoutMs?: number
  /** Larger answers are cut off and refused; 64 MiB when absent (the full exchangeInfo is the largest). */
  readonly responseBytesMax?: number
  /** Held-back answers each occupy one; 128 when absent, more than a minute's weight pays depth requests for. */
  readonly connectionsMax?: number
}

interface Request {
  readonly endpoint: string
  readonly query: Readonly<Record<string, string | number>>
  readonly weight: number
  readonly priority: RequestPriority
  readonly timeoutMs: number
}

interface Answer {
  readonly body: unknown
  readonly receivedTimeUs: number
}

/** Rows a request may ask for at most. */
const ROWS_MAX = 1_000
/** `fetchKlines` stops after this many requests, that is, after 10,000 bars. */
const KLINE_PAGES_MAX = 10
/** The market-data-only host has no `/historicalTrades`; there only the newest trades can be asked for. */
const HOSTS_WITHOUT_HISTORY = new Set(['data-api.binance.vision'])

/** Binance Spot REST, public market data. Redirections are never followed. */
export class BinanceRest implements VenueRest, VenuePolls {
  readonly #options: BinanceRestOptions
  readonly #pool: Pool
  readonly #path: string
  readonly #tradesEndpoint: 'historicalTrades' | 'trades'
  readonly #depthLimit: number
  readonly #timeoutMs: number
  /** How far the venue's clock is ahead of ours, as last told. */
  #clockOffsetUs = 0

  constructor(options: BinanceRestOptions) {
    this.#options = options
    this.#depthLimit = options.depthLimit ?? 1_000
    this.#timeoutMs = options.timeoutMs ?? 10_000
    const base = new URL(options.restUrl)
    const path = base.pathname.replace(/\/$/, '')
    this.#path = path.endsWith('/api') ? `${path}/v3/` : `${path}/api/v3/`
    this.#tradesEndpoint = HOSTS_WITHOUT_HISTORY.has(base.hostname) ? 'trades' : 'historicalTrades'
    this.#pool = new Pool(base.origin, {
      connections: options.connectionsMax ?? 128,
      pipelining: 1,
      keepAliveTimeout: 30_000,
      connect: { timeout: options.connectTimeoutMs ?? 5_000 },
      maxResponseSize: options.responseBytesMax ?? 64 * 1_024 * 1_024,
    })
  }

  async fetchInstruments(): Promise<readonly InstrumentInfo[]> {
    const { body, receivedTimeUs } = await this.#get({
      endpoint: 'exchangeInfo',
      query: { showPermissionSets: 'false' },
      weight: RequestWeight.exchangeInfo,
      // A process that starts can do nothing before it; behind the books that others mend it might wait for minutes.
      priority: RequestPriority.Reconcile,
      timeoutMs: this.#timeoutMs,
    })
    const info = parseExchangeInfo(body, this.#options.market)
    if (info.weightPerMinute !== null) this.#options.budget.learnLimit(info.weightPerMinute)
    if (info.serverTimeUs !== null) this.#learnClock(info.serverTimeUs - receivedTimeUs)
    metrics.venueInstrumentsSkipped.set({ market: this.#options.market }, info.skipped)
    return info.instruments
  }

  fetchBookSnapshot(symbol: VenueSymbol): Promise<VenueBookSnapshot> {
    return this.#bookSnapshot(symbol, RequestPriority.Resync)
  }

  pollBookSnapshot(symbol: VenueSymbol): Promise<VenueBookSnapshot> {
    return this.#bookSnapshot(symbol, RequestPriority.Poll)
  }

  async pollTicker(symbol: VenueSymbol): Promise<VenueTicker> {
    const { body, receivedTimeUs } = await this.#get({
      endpoint: 'ticker/24hr',
      query: { symbol },
      weight: RequestWeight.ticker24hr,
      priority: RequestPriority.Poll,
      timeoutMs: this.#timeoutMs,
    })
    return parseTicker24hr(body, symbol, receivedTimeUs)
  }

  async #bookSnapshot(symbol: VenueSymbol, priority: RequestPriority): Promise<VenueBookSnapshot> {
    const limit = this.#depthLimit
    const { body, receivedTimeUs } = await this.#get({
      endpoint: 'depth',
      query: { symbol, limit },
      weight: depthWeight(limit),
      priority,
      timeoutMs: this.#options.depthTimeoutMs ?? 30_000,
    })
    return parseDepth(body, symbol, limit, receivedTimeUs)
  }

  async fetchTrades(
    symbol: VenueSymbol,
    numbering: TradeNumbering,
    fromId: number,
    limit: number,
  ): Promise<readonly VenueTrade[]> {
    const endpoint = numbering === 'aggTrade' ? 'aggTrades' : this.#tradesEndpoint
    const rows = Math.min(limit, ROWS_MAX)
    const { body, receivedTimeUs } = await this.#get({
      endpoint,
      query: endpoint === 'trades' ? { symbol, limit: ROWS_MAX } : { symbol, fromId, limit: rows },
      weight: RequestWeight[endpoint],
      priority: RequestPriority.Backfill,
      timeoutMs: this.#timeoutMs,
    })
    return parseTrades(body, endpoint, symbol, fromId, receivedTimeUs).slice(0, rows)
  }

  /** At most 10,000 bars from `fromOpenTimeUs` on; a caller who wants more asks again after the last. */
  async fetchKlines(
    symbol: VenueSymbol,
    interval: string,
    fromOpenTimeUs: number,
    toOpenTimeUs: number,
  ): Promise<readonly VenueKline[]> {
    const bars: VenueKline[] = []
    let startTime = Math.ceil(fromOpenTimeUs / 1_000)
    const endTime = Math.floor(toOpenTimeUs / 1_000)
    for (let page = 0; page < KLINE_PAGES_MAX && startTime <= endTime; page++) {
      const { body, receivedTimeUs } = await this.#get({
        endpoint: 'klines',
        query: { symbol, interval, startTime, endTime, limit: ROWS_MAX },
        weight: RequestWeight.klines,
        priority: RequestPriority.Backfill,
        timeoutMs: this.#timeoutMs,
      })
      const venueNowUs = receivedTimeUs + this.#clockOffsetUs
      const rows = parseKlines(body, symbol, interval, venueNowUs, receivedTimeUs)
      for (const bar of rows) {
        if (bar.openTimeUs >= startTime * 1_000 && bar.openTimeUs <= toOpenTimeUs) bars.push(bar)
      }
      const newest = rows.at(-1)
      if (newest === undefined || rows.length < ROWS_MAX) break
      startTime = newest.openTimeUs / 1_000 + 1
    }
    return bars
  }

  async fetchTime(): Promise<number> {
    const { body, receivedTimeUs } = await this.#get({
      endpoint: 'time',
      query: {},
      weight: RequestWeight.time,
      priority: RequestPriority.Poll,
      timeoutMs: this.#timeoutMs,
    })
    const timeUs = parseTime(body)
    this.#learnClock(timeUs - receivedTimeUs)
    return timeUs
  }

  /** Breaks off what is under way; closing twice is harmless. */
  async close(): Promise<void> {
    if (!this.#pool.destroyed) await this.#pool.destroy()
  }

  #learnClock(offsetUs: number): void {
    this.#clockOffsetUs = offsetUs
    this.#options.budget.learnClock(offsetUs)
  }

  /** One request: paid for, sent, its limits reported, its body parsed. */
  async #get(request: Request): Promise<Answer> {
    const { budget, clock, market } = this.#options
    const permit = await budget.acquire(request.weight, request.priority)
    const startMs = clock.monotonicMs()
    let answer: { status: number; headers: Readonly<Record<string, unknown>>; text: string }
    try {
      answer = await this.#send(request)
    } catch (cause) {
      budget.report(permit, { status: null, usedWeight: null, retryAfterMs: null })
      metrics.venueRequests.inc({ market, endpoint: request.endpoint, status: 'none' })
      throw this.#unanswered(request, cause)
    }
    const receivedTimeUs = clock.nowUs()
    const { status, headers, text } = answer
    const retryAfterMs = retryAfterMsOf(headers, receivedTimeUs)
    budget.report(permit, { status, usedWeight: usedWeightOf(headers), retryAfterMs })
    metrics.venueRequests.inc({ market, endpoint: request.endpoint, status: String(status) })
    metrics.venueRequestSeconds.observe({ market, endpoint: request.endpoint }, (clock.monotonicMs() - startMs) / 1_000)
    if (status !== 200) throw errorOf(request.endpoint, status, text, retryAfterMs)
    try {
      return { body: JSON.parse(text), receivedTimeUs }
    } catch (cause) {
      throw new VenueProtocolError(`Binance ${request.endpoint}: JSON expected, found ${text.slice(0, 200)}`, {
        status,
        cause,
      })
    }
  }

  async #send(request: Request): Promise<{ status: number; headers: Readonly<Record<string, unknown>>; text: string }> {
    const query = new URLSearchParams()
    for (const [name, value] of Object.entries(request.query)) query.set(name, String(value))
    const { statusCode, headers, body } = await this.#pool.request({
      method: 'GET',
      path: `${this.#path}${request.endpoint}${query.size === 0 ? '' : `?${query}`}`,
      headersTimeout: request.timeoutMs,
      bodyTimeout: request.timeoutMs,
      signal: AbortSignal.timeout(request.timeoutMs),
    })
    return { status: statusCode, headers, text: await body.text() }
  }

  #unanswered(request: Request, cause: unknown): VenueConnectionError | VenueProtocolError {
    const found = cause instanceof Error ? cause.message : String(cause)
    const message = `Binance ${request.endpoint}: an answer within ${request.timeoutMs} ms expected, found: ${found.slice(0, 200)}`
    const tooLarge = cause instanceof Error && 'code' in cause && cause.code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE'
    return tooLarge ? new VenueProtocolError(message, { cause }) : new VenueConnectionError(message, { cause })
  }
}
