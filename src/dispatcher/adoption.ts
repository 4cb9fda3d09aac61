import type { OpenGapReader, OpenTradeGap } from '../bus/open-gaps.ts'
import type { Instrument } from '../domain/instrument.ts'
import type { Clock } from '../lib/clock.ts'

export interface AdoptionOptions {
  readonly reader: OpenGapReader
  readonly clock: Clock
  /** Those whose trades this process takes now. */
  readonly instruments: () => readonly Instrument[]
  readonly fill: (gap: OpenTradeGap) => void
  readonly failed: (error: unknown) => void
}

const LOOK_EVERY_MS = 5_000
/** What the process before left open when it was killed is old enough by then. */
const FIRST_LOOK_MS = 3_500
/** A gap of an instrument that has just come here was most likely told by a process that is gone. */
const ORPHAN_AGE_US = 3_000_000
/** Later on, one that is open for so long was told by another process of this instrument and not filled by it. */
const FORGOTTEN_AGE_US = 60_000_000

/**
 * Takes up what others told and did not fill. A gap is filled by the process that told it, from its memory; when that is
 * killed, the ledger alone knows of it. So the process that has the instrument looks there, soon after it came and now
 * and then for as long as it stays.
 */
export class Adoption {
  readonly #options: AdoptionOptions
  readonly #known = new Set<Instrument>()
  #cancel: () => void = () => {}
  #closed = false

  constructor(options: AdoptionOptions) {
    this.#options = options
    this.#later(FIRST_LOOK_MS)
  }

  close(): void {
    this.#closed = true
    this.#cancel()
  }

  /** One look; gaps that are taken up already are the filler's to know. */
  async look(): Promise<void> {
    const { reader, clock, fill, failed } = this.#options
    const instruments = this.#options.instruments()
    const here = new Set(instruments)
    for (const instrument of this.#known) if (!here.has(instrument)) this.#known.delete(instrument)
    try {
      const gaps = await reader.openTradeGaps(instruments)
      if (this.#closed) return
      const nowUs = clock.nowUs()
      const tooYoung = new Set<Instrument>()
      for (const gap of gaps) {
        const ageUs = nowUs - gap.openedAtUs
        if (ageUs >= (this.#known.has(gap.instrument) ? FORGOTTEN_AGE_US : ORPHAN_AGE_US)) fill(gap)
        else if (!this.#known.has(gap.instrument)) tooYoung.add(gap.instrument)
      }
      for (const instrument of instruments) if (!tooYoung.has(instrument)) this.#known.add(instrument)
    } catch (error) {
      failed(error)
    }
  }

  #later(delayMs: number): void {
    this.#cancel = this.#options.clock.after(delayMs, () => {
      void this.look().then(() => {
        if (!this.#closed) this.#later(LOOK_EVERY_MS)
      })
    })
  }
}
