import type { Config } from '../config/schema.ts'
import type { DispatcherIncident } from '../dispatcher/dispatcher.ts'
import { Channel } from '../domain/event.ts'
import type { Clock } from '../lib/clock.ts'
import type { RedisConnection } from '../redis/connection.ts'
import { RedisDeadLetterLog } from '../redis/dead-letter-log.ts'
import { RedisEventBus } from '../redis/event-bus.ts'
import { writeInstruments } from '../redis/instruments.ts'
import type { Keys } from '../redis/keys.ts'
import { OpsLog } from '../redis/ops-log.ts'
import type { LatencyRecorder } from '../telemetry/latency.ts'
import type { Logger } from '../telemetry/logger.ts'
import { metrics } from '../telemetry/metrics.ts'
import { Ingest } from './ingest.ts'
import type { VenueAddress } from './venue-address.ts'

/** Entries kept in streams that the configuration does not bound otherwise. */
const LOG_LENGTH_MAX = 10_000
/** One entry a kind in this time enters the ops stream. */
const OPS_REPEAT_US = 1_000_000

export interface IngestOnRedisParts {
  readonly config: Config
  readonly venue: VenueAddress
  readonly connection: RedisConnection
  readonly keys: Keys
  readonly worker: string
  readonly clock: Clock
  readonly latency: LatencyRecorder
  readonly logger: Logger
  readonly signal: AbortSignal
}

/** The role `ingest` with Redis behind each of its contracts. */
export function ingestOnRedis(parts: IngestOnRedisParts): Ingest {
  const { config, connection, keys, clock, logger } = parts
  const channels = [Channel.Trade, Channel.Quote, Channel.Ticker, Channel.Kline, Channel.OrderBook] as const
  const retention = Object.fromEntries(channels.map((channel) => [channel, config.retention[channel].maxLength]))
  const tellOps = opsTeller(new OpsLog(connection, keys, LOG_LENGTH_MAX), parts.worker, clock)
  return new Ingest({
    config,
    venue: parts.venue,
    bus: new RedisEventBus({
      connection,
      keys,
      retention,
      onBellFailed: (message) => logger.warn('bell-failed', message),
    }),
    isCluster: connection.isCluster,
    deadLetters: new RedisDeadLetterLog(connection, keys, config.retention.deadLetters.maxLength ?? LOG_LENGTH_MAX),
    keepInstruments: (infos) => writeInstruments(connection, keys, infos, clock.nowUs()),
    clock,
    latency: parts.latency,
    logger,
    incident: (incident) => {
      const { kind, message, error, ...facts } = incident
      const fields = error === undefined ? facts : { ...facts, error }
      logger[kind === 'drained' ? 'info' : 'warn'](kind, message, fields)
      tellOps(incident)
    },
    signal: parts.signal,
  })
}

/** Incidents as entries of the ops stream; when Redis cannot take one, its connection has told that already. */
function opsTeller(opsLog: OpsLog, worker: string, clock: Clock): (incident: DispatcherIncident) => void {
  const toldUs = new Map<string, number>()
  return ({ kind, message, error, ...facts }) => {
    const nowUs = clock.nowUs()
    if (nowUs - (toldUs.get(kind) ?? 0) < OPS_REPEAT_US) return
    toldUs.set(kind, nowUs)
    const severity = kind === 'drained' ? 'info' : kind === 'refused' ? 'error' : 'warning'
    const cause = error instanceof Error ? { error: error.message } : {}
    opsLog
      .append({ kind, severity, message, worker, time: String(nowUs), facts: JSON.stringify({ ...facts, ...cause }) })
      .catch(() => metrics.opsLost.inc())
  }
}
