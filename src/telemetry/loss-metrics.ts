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
}
