import type { RefusalReason } from '../bus/publish.ts'
import { CanonicalType, Channel } from '../domain/event.ts'
import type { Backfill } from './backfill.ts'
import type { BookStats } from './book-guards.ts'
import type { DeadLetters } from './dead-letters.ts'
import type { GivenUp } from './given-up.ts'
import type { Line } from './line.ts'
import type { OfferGauge } from './line-offer.ts'
import type { Ring } from './ring.ts'
import type { SnapshotRequests } from './snapshots.ts'

/** What a dispatcher did so far, in plain numbers. */
export interface DispatcherStats {
  /** Entries appended, gaps included: market -> instrument -> canonical type -> count. */
  readonly events: Record<string, Record<string, Record<string, number>>>
  /** Sum of the above without the gaps. */
  readonly appended: number
  readonly gaps: number
  readonly duplicates: number
  /** Offers that no stream took and none ever will. */
  readonly refused: number
  /** Every refusal by reason, also those after which the offer was made again (`unjoined`, `snapshot-too-old`). */
  readonly refusedByReason: Readonly<Partial<Record<RefusalReason, number>>>
  readonly deadLetters: number
  readonly deadLettersByReason: Readonly<Record<string, number>>
  /** Dead letters that could not be told of, only counted. */
  readonly deadLettersUntold: number
  /** Events taken from the venue, before anything was decided of them. */
  readonly received: number
  /** Left out by a filter, and those of topics that are subscribed to but not routed. */
  readonly filtered: number
  readonly ignored: number
  /** Deltas that a snapshot stood for. */
  readonly stale: number
  /** Events for which another one stands, by channel; only where the bus could not keep up. */
  readonly merged: Readonly<Partial<Record<Channel, number>>>
  readonly queueEvents: number
  readonly queueBytes: number
  readonly bookBufferEvents: number
  readonly bookBufferRestarts: number
  /** What is kept for a Redis that comes back without it, and what was appended from there. */
  readonly ringEvents: number
  readonly ringBytes: number
  readonly ringMemoryBytes: number
  readonly ringSpareChunks: number
  readonly restored: number
  readonly publishFailures: number
  /** The same by the code of the error. */
  readonly publishFailuresByReason: Readonly<Record<string, number>>
  readonly snapshotRequests: number
  readonly snapshotFailures: number
  /** Answers that were no book: crossed, unsorted, of update -1. */
  readonly snapshotsOdd: number
  readonly backfillTrades: number
  readonly backfillFailures: number
  /** Answers about bars that were asked for again because they lagged behind the stream. */
  readonly backfillLagging: number
  /** Ranges of trades and bars that are fetched no further. */
  readonly givenUp: GivenUp['ranges']
  /** Ids of the trades among them, by reason. */
  readonly tradesGivenUp: GivenUp['trades']
  /** Gaps that are being fetched, or wait for it. */
  readonly backfillGaps: number
  /** Lines that are answered nothing but `duplicate` now. */
  readonly duplicateChannels: number
  readonly books: BookStats
}

/** The canonical type of the plain events of a channel, and of its gaps. */
const typesOfChannel: Readonly<Record<Channel, readonly [event: CanonicalType, gap: CanonicalType]>> = {
  [Channel.Trade]: [CanonicalType.Trade, CanonicalType.TradeGap],
  [Channel.Quote]: [CanonicalType.Quote, CanonicalType.QuoteGap],
  [Channel.Ticker]: [CanonicalType.Ticker, CanonicalType.TickerGap],
  [Channel.Kline]: [CanonicalType.KlineSummary, CanonicalType.KlineGap],
  [Channel.OrderBook]: [CanonicalType.BookDelta, CanonicalType.BookGap],
  [Channel.Analytics]: [CanonicalType.AnalyticsFused, CanonicalType.AnalyticsFused],
}

/** The part that the dispatcher's parts know. */
export function partStats(
  deadLetters: DeadLetters,
  queue: OfferGauge,
  bookBuffers: OfferGauge,
  ring: Ring,
  snapshots: SnapshotRequests,
  backfill: Backfill,
) {
  return {
    deadLetters: deadLetters.total,
    deadLettersByReason: Object.fromEntries(deadLetters.byReason),
    deadLettersUntold: deadLetters.untold,
    queueEvents: queue.events,
    queueBytes: queue.bytes,
    bookBufferEvents: bookBuffers.events,
    ringEvents: ring.events,
    ringBytes: ring.bytes,
    ringMemoryBytes: ring.memoryBytes,
    ringSpareChunks: ring.spareChunks,
    snapshotRequests: snapshots.requests,
    snapshotFailures: snapshots.failures,
    snapshotsOdd: snapshots.odds,
    backfillTrades: backfill.tradesFetched,
    backfillFailures: backfill.failures,
    backfillLagging: backfill.laggingAnswers,
    givenUp: { ...backfill.givenUp.ranges },
    tradesGivenUp: { ...backfill.givenUp.trades },
    backfillGaps: backfill.gaps,
  }
}

/** The part of the statistics that the lines know, added up. */
export function sumLines(lines: Iterable<Line>) {
  const events: Record<string, Record<string, Record<string, number>>> = {}
  const refusedByReason: Partial<Record<RefusalReason, number>> = {}
  const merged: Partial<Record<Channel, number>> = {}
  const sum = {
    events,
    refusedByReason,
    merged,
    appended: 0,
    gaps: 0,
    duplicates: 0,
    refused: 0,
    stale: 0,
    bookBufferRestarts: 0,
    restored: 0,
  }
  for (const { key, counts } of lines) {
    sum.appended += counts.appended + counts.snapshots
    sum.gaps += counts.gaps
    sum.duplicates += counts.duplicates
    sum.refused += counts.refused
    sum.stale += counts.stale
    sum.bookBufferRestarts += counts.bufferRestarts
    sum.restored += counts.restored
    if (counts.merged > 0) merged[key.channel] = (merged[key.channel] ?? 0) + counts.merged
    for (const [reason, count] of Object.entries(counts.refusedByReason) as [RefusalReason, number][]) {
      refusedByReason[reason] = (refusedByReason[reason] ?? 0) + count
    }
    const [type, gapType] = typesOfChannel[key.channel]
    const told: [CanonicalType, number][] = [
      [type, counts.appended],
      [CanonicalType.BookSnapshot, counts.snapshots],
      [gapType, counts.gaps],
    ]
    for (const [name, count] of told) {
      if (count === 0) continue
      events[key.market] ??= {}
      const market = events[key.market] as Record<string, Record<string, number>>
      market[key.instrument] ??= {}
      const instrument = market[key.instrument] as Record<string, number>
      instrument[name] = (instrument[name] ?? 0) + count
    }
  }
  return sum
}

/** When the oldest came that one of them has not brought to the bus, us; Infinity when there is nothing. */
export function oldestUs(lines: Iterable<Line>): number {
  let oldest = Number.POSITIVE_INFINITY
  for (const line of lines) oldest = Math.min(oldest, line.oldestUs)
  return oldest
}
