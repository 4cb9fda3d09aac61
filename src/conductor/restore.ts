import { parseCarried } from '../domain/fusion/carried.ts'
import { type FusionState, foldBook, newFusion, type SourceEvent } from '../domain/fusion/fusion.ts'
import { Ladder } from '../domain/fusion/ladder.ts'
import { LiveBook, restoredBook } from '../domain/fusion/live-book.ts'
import type { Commit, Loaded } from './commit-log.ts'
import type { BookName } from './snapshot-store.ts'
import { readSourceEvent, type SourceStreams, typeOfEntry } from './source-streams.ts'

const PAGE_ENTRIES = 200
/** A snapshot is looked for among so many of the newest entries; the periodic refresh keeps one there. */
const ENTRIES_SEARCHED_MAX = 20_000

export interface Restored {
  readonly state: FusionState
  /** What the next commit builds on. */
  readonly base: Commit['base']
  /** The levels had to be made anew from the stream. Where no snapshot was left there, there is no book. */
  readonly rebuilt: boolean
  /** When the record was last written, null where there is none. */
  readonly writtenUs: number | null
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
  const snapshot = record.state === 'there' ? record.snapshot : null
  const writtenUs = snapshot === null ? null : Number(snapshot.updatedAt)
  const writable = record.state === 'unavailable' ? 'skip' : 'replace'
  if (carried === null) {
    const state = newFusion(new LiveBook(new Ladder(levelsMax)), nowUs)
    return { state, base: writable, rebuilt: false, writtenUs }
  }
  const { positions, have, joined, digits, edges, ...rest } = carried
  const place = positions.ORDERBOOK.id
  if (snapshot !== null && snapshot.version === version && snapshot.streamId === place) {
    const book = restoredBook(snapshot, have, joined, levelsMax, digits, edges)
    const state = { ...newFusion(book, nowUs), ...rest, positions: { ...positions } }
    // Written under a greater bound: what is beyond ours would never be removed.
    const isBeyond = Math.max(snapshot.bids.length, snapshot.asks.length) > levelsMax
    if (isBeyond) book.ladder.unsettle()
    const base = isBeyond ? writable : { epoch: snapshot.epoch, streamId: snapshot.streamId }
    return { state, base, rebuilt: false, writtenUs }
  }
  const book =
    place === '0-0' ? new LiveBook(new Ladder(levelsMax)) : await rebuild(name, place, streams, levelsMax, joined)
  book.ladder.unsettle()
  const state = { ...newFusion(book, nowUs), ...rest, positions: { ...positions } }
  return { state, base: writable, rebuilt: place !== '0-0', writtenUs }
}

/** The book at an entry of its stream: from the newest snapshot at or before it, forward. */
async function rebuild(
  name: BookName,
  place: string,
  streams: SourceStreams,
  levelsMax: number,
  joined: boolean,
): Promise<LiveBook> {
  const book = new LiveBook(new Ladder(levelsMax))
  const source = { ...name, channel: 'ORDERBOOK' } as const
  let from: string | null = null
  let searched = 0
  for (let before = place; from === null; ) {
    const page = await streams.backward(source, before, PAGE_ENTRIES)
    from = page.find((entry) => typeOfEntry(entry) === 'ORDERBOOK.SNAPSHOT')?.[0] ?? null
    searched += page.length
    if (from === null && (page.length < PAGE_ENTRIES || searched >= ENTRIES_SEARCHED_MAX)) return book
    before = `(${page.at(-1)?.[0]}`
  }
  for (;;) {
    const page = await streams.forward(source, from, place, PAGE_ENTRIES)
    for (const entry of page) {
      const event = readSourceEvent('ORDERBOOK', entry)
      // As when it was folded the first time.
      if (event === null) book.break()
      else replay(book, event)
    }
    const last = page.at(-1)
    if (last === undefined || page.length < PAGE_ENTRIES) break
    from = `(${last[0]}`
  }
  // Entries that were lost before they were read broke it, and are no part of the stream.
  if (!joined) book.break()
  return book
}

function replay(book: LiveBook, event: SourceEvent): void {
  try {
    foldBook(book, event)
  } catch {
    // Told when it was read the first time.
    book.discard()
  }
}
