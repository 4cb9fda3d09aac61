import { MelticaError } from '../errors.ts'

/** The venue could not be reached, broke off, took too long, or said that it is in trouble itself (5xx, firewall). */
export class VenueConnectionError extends MelticaError {
  readonly code = 'venue-connection'
  readonly retryable = true
  /** HTTP status, null where no answer came. */
  readonly status: number | null

  constructor(message: string, options: { status?: number | null; cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.status = options.status ?? null
  }
}

/** No request may be made now: the venue said so, the budget is spent, or too many wait for it. */
export class VenueRateLimitError extends MelticaError {
  readonly code = 'venue-rate-limit'
  readonly retryable = true
  /** How long to leave the venue alone. */
  readonly retryAfterMs: number
  /** HTTP status 429 or 418 of the answer that said so, null where our own budget refused. */
  readonly status: number | null

  constructor(message: string, options: { retryAfterMs: number; status?: number | null; cause?: unknown }) {
    super(message, { cause: options.cause })
    this.retryAfterMs = options.retryAfterMs
    this.status = options.status ?? null
  }
}

/** The venue answered something that its protocol does not allow, or refused the request as wrong; asking again is of no use. */
export class VenueProtocolError extends MelticaError {
  readonly code = 'venue-protocol'
  readonly retryable = false
  readonly status: number | null
  /** The venue's own error number, for example -1121, null where it gave none. */
  readonly venueCode: number | null

  constructor(message: string, options: { status?: number | null; venueCode?: number | null; cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.status = options.status ?? null
    this.venueCode = options.venueCode ?? null
  }
}
