import type { ChannelBatch, PublishResult } from '../bus/publish.ts'
import type { Config } from '../config/schema.ts'
import type { DispatcherIncident } from '../dispatcher/dispatcher.ts'
import { Channel } from '../domain/event.ts'
import type { Clock } from '../lib/clock.ts'
import { RedisQualityLog } from '../redis/book-quality.ts'
import type { RedisConnection } from '../redis/connection.ts'
import { RedisDeadLetterLog } from '../redis/dead-letter-log.ts'
import { RedisEventBus, type RedisEventBusOptions } from '../redis/event-bus.ts'
import { writeInstruments } from '../redis/instruments.ts'
import type { Keys } from '../redis/keys.ts'
import { RedisMembers } from '../redis/members.ts'
import { RedisOpenGaps } from '../redis/open-gaps.ts'
import { StreamReader } from '../redis/stream-reader.ts'
import type { LatencyRecorder } from '../telemetry/latency.ts'
import type { Logger } from '../telemetry/logger.ts'
import { directLossMetrics } from '../telemetry/loss-metrics.ts'
import type { ControlPart } from './control-on-redis.ts'
import { Ingest, MARKET } from './ingest.ts'
import { LineRace, type LostEvent } from './line-race.ts'
import type { OpsTeller } from './ops-teller.ts'
import type { VenueAddress } from './venue-address.ts'
import type { OpenVenueRest } from './venue-rest.ts'

/** Entries kept in streams that the configuration does not bound otherwise. */
const LOG_LENGTH_MAX = 10_000
/** A sampled event is looked for among so many of the newest of its stream. */
const SAMPLE_ENTRIES = 200

export interface IngestOnRedisParts {
  readonly config: Config
  readonly venue: VenueAddress
  readonly connection: RedisConnection
  /** For heartbeats, which must not wait behind appends. */
  readonly beatConnection: RedisConnection
  /** Called every time the connection stands again after it was lost. */
  readonly onBack: (callback: () => void) => void
  readonly keys: Keys
  readonly worker: string
  readonly clock: Clock
  readonly latency: LatencyRecorder
  readonly logger: Logger
  readonly signal: AbortSignal
  readonly tellOps: OpsTeller
  readonly control: ControlPart
  readonly asking: Pick<OpenVenueRest, 'rest' | 'connects' | 'weightPerMinute'>
}

/** The role `ingest` with Redis behind each of its contracts. */
export function ingestOnRedis(parts: IngestOnRedisParts): Ingest {
  const { config, connection, keys, clock, logger, tellOps } = parts
  const reader = new StreamReader(parts.beatConnection)
  const race = new LineRace({
    nowMs: () => clock.monotonicMs(),
    winnerReceivedUs: (event) => winnerReceivedUs(reader, keys, event),
  })
  const ingest = new Ingest({
    config,
    venue: parts.venue,
    rest: parts.asking.rest,
    connectBudget: parts.asking.connects,
    weightPerMinute: parts.asking.weightPerMinute,
    bus: new RedisEventBus({
      connection,
      keys,
      retention: retentionOf(config),
      ...busHooks(logger),
      ...(config.ingest.redundancy > 1
        ? { onPublished: (batches: readonly ChannelBatch[], result: PublishResult) => race.published(batches, result) }
        : {}),
    }),
    isCluster: connection.isCluster,
    deadLetters: new RedisDeadLetterLog(connection, keys, config.retention.deadLetters.maxLength ?? LOG_LENGTH_MAX),
    keepInstruments: (infos) => writeInstruments(connection, keys, infos, clock.nowUs()),
    openGaps: new RedisOpenGaps(connection, keys, MARKET),
    clock,
    latency: parts.latency,
    qualities: new RedisQualityLog(connection, keys),
    logger,
    incident: (incident) => {
      const { kind, message, error, ...facts } = incident
      const fields = error === undefined ? facts : { ...facts, error }
      logger[isGoodNews(kind) ? 'info' : 'warn'](kind, message, fields)
      const severity = isGoodNews(kind) ? 'info' : isAlarm(kind) ? 'error' : 'warning'
      tellOps({ severity, ...incident })
    },
    control: parts.control,
    members: new RedisMembers(parts.beatConnection, keys),
    worker: parts.worker,
    shareIncident: (incident) => {
      const { kind, severity, message, error } = incident
      logger[severity === 'info' ? 'info' : 'warn'](kind, message, error === undefined ? {} : { error })
      tellOps({ ...incident })
    },
    signal: parts.signal,
  })
  parts.onBack(() => ingest.dispatcher?.sinkReturned())
  return ingest
}

function isGoodNews(kind: DispatcherIncident['kind']): boolean {
  return kind === 'drained' || kind === 'relieved' || kind === 'book-released'
}

function isAlarm(kind: DispatcherIncident['kind']): boolean {
  return kind.endsWith('refused') || kind === 'book-quarantined' || kind === 'only-duplicates'
}

/** What is told of the data bus beside its answers. */
export function busHooks(logger: Logger): Pick<RedisEventBusOptions, 'onBellFailed' | 'onLedgerBound'> {
  return {
    onBellFailed: (message) => logger.warn('bell-failed', message),
    onLedgerBound: ({ market, instrument, channel }, bound) => {
      directLossMetrics.gapLedgerDropped.inc({ market, channel }, bound.dropped)
      directLossMetrics.gapsOverBound.inc({ market, channel }, bound.overBound)
      logger.warn('gap-ledger-full', 'a gap ledger is at its bound', { instrument, channel, ...bound })
    },
  }
}

/** Entries kept in the streams that ingest and pollers write, by channel. */
export function retentionOf({ retention }: Config): Partial<Record<Channel, number | null>> {
  const channels = [Channel.Trade, Channel.Quote, Channel.Ticker, Channel.Kline, Channel.OrderBook] as const
  return Object.fromEntries(channels.map((channel) => [channel, retention[channel].maxLength]))
}

/** When the copy that entered the stream had arrived, us; null where it is not among the newest. */
async function winnerReceivedUs(reader: StreamReader, keys: Keys, { batch, id }: LostEvent): Promise<number | null> {
  const stream = keys.stream(batch.market, batch.instrument, batch.channel)
  for (const { fields } of await reader.newest(stream, SAMPLE_ENTRIES)) {
    if (fields.venueSeq === id && fields.type === batch.channel) return Number(fields.receivedTime)
  }
  return null
}
