/**
 * The venue's rule for joining a snapshot to its updates, pure. Update ids are per symbol and contiguous: every id belongs
 * to exactly one update `first..last`, and levels are absolute, so an update that the snapshot holds in part is applied whole.
 *
 * 1. Buffer updates; remember the `first` of the oldest.
 * 2. Ask for a snapshot.
 * 3. A snapshot below that `first` - 1 is too old: ask again, keep buffering.
 * 4. Discard buffered updates with `last` <= the snapshot's.
 * 5. The rest must continue it without a hole; a hole means asking again.
 *
 * Source: binance/binance-spot-api-docs web-socket-streams.md "How to manage a local order book correctly" as corrected
 * 2025-11-12, read 2026-07.
 */

/** A closed range of update ids. */
export interface UpdateRange {
  readonly first: number
  readonly last: number
}

/**
 * Step 3. `firstBufferedFirst` is null where nothing is buffered: a quiet instrument is live on its snapshot alone. The
 * documents ask again only below `first`; one less is contiguous. -1 is the venue's word for "no book yet".
 */
export function isSnapshotUsable(snapshotLast: number, firstBufferedFirst: number | null): boolean {
  if (snapshotLast < 0) return false
  return firstBufferedFirst === null || snapshotLast >= firstBufferedFirst - 1
}

/** Whether an update may stand directly behind position `have`: it brings something new and leaves no hole. */
export function continuesBook(have: number, update: UpdateRange): boolean {
  return update.first <= have + 1 && update.last > have
}

/** What joining a snapshot to a buffer comes to. */
export type Join<Update extends UpdateRange> =
  /** `deltas` follow the snapshot without a hole; `dropped` were already in it. */
  | { readonly result: 'joined'; readonly deltas: readonly Update[]; readonly dropped: number; readonly last: number }
  /** Older than the buffer: ask again and keep buffering. */
  | { readonly result: 'too-old' }
  /** The buffer itself has a hole above the snapshot: ids `from..to` are missing, `rest` begins the new buffer. */
  | {
      readonly result: 'gap'
      readonly deltas: readonly Update[]
      readonly from: number
      readonly to: number
      readonly rest: readonly Update[]
    }

/** Steps 4 and 5 for a buffer in the order it arrived. */
export function deltasAfter<Update extends UpdateRange>(snapshotLast: number, buffer: readonly Update[]): Join<Update> {
  if (!isSnapshotUsable(snapshotLast, buffer[0]?.first ?? null)) return { result: 'too-old' }
  const deltas: Update[] = []
  let have = snapshotLast
  for (const [index, update] of buffer.entries()) {
    if (update.last <= have) continue
    if (update.first > have + 1) {
      return { result: 'gap', deltas, from: have + 1, to: update.first - 1, rest: buffer.slice(index) }
    }
    deltas.push(update)
    have = update.last
  }
  return { result: 'joined', deltas, dropped: buffer.length - deltas.length, last: have }
}
