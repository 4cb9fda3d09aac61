/** So much a minute, saved up for at most a minute, or until there is enough for one. */
export class Allowance {
  readonly #perMinute: () => number
  #saved: number
  #earnedMs: number

  /** `perMinute` may change with time. */
  constructor(perMinute: () => number, nowMs: number) {
    this.#perMinute = perMinute
    this.#saved = perMinute()
    this.#earnedMs = nowMs
  }

  earn(nowMs: number): void {
    const perMinute = this.#perMinute()
    const earned = ((nowMs - this.#earnedMs) / 60_000) * perMinute
    this.#saved = Math.min(Math.max(1, perMinute), this.#saved + earned)
    this.#earnedMs = nowMs
  }

  /** False when there is not enough for one. */
  take(): boolean {
    if (this.#saved < 1) return false
    this.#saved--
    return true
  }
}
