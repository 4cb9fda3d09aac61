export interface BackoffOptions {
  /** Upper bound of the first delay. */
  readonly baseMs: number
  /** Upper bound of every delay. */
  readonly maxMs: number
}

/** 2^30 times any base is past every sensible cap; bounding the exponent keeps the product finite for ever. */
const EXPONENT_MAX = 30

/**
 * Delay before attempt `attempt` (from 0): full jitter, so that many who failed together do not come back together.
 * It never gives up; whoever calls starts again from attempt 0 after success that lasted.
 *
 * Units: milliseconds, an integer in 0..min(maxMs, baseMs x 2^attempt). `random` answers in [0, 1).
 * Source: "Exponential Backoff And Jitter", AWS architecture blog, 2015.
 */
export function backoffMs(attempt: number, options: BackoffOptions, random: () => number): number {
  const capMs = Math.min(options.maxMs, options.baseMs * 2 ** Math.min(Math.max(0, attempt), EXPONENT_MAX))
  return Math.floor(random() * (capMs + 1))
}
