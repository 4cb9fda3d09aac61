/**
 * How a snapshot is joined to its deltas, for venues that number book updates one after the other (Binance). Pure: it
 * judges ids and knows nothing of levels.
 *
 * Source: VENUES B5, binance-spot-api-docs web-socket-streams.md "How to manage a local order book correctly".
 */

/** Update ids `low`..`high` that a delta covers; for a snapshot both are its last id. */
export interface IdRange {
  readonly low: number
  readonly high: number
}

/**
 * Whether a snapshot at `last` can carry the buffered deltas: it may lie directly before the first one, inside one (levels
 * are absolute, so applying the whole delta is harmless) or beyond all of them. Below that, what lies between was never
 * seen and the snapshot is too old. Without a buffered delta any snapshot will do.
 */
export function isSnapshotUsable(last: number, firstBuffered: IdRange | undefined): boolean {
  return firstBuffered === undefined || last >= firstBuffered.low - 1
}

/** What a delta is to a book at id `have`. Covering nothing new is `stale`, leaving something out is `gap`. */
export function judgeDelta(have: number, delta: IdRange): 'apply' | 'stale' | 'gap' {
  if (delta.high <= have) return 'stale'
  return delta.low <= have + 1 ? 'apply' : 'gap'
}
