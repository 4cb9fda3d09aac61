import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, rename, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { CheckResult } from '../../src/checker/report.ts'
import { firstLine, meltica, startMeltica } from '../cli/run.ts'
import { TcpProxy } from '../support/proxy.ts'
import { eventually, startPrivateRedis, type TestRedis } from '../support/redis.ts'
import { judgeFused } from './fused.ts'
import { GATEWAY_TOKENS } from './operators.ts'

export interface SystemOptions {
  readonly seed: number
  readonly instruments: number
  /** Orders a second over all instruments. */
  readonly rate: number
  readonly partitions: number
  /** The file of Redis only grows, so that a copy of it is what stood there at one moment; else Redis rewrites it when long. */
  readonly growingFile: boolean
  /** Processes of each role. */
  readonly roles: Readonly<Record<string, number>>
}

const START_MS_MAX = 120_000
const END_MS_MAX = 8_000
const LOG_CHARACTERS_MAX = 400_000
/** After half an hour a gigabyte is read before Redis answers. */
const REDIS_READY_MS_MAX = 180_000

/**
 * The whole of Meltica as processes: the simulated venue with its ledger, a Redis that keeps its data, and every role as
 * often as asked for. Redis and the venue are reached through proxies, which can be late, silent or cut.
 */
export class System {
  readonly #options: SystemOptions
  readonly #directory: string
  #redis: TestRedis
  readonly #simulator: ChildProcessWithoutNullStreams
  readonly redisProxy: TcpProxy
  readonly venueProxy: TcpProxy
  readonly #venueAddress: string
  readonly #processes = new Map<string, ChildProcessWithoutNullStreams>()
  readonly #gatewayPorts = new Map<string, number>()
  /** What the processes said, the last of it. */
  log = ''

  private constructor(
    options: SystemOptions,
    directory: string,
    redis: TestRedis,
    simulator: ChildProcessWithoutNullStreams,
    venueAddress: string,
    proxies: { readonly redis: TcpProxy; readonly venue: TcpProxy },
  ) {
    this.#options = options
    this.#directory = directory
    this.#redis = redis
    this.#simulator = simulator
    this.#venueAddress = venueAddress
    this.redisProxy = proxies.redis
    this.venueProxy = proxies.venue
  }

  static async open(options: SystemOptions): Promise<System> {
    const directory = await mkdtemp(join(tmpdir(), 'meltica-chaos-'))
    const redis = await startPrivateRedis(launchOptions(directory, options))
    const { instruments, seed, rate } = options
    const market = ['--instruments', `${instruments}`, '--seed', `${seed}`, '--rate', `${rate}`]
    const simulator = startMeltica(['simulate', ...market, '--ledger', join(directory, 'ledger.jsonl')])
    const { rest } = JSON.parse(await firstLine(simulator)) as { rest: string }
    simulator.stdout.resume()
    simulator.stderr.resume()
    const proxies = { redis: await TcpProxy.open(redis.port), venue: await TcpProxy.open(Number(new URL(rest).port)) }
    const system = new System(options, directory, redis, simulator, rest, proxies)
    for (const name of system.names) {
      if (name.startsWith('gateway')) system.#gatewayPorts.set(name, await freePort())
      system.start(name)
    }
    try {
      await eventually(async () => (await system.streams('TRADE')).length === instruments, START_MS_MAX)
    } catch (cause) {
      await system.close()
      throw new Error(`expected trades of ${instruments} instruments, found: ${system.log.slice(-3_000)}`, { cause })
    }
    return system
  }

  get names(): string[] {
    return Object.entries(this.#options.roles).flatMap(([role, count]) =>
      Array.from({ length: count }, (_, index) => `${role}-${index + 1}`),
    )
  }

  /** Where Redis is, past the proxy. */
  get redisUrl(): string {
    return this.#redis.url
  }

