import { randomBytes } from 'node:crypto'
import { Conductor } from '../conductor/conductor.ts'
import type { BookName } from '../conductor/snapshot-store.ts'
import type { Config } from '../config/schema.ts'
import { fusedThrottleMs } from '../control/throttle.ts'
import type { Clock } from '../lib/clock.ts'
import { RedisCommitLog } from '../redis/commit-log.ts'
import type { RedisConnection } from '../redis/connection.ts'
import { RedisControlClient } from '../redis/control-client.ts'
import type { Keys } from '../redis/keys.ts'
import { RedisMembers } from '../redis/members.ts'
import { RedisSourceStreams } from '../redis/source-streams.ts'
import type { Logger } from '../telemetry/logger.ts'
import { metrics } from '../telemetry/metrics.ts'
import { ConductorRole } from './conductor-role.ts'
import type { ControlPart } from './control-on-redis.ts'
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
  readonly control: ControlPart
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
    throttleMsOf: throttles(parts.control, config.conductor.throttleMs),
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

/** The throttle of each instrument as the dispatch table says now; asked for at every step, so it is kept until that changes. */
function throttles(control: ControlPart, generalMs: number): (name: BookName) => number {
  let known = new WeakMap<BookName, number>()
  control.onChanged(() => {
    known = new WeakMap()
  })
  return (name) => {
    const before = known.get(name)
    if (before !== undefined) return before
    const { table } = control
    if (table === null) return generalMs
    const throttleMs = fusedThrottleMs(table, name.market, name.instrument, generalMs)
    known.set(name, throttleMs)
    return throttleMs
  }
}
