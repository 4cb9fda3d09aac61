import type { QualityLog, ToldQuality } from '../bus/book-quality.ts'
import type { Instrument } from '../domain/instrument.ts'
import type { Clock } from '../lib/clock.ts'

const WRITES_AT_ONCE_MAX = 500
const RETRY_MS = 1_000

/**
 * Says the quality of books where others can read it, once for all that changed meanwhile: only the newest of each counts,
 * so what waits is bounded by the number of books.
 */
export class QualityReports {
  readonly #log: QualityLog
  readonly #clock: Clock
  readonly #waiting = new Map<Instrument, ToldQuality>()
  #writing = false
  #closed = false
  /** Writes that failed and were made again. */
  failures = 0

  constructor(log: QualityLog, clock: Clock) {
    this.#log = log
    this.#clock = clock
  }

  tell(told: ToldQuality): void {
    this.#waiting.set(told.instrument, told)
    if (this.#writing || this.#closed) return
    this.#writing = true
    setImmediate(this.#write)
  }

  /** Something is told of it that is not written yet. */
  waits(instrument: Instrument): boolean {
    return this.#waiting.has(instrument)
  }

  close(): void {
    this.#closed = true
  }

  readonly #write = (): void => {
    const page = [...this.#waiting.values()].slice(0, WRITES_AT_ONCE_MAX)
    for (const { instrument } of page) this.#waiting.delete(instrument)
    this.#log.write(page).then(
      () => this.#next(0),
      () => {
        this.failures++
        for (const told of page) if (!this.#waiting.has(told.instrument)) this.#waiting.set(told.instrument, told)
        this.#next(RETRY_MS)
      },
    )
  }

  #next(delayMs: number): void {
    if (this.#waiting.size === 0 || this.#closed) this.#writing = false
    else this.#clock.after(delayMs, this.#write)
  }
}
