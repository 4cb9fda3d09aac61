import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { CheckResult } from '../../src/checker/report.ts'
import { parsePartitions } from '../../src/domain/partition-set.ts'
import { firstLine, meltica, startMeltica } from '../cli/run.ts'
import { eventually, startPrivateRedis, type TestRedis } from '../support/redis.ts'

export interface FleetOptions {
  readonly instruments: number
  /** Orders a second over all instruments. */
  readonly rate: number
  readonly seed: number
  readonly partitions: number
  readonly settings?: readonly string[]
}

/** A member as the list in Redis shows it. */
export interface Beating {
  readonly incarnation: string
  readonly state: string
  readonly seenUs: number
  readonly owns: ReadonlySet<number>
  readonly flows: ReadonlySet<number>
}

const START = ['start', '--json', '--roles', 'ingest', '--retention', 'none']
const END_MS_MAX = 8_000
const LOG_CHARACTERS_MAX = 100_000

/** A private Redis, the generated market with its ledger, and any number of workers, each a process that can be killed. */
export class Fleet {
  readonly redis: TestRedis
  readonly #options: FleetOptions
  readonly #directory: string
  readonly #simulator: ChildProcessWithoutNullStreams
  readonly #addresses: { readonly ws: string; readonly rest: string }
  readonly #workers = new Map<string, ChildProcessWithoutNullStreams>()
  /** What the workers said, the last of it. */
  log = ''

  private constructor(
    redis: TestRedis,
    options: FleetOptions,
    directory: string,
    simulator: ChildProcessWithoutNullStreams,
    addresses: { readonly ws: string; readonly rest: string },
  ) {
    this.redis = redis
    this.#options = options
    this.#directory = directory
    this.#simulator = simulator
    this.#addresses = addresses
  }

  static async open(options: FleetOptions): Promise<Fleet> {
    const redis = await startPrivateRedis()
    const directory = await mkdtemp(join(tmpdir(), 'meltica-fleet-'))
    const { instruments, rate, seed } = options
    const market = ['--instruments', `${instruments}`, '--seed', `${seed}`, '--rate', `${rate}`]
    const simulator = startMeltica(['simulate', ...market, '--ledger', join(directory, 'ledger.jsonl')])
    const addresses = JSON.parse(await firstLine(simulator)) as { ws: string; rest: string }
    simulator.stdout.resume()
    simulator.stderr.resume()
    return new Fleet(redis, options, directory, simulator, addresses)
  }

  /** A process got so little of the machine that it could not hand over in time: then gaps are told, as they must be. */
  get wasHeldUp(): boolean {
    return /"kind":"(drain-unfinished|stood-still|beats-lost|handover-slow)"/.test(this.log)
  }

  get workers(): readonly string[] {
    return [...this.#workers.keys()]
  }

  startWorker(id: string): void {
    const { ws, rest } = this.#addresses
    const settings = [
      `worker.id=${id}`,
      `partitions=${this.#options.partitions}`,
      'telemetry.listen=127.0.0.1:0',
      'telemetry.logFormat=json',
      `venues.binance.streamUrl=${ws}`,
      `venues.binance.restUrl=${rest}`,
      ...(this.#options.settings ?? []),
    ]
    const sets = settings.flatMap((setting) => ['--set', setting])
    const worker = startMeltica([...START, '--redis', this.redis.url, ...sets])
    worker.stdout.resume()
    worker.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.log = (this.log + text).slice(-LOG_CHARACTERS_MAX)
    })
    this.#workers.set(id, worker)
  }

  /** Sends the signal and does not wait. */
  signal(id: string, signal: NodeJS.Signals): void {
    this.#worker(id).kill(signal)
  }

  /** Ends a worker; answers its exit code (null: killed) and how long that took, ms. */
  async end(id: string, signal: 'SIGKILL' | 'SIGTERM'): Promise<{ code: number | null; ms: number }> {
    const worker = this.#worker(id)
    this.#workers.delete(id)
    const beganMs = performance.now()
    const code = await end(worker, signal)
    return { code, ms: performance.now() - beganMs }
  }