  get gateways(): string[] {
    return [...this.#gatewayPorts.values()].map((port) => `http://127.0.0.1:${port}`)
  }

  start(name: string): void {
    const settings = [
      ...[`worker.id=${name}`, `roles=${name.replace(/-\d+$/, '')}`, `partitions=${this.#options.partitions}`],
      ...[
        'telemetry.listen=off',
        'telemetry.logFormat=json',
        'cluster.handoverMs=2000',
        'venues.binance.depthLimit=100',
      ],
      `venues.binance.streamUrl=ws://127.0.0.1:${this.venueProxy.port}`,
      `venues.binance.restUrl=http://127.0.0.1:${this.venueProxy.port}`,
      ...(name.startsWith('gateway')
        ? [`gateway.listen=127.0.0.1:${this.#gatewayPorts.get(name)}`, `gateway.tokens=${GATEWAY_TOKENS}`]
        : []),
    ]
    const where = ['--redis', `redis://127.0.0.1:${this.redisProxy.port}`, '--retention', 'none', '--json']
    const child = startMeltica(['start', ...where, ...settings.flatMap((setting) => ['--set', setting])])
    child.stdout.resume()
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.log = (this.log + text).slice(-LOG_CHARACTERS_MAX)
    })
    this.#processes.set(name, child)
  }

  signal(name: string, signal: NodeJS.Signals): void {
    this.#processes.get(name)?.kill(signal)
  }

  async end(name: string, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#processes.get(name)
    this.#processes.delete(name)
    if (child !== undefined) await end(child, signal)
  }

  async killRedis(): Promise<void> {
    await this.#redis.kill()
  }

  async startRedis(): Promise<void> {
    const port = Number(new URL(this.redisUrl).port)
    this.#redis = await startPrivateRedis({ ...launchOptions(this.#directory, this.#options), port })
  }

  /** Kills Redis and starts one that lacks what it took in the last `behindMs`. */
  async restartRedisBehind(behindMs: number, downMs: number): Promise<void> {
    const [file, copy] = [join(this.#directory, 'redis', 'appendonlydir'), join(this.#directory, 'replica')]
    await cp(file, copy, { recursive: true })
    await delay(behindMs)
    await this.killRedis()
    await rm(file, { recursive: true })
    await rename(copy, file)
    await delay(downMs)
    await this.startRedis()
  }

  judgeFused(bookStream: string): Promise<string[]> {
    return judgeFused(this.#redis.client, bookStream)
  }

  async venueFault(fault: object): Promise<void> {
    const response = await fetch(`${this.#venueAddress}/simulator/faults`, {
      method: 'POST',
      body: JSON.stringify(fault),
    })
    if (!response.ok) throw new Error(`expected the fault to be taken, found ${await response.text()}`)
  }

  /** Keys of the streams of a channel. */
  /** In the order of their names: the catalog has them in the order in which they came, and a seed is to plan the same harms. */
  async streams(channel: string): Promise<string[]> {
    const catalog = Object.entries(await this.#redis.client.hgetall('meltica:catalog'))
    return catalog
      .filter(([name]) => name.endsWith(`:${channel}`))
      .map(([, stream]) => stream)
      .sort()
  }

  /** The key of every entry of a stream. */
  async keysOf(stream: string): Promise<string[]> {
    return (await this.#redis.client.xrange(stream, '-', '+')).map(([, fields]) => fields[13] ?? '')
  }

  /** Waits until no range of a TRADE or ORDERBOOK ledger is open any more; answers how many stay open. */
  async healed(timeoutMs: number): Promise<number> {
    let open = 0
    const look = async (): Promise<boolean> => {
      open = 0
      for (const stream of Object.values(await this.#redis.client.hgetall('meltica:catalog'))) {
        for (const text of await this.#redis.client.zrange(`${stream}:gaps`, 0, -1)) {
          const { filledAt, how } = JSON.parse(text) as { filledAt: number | null; how: string | null }
          if (filledAt === null && how === null) open += 1
        }
      }
      return open === 0
    }
    await eventually(look, timeoutMs).catch(() => undefined)
    return open
  }

  /** Ends every process, then compares what stands in Redis with the ledger. */
  async verify(): Promise<CheckResult> {
    await Promise.all([...this.#processes.keys()].map((name) => this.end(name, 'SIGTERM')))
    await end(this.#simulator, 'SIGTERM')
    const where = ['--redis', this.redisUrl, '--set', `partitions=${this.#options.partitions}`]
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
    for (const child of [...this.#processes.values(), this.#simulator]) await end(child, 'SIGKILL')
    await Promise.all([this.redisProxy.close(), this.venueProxy.close()])
    await this.#redis.stop()
    await rm(this.#directory, { recursive: true, force: true })
  }
}

async function end(child: ChildProcessWithoutNullStreams, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const closed = once(child, 'close')
  child.kill(signal)
  child.kill('SIGCONT')
  const timer = setTimeout(() => child.kill('SIGKILL'), END_MS_MAX)
  await closed
  clearTimeout(timer)
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

function launchOptions(directory: string, { growingFile }: SystemOptions) {
  const extraArguments = growingFile ? ['--auto-aof-rewrite-percentage', '0'] : []
  return {
    ...{ directory: join(directory, 'redis'), appendOnly: true },
    ...{ readyTimeoutMs: REDIS_READY_MS_MAX, extraArguments },
  }
}
