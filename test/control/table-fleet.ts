import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { firstLine, startMeltica } from '../cli/run.ts'
import { eventually, startPrivateRedis, type TestRedis } from '../support/redis.ts'

export interface TableFleetOptions {
  readonly instruments: number
  /** Orders a second over all instruments. */
  readonly rate: number
  readonly seed: number
  readonly settings?: readonly string[]
  /** More options of the simulated venue. */
  readonly venue?: readonly string[]
}

export interface VenueState {
  readonly streams: readonly string[]
  readonly violations: Readonly<Record<string, number>>
}

const END_MS_MAX = 8_000
const LOG_CHARACTERS_MAX = 50_000

/** A private Redis, a simulated venue, and any number of processes of Meltica that follow one dispatch table. */
export class TableFleet {
  readonly redis: TestRedis
  readonly #options: TableFleetOptions
  readonly #venue: ChildProcessWithoutNullStreams
  readonly #addresses: { readonly ws: string; readonly rest: string }
  readonly #processes = new Map<string, ChildProcessWithoutNullStreams>()
  readonly #startedUs = new Map<string, number>()
  /** What the processes said, the last of it. */
  log = ''

  private constructor(
    redis: TestRedis,
    options: TableFleetOptions,
    venue: ChildProcessWithoutNullStreams,
    addresses: { readonly ws: string; readonly rest: string },
  ) {
    this.redis = redis
    this.#options = options
    this.#venue = venue
    this.#addresses = addresses
  }

  static async open(options: TableFleetOptions): Promise<TableFleet> {
    const redis = await startPrivateRedis()
    const { instruments, rate, seed } = options
    const market = [
      '--instruments',
      `${instruments}`,
      '--seed',
      `${seed}`,
      '--rate',
      `${rate}`,
      ...(options.venue ?? []),
    ]
    const venue = startMeltica(['simulate', ...market])
    const addresses = JSON.parse(await firstLine(venue)) as { ws: string; rest: string }
    venue.stdout.resume()
    venue.stderr.resume()
    return new TableFleet(redis, options, venue, addresses)
  }

  /** Starts a process; `roles` for example `ingest` or `gateway`. */
  start(id: string, roles: string, settings: readonly string[] = []): void {
    const { ws, rest } = this.#addresses
    const all = [
      ...[`worker.id=${id}`, `roles=[${roles}]`, 'telemetry.listen=127.0.0.1:0', 'telemetry.logFormat=json'],
      ...[`venues.binance.streamUrl=${ws}`, `venues.binance.restUrl=${rest}`],
      ...(this.#options.settings ?? []),
      ...settings,
    ]
    const child = startMeltica(['start', '--json', '--redis', this.redis.url, ...all.flatMap((one) => ['--set', one])])
    child.stdout.resume()
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.log = (this.log + text).slice(-LOG_CHARACTERS_MAX)
    })
    this.#processes.set(id, child)
    this.#startedUs.set(id, Date.now() * 1_000)
  }

  /** Starts a gateway on a free port; answers its address once it serves. */
  async startGateway(id: string): Promise<string> {
    const probe = createServer().listen(0, '127.0.0.1')
    await once(probe, 'listening')
    const { port } = probe.address() as AddressInfo
    await new Promise((resolve) => probe.close(resolve))
    this.start(id, 'gateway', [`gateway.listen=127.0.0.1:${port}`])
    const url = `http://127.0.0.1:${port}`
    await eventually(async () => (await fetch(`${url}/livez`).catch(() => null))?.ok, 60_000)
    return url
  }

  /** Waits until these, in their present lives, are active members of the role ingest that own partitions. */
  async settled(...ids: string[]): Promise<void> {
    await eventually(async () => {
      const hash = await this.redis.client.hgetall('meltica:{cluster}:ingest:members')
      return ids.every((id) => {
        const [, started] = (hash[id] ?? '').split(' ')
        return Number(started) >= (this.#startedUs.get(id) ?? 0) && / active .*"owns":"[0-9]/.test(hash[id] ?? '')
      })
    }, 60_000)
  }

  /** Address of the venue's REST. */
  get rest(): string {
    return this.#addresses.rest
  }

  async venueState(): Promise<VenueState> {
    const response = await fetch(`${this.#addresses.rest}/simulator/state`)
    return (await response.json()) as VenueState
  }

  /** Sends the signal and waits for the end; answers the exit code, null: killed. */
  async end(id: string, signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    const child = this.#processes.get(id)
    if (child === undefined) throw new Error(`expected a process ${id}, found none`)
    this.#processes.delete(id)
    return end(child, signal)
  }

  /** Resolves with the exit code when the process has ended by itself. */
  async ended(id: string): Promise<number | null> {
    const child = this.#processes.get(id)
    if (child === undefined) throw new Error(`expected a process ${id}, found none`)
    if (child.exitCode === null && child.signalCode === null) await once(child, 'close')
    return child.exitCode
  }

  async close(): Promise<void> {
    await Promise.all([...this.#processes.values(), this.#venue].map((child) => end(child, 'SIGKILL')))
    await this.redis.stop()
  }
}

async function end(child: ChildProcessWithoutNullStreams, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
  const closed = once(child, 'close')
  child.kill(signal)
  const timer = setTimeout(() => child.kill('SIGKILL'), END_MS_MAX)
  const [code] = (await closed) as [number | null]
  clearTimeout(timer)
  return code
}