  async members(): Promise<Map<string, Beating>> {
    const found = new Map<string, Beating>()
    const hash = await this.redis.client.hgetall('meltica:{cluster}:ingest:members')
    for (const [id, text] of Object.entries(hash)) {
      if (id.startsWith('#')) continue
      const [incarnation = '', , seen, , , state = '', ...facts] = text.split(' ')
      const { owns, flows } = JSON.parse(facts.join(' ')) as { owns: string; flows: string }
      const sets = { owns: parsePartitions(owns), flows: parsePartitions(flows) }
      found.set(id, { incarnation, state, seenUs: Number(seen), ...sets })
    }
    return found
  }

  /** Partitions that nobody else tells to own. */
  async ownedAlone(id: string): Promise<ReadonlySet<number>> {
    const members = await this.members()
    const owned = new Set(members.get(id)?.owns)
    for (const [other, { owns }] of members) if (other !== id) for (const partition of owns) owned.delete(partition)
    return owned
  }

  /** Waits until this worker, as it runs now, beats and owns something. */
  async works(id: string, timeoutMs = 180_000): Promise<void> {
    const sinceUs = (await this.nowMs()) * 1_000
    await eventually(async () => {
      const member = (await this.members()).get(id)
      return member !== undefined && member.seenUs > sinceUs && member.state === 'active' && member.owns.size > 0
    }, timeoutMs)
  }

  /** Waits until these are the ones that own partitions, everything flows, and each partition has `owners`. */
  async settled(ids: readonly string[], owners = 1, timeoutMs = 15_000): Promise<void> {
    await eventually(async () => {
      const members = await this.members()
      let flowing = 0
      for (const id of ids) {
        const member = members.get(id)
        if (member === undefined || member.owns.size === 0 || member.flows.size < member.owns.size) return false
        flowing += member.flows.size
      }
      return flowing === this.#options.partitions * owners
    }, timeoutMs)
  }

  /** What `meltica workers --json` says. */
  async show(): Promise<{ worker: string; state: string; owned: string; flowsSince: string | null }[]> {
    const partitions = ['--set', `partitions=${this.#options.partitions}`]
    const { out } = await meltica(['workers', '--json', '--redis', this.redis.url, ...partitions])
    return out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
  }

  /** Redis's clock, ms. */
  async nowMs(): Promise<number> {
    const [seconds, micros] = await this.redis.client.time()
    return Number(seconds) * 1_000 + Number(micros) / 1_000
  }

  /** Streams of a channel: key by catalog name. */
  async streams(channel: string): Promise<Map<string, string>> {
    const catalog = Object.entries(await this.redis.client.hgetall('meltica:catalog'))
    return new Map(catalog.filter(([name]) => name.endsWith(`:${channel}`)))
  }

  /** Entries in all streams. */
  async entries(): Promise<number> {
    const streams = Object.values(await this.redis.client.hgetall('meltica:catalog'))
    const counts = await Promise.all(streams.map((stream) => this.redis.client.xlen(stream)))
    return counts.reduce((sum, count) => sum + count, 0)
  }

  /** Number of GAP entries by channel. */
  async gaps(): Promise<Record<string, number>> {
    const counts: Record<string, number> = {}
    for (const [name, stream] of Object.entries(await this.redis.client.hgetall('meltica:catalog'))) {
      for (const [, fields] of await this.redis.client.xrange(stream, '-', '+')) {
        if (!fields[3]?.endsWith('.GAP')) continue
        const channel = name.slice(name.lastIndexOf(':') + 1)
        counts[channel] = (counts[channel] ?? 0) + 1
      }
    }
    return counts
  }

