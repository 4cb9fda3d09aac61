import type { QualityLog } from '../bus/book-quality.ts'
import type { EventBus } from '../bus/publish.ts'
import type { Channel } from '../domain/event.ts'
import type { Instrument, Market } from '../domain/instrument.ts'
import type { Clock } from '../lib/clock.ts'
import type { VenueRest } from '../venues/venue.ts'
import type { BackfillLimits } from './backfill.ts'
import type { DeadLetterLog } from './dead-letters.ts'
import type { BookLimits } from './guard-parts.ts'
import type { LaneLimits } from './lane.ts'
import type { LineLimits } from './line.ts'
import type { RingLimits } from './ring.ts'
import type { SaturationLimits } from './saturation.ts'
import type { DispatchTable } from './table.ts'

/** Every bound of the dispatcher. */
export interface DispatcherLimits extends LineLimits, LaneLimits, SaturationLimits {
  /** A book without any delta asks for its snapshot this long after its topic was acknowledged. */
  readonly quietBookDelayMs: number
  /** After an interruption a book that stays silent this long is compared with a snapshot. */
  readonly silentBookDelayMs: number
  /** A line whose offers are refused as made under an older table is told after so long. */
  readonly tableLagMs: number
  readonly deadLettersQueueMax: number
  readonly deadLetterKindsMax: number
  readonly backfill: BackfillLimits
  /** What was acknowledged and is kept for a Redis that comes back without it. */
  readonly ring: RingLimits
  readonly books: BookLimits
}

export const defaultDispatcherLimits: DispatcherLimits = {
  latenessToleranceMs: 150,
  earlyToleranceMs: 1_000,
  heldPerLineMax: 10_000,
  bookBufferEventsMax: 2_000,
  bookBuffersEventsMax: 40_000,
  overlapWaitMs: 500,
  eventsPerCallMax: 256,
  bytesPerCallMax: 512 * 1_024,
  retryDelayMs: 50,
  retryDelayMsMax: 2_000,
  probeAfterMs: 1_000,
  queueEventsMax: 100_000,
  queueBytesMax: 64 * 1_024 * 1_024,
  readAheadEventsMax: 1_024,
  restMsMax: 50,
  quietBookDelayMs: 250,
  silentBookDelayMs: 5_000,
  tableLagMs: 5_000,
  deadLettersQueueMax: 1_000,
  deadLetterKindsMax: 1_000,
  backfill: { ageMsMax: 600_000, idsPerGapMax: 50_000, gapsAtOnceMax: 16, gapsWaitingMax: 10_000 },
  ring: { bytesMax: 64 * 1_024 * 1_024, ageMsMax: 30_000 },
  books: {
    proved: true,
    refreshMs: 180_000,
    refreshesPerMinuteMax: 4.8,
    blindPerMinuteMax: 24,
    silentMs: 300_000,
    reachLevelsMin: 50,
    recordedMax: 2_000,
    quarantine: { failuresMax: 5, withinMs: 600_000, forMs: 300_000 },
  },
}

/** Something went wrong and was dealt with; for the log, which limits how often it says the same. */
export interface DispatcherIncident {
  readonly kind:
    | 'publish-failed'
    | 'publish-refused'
    | 'snapshot-failed'
    | 'snapshot-odd'
    | 'backfill-failed'
    | 'backfill-lagging'
    | 'given-up'
    | 'only-duplicates'
    | 'refused'
    | 'overloaded'
    | 'relieved'
    | 'saturated'
    | 'drained'
    | 'sink-changed'
    | 'book-resync'
    | 'book-suspect'
    | 'book-odd'
    | 'book-mismatch'
    | 'book-quarantined'
    | 'book-released'
  readonly message: string
  readonly instrument?: Instrument
  readonly channel?: Channel
  readonly error?: unknown
}

export interface DispatcherOptions {
  readonly market: Market
  readonly table: DispatchTable
  readonly bus: EventBus
  readonly rest: VenueRest
  readonly clock: Clock
  /** Number of partitions of the keyspace. */
  readonly partitions: number
  /** Calls that may be under way at once: 1 where one Redis serves all partitions, `partitions` on a Cluster. */
  readonly lanes: number
  readonly deadLetters: DeadLetterLog
  readonly limits?: Partial<DispatcherLimits>
  /** Takes the time from the arrival of each appended event to the reply that told it, us. */
  readonly latency?: { record(latencyUs: number): void }
  readonly incident?: (incident: DispatcherIncident) => void
  /** Where the quality of books is said; not given: nowhere. */
  readonly qualities?: QualityLog
  /** Another Redis process answers than before: what was written to the old one beside the streams may be gone. */
  readonly sinkChanged?: () => void
  /** Whether another process's line feeds this instrument's streams too; not given: none does. */
  readonly covered?: (instrument: Instrument) => boolean
  /** The venue is a recording, which may have been played into these streams before. */
  readonly repeats?: boolean
  /** In [0, 1); for the jitter of retries. */
  readonly random?: () => number
}
