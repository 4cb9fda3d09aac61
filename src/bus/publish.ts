import type { Channel, GapCause, Quality, TradeNumbering } from '../domain/event.ts'
import type { Instrument, Market } from '../domain/instrument.ts'

/**
 * One event offered to a channel. Ids are texts of decimal digits, times integer microseconds. The append script alone decides
 * what becomes of it.
 */
export interface Offer {
  readonly kind: 'TRADE' | 'QUOTE' | 'TICKER' | 'KLINE' | 'DELTA' | 'SNAPSHOT' | 'GIVEUP' | 'LOST'
  /**
   * TRADE: trade or aggregate id. QUOTE: update id. TICKER: close time, us. DELTA, SNAPSHOT: last update id.
   * KLINE: `interval@openTime@trades`, `@closed` appended when final. GIVEUP: first id of the open range to be closed.
   * LOST: the first of what stood in the stream and cannot be offered again: its id (TRADE, ORDERBOOK), else its time of arrival.
   */
  readonly id: string
  /** DELTA: first update id. KLINE: `openTime@endTime` (us, end exclusive = close time + 1 ms). GIVEUP: last id of the range. LOST: the last. Else ''. */
  readonly first: string
  /** null where the venue tells none. */
  readonly venueTimeUs: number | null
  readonly receivedTimeUs: number
  readonly source: string
  readonly trace: string
  /**
   * TRADE, DELTA, SNAPSHOT: the tolerance is over, a hole below this event is to be declared with this cause.
   * QUOTE, TICKER, KLINE: this event is the first after an interruption of its line.
   * LOST: the cause of the gap that is told if the stream is empty; in any other stream it is a `duplicate`.
   * GIVEUP: ignored. '' otherwise.
   */
  readonly declare: GapCause | ''
  /** SNAPSHOT: asked for (refresh, resync), so it is appended when it equals a joined stream's position. */
  readonly refresh: boolean
  /** The payload, JSON. GIVEUP: how the range was closed, for example `given-up`. */
  readonly data: string
}

/** Offers for one channel of one instrument, in order. */
export interface ChannelBatch {
  readonly market: Market
  readonly instrument: Instrument
  readonly channel: Channel
  /** Version of the dispatch table under which these were made; an older one than the channel's is refused. */
  readonly tableVersion: number
  /** TRADE only, else ''. */
  readonly numbering: TradeNumbering | ''
  /** The word for the `quality` field of ORDERBOOK events; `LIVE` is written as ''. */
  readonly quality: Quality
  /**
   * Epoch the caller was last told for this instrument, '' if none. If another Redis process began to write since then,
   * nothing is taken and every offer is `refused: epoch`, so that what that process lacks can be offered first.
   */
  readonly epoch: string
  /** May be empty: then it only asks for the outcome. */
  readonly offers: readonly Offer[]
}

/**
 * What happened to an offer that was not plainly appended:
 * - `duplicate`: it, or something newer where only the newest counts, is in the stream already.
 * - `gap`: events are missing below it (`have` is the last id of the stream); offer it again, with `declare` when the tolerance is over.
 * - `early`: a snapshot ahead of a joined stream; offer it again when the stream is there, with `declare` after 1 s.
 * - `refused`: not taken, `reason` says why; nothing was written for it.
 * - `gapTold`: a GAP was appended, then the event (TRADE, QUOTE, TICKER, KLINE, SNAPSHOT).
 * - `gapToldRefused`: a GAP was appended and the event refused; the book waits for a snapshot or a continuing delta (DELTA).
 */
export type Verdict = 'duplicate' | 'gap' | 'early' | 'refused' | 'gapTold' | 'gapToldRefused'
export type RefusalReason = 'unjoined' | 'snapshot-too-old' | 'table-version' | 'ledger-full' | 'epoch' | 'error'

export interface OfferOutcome {
  readonly index: number
  readonly verdict: Verdict
  readonly reason: RefusalReason | null
  /** Redis's own words when `reason` is `error`. */
  readonly error: string | null
}

/** Outcome of one batch. `null` in `PublishResult.channels` means all were appended and the epoch is the one the caller knew. */
export interface ChannelOutcome {
  readonly epoch: string
  /** True when this call began a new epoch or a new numbering for the instrument. */
  readonly epochChanged: boolean
  /** Last venue id in the stream after this call (`TRADE`, `ORDERBOOK`), '' otherwise or when there is none. */
  readonly have: string
  /** ORDERBOOK: whether the stream is joined after this call. */
  readonly joined: boolean
  readonly outcomes: readonly OfferOutcome[]
}

/** Makes offers anew from the bytes as which they went out. */
export interface OfferReader {
  /** The first `count` offers of a batch of this channel; its bytes begin in `memory` at `at`. */
  read(memory: Buffer, at: number, count: number, channel: Channel): Offer[]
}

/**
 * A call as it went out. The bytes of its offers, which cost less memory than the offers, can be copied by whoever wants to
 * remember them; `reader` reads them back.
 */
export interface SentCall {
  readonly reader: OfferReader
  /** How many bytes the offers of a batch are. */
  bytesOf(index: number): number
  /** Copies them to a place that has room for them. */
  copy(index: number, memory: Buffer, at: number): void
  /** Nothing will be copied any more: other calls may be written where this one stands. A call that is not released is garbage. */
  release(): void
}

export interface PublishResult {
  /** Milliseconds part of the greatest entry id written by this call, 0 if none. */
  readonly greatestEntryMs: number
  /** The `run_id` of the Redis process that answered. */
  readonly run: string
  readonly channels: readonly (ChannelOutcome | null)[]
  readonly sent: SentCall
}

/**
 * The data bus seen from the dispatcher. Rejects with `BusError` when the outcome is unknown or Redis cannot be used;
 * offering the same again is always safe.
 */
export interface EventBus {
  /** Bounded by the caller: at most `eventsPerCallMax` offers and `bytesPerCallMax` bytes of payload unless it is a single offer. */
  publish(batches: readonly ChannelBatch[]): Promise<PublishResult>
}
