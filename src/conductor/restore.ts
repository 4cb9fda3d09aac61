import { parseCarried } from '../domain/fusion/carried.ts'
import { type FusionState, newFusion } from '../domain/fusion/fusion.ts'
import { Ladder } from '../domain/fusion/ladder.ts'
import { type DeltaPayload, LiveBook, restoredBook, type SnapshotPayload } from '../domain/fusion/live-book.ts'
import type { Commit, Loaded } from './commit-log.ts'
import type { BookName } from './snapshot-store.ts'
import { readSourceEvent, type SourceStreams } from './source-streams.ts'

const PAGE_ENTRIES = 200

export interface Restored {
  readonly state: FusionState
  /** What the next commit builds on. */
  readonly base: Commit['base']
  /** The levels had to be made anew from the stream, and whether a snapshot was left there to begin with. */
  readonly rebuilt: 'no' | 'yes' | 'no-snapshot'
}

/** The state as the last commit left it: levels from the record, or where that has expired from the stream. Throws: BusError. */
export async function restore(
  name: BookName,
  loaded: Loaded,
  streams: SourceStreams,
  levelsMax: number,
  nowUs: number,
): Promise<Restored> {
  const { record, version } = loaded
  const carried = loaded.carried === '' ? null : parseCarried(loaded.carried)
  const writable = record.state === 'unavailable' ? 'skip' : 'replace'
  if (carried === null) {
    const state = newFusion(new LiveBook(new Ladder(levelsMax)), nowUs)
    return { state, base: writable, rebuilt: 'no' }
  }
  const { positions, have, joined, digits, ...rest } = carried
  const place = positions.ORDERBOOK.id
  const snapshot = record.state === 'there' ? record.snapshot : null
  const fits = snapshot !== null && snapshot.version === version && snapshot.streamId === place
  const book = fits
    ? restoredBook(snapshot, have, joined, levelsMax, digits)
    : place === '0-0'
      ? new LiveBook(new Ladder(levelsMax))
      : await rebuild(name, place, streams, levelsMax)
  const state = { ...newFusion(book, nowUs), ...rest, positions: { ...positions } }
  if (fits) return { state, base: { epoch: snapshot.epoch, streamId: snapshot.streamId }, rebuilt: 'no' }
  book.ladder.unsettle()
  const rebuilt = place === '0-0' ? 'no' : book.have === null && have !== null ? 'no-snapshot' : 'yes'
  return { state, base: writable, rebuilt }
}

/** The book at an entry of its stream: from the newest snapshot at or before it, forward. */
async function rebuild(name: BookName, place: string, streams: SourceStreams, levelsMax: number): Promise<LiveBook> {
  const book = new LiveBook(new Ladder(levelsMax))
  const source = { ...name, channel: 'ORDERBOOK' } as const
  let from: string | null = null
  for (let before = place; from === null; ) {
    const page = await streams.backward(source, before, PAGE_ENTRIES)
    from = page.find(([, fields]) => fields.includes('ORDERBOOK.SNAPSHOT'))?.[0] ?? null
    const last = page.at(-1)
    if (last === undefined || (from === null && page.length < PAGE_ENTRIES)) return book
    before = `(${last[0]}`
  }
  for (;;) {
    const page = await streams.forward(source, from, place, PAGE_ENTRIES)
    for (const entry of page) {
      const event = readSourceEvent('ORDERBOOK', entry)
      if (event === null || event.data === null) continue
      if (event.type === 'ORDERBOOK.SNAPSHOT') book.snapshot(event.data as SnapshotPayload)
      else if (event.type === 'ORDERBOOK.DELTA') book.delta(event.data as DeltaPayload)
      else if (event.type === 'ORDERBOOK.GAP') book.gap('from' in (event.data as object))
    }
    const last = page.at(-1)
    if (last === undefined || page.length < PAGE_ENTRIES) return book
    from = `(${last[0]}`
  }
}
