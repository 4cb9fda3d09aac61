import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { UnavailableError, UsageError } from '../errors.ts'
import { type Clock, SystemClock } from '../lib/clock.ts'
import { FaultEngine } from './fault-engine.ts'
import { type Fault, parseFault } from './faults.ts'
import { VenueRestDesk } from './rest.ts'
import type { MarketSource, RestAnswer } from './source.ts'
import { type VenueRules, VenueStreams, venueRules } from './streams.ts'

export interface VenueServerOptions {
  /** 0 takes a free port. */
  readonly port?: number
  readonly host?: string
  readonly rules?: Partial<VenueRules>
  readonly clock?: Clock
  /** What is to go wrong, by the time since the first frame. */
  readonly faults?: readonly Fault[]
  /** For what faults do by chance. */
  readonly seed?: number
}

const URL_BYTES_MAX = 256 * 1024

/**
 * A venue that speaks Binance's stream and REST protocol on a local port around a source of market data. It keeps the
 * venue's limits as the venue does: by refusing, and by cutting the line.
 */
export class VenueServer {
  readonly #source: MarketSource
  readonly #options: VenueServerOptions
  readonly #streams: VenueStreams
  readonly #desk: VenueRestDesk
  readonly #http: Server
  readonly #faults: FaultEngine
  #framesEmitted = 0
  #closed = false

  constructor(source: MarketSource, options: VenueServerOptions = {}) {
    const clock = options.clock ?? new SystemClock()
    this.#source = source
    this.#options = options
    this.#faults = new FaultEngine(clock, options.seed ?? 1, (record) => source.faultApplied?.(record))
    this.#faults.plan(options.faults ?? [])
    const rules = { ...venueRules, ...options.rules }
    this.#streams = new VenueStreams(rules, clock, this.#faults, (streams) => source.subscribed(streams))
    this.#faults.attach(this.#streams)
    this.#desk = new VenueRestDesk(source, clock, this.#faults, (method, path, body) => this.#own(method, path, body))
    this.#http = createServer({ maxHeaderSize: URL_BYTES_MAX }, (request, response) => {
      void this.#desk.serve(request, response)
    })
    this.#http.on('upgrade', (request, socket, head) => this.#streams.upgrade(request, socket, head))
  }

  /** Opens the port and lets the source begin. Throws: UnavailableError where the port cannot be had. */
  async listen(): Promise<{ readonly ws: string; readonly rest: string }> {
    const { host = '127.0.0.1', port = 0 } = this.#options
    await new Promise<void>((resolve, reject) => {
      this.#http.once('error', (cause: NodeJS.ErrnoException) => {
        const found = cause.code === 'EADDRINUSE' ? 'the port is taken' : cause.message
        reject(new UnavailableError(`expected to listen on ${host}:${port}, but ${found}`, { cause }))
      })
      this.#http.listen(port, host, resolve)
    })
    this.#source.start(
      (stream, data, combined) => this.#emit(stream, data, combined),
      () => this.#streams.drained(),
    )
    this.#source.done.then(
      () => this.#faults.release(),
      // Whoever holds the source's `done` is told of its failure.
      () => {},
    )
    const address = this.#http.address() as AddressInfo
    // One who listens everywhere is reached here.
    const shown = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
    return { ws: `ws://${shown}:${address.port}`, rest: `http://${shown}:${address.port}` }
  }

  #emit(stream: string, data: string, combined: string | undefined): boolean {
    this.#framesEmitted++
    this.#faults.frame(stream, data, combined)
    return !this.#streams.congested
  }

  #own(method: string, path: string, body: string): RestAnswer | null {
    if (method === 'GET' && path === '/simulator/state') return { status: 200, body: JSON.stringify(this.state()) }
    if (method !== 'POST' || path !== '/simulator/faults') return null
    try {
      return { status: 200, body: JSON.stringify({ id: this.#faults.tell(parseFault(body)) }) }
    } catch (cause) {
      if (!(cause instanceof UsageError)) throw cause
      return { status: 400, body: JSON.stringify({ error: cause.message }) }
    }
  }

  state(): Record<string, unknown> {
    const { faults, askedWhileRefused } = this.#faults.state()
    return {
      connections: [...this.#streams.connections].map((connection) => connection.state()),
      streams: [...this.#streams.subscribedStreams].sort(),
      frames: { emitted: this.#framesEmitted, sent: this.#streams.framesSent },
      requests: Object.fromEntries(this.#desk.requests),
      weight: { used: this.#desk.weights.used, max: this.#desk.weights.weightMax },
      violations: { ...this.#streams.violations, ...this.#desk.weights.violations, askedWhileRefused },
      faults,
      source: this.#source.state(),
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#faults.close()
    await this.#source.close()
    this.#streams.close()
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()))
    this.#http.closeAllConnections()
    await closed
  }
}
