import type { VenueEvent } from '../../src/venues/venue.ts'
import type { NaiveEntry } from '../support/naive-append.ts'

/** The trades that came to one process by its lines, so that it may not call them missing. */
export class Received {
  /** When it came first, ms, by symbol and trade id. */
  readonly #firstMs = new Map<string, number>()

  note(event: VenueEvent, nowMs: number): void {
    if (event.kind !== 'trade') return
    const key = `${event.symbol} ${event.id}`
    if (!this.#firstMs.has(key)) this.#firstMs.set(key, nowMs)
  }

  /** Throws where a gap names what came before the offer was made that told it. */
  judge(gap: NaiveEntry, symbol: string, madeMs: number): void {
    const { from, to } = JSON.parse(gap.data) as { from: string; to: string }
    for (let id = Number(from); id <= Number(to); id++) {
      const cameMs = this.#firstMs.get(`${symbol} ${id}`)
      if (cameMs === undefined || cameMs >= madeMs) continue
      throw new Error(`trade ${id} came ${(madeMs - cameMs).toFixed(1)} ms before it is told as missing: ${gap.data}`)
    }
  }
}
