import { VenueConnectionError, VenueRateLimitError } from '../venues/errors.ts'
import type { LineKey } from './line.ts'
import type { DispatcherIncident } from './options.ts'

/** A request that got no answer at all is asked again soon, at most this often in a row before the growing back-off. */
const UNANSWERED_SOON_MAX = 10
const UNANSWERED_DELAY_MS_MAX = 300
const RETRY_DELAY_MS = 500
const RETRY_DELAY_MS_MAX = 15_000
/** The venue refused the request as wrong; only a change at the venue can help. */
const REFUSED_DELAY_MS = 60_000

/** How long to leave a request alone after it failed for the `attempt`th time in a row, ms; `random` in [0, 1). */
export function retryDelayMs(error: unknown, attempt: number, random: () => number): number {
  if (error instanceof VenueRateLimitError) return error.retryAfterMs + random() * 250
  if (error instanceof VenueConnectionError) {
    if (error.status === null && attempt <= UNANSWERED_SOON_MAX) {
      return UNANSWERED_DELAY_MS_MAX / 3 + (random() * UNANSWERED_DELAY_MS_MAX * 2) / 3
    }
    const ceilingMs = Math.min(RETRY_DELAY_MS_MAX, RETRY_DELAY_MS * 2 ** Math.min(attempt - 1, 10))
    return ceilingMs / 2 + (random() * ceilingMs) / 2
  }
  return REFUSED_DELAY_MS
}

/** For the operators: that `what` failed and is tried again. */
export function retryIncident(
  kind: DispatcherIncident['kind'],
  what: string,
  { instrument, channel }: LineKey,
  error: unknown,
  attempt: number,
  delayMs: number,
): DispatcherIncident {
  const message = `${what} for ${instrument} failed for the ${attempt}. time, next try in ${Math.round(delayMs)} ms`
  return { kind, message, instrument, channel, error }
}
