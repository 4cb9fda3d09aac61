import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { CheckResult } from '../../src/checker/report.ts'
import { firstLine, meltica, startMeltica } from '../cli/run.ts'
import { eventually, startPrivateRedis, type TestRedis } from './redis.ts'

/**
 * A whole system for one test: a private Redis, the generated market as a process with its ledger, and a worker that can
 * be killed and started again. Everything between them is real: sockets, protocol, processes, signals.
 */
export interface ScenarioOptions {
  readonly instruments: number
  readonly seed: number
  /** Orders a second over all instruments; about as many events follow. */
  readonly rate: number
  /** Lines of a fault file, `at` counted from the first frame. */
  readonly faults?: readonly object[]
  /** More settings of the worker, `path=value`. */
  readonly settings?: readonly string[]
}

export interface SimulatorState {
  readonly connections: readonly { readonly id: number; readonly streams: number }[]
  readonly violations: Readonly<Record<string, number>>
  readonly weight: { readonly used: number; readonly max: number }
  readonly requests: Readonly<Record<string, number>>
  readonly faults: readonly { readonly id: number; readonly stage: string; readonly applied: number }[]
}

/** A channel that stood still at the end although its market went on. */
export interface Stalled {
  readonly channel: string
  readonly behindMs: number
}

const SETTLE_MS = 20_000
/** Three processes start on a machine that may be busy. */
const START_MS_MAX = 60_000
/** Updates of a bar or of statistics come every 2 s at most; more than this behind the ledger stands still. */
const BEHIND_MS_MAX = 4_000
const LIVE_FEEDS: Readonly<Record<string, string>> = {
  trade: 'TRADE',
  bookTicker: 'QUOTE',
  'depth@100ms': 'ORDERBOOK',
  ticker: 'TICKER',
  kline_1m: 'KLINE',
}

export class Scenario {
  readonly redis: TestRedis
  readonly ledgerFile: string
  readonly #directory: string
  readonly #simulator: ChildProcessWithoutNullStreams
  readonly #addresses: { readonly ws: string; readonly rest: string }
  readonly #settings: readonly string[]
  #worker: ChildProcessWithoutNullStreams | null = null
  /** What the workers said on standard error, the last of it. */
  log = ''

  private constructor(
    redis: TestRedis,
    directory: string,
    simulator: ChildProcessWithoutNullStreams,
    addresses: { readonly ws: string; readonly rest: string },
    settings: readonly string[],
  ) {
    this.redis = redis
    this.#directory = directory
    this.ledgerFile = join(directory, 'ledger.jsonl')
    this.#simulator = simulator
    this.#addresses = addresses
    this.#settings = settings
  }

