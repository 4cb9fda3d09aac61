import { Counter, Gauge } from 'prom-client'
import { registry } from './metrics.ts'

const registers = [registry]

/** Of dispatchers, carried over from their sums: what was given up, lags, or went beyond a bound. In a sound system all stand still or at 0. */
export const lossMetrics = {
  backfillLagging: new Counter({
    name: 'meltica_backfill_lagging_answers_total',
    help: 'Answers about missing bars that held less than the stream had shown, or came too early to be final; asked again',
    labelNames: ['market'] as const,
    registers,
  }),
  backfillGivenUp: new Counter({
    name: 'meltica_backfill_given_up_ranges_total',
    help: 'Ranges of missing trades and bars that are fetched no further: too-many, too-old, absent, unanswered, lagging, queue-full',
    labelNames: ['market', 'channel', 'reason'] as const,
    registers,
  }),
  backfillTradesGivenUp: new Counter({
    name: 'meltica_backfill_given_up_trades_total',
    help: 'Ids of the trades among them',
    labelNames: ['market', 'reason'] as const,
    registers,
  }),
  backfillGaps: new Gauge({
    name: 'meltica_backfill_gaps',
    help: 'Gaps of trades and bars that are being fetched, or wait for it or for the next try',
    labelNames: ['market'] as const,
    registers,
  }),
  bookProofOverflows: new Counter({
    name: 'meltica_book_proof_overflows_total',
    help: 'Times so many deltas waited for a missing one that a proof went blind until the next snapshot',
    labelNames: ['market'] as const,
    registers,
  }),
  bookRecordedDropped: new Counter({
    name: 'meltica_book_recorded_deltas_dropped_total',
    help: 'Deltas that were to bring a snapshot up to date and found no room; it may have to be asked for again',
    labelNames: ['market'] as const,
    registers,
  }),
  bookResyncsUnanswered: new Counter({
    name: 'meltica_book_resyncs_unanswered_total',
    help: 'Wishes for a new snapshot of a book that are not answered by themselves, because too many waited for the same',
    labelNames: ['market'] as const,
    registers,
  }),
  duplicateChannels: new Gauge({
    name: 'meltica_duplicate_channels',
    help: 'Channels that no other process feeds and that answered nothing but duplicate for a minute; an alarm',
    labelNames: ['market'] as const,
    registers,
  }),
}

/** The same of other parts, counted where it happens. */
export const directLossMetrics = {
  opsSuppressed: new Counter({
    name: 'meltica_ops_events_suppressed_total',
    help: 'Incidents left out of the ops stream because their kind, or their instrument, had just been told',
    labelNames: ['kind'] as const,
    registers,
  }),
  gapLedgerDropped: new Counter({
    name: 'meltica_gap_ledger_dropped_total',
    help: 'Closed gaps that left a gap ledger because it was full; their GAP stays in the stream',
    labelNames: ['market', 'channel'] as const,
    registers,
  }),
  gapsOverBound: new Counter({
    name: 'meltica_gaps_over_bound_total',
    help: 'Gaps closed unfilled as over-bound when they were told, because too many were open',
    labelNames: ['market', 'channel'] as const,
    registers,
  }),
}
