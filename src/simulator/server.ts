import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { UnavailableError } from '../errors.ts'
import { type Clock, SystemClock } from '../lib/clock.ts'
import { type RestFaults, VenueRestDesk } from './rest.ts'
import type { MarketSource, RestAnswer } from './source.ts'
import { type StreamFaults, type VenueRules, VenueStreams, venueRules } from './streams.ts'

export interface VenueServerOptions {
  /** 0 takes a free port. */
  readonly port?: number
  readonly host?: string
  readonly rules?: Partial<VenueRules>
  readonly clock?: Clock
}

const URL_BYTES_MAX = 256 * 1024

const noFaults: StreamFaults & RestFaults = {
  refusal: () => null,
  silences: () => false,
  answer: (_path, _query, ask) => ask(),
}

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
  #framesEmitted = 0
  #closed = false

  constructor(source: MarketSource, options: VenueServerOptions = {}) {
    const clock = options.clock ?? new SystemClock()
    this.#source = source
    this.#options = options
    this.#streams = new VenueStreams({ ...venueRules, ...options.rules }, clock, noFaults, (streams) =>
      source.subscribed(streams),
    )
    this.#desk = new VenueRestDesk(source, clock, noFaults, (method, path) => this.#own(method, path))
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
    const address = this.#http.address() as AddressInfo
    return { ws: `ws://${host}:${address.port}`, rest: `http://${host}:${address.port}` }
  }

  #emit(stream: string, data: string, combined: string | undefined): boolean {
    this.#framesEmitted++
    this.#streams.deliver(stream, data, combined)
    return !this.#streams.congested
  }

  #own(method: string, path: string): RestAnswer | null {
    if (method === 'GET' && path === '/simulator/state') return { status: 200, body: JSON.stringify(this.state()) }
    return null
  }

  state(): Record<string, unknown> {
    return {
      connections: [...this.#streams.connections].map((connection) => connection.state()),
      streams: [...this.#streams.subscribedStreams].sort(),
      frames: { emitted: this.#framesEmitted, sent: this.#streams.framesSent },
      requests: Object.fromEntries(this.#desk.requests),
      weight: { used: this.#desk.weights.used, max: this.#desk.weights.weightMax },
      violations: { ...this.#streams.violations, ...this.#desk.weights.violations },
      source: this.#source.state(),
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#source.close()
    this.#streams.close()
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()))
    this.#http.closeAllConnections()
    await closed
  }
}
