import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import { type LaunchedRedis, launchRedis } from '../src/redis/launcher.ts'
import { Companion, type Mark, type VenueOpened } from './messages.ts'
import type { TapeHead } from './tape.ts'

/** The default retention of the big channels, so that trimming is part of what is measured, for everybody alike. */
export const MAX_LENGTH = 100_000

/** `naive-timed` is the naive way that also notes how long each frame took, which costs it something. */
export type Worker = 'meltica' | 'naive' | 'naive-timed' | 'parse-only'

const WORKERS: Readonly<Record<Worker, { file: string; args: readonly string[] }>> = {
  meltica: { file: './meltica-process.ts', args: [] },
  naive: { file: './naive-process.ts', args: [] },
  'naive-timed': { file: './naive-process.ts', args: ['--timed'] },
  'parse-only': { file: './naive-process.ts', args: ['--parse-only'] },
}

export interface BenchRedis extends LaunchedRedis {
  readonly client: Redis
  /** User and system time of the server so far, us. */
  cpuUs(): Promise<number>
}

export async function openRedis(): Promise<BenchRedis> {
  const launched = await launchRedis()
  const client = new Redis(launched.url)
  return {
    ...launched,
    client,
    cpuUs: async () => {
      const info = await client.info('cpu')
      const seconds = (name: string) => Number(new RegExp(`${name}:([\\d.]+)`).exec(info)?.[1])
      return (seconds('used_cpu_sys') + seconds('used_cpu_user')) * 1e6
    },
    stop: async () => {
      client.disconnect()
      await launched.stop()
    },
  }
}

/** What happened between two marks. */
export interface Section {
  readonly frames: number
  readonly appended: number
  readonly seconds: number
  readonly workerUs: number
  readonly redisUs: number
  readonly eventsPerSecond: number
  /** Share of the worker's CPU time. */
  readonly gcShare: number
  readonly batchMean: number
  readonly batchMedian: number
  readonly batchMax: number
  readonly latencyUs: Mark['latencyUs']
  readonly end: Mark
}

/** Venue, worker and Redis of one run; frames are played in sections, each between two marks. */
export class Run {
  readonly redis: BenchRedis
  readonly #venue: Companion
  readonly #worker: Companion
  readonly head: TapeHead
  #played = 0

  private constructor(redis: BenchRedis, venue: Companion, worker: Companion, head: TapeHead) {
    this.redis = redis
    this.#venue = venue
    this.#worker = worker
    this.head = head
  }

  /** `nodeOptions`: more for the worker's Node, for example `--cpu-prof`. */
  static async open(worker: Worker, tape: string, head: TapeHead, nodeOptions: readonly string[] = []): Promise<Run> {
    const redis = await openRedis()
    const venue = new Companion('./venue-process.ts')
    const { file, args } = WORKERS[worker]
    const companion = new Companion(file, ['--expose-gc', ...nodeOptions], args)
    const addresses = await venue.ask<VenueOpened>({ type: 'open', tape })
    const { streams } = head
    await companion.ask({ type: 'start', ...addresses, streams, redisUrl: redis.url, maxLength: MAX_LENGTH })
    return new Run(redis, venue, companion, head)
  }

  /**
   * Plays on for so many frames and waits until all are worked off. `perSecond` null: as fast as the worker takes them.
   * Throws where the tape ends before: fewer frames, or none, would be measured and look like all.
   */
  async play(frames: number, perSecond: number | null = null): Promise<Section> {
    const to = this.#played + frames
    if (to > this.head.frames) throw new Error(`expected ${to} frames on the tape, found ${this.head.frames}`)
    const before = await this.#worker.ask<Mark>({ type: 'mark', collect: false })
    const redisBefore = await this.redis.cpuUs()
    const beginMs = performance.now()
    await this.#venue.ask({ type: 'play', to, perSecond })
    await this.#worker.ask({ type: 'settle', frames: to })
    const seconds = (performance.now() - beginMs) / 1000
    this.#played = to
    const redisAfter = await this.redis.cpuUs()
    const end = await this.#worker.ask<Mark>({ type: 'mark', collect: false })
    return sectionOf(before, end, seconds, redisAfter - redisBefore)
  }

