import type { Market } from '../domain/instrument.ts'
import { bookMetrics } from '../telemetry/book-metrics.ts'
import { lossMetrics } from '../telemetry/loss-metrics.ts'
import { beforeScrape, metrics } from '../telemetry/metrics.ts'
import { ringMetrics } from '../telemetry/ring-metrics.ts'
import type { BookStats } from './book-guards.ts'
import type { DispatcherStats } from './stats.ts'

/** What is exported of a dispatcher. */
export interface MeasuredDispatcher {
  readonly market: Market
  stats(): DispatcherStats
}

const exported = new Set<MeasuredDispatcher>()

/** Carries this dispatcher's numbers over whenever Prometheus asks; the answer ends that. */
export function exportDispatcherMetrics(dispatcher: MeasuredDispatcher): () => void {
  exported.add(dispatcher)
  beforeScrape.add(carryOver)
  return () => {
    exported.delete(dispatcher)
  }
}

/** The dispatchers count since their start, so every metric is set anew from their sums. */
function carryOver(): void {
  for (const metric of Object.values({ ...carried, ...bookMetrics, ...lossMetrics, ...ringMetrics })) metric.reset()
  for (const dispatcher of exported) carryOne(dispatcher.market, dispatcher.stats())
}

const {
  events,
  eventsReceived,
  eventsLeftOut,
  eventsMerged,
  eventsRestored,
  offersRefused,
  publishFailures,
  queueEvents,
  queueBytes,
  bookBufferEvents,
  bookBufferRestarts,
  bookSnapshotRequests,
  bookSnapshotFailures,
  backfillTrades,
  backfillFailures,
  deadLetters,
  deadLettersUntold,
} = metrics

const carried = {
  events,
  eventsReceived,
  eventsLeftOut,
  eventsMerged,
  eventsRestored,
  offersRefused,
  publishFailures,
  queueEvents,
  queueBytes,
  bookBufferEvents,
  bookBufferRestarts,
  bookSnapshotRequests,
  bookSnapshotFailures,
  backfillTrades,
  backfillFailures,
  deadLetters,
  deadLettersUntold,
}

function carryOne(market: Market, stats: DispatcherStats): void {
  for (const [name, instruments] of Object.entries(stats.events)) {
    for (const [instrument, types] of Object.entries(instruments)) {
      for (const [type, count] of Object.entries(types)) events.inc({ market: name, instrument, type }, count)
    }
  }
  for (const [reason, count] of Object.entries(stats.refusedByReason)) offersRefused.inc({ market, reason }, count)
  for (const [reason, count] of Object.entries(stats.deadLettersByReason)) deadLetters.inc({ reason }, count)
  const { duplicates, stale, filtered, ignored } = stats
  for (const [reason, count] of Object.entries({ duplicate: duplicates, stale, filtered, ignored })) {
    eventsLeftOut.inc({ market, reason }, count)
  }
  eventsReceived.inc({ market }, stats.received)
  for (const [channel, count] of Object.entries(stats.merged)) eventsMerged.inc({ market, channel }, count)
  eventsRestored.inc({ market }, stats.restored)
  ringMetrics.ringEvents.set({ market }, stats.ringEvents)
  ringMetrics.ringBytes.set({ market }, stats.ringBytes)
  ringMetrics.ringMemoryBytes.set({ market }, stats.ringMemoryBytes)
  ringMetrics.ringSpareChunks.set({ market }, stats.ringSpareChunks)
  for (const [reason, count] of Object.entries(stats.publishFailuresByReason)) {
    publishFailures.inc({ market, reason }, count)
  }
  queueEvents.set({ market }, stats.queueEvents)
  queueBytes.set({ market }, stats.queueBytes)
  bookBufferEvents.set({ market }, stats.bookBufferEvents)
  bookBufferRestarts.inc({ market }, stats.bookBufferRestarts)
  bookSnapshotRequests.inc({ market }, stats.snapshotRequests)
  bookSnapshotFailures.inc({ market }, stats.snapshotFailures)
  bookMetrics.bookSnapshotsOdd.inc({ market }, stats.snapshotsOdd)
  carryBooks(market, stats.books)
  carryLosses(market, stats)
  backfillTrades.inc({ market }, stats.backfillTrades)
  backfillFailures.inc({ market }, stats.backfillFailures)
  deadLettersUntold.inc({ market }, stats.deadLettersUntold)
}

function carryBooks(market: Market, stats: BookStats): void {
  const { bookChecks, bookMismatches, bookResyncs, bookOddities, bookQuarantines, books, booksBlind, bookProofBytes } =
    bookMetrics
  for (const [outcome, count] of Object.entries(stats.checks)) bookChecks.inc({ market, outcome }, count)
  for (const [reason, count] of Object.entries(stats.mismatches)) bookMismatches.inc({ market, reason }, count)
  for (const [reason, count] of Object.entries(stats.resyncs)) bookResyncs.inc({ market, reason }, count)
  for (const [kind, count] of Object.entries(stats.oddities)) bookOddities.inc({ market, kind }, count)
  bookQuarantines.inc({ market }, stats.quarantines)
  for (const [quality, count] of Object.entries(stats.qualities)) books.set({ market, quality }, count)
  booksBlind.set({ market }, stats.blind)
  bookProofBytes.set({ market }, stats.proofBytes)
}

function carryLosses(market: Market, stats: DispatcherStats): void {
  lossMetrics.backfillLagging.inc({ market }, stats.backfillLagging)
  lossMetrics.backfillGaps.set({ market }, stats.backfillGaps)
  for (const [channel, byReason] of Object.entries(stats.givenUp)) {
    for (const [reason, count] of Object.entries(byReason)) {
      lossMetrics.backfillGivenUp.inc({ market, channel, reason }, count)
    }
  }
  for (const [reason, count] of Object.entries(stats.tradesGivenUp)) {
    lossMetrics.backfillTradesGivenUp.inc({ market, reason }, count)
  }
  lossMetrics.duplicateChannels.set({ market }, stats.duplicateChannels)
  const { proofOverflows, recordedDropped, resyncsUnanswered } = stats.books.beyond
  lossMetrics.bookProofOverflows.inc({ market }, proofOverflows)
  lossMetrics.bookRecordedDropped.inc({ market }, recordedDropped)
  lossMetrics.bookResyncsUnanswered.inc({ market }, resyncsUnanswered)
}
