import type { Instrument, Market } from '../domain/instrument.ts'
import type { ShownQuality } from '../domain/quality.ts'

/** How far the book of an instrument can be trusted, as its ingest worker says. */
export interface ToldQuality {
  readonly market: Market
  readonly instrument: Instrument
  readonly shown: ShownQuality
}

export type BookOf = Pick<ToldQuality, 'market' | 'instrument'>

/** Where ingest says it, for whoever reads books. Rejects with `BusError`; saying it again is harmless. */
export interface QualityLog {
  write(told: readonly ToldQuality[]): Promise<void>
  /** What was said last, whoever said it; null where nothing was ever said. In the order of the books. */
  read(books: readonly BookOf[]): Promise<readonly (ShownQuality | null)[]>
}
