import type { Level } from '../domain/event.ts'
import type { Instrument, Market } from '../domain/instrument.ts'

/** An entry of an `ORDERBOOK` stream, as far as a book needs it. */
export type BookEntry =
  | {
      readonly kind: 'delta'
      readonly first: number
      readonly last: number
      readonly bids: readonly Level[]
      readonly asks: readonly Level[]
    }
  | { readonly kind: 'snapshot'; readonly last: number }
  | { readonly kind: 'gap' }

/** Reads how a book's stream ends. Throws BusError. */
export interface BookTail {
  /** At most `count` entries, the newest first. */
  newest(market: Market, instrument: Instrument, count: number): Promise<readonly BookEntry[]>
}
