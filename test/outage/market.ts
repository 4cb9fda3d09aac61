import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream, statSync } from 'node:fs'
import { mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { checkStreams } from '../../src/checker/checker.ts'
import type { CheckResult } from '../../src/checker/report.ts'
import { readCatalog } from '../../src/redis/catalog.ts'
import { RedisConnection, type RedisConnectionOptions } from '../../src/redis/connection.ts'
import { Keys } from '../../src/redis/keys.ts'
import { StreamReader } from '../../src/redis/stream-reader.ts'
import { firstLine, startMeltica } from '../cli/run.ts'
import { eventually } from '../support/redis.ts'

const PARTITIONS = 16
const END_MS_MAX = 8_000
const LOG_CHARACTERS_MAX = 200_000
const keys = new Keys('meltica', PARTITIONS)

export interface MarketOptions {
  readonly instruments: number
  readonly seed: number
  /** Orders a second over all instruments; about as many events follow. */
  readonly rate: number
}

/** The generated market as a process of its own, with its ledger: one for many workers, each with a Redis of its own. */
export class Market {
  readonly #directory: string
  readonly #process: ChildProcessWithoutNullStreams
  readonly addresses: { readonly ws: string; readonly rest: string }
  readonly #workers: Worker[] = []

  private constructor(directory: string, child: ChildProcessWithoutNullStreams, addresses: Market['addresses']) {
    this.#directory = directory
    this.#process = child
    this.addresses = addresses
  }

  static async open({ instruments, seed, rate }: MarketOptions): Promise<Market> {
    const directory = await mkdtemp(join(tmpdir(), 'meltica-outage-'))
    const market = ['--instruments', `${instruments}`, '--seed', `${seed}`, '--rate', `${rate}`]
    const child = startMeltica(['simulate', ...market, '--ledger', join(directory, 'ledger.jsonl')])
    const addresses = JSON.parse(await firstLine(child)) as Market['addresses']
    child.stdout.resume()
    child.stderr.resume()
    return new Market(directory, child, addresses)
  }

  get ledgerFile(): string {
    return join(this.#directory, 'ledger.jsonl')
  }

  /** A worker that takes this market into that Redis, which is looked at as `look` says; resolves when it flows. */
  async worker(
    redis: RedisConnectionOptions,
    settings: readonly string[] = [],
    look: RedisConnectionOptions = redis,
  ): Promise<Worker> {
    const worker = await Worker.start(this, redis, settings, look)
    this.#workers.push(worker)
    return worker
  }

  /** Waits until the ledger holds what was made up to now: it is written in pieces. */
  async ledgerHolds(timeMs = Date.now()): Promise<void> {
    await eventually(async () => {
      const { size } = statSync(this.ledgerFile)
      const file = await open(this.ledgerFile)
      try {
        const tail = Buffer.alloc(Math.min(size, 400_000))
        await file.read(tail, 0, tail.length, size - tail.length)
        const lines = tail.toString('utf8').split('\n')
        return lines.some((line) => Number(/^\{"ts":([\d.]+),/.exec(line)?.[1] ?? 0) > timeMs)
      } finally {
        await file.close()
      }
    }, 60_000)
  }

  async close(): Promise<void> {
    for (const worker of this.#workers) await worker.end('SIGKILL')
    await end(this.#process, 'SIGKILL')
    await rm(this.#directory, { recursive: true, force: true })
  }
}

/** `meltica start` as a process, and a look at the Redis it writes to. */
export class Worker {
  readonly redis: RedisConnection
  readonly #market: Market
  readonly #process: ChildProcessWithoutNullStreams
  /** What it said on standard error, the last of it. */
  log = ''

  private constructor(market: Market, child: ChildProcessWithoutNullStreams, redis: RedisConnection) {
    this.#market = market
    this.#process = child
    this.redis = redis
    child.stdout.resume()
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.log = (this.log + text).slice(-LOG_CHARACTERS_MAX)
    })
  }

  static async start(
    market: Market,
    redis: RedisConnectionOptions,
    settings: readonly string[],
    look: RedisConnectionOptions,
  ): Promise<Worker> {
    const sets = [
      `redis.mode=${redis.mode}`,
      `redis.url=${redis.url ?? 'null'}`,
      `redis.nodes=${redis.nodes.join(',')}`,
      `redis.sentinelName=${redis.sentinelName ?? 'null'}`,
      'roles=ingest',
      'telemetry.listen=127.0.0.1:0',
      'telemetry.logFormat=json',
      `venues.binance.streamUrl=${market.addresses.ws}`,
      `venues.binance.restUrl=${market.addresses.rest}`,
      ...settings,
    ]
      .filter((setting) => !setting.endsWith('='))
      .flatMap((setting) => ['--set', setting])
    const child = startMeltica(['start', '--json', '--retention', 'none', ...sets])
    const connection = new RedisConnection({ ...look, commandTimeoutMs: 2_000 }, 'command')
    const worker = new Worker(market, child, connection)
    try {
      await connection.ready()
      await worker.flowing()
    } catch (error) {
      await worker.end('SIGKILL')
      throw new Error(`expected the worker to flow, found ${worker.log.slice(-4_000)}`, { cause: error })
    }
    return worker
  }

  /** Every stream of the catalog: key by name. */
  async streams(): Promise<Map<string, string>> {
    const entries = await readCatalog(this.redis, keys)
    return new Map(entries.map(({ name, stream }) => [name, stream]))
  }

  /** Waits until quote and book streams of this market have entries younger than `sinceMs`; the same of every partition. */
  async flowing(sinceMs = 0, timeoutMs = 60_000): Promise<void> {
    await eventually(async () => {
      try {
        const streams = [...(await this.streams())].filter(([name]) => /:(QUOTE|ORDERBOOK)$/.test(name))
        if (streams.length === 0) return false
        const newest = await Promise.all(streams.map(([, stream]) => this.newestMs(stream)))
        return newest.every((ms) => ms > sinceMs)
      } catch {
        return false
      }
    }, timeoutMs)
  }

  /** Waits until its streams hold so many entries more; while Redis is away it is asked again. */
  async grown(entries: number): Promise<void> {
    const count = async (): Promise<number | null> => {
      try {
        const streams = [...(await this.streams()).values()]
        const lengths = await Promise.all(streams.map((stream) => this.redis.send('xlen', [stream])))
        return lengths.reduce<number>((sum, length) => sum + Number(length), 0)
      } catch {
        return null
      }
    }
    const before = await eventually(count, 60_000)
    await eventually(async () => ((await count()) ?? 0) >= before + entries, 60_000)
  }

  /** Milliseconds part of the newest entry, 0: none. */
  async newestMs(stream: string): Promise<number> {
    const [newest] = (await this.redis.send('xrevrange', [stream, '+', '-', 'COUNT', 1])) as [string][]
    return newest === undefined ? 0 : Number.parseInt(newest[0], 10)
  }

  /** Waits until no range of a gap ledger is open any more. */
  async healed(timeoutMs = 60_000): Promise<void> {
    await eventually(async () => {
      try {
        for (const stream of (await this.streams()).values()) {
          for (const member of (await this.redis.send('zrange', [`${stream}:gaps`, 0, -1])) as string[]) {
            const { filledAt, how } = JSON.parse(member) as { filledAt: number | null; how: string | null }
            if (filledAt === null && how === null) return false
          }
        }
        return true
      } catch {
        return false
      }
    }, timeoutMs)
  }

  /** GAP entries: how many of each cause, by channel. */
  async gaps(): Promise<Record<string, number>> {
    const found: Record<string, number> = {}
    for (const [name, stream] of await this.streams()) {
      for (const [, fields] of (await this.redis.send('xrange', [stream, '-', '+'])) as [string, string[]][]) {
        if (!fields[3]?.endsWith('.GAP')) continue
        const { cause } = JSON.parse(fields.at(-1) ?? '{}') as { cause: string }
        const kind = `${name.slice(name.lastIndexOf(':') + 1)} ${cause}`
        found[kind] = (found[kind] ?? 0) + 1
      }
    }
    return found
  }

  /** Resident memory, bytes. */
  async residentBytes(): Promise<number> {
    const status = await readFile(`/proc/${this.#process.pid}/status`, 'utf8')
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024
  }

  /** Lines of its log of this kind. */
  told(kind: string): string[] {
    return this.log.split('\n').filter((line) => line.includes(`"${kind}"`))
  }

  /** Ends it cleanly and compares what stands in its Redis with the ledger, as `meltica verify --ledger` does. */
  async verify(): Promise<CheckResult> {
    await this.end('SIGTERM')
    await this.#market.ledgerHolds()
    const streams = await this.streams()
    const reader = new StreamReader(this.redis)
    return checkStreams(
      {
        channels: async () => [...streams.keys()],
        entries: async function* (channel, pageEntries) {
          const stream = streams.get(channel) ?? ''
          for (let from = '-'; ; ) {
            const records = await reader.range(stream, from, '+', pageEntries)
            for (const { id, fields } of records) yield { id, fields: Object.entries(fields).flat() }
            const last = records.at(-1)
            if (last === undefined || records.length < pageEntries) return
            from = `(${last.id}`
          }
        },
        gapLedger: async (channel) =>
          (await this.redis.send('zrange', [`${streams.get(channel)}:gaps`, 0, -1])) as string[],
      },
      linesOf(this.#market.ledgerFile),
    )
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    await end(this.#process, signal)
    if (signal === 'SIGKILL') this.redis.close()
  }
}

/** Opened when the first line is asked for: an interface that is not read yet loses what it read. */
async function* linesOf(file: string): AsyncGenerator<string> {
  yield* createInterface({ input: createReadStream(file) })
}

async function end(child: ChildProcessWithoutNullStreams, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const closed = once(child, 'close')
  child.kill(signal)
  const timer = setTimeout(() => child.kill('SIGKILL'), END_MS_MAX)
  await closed
  clearTimeout(timer)
}
