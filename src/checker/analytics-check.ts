import { type Report, Wrong } from './report.ts'
import type { CheckedEntry } from './stream-check.ts'

const SOURCES = ['ORDERBOOK', 'TRADE', 'QUOTE'] as const

/**
 * What holds for the fused events of one instrument beyond what holds for every stream: the version rises, the ranges of each
 * source abut, the windows too, and `suppressed` is what the ranges say. A range may leave something out only where the
 * event says that it is not whole: retention took entries before they were read.
 */
export class AnalyticsCheck {
  readonly #channel: string
  readonly #report: Report
  readonly #ends = new Map<string, number>()
  #version = 0
  #windowEnd: number | null = null

  /** `channel`: `MARKET:INSTRUMENT:ANALYTICS`. */
  constructor(channel: string, report: Report) {
    this.#channel = channel
    this.#report = report
  }

  step({ id, entry }: CheckedEntry): void {
    if (entry.type !== 'ANALYTICS.FUSED') return
    const { ranges, window, suppressed } = entry.data
    const version = Number(entry.venueSeq)
    if (version <= this.#version) {
      this.#report.wrong(
        Wrong.OutOfOrder,
        this.#channel,
        id,
        `expected a version above ${this.#version}, found ${version}`,
      )
    }
    this.#version = version
    let folded = 0
    for (const source of SOURCES) {
      const range = ranges[source]
      if (range === undefined) continue
      const [from, to] = [Number(range[0]), Number(range[1])]
      folded += to - from + 1
      if (from > to) this.#malformed(id, `the range of ${source} ends before it begins: ${from} to ${to}`)
      this.#abuts(id, source, from, entry.quality)
      this.#ends.set(source, to)
    }
    if (suppressed !== Math.max(0, folded - 1)) {
      this.#malformed(
        id,
        `expected suppressed ${Math.max(0, folded - 1)} of ${folded} folded entries, found ${suppressed}`,
      )
    }
    if (this.#windowEnd !== null && window.start !== this.#windowEnd) {
      this.#malformed(id, `expected a window from ${this.#windowEnd}, found one from ${window.start}`)
    }
    this.#windowEnd = window.end
  }

  #abuts(id: string, source: string, from: number, quality: string): void {
    const end = this.#ends.get(source)
    if (end === undefined || from === end + 1) return
    const found = `the range of ${source} begins at ${from} behind ${end}`
    if (from <= end) this.#report.wrong(Wrong.Repeated, this.#channel, id, found, end - from + 1)
    else if (quality === '') this.#report.wrong(Wrong.Lost, this.#channel, id, found, from - end - 1)
  }

  #malformed(id: string, what: string): void {
    this.#report.wrong(Wrong.Malformed, this.#channel, id, what)
  }
}