  /**
   * For each TRADE stream whose market trades at least `perSecondMin` times a second in the time looked at: ms from `fromMs`
   * to its first trade by the venue's stream.
   */
  async tradesAgainMs(
    { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
    partitions: ReadonlySet<number>,
    perSecondMin: number,
  ): Promise<number[]> {
    const delays: number[] = []
    for (const stream of (await this.streams('TRADE')).values()) {
      const partition = Number(/\{(\d+)\}/.exec(stream)?.[1])
      if (!partitions.has(partition)) continue
      const entries = await this.redis.client.xrange(stream, Math.ceil(fromMs), Math.floor(toMs))
      if (entries.length < (perSecondMin * (toMs - fromMs)) / 1_000) continue
      const first = entries.find(([, fields]) => fields[3] === 'TRADE' && fields[21]?.includes('.ws.'))
      delays.push(first === undefined ? Number.POSITIVE_INFINITY : Number.parseInt(first[0], 10) - fromMs)
    }
    return delays.sort((a, b) => a - b)
  }

  /** Longest time between two entries of a stream in the time looked at, ms; what stands outside counts as its edges. */
  async longestSilenceMs(stream: string, fromMs: number, toMs: number): Promise<number> {
    const entries = await this.redis.client.xrange(stream, Math.floor(fromMs), Math.ceil(toMs))
    const times = [fromMs, ...entries.map(([id]) => Number.parseInt(id, 10)), toMs]
    return Math.max(...times.slice(1).map((timeMs, index) => timeMs - (times[index] as number)))
  }

  /** The same for what the venue sent of one of its streams. */
  async longestVenueSilenceMs(topic: string, fromMs: number, toMs: number): Promise<number> {
    let beforeMs = fromMs
    let longest = 0
    for await (const line of createInterface({ input: createReadStream(join(this.#directory, 'ledger.jsonl')) })) {
      const found = /^\{"ts":([\d.]+),.*?\\"stream\\":\\"([^"\\]+)\\"/.exec(line.slice(0, 300))
      if (found === null || found[2] !== topic) continue
      const timeMs = Number(found[1])
      if (timeMs < fromMs || timeMs > toMs) continue
      longest = Math.max(longest, timeMs - beforeMs)
      beforeMs = timeMs
    }
    return Math.max(longest, toMs - beforeMs)
  }

  /** Waits until no range of a TRADE or ORDERBOOK ledger is open any more. */
  async healed(timeoutMs: number): Promise<void> {
    await eventually(async () => {
      for (const stream of Object.values(await this.redis.client.hgetall('meltica:catalog'))) {
        for (const text of await this.redis.client.zrange(`${stream}:gaps`, 0, -1)) {
          const { filledAt, how } = JSON.parse(text) as { filledAt: number | null; how: string | null }
          if (filledAt === null && how === null) return false
        }
      }
      return true
    }, timeoutMs)
  }

  /** Ends all workers and the market, then compares what stands in Redis with the ledger. */
  async verify(healMs = 20_000): Promise<CheckResult> {
    await this.healed(healMs)
    await Promise.all(this.workers.map((id) => this.end(id, 'SIGTERM')))
    await end(this.#simulator, 'SIGTERM')
    const where = ['--redis', this.redis.url, '--set', `partitions=${this.#options.partitions}`]
    const { out, err } = await meltica([
      'verify',
      '--json',
      '--ledger',
      join(this.#directory, 'ledger.jsonl'),
      ...where,
    ])
    if (out.trim() === '') throw new Error(`expected a result of verify, found ${err}`)
    return JSON.parse(out) as CheckResult
  }

  async close(): Promise<void> {
    for (const child of [...this.#workers.values(), this.#simulator]) await end(child, 'SIGKILL')
    await this.redis.stop()
    await rm(this.#directory, { recursive: true, force: true })
  }

  #worker(id: string): ChildProcessWithoutNullStreams {
    const worker = this.#workers.get(id)
    if (worker === undefined) throw new Error(`expected a worker ${id}, found none`)
    return worker
  }
}

/** The value below which `share` of the sorted numbers lie. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}

async function end(child: ChildProcessWithoutNullStreams, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
  const closed = once(child, 'close')
  child.kill(signal)
  // One that stands still hears nothing but this.
  if (signal === 'SIGTERM') child.kill('SIGCONT')
  const timer = setTimeout(() => child.kill('SIGKILL'), END_MS_MAX)
  const [code] = (await closed) as [number | null]
  clearTimeout(timer)
  return code
}
