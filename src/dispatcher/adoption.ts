import type { BarLine, OpenBars, OpenGapReader, OpenTradeGap } from '../bus/open-gaps.ts'
import type { Instrument } from '../domain/instrument.ts'
import type { Clock } from '../lib/clock.ts'

export interface AdoptionOptions {
  readonly reader: OpenGapReader
  readonly clock: Clock
  /** Those whose trades this process takes now. */
  readonly instruments: () => readonly Instrument[]
  readonly fill: (gap: OpenTradeGap) => void
  /** Those whose bars this process takes now. */
  readonly barLines: () => readonly BarLine[]
  readonly fillBars: (bars: OpenBars) => void
  /** Oldest bar that is fetched, before the newest, ms. */
  readonly barAgeMsMax: number
  readonly failed: (error: unknown) => void
}

const LOOK_EVERY_MS = 5_000
/** What the process before left open when it was killed is old enough by then. */
const FIRST_LOOK_MS = 3_500
/** A gap of an instrument that has just come here was most likely told by a process that is gone. */
const ORPHAN_AGE_US = 3_000_000
/** Later on, one that is open for so long was told by another process of this instrument and not filled by it. */
const FORGOTTEN_AGE_US = 60_000_000
/** Whoever had a line of bars before has gone by then, and left what it was fetching. */
const BARS_LOOK_AFTER_MS = 15_000

/**
 * Takes up what others told and did not fill. A gap is filled by the process that told it, from its memory; when that is
 * killed, the ledger alone knows of it. So the process that has the instrument looks there, soon after it came and now
 * and then for as long as it stays.
 *
 * Of bars no ledger says which are missing. Who was fetching one knew it, and when another takes over without a hole, or its
 * first bar is in the stream already, nothing shows it again. So the newcomer looks once which bars the stream has closed.
 */
export class Adoption {
  readonly #options: AdoptionOptions
  readonly #known = new Set<Instrument>()
  /** Lines of bars that are here: when they came, monotonic; null once they were looked at. */
  readonly #bars = new Map<string, number | null>()
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
    await this.#lookAtTrades()
    await this.#lookAtBars()
  }

  async #lookAtBars(): Promise<void> {
    const { reader, clock, barLines, fillBars, barAgeMsMax, failed } = this.#options
    const nowMs = clock.monotonicMs()
    const lines = new Map(barLines().map((line) => [`${line.instrument} ${line.interval}`, line]))
    for (const name of this.#bars.keys()) if (!lines.has(name)) this.#bars.delete(name)
    for (const name of lines.keys()) if (!this.#bars.has(name)) this.#bars.set(name, nowMs)
    const due = [...lines].filter(([name]) => nowMs - (this.#bars.get(name) ?? nowMs) >= BARS_LOOK_AFTER_MS)
    if (due.length === 0) return
    try {
      const open = await reader.openBars(
        due.map(([, line]) => line),
        barAgeMsMax * 1_000,
      )
      if (this.#closed) return
      for (const bars of open) fillBars(bars)
      for (const [name] of due) if (this.#bars.has(name)) this.#bars.set(name, null)
    } catch (error) {
      failed(error)
    }
  }

  async #lookAtTrades(): Promise<void> {
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
