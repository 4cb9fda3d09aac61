import type { Instrument } from '../domain/instrument.ts'
import type { Clock } from '../lib/clock.ts'
import type { Line, LineKey } from './line.ts'

export interface DuplicateWatchOptions {
  readonly clock: Clock
  lines(): Iterable<Line>
  /** Whether another process's line feeds this instrument's streams too: then the slower one is rightly always second. */
  covered(instrument: Instrument): boolean
  /** A line has been answered nothing else for too long; told once until something of it is appended. */
  found(key: LineKey, duplicates: number): void
}

const LOOK_EVERY_MS = 10_000
const DUPLICATES_ONLY_MS = 60_000
/** A line that is answered `duplicate` now and then, and is else quiet, says little: it has to be seen so often. */
const LOOKS_MIN = 3

/** What a line had been answered at the last look, and since when nothing but `duplicate`. */
interface Seen {
  taken: number
  duplicates: number
  /** Monotonic; null while the last answers were others. */
  sinceMs: number | null
  sinceDuplicates: number
  looks: number
  told: boolean
}

/**
 * Channels that answer nothing but `duplicate` for a minute. What the venue sends is new, so its numbering began anew in a
 * way that nobody noticed, or the stream was fed with what is not the venue's: either way everything is thrown away, and
 * every part says that it works. Looked at now and then, by the counts that the lines keep anyway; what is offered again to
 * another Redis is in none of them.
 */
export class DuplicateWatch {
  readonly #options: DuplicateWatchOptions
  readonly #seen = new Map<Line, Seen>()
  #cancel: () => void = () => {}
  #closed = false

  constructor(options: DuplicateWatchOptions) {
    this.#options = options
    this.#later()
  }

  /** Lines that are in such a state now. */
  get channels(): number {
    let count = 0
    for (const { told } of this.#seen.values()) if (told) count++
    return count
  }

  close(): void {
    this.#closed = true
    this.#cancel()
  }

  #later(): void {
    this.#cancel = this.#options.clock.after(LOOK_EVERY_MS, () => {
      this.#look(this.#options.clock.monotonicMs())
      if (!this.#closed) this.#later()
    })
  }

  #look(nowMs: number): void {
    for (const line of this.#options.lines()) {
      const { counts, key } = line
      const taken = counts.appended + counts.snapshots + counts.gaps + counts.restored
      const duplicates = counts.duplicates - counts.repeated
      const seen = this.#seen.get(line)
      if (
        seen === undefined ||
        taken !== seen.taken ||
        line.stopped ||
        (duplicates !== seen.duplicates && this.#options.covered(key.instrument))
      ) {
        this.#seen.set(line, { taken, duplicates, sinceMs: null, sinceDuplicates: 0, looks: 0, told: false })
      } else if (duplicates !== seen.duplicates) {
        this.#onlyDuplicates(key, seen, duplicates, nowMs)
      }
    }
  }

  #onlyDuplicates(key: LineKey, seen: Seen, duplicates: number, nowMs: number): void {
    // They came since the look before.
    seen.sinceMs ??= nowMs - LOOK_EVERY_MS
    if (seen.looks === 0) seen.sinceDuplicates = seen.duplicates
    seen.looks++
    seen.duplicates = duplicates
    if (seen.told || seen.looks < LOOKS_MIN || nowMs - seen.sinceMs < DUPLICATES_ONLY_MS) return
    seen.told = true
    this.#options.found(key, duplicates - seen.sinceDuplicates)
  }
}
