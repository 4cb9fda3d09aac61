/** A check that is later by more shows that the process stood still. */
const SLACK_MS = 100

/**
 * When what is read now had arrived, at the earliest. After the process stood still it may have waited for all that time,
 * and nobody can tell any more what came first on which of two sockets. Pure; told of a check at every sweep.
 */
export class Punctuality {
  readonly #sweepMs: number
  checkedMs = 0
  /** The latest check before which the process did not stand still. */
  #onTimeMs = 0

  constructor(sweepMs: number) {
    this.#sweepMs = sweepMs
  }

  begin(nowMs: number): void {
    this.checkedMs = nowMs
    this.#onTimeMs = nowMs
  }

  check(nowMs: number): void {
    if (this.#isOnTime(nowMs)) this.#onTimeMs = nowMs
    this.checkedMs = nowMs
  }

  arrivedMs(nowMs: number): number {
    return this.#isOnTime(nowMs) && this.#onTimeMs === this.checkedMs ? nowMs : this.#onTimeMs
  }

  #isOnTime(nowMs: number): boolean {
    return nowMs - this.checkedMs <= this.#sweepMs + SLACK_MS
  }
}
