import type { Clock } from '../lib/clock.ts'

export interface RateLimitOptions {
  readonly clock: Clock
  /** Requests a second for as long as one wants, and at once after a pause. */
  readonly perSecond: number
  readonly burst: number
  /** Callers told apart; beyond it the one that was silent longest is forgotten, which gives it a full bucket again. */
  readonly callersMax: number
}

interface Bucket {
  tokens: number
  atMs: number
}

/** A bucket for every caller that fills at a constant rate; each request takes one out. */
export class RateLimit {
  readonly #options: RateLimitOptions
  /** In the order of the last request, so that the first is the one silent longest. */
  readonly #buckets = new Map<string, Bucket>()

  constructor(options: RateLimitOptions) {
    this.#options = options
  }

  /** Takes one; answers 0, or the milliseconds until there is one to take. */
  take(caller: string): number {
    const { clock, perSecond, burst, callersMax } = this.#options
    const nowMs = clock.monotonicMs()
    const bucket = this.#buckets.get(caller) ?? { tokens: burst, atMs: nowMs }
    this.#buckets.delete(caller)
    if (this.#buckets.size >= callersMax) {
      const [oldest] = this.#buckets.keys()
      if (oldest !== undefined) this.#buckets.delete(oldest)
    }
    this.#buckets.set(caller, bucket)
    bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) / 1000) * perSecond)
    bucket.atMs = nowMs
    if (bucket.tokens < 1) return Math.ceil(((1 - bucket.tokens) / perSecond) * 1000)
    bucket.tokens -= 1
    return 0
  }
}
