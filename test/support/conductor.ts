import { Conductor, type ConductorIncident, type ConductorParts } from '../../src/conductor/conductor.ts'
import type { ResyncReason } from '../../src/conductor/resync-requests.ts'
import type { BookName } from '../../src/conductor/snapshot-store.ts'
import { SystemClock } from '../../src/lib/clock.ts'
import { RedisCommitLog } from '../../src/redis/commit-log.ts'
import { RedisConnection, type RedisConnectionOptions, redisAt } from '../../src/redis/connection.ts'
import { Keys } from '../../src/redis/keys.ts'
import { RedisSourceStreams } from '../../src/redis/source-streams.ts'

export interface TestConductor {
  readonly conductor: Conductor
  readonly incidents: ConductorIncident[]
  readonly resyncs: { readonly name: BookName; readonly reason: ResyncReason }[]
  close(): Promise<void>
}

export const PARTITIONS = 16

/** A conductor on a real Redis that owns every partition unless said otherwise. */
export async function openConductor(
  redis: string | RedisConnectionOptions,
  prefix: string,
  more: Partial<ConductorParts> = {},
  partitions: ReadonlySet<number> = new Set(Array.from({ length: PARTITIONS }, (_, index) => index)),
): Promise<TestConductor> {
  const options = typeof redis === 'string' ? redisAt(redis) : redis
  const connection = new RedisConnection(options, 'command')
  const waiting = new RedisConnection(options, 'blocking')
  await Promise.all([connection.ready(), waiting.ready()])
  const keys = new Keys(prefix, PARTITIONS)
  const incidents: ConductorIncident[] = []
  const resyncs: TestConductor['resyncs'] = []
  const ttlMs = more.ttlMs ?? 60_000
  const conductor = new Conductor({
    streams: new RedisSourceStreams(connection, waiting, keys),
    log: new RedisCommitLog({ connection, keys, ttlMs, maxLength: null }),
    resyncs: { request: (name, reason) => resyncs.push({ name, reason }) },
    clock: new SystemClock(),
    incident: (incident) => incidents.push(incident),
    throttleMsOf: () => 20,
    levelsMax: 1_000,
    ttlMs,
    staleMs: 5_000,
    flowing: async () => new Set(),
    left: () => {},
    trace: 'f'.repeat(32),
    ...more,
  })
  conductor.setPartitions(partitions)
  return {
    conductor,
    incidents,
    resyncs,
    close: async () => {
      await conductor.close()
      connection.close()
      waiting.close()
    },
  }
}

/** A conductor as a process of its own, to be killed. Arguments: url, prefix. */
if (import.meta.main) {
  const [url = '', prefix = ''] = process.argv.slice(2)
  await openConductor(url, prefix)
}
