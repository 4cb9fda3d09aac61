import type { Entry } from '../bus/contract.ts'
import type { Level, Quality } from '../domain/event.ts'
import type { Instrument, Market } from '../domain/instrument.ts'

/** The snapshot record of a book (`MARKET:INSTRUMENT:book`), as far as a reader needs it. */
export interface BookRecord {
  /** Of the last `ORDERBOOK` entry inside. */
  readonly epoch: string
  readonly seq: string
  readonly streamId: string
  /** Last update id inside, '' when none. */
  readonly venueSeq: string
  /** Us. */
  readonly updatedAt: string
  readonly quality: Quality
  /** Prices without trailing zeros, in no order. */
  readonly bids: readonly Level[]
  readonly asks: readonly Level[]
}

/** An entry of the `ORDERBOOK` stream, admitted; null when it is none of the contract's. */
export interface BookEntry {
  readonly id: string
  readonly entry: Entry | null
}

/** Where a book is read from. Rejects where nobody answers. */
export interface BookSource {
  /** Null where there is no record: nobody keeps the book, or it expired. */
  record(): Promise<BookRecord | null>
  /** Entries of the `ORDERBOOK` stream behind an id, in order; waits at most `blockMs` for the first. */
  after(streamId: string, blockMs: number): Promise<readonly BookEntry[]>
}

export interface BookSources {
  of(market: Market, instrument: Instrument): BookSource
}