  /** Starts Redis, the market and the first worker; resolves when its streams flow. */
  static async start(options: ScenarioOptions): Promise<Scenario> {
    const redis = await startPrivateRedis()
    const directory = await mkdtemp(join(tmpdir(), 'meltica-scenario-'))
    const faultsFile = join(directory, 'faults.jsonl')
    await writeFile(faultsFile, (options.faults ?? []).map((fault) => `${JSON.stringify(fault)}\n`).join(''))
    const { instruments, seed, rate } = options
    const market = ['--instruments', `${instruments}`, '--seed', `${seed}`, '--rate', `${rate}`]
    const files = ['--ledger', join(directory, 'ledger.jsonl'), '--faults', faultsFile]
    const simulator = startMeltica(['simulate', ...market, ...files])
    const addresses = JSON.parse(await firstLine(simulator)) as { ws: string; rest: string }
    simulator.stdout.resume()
    const scenario = new Scenario(redis, directory, simulator, addresses, options.settings ?? [])
    simulator.stderr.setEncoding('utf8').on('data', (text: string) => scenario.#keep(`simulator: ${text}`))
    scenario.startWorker()
    try {
      await scenario.flowing()
    } catch (cause) {
      await scenario.close()
      throw new Error(`expected a worker whose streams flow, found: ${scenario.log.slice(-2_000)}`, { cause })
    }
    return scenario
  }

  startWorker(): void {
    const { ws, rest } = this.#addresses
    const settings = [
      'telemetry.listen=127.0.0.1:0',
      `venues.binance.streamUrl=${ws}`,
      `venues.binance.restUrl=${rest}`,
      ...this.#settings,
    ]
    const sets = settings.flatMap((setting) => ['--set', setting])
    const worker = startMeltica(['start', '--json', '--redis', this.redis.url, '--retention', 'none', ...sets])
    worker.stdout.resume()
    worker.stderr.setEncoding('utf8').on('data', (text: string) => this.#keep(text))
    this.#worker = worker
  }

  /** Ends the worker as `kill -9` does and waits until it is gone. */
  async killWorker(): Promise<void> {
    await this.#endWorker('SIGKILL')
  }

  /** Resident memory of the worker. */
  async workerBytes(): Promise<number> {
    const { readFile } = await import('node:fs/promises')
    const status = await readFile(`/proc/${this.#worker?.pid}/status`, 'utf8')
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024
  }

  /** How often the workers said that they renew a connection for this reason, as far as their words are kept. */
  renewals(reason: string): number {
    return this.log.split(`"reason":"${reason}","message":"renewing a connection"`).length - 1
  }

  async fault(fault: object): Promise<void> {
    const response = await fetch(`${this.#addresses.rest}/simulator/faults`, {
      method: 'POST',
      body: JSON.stringify(fault),
    })
    if (!response.ok) throw new Error(`expected the fault to be taken, found ${await response.text()}`)
  }

  async state(): Promise<SimulatorState> {
    const response = await fetch(`${this.#addresses.rest}/simulator/state`)
    return (await response.json()) as SimulatorState
  }

  /** Waits until every channel of the market that the worker subscribes to has an entry. */
  async flowing(channelsMin = 3, timeoutMs = START_MS_MAX): Promise<void> {
    await eventually(async () => (await this.redis.client.hlen('meltica:catalog')) >= channelsMin, timeoutMs)
  }

  /** Open ranges of every gap ledger, by channel. */
  async openGaps(): Promise<Map<string, number>> {
    const open = new Map<string, number>()
    for (const [name, stream] of Object.entries(await this.redis.client.hgetall('meltica:catalog'))) {
      const members = await this.redis.client.zrange(`${stream}:gaps`, 0, -1)
      const count = members.filter((text) => {
        const { filledAt, how } = JSON.parse(text) as { filledAt: number | null; how: string | null }
        return filledAt === null && how === null
      }).length
      if (count > 0) open.set(name, count)
    }
    return open
  }

  /** Waits until no range of any gap ledger is open any more; answers those that stay open after `timeoutMs`. */
  async healed(timeoutMs = SETTLE_MS): Promise<Map<string, number>> {
    const deadlineMs = performance.now() + timeoutMs
    for (;;) {
      const open = await this.openGaps()
      if (open.size === 0 || performance.now() > deadlineMs) return open
      await new Promise((resolve) => setTimeout(resolve, 250))
    }
  }

  /** GAP entries by channel. */
  async gaps(channel: string): Promise<{ readonly name: string; readonly data: Record<string, unknown> }[]> {
    const found = []
    for (const [name, stream] of Object.entries(await this.redis.client.hgetall('meltica:catalog'))) {
      if (!name.endsWith(`:${channel}`)) continue
      for (const [, fields] of await this.redis.client.xrange(stream, '-', '+')) {
        if (fields[3]?.endsWith('.GAP')) found.push({ name, data: JSON.parse(fields.at(-1) ?? '{}') })
      }
    }
    return found
  }

  /** Waits until every channel of these has an entry younger than `sinceMs`. */
  async flowingSince(sinceMs: number, channels: readonly (readonly [string, string])[], timeoutMs = START_MS_MAX) {
    await eventually(async () => {
      for (const [instrument, channel] of channels) {
        if ((await this.newestMs(instrument, channel)) <= sinceMs) return false
      }
      return true
    }, timeoutMs)
  }

  /** Milliseconds part of the newest entry of a channel, 0: none. */
  async newestMs(instrument: string, channel: string): Promise<number> {
    const stream = await this.redis.client.hget('meltica:catalog', `BINANCE-SPOT:${instrument}:${channel}`)
    if (stream === null) return 0
    const [newest] = await this.redis.client.xrevrange(stream, '+', '-', 'COUNT', 1)
    return newest ? Number.parseInt(newest[0], 10) : 0
  }

  /** Ends worker and market cleanly, then compares what stands in Redis with the ledger. */
  async verify(): Promise<{ readonly result: CheckResult; readonly stalled: readonly Stalled[] }> {
    await this.#endWorker('SIGTERM')
    const endedMs = Date.now()
    await end(this.#simulator, 'SIGTERM')
    const { out, err } = await meltica(['verify', '--ledger', this.ledgerFile, '--redis', this.redis.url, '--json'])
    if (out.trim() === '') throw new Error(`expected a result of verify, found ${err}`)
    return { result: JSON.parse(out) as CheckResult, stalled: await this.#stalled(endedMs) }
  }

  async close(): Promise<void> {
    for (const child of [this.#worker, this.#simulator]) if (child) await end(child, 'SIGKILL')
    await this.redis.stop()
    await rm(this.#directory, { recursive: true, force: true })
  }

  async #endWorker(signal: NodeJS.Signals): Promise<void> {
    const worker = this.#worker
    this.#worker = null
    if (worker) await end(worker, signal)
  }

  /** The checker cannot see what is missing behind the last entry of a stream; the time between can be seen. */
  async #stalled(endedMs: number): Promise<Stalled[]> {
    const newest = new Map<string, number>()
    for await (const line of createInterface({ input: createReadStream(this.ledgerFile) })) {
      const found = /^\{"ts":([\d.]+),.*?\\"stream\\":\\"(\w+)@([\w@]+)\\"/.exec(line.slice(0, 300))
      if (found === null || Number(found[1]) > endedMs) continue
      const channel = LIVE_FEEDS[found[3] as string]
      if (channel) newest.set(`${found[2]?.toUpperCase()}:${channel}`, Number(found[1]))
    }
    const stalled: Stalled[] = []
    for (const [name, stream] of Object.entries(await this.redis.client.hgetall('meltica:catalog'))) {
      const [, instrument = '', channel = ''] = name.split(':')
      const inLedgerMs = newest.get(`${instrument.replaceAll('-', '')}:${channel}`) ?? 0
      const [entry] = await this.redis.client.xrevrange(stream, '+', '-', 'COUNT', 1)
      const behindMs = inLedgerMs - (entry ? Number.parseInt(entry[0], 10) : 0)
      if (behindMs > BEHIND_MS_MAX) stalled.push({ channel: name, behindMs: Math.round(behindMs) })
    }
    return stalled
  }

  #keep(text: string): void {
    this.log = (this.log + text).slice(-LOG_CHARACTERS_MAX)
  }
}

const LOG_CHARACTERS_MAX = 200_000
const END_MS_MAX = 8_000

async function end(child: ChildProcessWithoutNullStreams, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const closed = once(child, 'close')
  child.kill(signal)
  const timer = setTimeout(() => child.kill('SIGKILL'), END_MS_MAX)
  await closed
  clearTimeout(timer)
}
