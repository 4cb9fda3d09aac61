/** The only source of time. Pure code is told the time; loops are given a clock; `processes` chooses which. */
export interface Clock {
  /** Wall clock, integer microseconds since the Unix epoch. */
  nowUs(): number
  /** Monotonic milliseconds, for measuring durations. */
  monotonicMs(): number
  /** Runs `callback` once after `delayMs`; the answer cancels it. Never keeps the process alive by itself. */
  after(delayMs: number, callback: () => void): () => void
}

/**
 * The machine's clock. Microseconds come from the monotonic timer anchored at the wall clock, re-anchored when the two
 * have drifted apart by more than 50 ms, so that a stepped wall clock is followed and resolution is not lost.
 */
export class SystemClock implements Clock {
  #anchorUs = Date.now() * 1000
  #anchorMs = performance.now()

  nowUs(): number {
    const us = Math.round(this.#anchorUs + (performance.now() - this.#anchorMs) * 1000)
    const wallUs = Date.now() * 1000
    if (Math.abs(us - wallUs) < 50_000) return us
    this.#anchorUs = wallUs
    this.#anchorMs = performance.now()
    return wallUs
  }

  monotonicMs(): number {
    return performance.now()
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = setTimeout(callback, delayMs)
    timer.unref()
    return () => clearTimeout(timer)
  }
}

interface Timer {
  readonly dueMs: number
  readonly order: number
  readonly callback: () => void
}

/** A clock that moves only when told to. Timers fire in order of their due time while it is advanced. */
export class ManualClock implements Clock {
  #nowMs: number
  #timers: Timer[] = []
  #order = 0

  constructor(startMs = 1_700_000_000_000) {
    this.#nowMs = startMs
  }

  nowUs(): number {
    return Math.round(this.#nowMs * 1000)
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  advance(ms: number): void {
    const endMs = this.#nowMs + ms
    for (;;) {
      let next: Timer | undefined
      for (const timer of this.#timers) {
        if (timer.dueMs > endMs) continue
        if (!next || timer.dueMs < next.dueMs || (timer.dueMs === next.dueMs && timer.order < next.order)) next = timer
      }
      if (!next) break
      this.#timers = this.#timers.filter((other) => other !== next)
      this.#nowMs = next.dueMs
      next.callback()
    }
    this.#nowMs = endMs
  }
}
