/**
 * The wait of a line that begins, or begins again, while another process's line feeds the same stream. What comes by it may
 * be ahead of what the other one still has under way, and would look like the end of a hole that there is none. After the
 * wait the stream holds what the other one appended: the first event is a duplicate and the lines overlap, or a hole is
 * there indeed and the script tells it. Where the line begins again meanwhile the wait begins again, for twice its length at most.
 */
export class OverlapWait {
  readonly #waitMs: number
  /** Monotonic; 0: no wait; -1: it begins at the next look. */
  #untilMs = 0
  /** No wait that was begun again goes on for longer. */
  #untilMsMax = 0

  constructor(waitMs: number) {
    this.#waitMs = waitMs
  }

  begin(): void {
    this.#untilMs = -1
  }

  holds(nowMs: number): boolean {
    if (this.#untilMs === 0) return false
    if (this.#untilMs < 0) {
      if (this.#untilMsMax === 0) this.#untilMsMax = nowMs + 2 * this.#waitMs
      this.#untilMs = Math.min(nowMs + this.#waitMs, this.#untilMsMax)
    }
    if (nowMs < this.#untilMs) return true
    this.#untilMs = 0
    this.#untilMsMax = 0
    return false
  }

  /** When it ends, monotonic; not above 0 when none is under way. */
  get untilMs(): number {
    return this.#untilMs
  }
}
