import type { Clock } from '../lib/clock.ts'
import type { BookLine } from './book-line.ts'

export interface QuietBooksOptions {
  readonly clock: Clock
  /** How long a book that was never heard of may stay quiet, and one that was interrupted, ms. */
  readonly quietBookDelayMs: number
  readonly silentBookDelayMs: number
}

/** Books whose topics the venue acknowledged: one that stays quiet from there on asks for its snapshot by itself. */
export class QuietBooks {
  readonly #options: QuietBooksOptions
  readonly #waits = new Map<string, () => void>()

  constructor(options: QuietBooksOptions) {
    this.#options = options
  }

  acked(topic: string, line: BookLine): void {
    if (!line.unproven) return
    const { clock, quietBookDelayMs, silentBookDelayMs } = this.#options
    this.#waits.get(topic)?.()
    const cancel = clock.after(line.unknown ? quietBookDelayMs : silentBookDelayMs, () => {
      this.#waits.delete(topic)
      if (line.unproven && line.idle && !line.stopped) line.guard.want('quiet')
    })
    this.#waits.set(topic, cancel)
  }

  close(): void {
    for (const cancel of this.#waits.values()) cancel()
    this.#waits.clear()
  }
}
