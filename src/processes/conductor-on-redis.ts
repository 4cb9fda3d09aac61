import { randomBytes } from 'node:crypto'
import { Conductor } from '../conductor/conductor.ts'
import type { BookName } from '../conductor/snapshot-store.ts'
import type { Config } from '../config/schema.ts'
import { Channel } from '../domain/event.ts'
import type { Clock } from '../lib/clock.ts'
import { matchesPattern } from '../redis/catalog.ts'
import { RedisCommitLog } from '../redis/commit-log.ts'
import type { RedisConnection } from '../redis/connection.ts'
import { RedisControlClient } from '../redis/control-client.ts'
import type { Keys } from '../redis/keys.ts'
import { RedisMembers } from '../redis/members.ts'
import { RedisSourceStreams } from '../redis/source-streams.ts'
import type { Logger } from '../telemetry/logger.ts'
import { metrics } from '../telemetry/metrics.ts'
import { ConductorRole } from './conductor-role.ts'
import { resyncCommands } from './control-resyncs.ts'
import type { OpsTeller } from './ops-teller.ts'

export interface ConductorOnRedisParts {
  readonly config: Config
  /** For commits and reads, which must not wait behind appends. */
  readonly conductorConnection: RedisConnection
  /** For the bells: it waits inside Redis, so nothing else may use it. */
  readonly waitingConnection: RedisConnection
  readonly beatConnection: RedisConnection
  readonly keys: Keys
  readonly worker: string
  readonly clock: Clock
  readonly logger: Logger
  readonly tellOps: OpsTeller
}

/** The role `conductor` with Redis behind each of its contracts. */
export function conductorOnRedis(parts: ConductorOnRedisParts): ConductorRole {
  const { config, conductorConnection: connection, keys, clock, logger, worker, tellOps } = parts
  const { ttlMs, levels } = config.book
  const members = new RedisMembers(parts.beatConnection, keys)
  const conductor = new Conductor({
    streams: new RedisSourceStreams(connection, parts.waitingConnection, keys),
    log: new RedisCommitLog({
      ...{ connection, keys, ttlMs, maxLength: config.retention.ANALYTICS.maxLength },
      onBellFailed: (message) => logger.warn('bell-failed', message),
    }),
    resyncs: resyncCommands({
      ...{ worker, clock, logger, tellOps },
      control: new RedisControlClient({ connection, keys, clock, expiryMs: config.cluster.expiryMs }),
    }),
    clock,
    incident: (incident) => {
      const { kind, message, error, ...facts } = incident
      logger.warn(kind, message, error === undefined ? facts : { ...facts, error })
      tellOps({ severity: 'warning', ...incident })
    },
    throttleMsOf: (name) => throttleMsOf(config, name),
    levelsMax: levels,
    ttlMs,
    staleMs: config.conductor.staleMs,
    flowing: async () => {
      const flowing = new Set<number>()
      for (const { ageMs, facts } of await members.list('ingest')) {
        if (ageMs < config.cluster.expiryMs) for (const partition of facts.flows) flowing.add(partition)
      }
      return flowing
    },
    trace: randomBytes(16).toString('hex'),
    left: (afterUs) => metrics.receivedToFusedSeconds.observe(afterUs / 1e6),
  })
  const { redundancy } = config.conductor
  return new ConductorRole({
    ...{ conductor, store: members, worker, clock, cluster: config.cluster, partitions: config.partitions, redundancy },
    tell: ({ kind, severity, message, error }) => {
      logger[severity === 'info' ? 'info' : 'warn'](kind, message, error === undefined ? {} : { error })
      tellOps({ kind, severity, message, error })
    },
  })
}

const FUSED = new Set<string>([Channel.Trade, Channel.Quote, Channel.OrderBook])

/** Shortest time between two fused events of an instrument, ms: the shortest that a route of it names, or the general one. */
export function throttleMsOf(config: Config, { market, instrument }: BookName): number {
  let shortest = Number.POSITIVE_INFINITY
  for (const route of config.routes) {
    if (route.market !== market || route.throttleMs === undefined || !FUSED.has(route.type)) continue
    if (route.instruments.some((pattern) => matchesPattern(instrument, pattern))) {
      shortest = Math.min(shortest, route.throttleMs)
    }
  }
  return shortest === Number.POSITIVE_INFINITY ? config.conductor.throttleMs : shortest
}