  memory(): Promise<Mark> {
    return this.#worker.ask<Mark>({ type: 'mark', collect: true })
  }

  async close(): Promise<void> {
    await this.#worker.end()
    await this.#venue.end()
    await this.redis.stop()
  }
}

function sectionOf(before: Mark, end: Mark, seconds: number, redisUs: number): Section {
  const frames = end.frames - before.frames
  const cpuUs = end.cpuUs - before.cpuUs
  const batches = [...end.batches].sort((a, b) => a - b)
  return {
    frames,
    appended: end.appended - before.appended,
    seconds,
    workerUs: cpuUs / frames,
    redisUs: redisUs / frames,
    eventsPerSecond: frames / seconds,
    gcShare: ((end.gcMs - before.gcMs) * 1000) / cpuUs,
    batchMean: batches.length === 0 ? 0 : batches.reduce((sum, size) => sum + size, 0) / batches.length,
    batchMedian: batches[Math.floor(batches.length / 2)] ?? 0,
    batchMax: batches.at(-1) ?? 0,
    latencyUs: end.latencyUs,
    end,
  }
}

/** The fourteen fields of a best bid and ask, the commonest event. */
export function entryFields(): string[] {
  const data =
    '{"bidPrice":"61837.63000000","bidQuantity":"3.78826000","askPrice":"61837.64000000","askQuantity":"1.54698000"}'
  return [
    ...['v', '1', 'type', 'QUOTE', 'market', 'BINANCE-SPOT', 'instrument', 'BTC-USDT', 'epoch', '1723161254087891'],
    ...['seq', '123456', 'key', 'BTC-USDT:QUOTE:50093239212', 'venueSeq', '50093239212', 'venueTime', ''],
    ...['receivedTime', '1723161254087891', 'source', 'binance.ws.bookTicker'],
    ...['trace', 'a1b2c3d4e5f60718293a4b5c6d7e8f90', 'quality', '', 'data', data],
  ]
}

/** CPU of Redis for a plain XADD of these fields, us, by redis-benchmark with so many commands in flight. */
export async function benchmarkXadd(
  redis: BenchRedis,
  fields: readonly string[],
  count: number,
  pipelined: number,
): Promise<{ us: number; perSecond: number }> {
  const run = promisify(execFile)
  const xadd = ['XADD', 'bench:limit', 'MAXLEN', '~', String(MAX_LENGTH), '*', ...fields]
  const args = (requests: number) => [
    '-p',
    String(redis.port),
    '-c',
    '1',
    '-P',
    String(pipelined),
    '-n',
    String(requests),
    '-q',
    ...xadd,
  ]
  await run('redis-benchmark', args(Math.ceil(count / 5)))
  const before = await redis.cpuUs()
  const beginMs = performance.now()
  await run('redis-benchmark', args(count))
  const seconds = (performance.now() - beginMs) / 1000
  const us = ((await redis.cpuUs()) - before) / count
  await redis.client.del('bench:limit')
  return { us, perSecond: count / seconds }
}

/** A capture drained by the real command in a process of its own, counted from the start of that process. */
export async function drainByCommand(capture: string): Promise<{ seconds: number; summary: Record<string, unknown> }> {
  const beginMs = performance.now()
  const { stdout } = await promisify(execFile)(process.execPath, [
    fileURLToPath(new URL('../src/cli/meltica.ts', import.meta.url)),
    ...['start', '--replay', capture, '--speed', 'max', '--until-done', '--json', '--set', 'telemetry.listen=off'],
  ])
  const seconds = (performance.now() - beginMs) / 1000
  return { seconds, summary: JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}') }
}
