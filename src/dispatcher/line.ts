import type { ChannelBatch, PublishResult, RefusalReason } from '../bus/publish.ts'
import type { Channel, GapCause } from '../domain/event.ts'
import type { Instrument, Market, VenueSymbol } from '../domain/instrument.ts'
import { bytesOf, type LineOffer, type OfferGauge } from './line-offer.ts'
import type { Ring } from './ring.ts'

/** Which channel a line feeds. */
export interface LineKey {
  readonly market: Market
  readonly instrument: Instrument
  readonly symbol: VenueSymbol
  readonly channel: Channel
}

/** The bounds of the repair; every number has its default in `dispatcher.ts`. */
export interface LineLimits {
  /** How long an event waits for what is missing below it before the hole is declared, ms. */
  readonly latenessToleranceMs: number
  /** How long a snapshot ahead of a joined stream waits for the deltas before they count as lost, ms. */
  readonly earlyToleranceMs: number
  /** At this many held events the oldest hole is declared at once, cause `overflow`. */
  readonly heldPerLineMax: number
  /** At this many buffered deltas of an unjoined book the older half of them is thrown away. */
  readonly bookBufferEventsMax: number
  /** The same for all unjoined books together; the book that reaches it halves its own. */
  readonly bookBuffersEventsMax: number
  /** How long a line that begins waits where another process's line feeds the same stream, ms. */
  readonly overlapWaitMs: number
}

/** What a call is made of while it is filled: the room that is left, and whether anything is in it already. */
export interface CallRoom {
  events: number
  bytes: number
  empty: boolean
}

/**
 * Puts the offer into the call if there is room; one always fits into an empty call, however big. The offers of a line in one
 * call share the word for their quality; with another one the next call begins.
 */
export function putOffer(offers: LineOffer[], offer: LineOffer, room: CallRoom): boolean {
  const bytes = bytesOf(offer)
  if (offers[0] !== undefined && offers[0].quality !== offer.quality) return false
  if (!room.empty && (room.events < 1 || room.bytes < bytes)) return false
  room.empty = false
  room.events--
  room.bytes -= bytes
  offers.push(offer)
  return true
}

/** Plain numbers of one line; the types are the channel's own. */
export interface LineCounts {
  appended: number
  snapshots: number
  gaps: number
  duplicates: number
  /** KLINE: duplicates that say the same as the one before. A bar in which nobody trades may be shown again and again. */
  repeated: number
  refused: number
  refusedByReason: Partial<Record<RefusalReason, number>>
  /** Events for which another one stands, because the bus could not keep up. */
  merged: number
  /** Deltas that a snapshot stood for, so they never entered. */
  stale: number
  /** Offered again to a Redis that lacked them, and appended. */
  restored: number
  /** Times the older half of an unjoined book's buffer was thrown away at its bound. */
  bufferRestarts: number
}

export function newLineCounts(): LineCounts {
  return {
    appended: 0,
    snapshots: 0,
    gaps: 0,
    duplicates: 0,
    repeated: 0,
    refused: 0,
    refusedByReason: {},
    merged: 0,
    stale: 0,
    restored: 0,
    bufferRestarts: 0,
  }
}

/** What a line tells the loop around it; every call is synchronous and returns at once. */
export interface LineWatch {
  /** It entered the stream; called once per offer. */
  appended(offer: LineOffer): void
  /**
   * A hole was told in front of `shown`. TRADE: the missing ids. KLINE: open times, us, of the bars that may have closed
   * meanwhile, from -1 when none was ever seen. Else, and where a reset left nothing to name, 0..-1.
   */
  gapTold(key: LineKey, from: number, to: number, shown: LineOffer): void
  /** The stream did not take it and never will; `error` holds Redis's words where there are any. */
  refused(key: LineKey, offer: LineOffer, reason: RefusalReason, error: string | null): void
  /** The book is joined: a wish for a snapshot is void. */
  joined(key: LineKey): void
}

/** Whether the bus takes less than the venue gives, so that lines merge before they offer. */
export interface Pressure {
  readonly overloaded: boolean
}

/** The answer to a call. */
export interface CallAnswer {
  readonly result: PublishResult
  /** Monotonic. */
  readonly nowMs: number
  /**
   * The same was offered before and the answer got lost, so what is a duplicate now was most likely appended by the first
   * try, with all that came of it.
   */
  readonly retried: boolean
}

/** What lines share: the queues' bounds and the loop that watches them. */
export interface LineShared {
  readonly limits: LineLimits
  readonly queue: OfferGauge
  readonly bookBuffers: OfferGauge
  readonly watch: LineWatch
  readonly ring: Ring
  readonly pressure: Pressure
  /** A new trace id, for what is made here. */
  trace(): string
  /** Whether another process's line feeds this instrument's streams too. */
  covered(instrument: Instrument): boolean
}

/**
 * One channel of one instrument on its way to the bus: what waits, in which order it is offered, and what becomes of
 * what the script did not take. It never waits itself: the lane calls `take` when a call can be made, `settle` with the
 * script's answer, and looks at `wakeMs` to know when time alone changes something.
 */
export interface Line {
  readonly key: LineKey
  readonly counts: LineCounts
  /** Fields of the batch that follow configuration. */
  tableVersion: number
  /** True while it stands in a lane's ring; the lane's own mark. */
  queued: boolean
  /** When the oldest came that is to go to the bus and is not answered, us; Infinity: nothing is. Without what waits above a hole. */
  readonly oldestUs: number
  /** Whether `take` would give something now. */
  ready(nowMs: number): boolean
  /** Monotonic ms at which it becomes ready by time alone; Infinity if never. */
  wakeMs(): number
  /** The next offers in order, as many as there is room for (one always fits into an empty call); null when none. */
  take(room: CallRoom, nowMs: number): ChannelBatch | null
  /** The script's answer to what `take` gave last, the call's batch of this index. */
  settle(answer: CallAnswer, index: number): void
  /** How many of those that wait were not yet looked at by `merge`; 0 where the channel's events never merge. */
  readonly mergeable: number
  /** Makes of those that wait as few as say the same (`mergeOffers`). */
  merge(): void
  /** Another Redis process answers: offers what that one may lack, before everything newer. */
  offerAgain(): void
  /** Nobody wants it: what waits is let go, and nothing is taken. */
  readonly stopped: boolean
  stop(): void
  /** It is wanted again, or from now on; `cause` explains what is missing before its first event. */
  start(cause: GapCause): void
  /** The venue's line flowed and was interrupted; `part` is the interval of a KLINE line, else ''. */
  interrupted(part: string, cause: GapCause): void
  /** Another process's line flowed while this one stood already, and was sent what this one was sent until `untilUs`. */
  overlapped(part: string, untilUs: number): void
}
