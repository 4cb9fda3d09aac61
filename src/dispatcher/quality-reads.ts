import type { BookOf, QualityLog } from '../bus/book-quality.ts'
import type { Instrument } from '../domain/instrument.ts'
import type { ShownQuality } from '../domain/quality.ts'
import type { Clock } from '../lib/clock.ts'

const READS_AT_ONCE_MAX = 500
/** An answer that has not come by then is not waited for. */
const ANSWER_MS_MAX = 2_000
const RETRY_MS = 1_000

/**
 * Reads what was said of books, many with one call. What could not be read is asked again, for as long as it is wanted; what
 * waits is bounded by the number of books.
 */
export class QualityReads {
  readonly #log: QualityLog
  readonly #clock: Clock
  readonly #heard: (instrument: Instrument, shown: ShownQuality | null) => void
  readonly #wanted = new Map<Instrument, BookOf>()
  /** Wanted, or being read for the newest wish: the answer to an older one is not told. */
  readonly #newest = new Map<Instrument, BookOf>()
  #reading = false
  #closed = false
  /** Reads that failed or took too long and were made again. */
  failures = 0

  constructor(log: QualityLog, clock: Clock, heard: (instrument: Instrument, shown: ShownQuality | null) => void) {
    this.#log = log
    this.#clock = clock
    this.#heard = heard
  }

  want({ market, instrument }: BookOf): void {
    const book = { market, instrument }
    this.#wanted.set(instrument, book)
    this.#newest.set(instrument, book)
    if (this.#reading || this.#closed) return
    this.#reading = true
    setImmediate(this.#read)
  }

  drop(instrument: Instrument): void {
    this.#wanted.delete(instrument)
    this.#newest.delete(instrument)
  }

  close(): void {
    this.#closed = true
    this.#wanted.clear()
    this.#newest.clear()
  }

  readonly #read = (): void => {
    const page = [...this.#wanted.values()].slice(0, READS_AT_ONCE_MAX)
    for (const { instrument } of page) this.#wanted.delete(instrument)
    let isOver = false
    const end = (told: readonly (ShownQuality | null)[] | null): void => {
      if (isOver || this.#closed) return
      isOver = true
      cancel()
      if (told === null) this.failures++
      for (const [at, book] of page.entries()) {
        const { instrument } = book
        if (this.#newest.get(instrument) !== book) continue
        if (told === null) {
          this.#wanted.set(instrument, book)
        } else {
          this.#newest.delete(instrument)
          this.#heard(instrument, told[at] ?? null)
        }
      }
      if (this.#wanted.size === 0) this.#reading = false
      else if (told === null) this.#clock.after(RETRY_MS, this.#read)
      else setImmediate(this.#read)
    }
    const cancel = this.#clock.after(ANSWER_MS_MAX, () => end(null))
    this.#log.read(page).then(end, () => end(null))
  }
}
