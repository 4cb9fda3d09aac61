import { Counter, Gauge } from 'prom-client'
import { registry } from './metrics.ts'

const registers = [registry]

/** What was given up, what lags, and what went beyond a bound: in a sound system all stand still. */
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
  duplicateChannels: new Gauge({
    name: 'meltica_duplicate_channels',
    help: 'Channels that no other process feeds and that answered nothing but duplicate for a minute; an alarm',
    labelNames: ['market'] as const,
    registers,
  }),
}
