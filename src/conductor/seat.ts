import {
  dueMs,
  type FusedChannel,
  FusedChannels,
  type FusionLimits,
  type FusionState,
} from '../domain/fusion/fusion.ts'
import type { Commit } from './commit-log.ts'
import type { BookName } from './snapshot-store.ts'
import type { SourceName } from './source-streams.ts'

/** Entries and changed levels one event may stand for. */
const EVENTS_PER_COMMIT_MAX = 20_000
const CHANGES_PER_COMMIT_MAX = 4_000

/** One instrument in the partition's hands. */
export interface Seat {
  readonly name: BookName
  readonly limits: FusionLimits
  readonly sources: Readonly<Record<FusedChannel, SourceName>>
  /** Streams that may have grown since they were read. */
  readonly rung: Set<FusedChannel>
  /** Quotes are read one by one until the epoch of the newest is known; then the newest alone, when an event is due. */
  wholeQuotes: boolean
  /** Null when it must be loaded before anything else. */
  state: FusionState | null
  version: number
  versionFloor: number
  base: Commit['base']
  conflicts: number
  notBeforeMs: number
  /** When the record was last written or renewed, and when writing it was last tried in vain. */
  writtenMs: number
  skippedMs: number
  /** Since when the stream has been read to its end without a snapshot; null while there is one. */
  bareSinceMs: number | null
  resyncMs: number
  /** Ids of the places to which the group was moved. */
  readonly grouped: Map<FusedChannel, string>
}

/** `throttleMsOf` is asked at every step: the table may want another one by then. */
export function newSeat({ market, instrument }: BookName, throttleMsOf: (name: BookName) => number): Seat {
  const name = { market, instrument }
  const source = (channel: FusedChannel): SourceName => ({ ...name, channel })
  return {
    name,
    limits: {
      get throttleMs() {
        return throttleMsOf(name)
      },
      eventsMax: EVENTS_PER_COMMIT_MAX,
      changesMax: CHANGES_PER_COMMIT_MAX,
    },
    sources: { ORDERBOOK: source('ORDERBOOK'), TRADE: source('TRADE'), QUOTE: source('QUOTE') },
    rung: new Set(FusedChannels),
    wholeQuotes: true,
    state: null,
    version: 0,
    versionFloor: 0,
    base: 'replace',
    conflicts: 0,
    notBeforeMs: 0,
    writtenMs: 0,
    skippedMs: Number.NEGATIVE_INFINITY,
    bareSinceMs: null,
    resyncMs: Number.NEGATIVE_INFINITY,
    grouped: new Map(),
  }
}

/** When there is something to do for it, to publish or to load. Infinity while there is nothing. */
export function dueOf(seat: Seat): number {
  const { state, limits, notBeforeMs } = seat
  if (state === null) return notBeforeMs
  const due = dueMs(state, limits) ?? (hasUnreadQuote(seat) ? state.publishedMs + limits.throttleMs : null)
  return due === null ? Number.POSITIVE_INFINITY : Math.max(due, notBeforeMs)
}

/** A quote is there and read only when it is needed. */
export function hasUnreadQuote({ state, rung, wholeQuotes }: Seat): boolean {
  return !wholeQuotes && rung.has('QUOTE') && state !== null && state.positions.QUOTE.epoch !== ''
}

export function hasPending({ state }: Seat): boolean {
  return state !== null && (state.pending.events > 0 || state.pending.forced)
}

export function ringAll(seat: Seat): void {
  for (const channel of FusedChannels) seat.rung.add(channel)
}
