import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import WebSocket from 'ws'
import { openReplay, type ReplayOptions } from '../../src/simulator/replay.ts'
import { type Simulator, type SimulatorOptions, startSimulator } from '../../src/simulator/simulator.ts'
import type { Emit, FaultRecord, MarketSource, RestAnswer } from '../../src/simulator/source.ts'
import { type CaptureLine, writeCapture } from '../support/capture.ts'

/** A plain client of the simulated venue, captures made by code, and what a test opened and has to close. */

const cleanups: (() => unknown)[] = []

/** Closes everything that helpers of this file opened, last first. */
export async function closeAll(): Promise<void> {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
}

export async function until(condition: () => boolean, timeoutMs = 5000): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs
  while (!condition()) {
    if (performance.now() > deadlineMs)
      throw new Error(`the condition did not hold within ${timeoutMs} ms: ${condition}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

/** Every turn of the event loop that sockets need to hand over what is under way. */
export async function turns(count = 20): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

const URL_ALL = 'wss://stream.binance.com:9443/stream?streams='

/** Lines of a capture in the making: one frame each `stepMs`. */
export class CaptureMaker {
  readonly lines: CaptureLine[] = []
  readonly #named: string
  readonly #stepMs: number
  #ts = 1_700_000_000_000

  constructor(named: readonly string[] = [], stepMs = 10) {
    this.#named = named.join('/')
    this.#stepMs = stepMs
  }

  frame(stream: string, data: object | string, ts: number | null = this.#next()): this {
    const text = typeof data === 'string' ? data : JSON.stringify(data)
    const msg = `{"stream":"${stream}","data":${text}}`
    this.lines.push({ ts, conn: 'ws1', kind: 'ws', url: URL_ALL + this.#named, msg })
    return this
  }

  trades(symbol: string, from: number, to: number): this {
    for (let id = from; id <= to; id++) this.frame(`${symbol}@trade`, trade(symbol, id))
    return this
  }

  depth(symbol: string, last: number): this {
    const url = `https://api.binance.com/api/v3/depth?symbol=${symbol.toUpperCase()}&limit=1000`
    const msg = `{"lastUpdateId":${last},"bids":[["10.00","1.00"]],"asks":[["11.00","1.00"]]}`
    this.lines.push({ ts: this.#next(), conn: 'http1', kind: 'http', url, msg })
    return this
  }

  write(): string {
    const folder = mkdtempSync(join(tmpdir(), 'meltica-capture-'))
    cleanups.push(() => rmSync(folder, { recursive: true, force: true }))
    const file = join(folder, 'made.jsonl.gz')
    writeCapture(file, this.lines)
    return file
  }

  #next(): number {
    this.#ts += this.#stepMs
    return this.#ts
  }
}

export function trade(symbol: string, id: number): object {
  const time = 1_700_000_000_000 + id
  return {
    e: 'trade',
    E: time,
    s: symbol.toUpperCase(),
    t: id,
    p: '10.50',
    q: '0.00250000',
    T: time,
    m: id % 2 === 0,
    M: true,
  }
}

export function delta(symbol: string, first: number, last: number): object {
  return {
    e: 'depthUpdate',
    E: 1_700_000_000_000,
    s: symbol.toUpperCase(),
    U: first,
    u: last,
    b: [['10.00', '2.00']],
    a: [],
  }
}

export async function replayVenue(
  file: string,
  replay: Partial<ReplayOptions> = {},
  options: Partial<SimulatorOptions> = {},
): Promise<Simulator> {
  const source = await openReplay({ file, speed: 'max', ...replay })
  return venue(source, options)
}

export async function venue(source: MarketSource, options: Partial<SimulatorOptions> = {}): Promise<Simulator> {
  const simulator = await startSimulator({ ...options, source })
  cleanups.push(() => simulator.close())
  return simulator
}

/** A source that emits what the test tells it to. */
export class ToldSource implements MarketSource {
  readonly streams = null
  readonly done = new Promise<void>(() => {})
  readonly applied: FaultRecord[] = []
  emit: Emit = () => true
  ready: () => Promise<void> = () => Promise.resolve()
  answer: RestAnswer | null = { status: 200, body: '{}' }
  subscribedStreams: ReadonlySet<string> = new Set()

  subscribed(streams: ReadonlySet<string>): void {
    this.subscribedStreams = streams
  }

  start(emit: Emit, ready: () => Promise<void>): void {
    this.emit = emit
    this.ready = ready
  }

  async rest(): Promise<RestAnswer | null> {
    return this.answer
  }

  faultApplied(record: FaultRecord): void {
    this.applied.push(record)
  }

  state(): Record<string, unknown> {
    return {}
  }

  async close(): Promise<void> {}
}

/** A raw `ws` connection that keeps what it receives. */
export class VenueClient {
  readonly frames: string[] = []
  readonly pings: string[] = []
  readonly socket: WebSocket
  closed: { code: number } | null = null

  constructor(url: string, autoPong = true) {
    this.socket = new WebSocket(url, { perMessageDeflate: false, autoPong })
    this.socket.on('message', (data) => this.frames.push(data.toString()))
    this.socket.on('ping', (payload) => this.pings.push(payload.toString()))
    this.socket.on('close', (code) => {
      this.closed = { code }
    })
    this.socket.on('error', () => {})
    cleanups.push(() => this.socket.terminate())
  }

  static async open(url: string, autoPong = true): Promise<VenueClient> {
    const client = new VenueClient(url, autoPong)
    await new Promise((resolve, reject) => {
      client.socket.once('open', resolve)
      client.socket.once('error', reject)
    })
    return client
  }

  send(message: object | string): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message))
  }

  /** Sends a control message and answers its reply. */
  async ask(message: object | string): Promise<unknown> {
    const before = this.replies.length
    this.send(message)
    await until(() => this.replies.length > before)
    return this.replies[before]
  }

  get replies(): unknown[] {
    return this.frames
      .map((frame) => parse(frame))
      .filter((frame) => frame !== null && !('stream' in frame) && !('e' in frame))
  }

  /** Trade ids in the order of their arrival; the stream may be wrapped or raw. */
  get tradeIds(): number[] {
    const ids: number[] = []
    for (const frame of this.frames) {
      const parsed = parse(frame)
      const data = (parsed?.data ?? parsed) as { t?: unknown } | null
      if (typeof data?.t === 'number') ids.push(data.t)
    }
    return ids
  }
}

function parse(frame: string): Record<string, unknown> | null {
  try {
    return JSON.parse(frame) as Record<string, unknown>
  } catch {
    return null
  }
}

/** Whether a connection attempt is let in; else the status it was refused with (0: the line was dropped). */
export function attempt(url: string): Promise<'open' | number> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url)
    socket.on('open', () => {
      resolve('open')
      socket.terminate()
    })
    socket.on('unexpected-response', (_request, response) => {
      resolve(response.statusCode ?? 0)
      response.destroy()
    })
    socket.on('error', () => resolve(0))
  })
}

export async function get(url: string): Promise<{ status: number; body: unknown; headers: Headers }> {
  const response = await fetch(url)
  const text = await response.text()
  return { status: response.status, body: text === '' ? null : JSON.parse(text), headers: response.headers }
}

export async function post(url: string, body: string): Promise<{ status: number; body: unknown }> {
  const response = await fetch(url, { method: 'POST', body })
  return { status: response.status, body: await response.json() }
}

export const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index)
