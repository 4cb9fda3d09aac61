import type { Instrument } from '../domain/instrument.ts'
import type { VenueEvent } from '../venues/venue.ts'
import type { BookGuard } from './book-guard.ts'
import type { BookGuards } from './book-guards.ts'
import type { DispatchTable } from './table.ts'

/** Best prices that come for the proof of a book alone and enter no stream. */
export class BookTickers {
  readonly #guards: BookGuards
  #byTopic = new Map<string, BookGuard>()
  #instruments = new Set<Instrument>()

  constructor(guards: BookGuards) {
    this.#guards = guards
  }

  use({ tickers }: DispatchTable): void {
    this.#byTopic = new Map()
    this.#instruments = new Set()
    for (const { topic, instrument } of tickers.values()) {
      const guard = this.#guards.of(instrument)
      if (guard === null) continue
      this.#byTopic.set(topic, guard)
      this.#instruments.add(instrument)
    }
  }

  /** A QUOTE line stopped. Where the ticker does not go on for the book, the last one says nothing of what that becomes. */
  quoteStopped(instrument: Instrument): void {
    if (!this.#instruments.has(instrument)) this.#guards.of(instrument)?.tickersInterrupted()
  }

  /** False when it is none of them. */
  take(event: VenueEvent, connection: number): boolean {
    const guard = this.#byTopic.get(event.topic)
    if (guard === undefined || event.kind !== 'quote' || event.symbol !== guard.key.symbol) return false
    guard.ticker(event, connection)
    return true
  }

  interrupted(topic: string): void {
    this.#byTopic.get(topic)?.tickersInterrupted()
  }
}
