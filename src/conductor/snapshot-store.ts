import type { Level, Quality } from '../domain/event.ts'
import type { Instrument, Market } from '../domain/instrument.ts'

/** Whose book it is. */
export interface BookName {
  readonly market: Market
  readonly instrument: Instrument
}

/** What a snapshot record says beside its levels; texts as in the wire contract. */
export interface SnapshotHead {
  /** Of the last `ORDERBOOK` entry inside; '' , '0' and `0-0` before the first. */
  readonly epoch: string
  readonly seq: string
  readonly streamId: string
  /** Last update id inside, '' when none. */
  readonly venueSeq: string
  /** Us. */
  readonly updatedAt: string
  readonly quality: Quality
}

/** A whole record. Prices without trailing zeros, quantities in the venue's digits; levels in no order. */
export interface Snapshot extends SnapshotHead {
  /** Rises with every change, also over the expiry of the record. */
  readonly version: number
  readonly bids: readonly Level[]
  readonly asks: readonly Level[]
}

/** What a writer built on; all three must still stand. */
export interface SnapshotMark {
  readonly version: number
  readonly epoch: string
  readonly streamId: string
}

/** The difference to the record built on. Fields are `b:<price>` and `a:<price>`, `set` flat with the quantities. */
export interface SnapshotChange {
  readonly head: SnapshotHead
  readonly set: readonly string[]
  readonly removed: readonly string[]
}

/** `unavailable`: the store or the record cannot be used; `reason` in its own words. Nothing was written. */
export type SnapshotUnavailable = { readonly outcome: 'unavailable'; readonly reason: string }
export type SnapshotFound =
  | { readonly outcome: 'found'; readonly snapshot: Snapshot }
  | { readonly outcome: 'not-found' }
  | SnapshotUnavailable
export type SnapshotSwapped =
  | { readonly outcome: 'swapped'; readonly version: number }
  | { readonly outcome: 'conflict' }
  | SnapshotUnavailable

/** Where the books of the conductor are kept for whoever comes late. A record is gone some time after it was last written. */
export interface SnapshotStore {
  get(name: BookName): Promise<SnapshotFound>
  /** Writes a whole record over whatever is there; `version` is given by the store. */
  put(name: BookName, snapshot: Omit<Snapshot, 'version'>): Promise<Exclude<SnapshotSwapped, { outcome: 'conflict' }>>
  /** Changes the record if it is the expected one; null expects that there is none. */
  compareAndSwap(name: BookName, expected: SnapshotMark | null, change: SnapshotChange): Promise<SnapshotSwapped>
}

/** Field and value pairs of levels, as a record holds them. */
export function levelFields(bids: readonly Level[], asks: readonly Level[]): string[] {
  return [
    ...bids.flatMap(([price, quantity]) => [`b:${price}`, quantity]),
    ...asks.flatMap(([price, quantity]) => [`a:${price}`, quantity]),
  ]
}
