import type { CommitLog } from '../src/conductor/commit-log.ts'
import { Conductor } from '../src/conductor/conductor.ts'
import { SystemClock } from '../src/lib/clock.ts'
import { RedisCommitLog } from '../src/redis/commit-log.ts'
import type { RedisConnection } from '../src/redis/connection.ts'
import { Keys } from '../src/redis/keys.ts'
import { RedisSourceStreams } from '../src/redis/source-streams.ts'
import { type CallCost, type CommitCosts, measureCommits } from './conductor-commits.ts'
import { INSTRUMENT, LEVELS, MARKET, openConnections, PARTITION, PARTITIONS, publishDeltas } from './conductor-story.ts'
import { markdown, median } from './report.ts'
import { openRedis } from './runs.ts'

/** What the conductor costs. */
export interface ConductorCosts {
  /** CPU of Node for a delta of 10 levels: read, parsed and folded, and by a loop that reads and parses alone. */
  readonly foldUs: number
  readonly bareUs: number
  readonly foldRatio: number
  readonly ratios: readonly number[]
  readonly commits: readonly CommitCosts[]
  /** Bytes sent to Redis for a book of 1,000 levels a side as a whole, and for a commit in which 10 of them changed. */
  readonly wholeBookBytes: number
  readonly smallChangeBytes: number
}

interface Plan {
  readonly deltas: number
  readonly turns: number
  readonly commits: number
}

const WHOLE: Plan = { deltas: 15_000, turns: 7, commits: 5_000 }
const QUICK: Plan = { deltas: 4_000, turns: 3, commits: 1_500 }
const ENTRIES_PER_READ = 256
const DATA = 27

/** Runs of the conductor and of the bare loop alternate, so that a machine that is busy is busy for both. */
export async function measureConductor(isQuick: boolean, say: (text: string) => void): Promise<ConductorCosts> {
  const plan = isQuick ? QUICK : WHOLE
  const redis = await openRedis()
  const { connection, waiting, close } = await openConnections(redis.url)
  try {
    const keys = new Keys('bench', PARTITIONS)
    await publishDeltas(connection, keys, plan.deltas)
    const stream = keys.stream(MARKET, INSTRUMENT, 'ORDERBOOK')
    await bareLoop(connection, stream)
    await foldAll(connection, waiting, keys)
    const pairs: { bareUs: number; foldUs: number }[] = []
    for (let turn = 0; turn < plan.turns; turn++) {
      const bareUs = (await cpuOf(() => bareLoop(connection, stream))) / plan.deltas
      const foldUs = (await cpuOf(() => foldAll(connection, waiting, keys))) / plan.deltas
      pairs.push({ bareUs, foldUs })
      say(
        `delta ${turn + 1}: bare ${bareUs.toFixed(2)} us, conductor ${foldUs.toFixed(2)} us (${(foldUs / bareUs).toFixed(2)})`,
      )
    }
    const ratios = pairs.map(({ bareUs, foldUs }) => foldUs / bareUs)
    const costs = {
      foldUs: median(pairs.map(({ foldUs }) => foldUs)),
      bareUs: median(pairs.map(({ bareUs }) => bareUs)),
      foldRatio: median(ratios),
      ratios,
    }
    return { ...costs, ...(await measureCommits(redis, plan.commits, say)) }
  } finally {
    close()
    await redis.stop()
  }
}

/** XREAD and JSON.parse, and nothing else. */
async function bareLoop(connection: RedisConnection, stream: string): Promise<void> {
  let levels = 0
  for (let after = '0-0'; ; ) {
    const reply = await connection.send('xread', ['COUNT', ENTRIES_PER_READ, 'STREAMS', stream, after])
    const entries = (reply as [string, [string, string[]][]][] | null)?.[0]?.[1] ?? []
    for (const [id, fields] of entries) {
      const data = JSON.parse(fields[DATA] as string) as { bids: unknown[]; asks: unknown[] }
      levels += data.bids.length + data.asks.length
      after = id
    }
    if (entries.length < ENTRIES_PER_READ) break
  }
  if (levels === 0) throw new Error('expected deltas in the stream, found none')
}

/** The real conductor over the same stream; its commits are answered without being sent. */
async function foldAll(connection: RedisConnection, waiting: RedisConnection, keys: Keys): Promise<void> {
  const ttlMs = 60_000
  const real = new RedisCommitLog({ connection, keys, ttlMs, maxLength: null })
  let version = 0
  const log: CommitLog = {
    load: (names) => real.load(names),
    commit: async (_, commits) =>
      commits.map(() => ({ outcome: 'committed', version: ++version, epoch: '1', seq: '1' })),
    qualities: async (names) => names.map(() => null),
    renew: async (names) => names.map(() => true),
  }
  const conductor = new Conductor({
    ...{ streams: new RedisSourceStreams(connection, waiting, keys), log, clock: new SystemClock() },
    ...{ levelsMax: LEVELS, ttlMs, staleMs: 5_000, trace: '0'.repeat(32) },
    resyncs: { request: () => {} },
    incident: ({ message, error }) => {
      throw new Error(message, { cause: error })
    },
    throttleMsOf: () => 100,
    flowing: async () => new Set(),
    left: () => {},
  })
  conductor.setPartitions(new Set([PARTITION]))
  await conductor.catchUp()
  await conductor.close()
}

async function cpuOf(run: () => Promise<void>): Promise<number> {
  globalThis.gc?.()
  const before = process.cpuUsage()
  await run()
  const { user, system } = process.cpuUsage(before)
  return user + system
}

/** For people. */
export function conductorLines(costs: ConductorCosts): string[] {
  const { foldUs, bareUs, foldRatio, commits, wholeBookBytes, smallChangeBytes } = costs
  const rows = [['Redis us, best window (median)', 'CPU of Redis', 'inside the command']]
  const add = (name: string, { redisUs, redisUsBest, insideUs, insideUsBest }: CallCost): void => {
    const both = (best: number, middle: number) => `${best.toFixed(1)} (${middle.toFixed(1)})`
    rows.push([name, both(redisUsBest, redisUs), both(insideUsBest, insideUs)])
  }
  for (const cost of commits) {
    const { changedLevels, perCall, bare, empty, xadd14 } = cost
    add(`commit of ${changedLevels} changed levels, ${perCall} a call`, cost)
    add('- HSET of these levels and XADD alone, by script', bare)
    add('- a script that does nothing', empty)
    add('- a plain XADD of 14 fields', xadd14)
  }
  return [
    `conductor: a delta of 10 levels ${foldUs.toFixed(2)} us of Node, XREAD and JSON.parse alone ${bareUs.toFixed(2)} us, ratio ${foldRatio.toFixed(2)}`,
    `a book of 1,000 levels a side: ${Math.round(wholeBookBytes)} bytes as a whole, ${Math.round(smallChangeBytes)} for a commit of 10 changed levels`,
    '',
    markdown(rows),
  ]
}
