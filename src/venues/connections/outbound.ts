/**
 * At most `max` takings in any `windowMs`: a sliding window, so that no alignment of the venue's own window is exceeded.
 * Bounds both the messages of one line and the connection attempts of all.
 */
export class SlidingWindow {
  readonly #stamps: Float64Array
  readonly #windowMs: number
  #next = 0

  constructor(max: number, windowMs: number) {
    this.#stamps = new Float64Array(Math.max(1, max)).fill(Number.NEGATIVE_INFINITY)
    this.#windowMs = windowMs
  }

  /** Milliseconds until a taking is allowed that leaves `reserve` places free; 0: now. */
  waitMs(nowMs: number, reserve = 0): number {
    const length = this.#stamps.length
    const kept = Math.min(reserve, length - 1)
    // The ring is in order of time: the place after `kept` others from the oldest on is what must have left the window.
    const stamp = this.#stamps[(this.#next + kept) % length] as number
    return Math.max(0, stamp + this.#windowMs - nowMs)
  }

  /** Takes a place unless fewer than `reserve` would be left after it; answers whether it did. */
  take(nowMs: number, reserve = 0): boolean {
    if (this.waitMs(nowMs, reserve) > 0) return false
    this.#stamps[this.#next] = nowMs
    this.#next = (this.#next + 1) % this.#stamps.length
    return true
  }
}
