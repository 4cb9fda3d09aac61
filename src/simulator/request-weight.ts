import type { RestAnswer } from './source.ts'

/** Request weights and limits of Binance's REST API. Source: binance/binance-spot-api-docs rest-api.md, read 2026-07. */

/** The weight of a public request; 1 where the venue names none. */
export function requestWeight(path: string, query: URLSearchParams): number {
  switch (path) {
    case '/api/v3/exchangeInfo':
      return 20
    case '/api/v3/depth':
      return depthWeight(Number(query.get('limit') ?? 100))
    case '/api/v3/trades':
    case '/api/v3/historicalTrades':
    case '/api/v3/historicalBlockTrades':
      return 25
    case '/api/v3/aggTrades':
      return 4
    case '/api/v3/klines':
    case '/api/v3/uiKlines':
    case '/api/v3/avgPrice':
      return 2
    case '/api/v3/ticker/24hr':
      return tickerWeight(query)
    case '/api/v3/ticker/price':
    case '/api/v3/ticker/bookTicker':
      return query.has('symbol') ? 2 : 4
    default:
      return 1
  }
}

function depthWeight(limit: number): number {
  if (!(limit > 100)) return 5
  if (limit <= 500) return 25
  return limit <= 1000 ? 50 : 250
}

function tickerWeight(query: URLSearchParams): number {
  if (query.has('symbol')) return 2
  const count = query.get('symbols')?.split(',').length ?? Number.POSITIVE_INFINITY
  if (count <= 20) return 2
  return count <= 100 ? 40 : 80
}

const MINUTE_MS = 60_000
/** Refused requests within a minute after which the venue bans. */
const REFUSED_BEFORE_BAN = 10
const BAN_SECONDS_FIRST = 120
const BAN_SECONDS_MAX = 3 * 24 * 3600

/**
 * The venue's account of one client address: weight by wall-clock minute, 429 above the limit, and a ban (418) for who
 * goes on asking, doubling from 2 minutes to 3 days.
 */
export class WeightAccount {
  readonly weightMax: number
  #minute = -1
  #used = 0
  #refused = 0
  #bannedUntilMs = 0
  #banSeconds = BAN_SECONDS_FIRST
  readonly violations = { tooManyRequests: 0, whileBanned: 0, bans: 0 }

  constructor(weightMax: number) {
    this.weightMax = weightMax
  }

  get used(): number {
    return this.#used
  }

  /** Charges one request; the answer is the refusal, or null when it may go on. */
  charge(weight: number, nowMs: number): RestAnswer | null {
    const minute = Math.floor(nowMs / MINUTE_MS)
    if (minute !== this.#minute) {
      this.#minute = minute
      this.#used = 0
      this.#refused = 0
    }
    if (nowMs < this.#bannedUntilMs) {
      this.violations.whileBanned++
      return this.#banned(nowMs)
    }
    this.#used += weight
    if (this.#used <= this.weightMax) return null
    this.violations.tooManyRequests++
    if (++this.#refused > REFUSED_BEFORE_BAN) {
      this.violations.bans++
      this.#bannedUntilMs = nowMs + this.#banSeconds * 1000
      this.#banSeconds = Math.min(this.#banSeconds * 2, BAN_SECONDS_MAX)
      return this.#banned(nowMs)
    }
    const retryAfterSeconds = Math.ceil(((minute + 1) * MINUTE_MS - nowMs) / 1000)
    return tooManyRequests(
      retryAfterSeconds,
      `Too much request weight used; current limit is ${this.weightMax} request weight per 1 MINUTE. ` +
        'Please use WebSocket Streams for live updates to avoid polling the API.',
    )
  }

  #banned(nowMs: number): RestAnswer {
    return banned(Math.ceil((this.#bannedUntilMs - nowMs) / 1000), this.#bannedUntilMs)
  }
}

export function tooManyRequests(retryAfterSeconds: number, msg: string): RestAnswer {
  return {
    status: 429,
    headers: { 'Retry-After': String(retryAfterSeconds) },
    body: JSON.stringify({ code: -1003, msg }),
  }
}

export function banned(retryAfterSeconds: number, untilMs: number): RestAnswer {
  const msg =
    `Way too much request weight used; IP banned until ${Math.trunc(untilMs)}. ` +
    'Please use WebSocket Streams for live updates to avoid bans.'
  return {
    status: 418,
    headers: { 'Retry-After': String(retryAfterSeconds) },
    body: JSON.stringify({ code: -1003, msg }),
  }
}
