import { VenueConnectionError, VenueProtocolError, VenueRateLimitError } from '../errors.ts'
import { isObject } from './wire.ts'

/*
 * What an answer other than 200 means, pure.
 * Source: binance/binance-spot-api-docs rest-api.md "LIMITS", errors.md, read 2026-07.
 */

type Headers = Readonly<Record<string, unknown>>

const BODY_LENGTH_MAX = 300
const RETRY_AFTER_MS_DEFAULT = 60_000

/** The venue is in trouble, not we: unknown, disconnected, unexpected response, timeout, overloaded, shutting down. */
const VENUE_TROUBLE = new Set([-1000, -1001, -1006, -1007, -1008, -1016])

/** The weight this minute has used by the venue's count, null if the answer does not say. */
export function usedWeightOf(headers: Headers): number | null {
  const text = headers['x-mbx-used-weight-1m']
  return typeof text === 'string' && /^\d{1,9}$/.test(text) ? Number(text) : null
}

/** How long to stay away, null if the answer does not say. Seconds, or by the HTTP standard also a date. */
export function retryAfterMsOf(headers: Headers, nowUs: number): number | null {
  const text = headers['retry-after']
  if (typeof text !== 'string') return null
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000
  const dateMs = Date.parse(text)
  return Number.isNaN(dateMs) ? null : Math.max(0, dateMs - nowUs / 1_000)
}

/** The error for an answer other than 200. */
export function errorOf(
  endpoint: string,
  status: number,
  body: string,
  retryAfterMs: number | null,
): VenueRateLimitError | VenueConnectionError | VenueProtocolError {
  const { venueCode, found } = readErrorBody(body)
  const message = `Binance ${endpoint}: status 200 expected, found ${status}: ${found}`
  if (status === 429 || status === 418) {
    return new VenueRateLimitError(message, { status, retryAfterMs: retryAfterMs ?? RETRY_AFTER_MS_DEFAULT })
  }
  // 403 is the venue's firewall, which lets the same request through a while later.
  if (status >= 500 || status === 403 || (venueCode !== null && VENUE_TROUBLE.has(venueCode))) {
    return new VenueConnectionError(message, { status })
  }
  return new VenueProtocolError(message, { status, venueCode })
}

function readErrorBody(body: string): { venueCode: number | null; found: string } {
  const found = body.slice(0, BODY_LENGTH_MAX)
  // An error is a short object; anything longer, a firewall's page for example, is not read but shown in part.
  if (body.length > 10 * BODY_LENGTH_MAX) return { venueCode: null, found }
  try {
    const error: unknown = JSON.parse(body)
    if (isObject(error) && typeof error.code === 'number') {
      return { venueCode: error.code, found: `${error.code} ${String(error.msg).slice(0, BODY_LENGTH_MAX)}` }
    }
  } catch {
    // Not JSON: shown as it came, in the error that is thrown anyway.
  }
  return { venueCode: null, found: found === '' ? 'an empty body' : found }
}
