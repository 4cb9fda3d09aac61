import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type RawData, type WebSocket, WebSocketServer } from 'ws'
import type { Clock } from '../lib/clock.ts'
import { VenueConnection } from './connection.ts'
import { type ControlMessage, type ErrorShape, error, errorText, parseControl, resultText } from './control-messages.ts'

/** Binance's rules for connections (VENUES B2), each of them scalable for a test. */
export const venueRules = {
  pingIntervalMs: 20_000,
  /** A ping unanswered for so long ends the connection. */
  pongTimeoutMs: 60_000,
  lifetimeMs: 24 * 3600 * 1000,
  /** Messages, pings and pongs of a client within a second; one more ends the connection. */
  inboundPerSecondMax: 5,
  streamsMax: 1024,
  connectsMax: 300,
  connectsWindowMs: 5 * 60_000,
  errorShape: 'flat' as ErrorShape,
  /** Bytes waiting for one connection above which the source is asked to wait. */
  bufferedBytesHigh: 8 * 1024 * 1024,
  /** Bytes waiting for one connection above which it is dropped as a reader that is too slow. */
  bufferedBytesMax: 64 * 1024 * 1024,
}
export type VenueRules = typeof venueRules

const INBOUND_BYTES_MAX = 64 * 1024
const TICK_MS = 250

/** What faults may do to connections and subscriptions as they begin. */
export interface StreamFaults {
  /** null lets the attempt in; a status line refuses it; '' drops the line without a word. */
  refusal(): string | null
  /** Whether this new subscription is acknowledged and then never sent. */
  silences(connection: VenueConnection, stream: string): boolean
}

/** The stream side of the venue: who is connected, who subscribed to what, and the limits that are kept. */
export class VenueStreams {
  readonly rules: VenueRules
  readonly connections = new Set<VenueConnection>()
  readonly violations = { inboundRate: 0, streams: 0, connects: 0, pong: 0, slowReader: 0, malformed: 0 }
  readonly subscribedStreams = new Set<string>()
  framesSent = 0
  /** Number of the latest subscription. */
  subscriptions = 0
  readonly #clock: Clock
  readonly #faults: StreamFaults
  readonly #told: (streams: ReadonlySet<string>) => void
  readonly #sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    autoPong: false,
    maxPayload: INBOUND_BYTES_MAX,
  })
  readonly #subscribers = new Map<string, VenueConnection[]>()
  readonly #attemptsMs: number[] = []
  #dirty: VenueConnection[] = []
  #nextId = 1
  #congested = false
  #cancelTick: () => void = () => {}

  /** `told` hears which streams have a subscriber, whenever that changed. */
  constructor(rules: VenueRules, clock: Clock, faults: StreamFaults, told: (streams: ReadonlySet<string>) => void) {
    this.rules = { ...rules }
    this.#clock = clock
    this.#faults = faults
    this.#told = told
    this.#tick()
  }

  /** True while somebody has more waiting than `bufferedBytesHigh`, until `drained` was called. */
  get congested(): boolean {
    return this.#congested
  }

  /**
   * Sends one frame to whoever subscribed to its stream; the sockets get it when the present burst is over. A frame that
   * was held back goes only to subscriptions up to number `upTo`: a line shows nothing from before it was subscribed.
   */
  deliver(stream: string, data: string, combined: string | undefined, upTo = Number.POSITIVE_INFINITY): void {
    const subscribers = this.#subscribers.get(stream)
    if (subscribers === undefined) return
    let text = combined
    for (const connection of subscribers) {
      if (connection.silent?.has(stream) || (connection.streams.get(stream) ?? 0) > upTo) continue
      if (connection.combined) {
        text ??= `{"stream":"${stream}","data":${data}}`
        connection.push(text)
      } else {
        connection.push(data)
      }
      this.framesSent++
      if (!connection.dirty) this.#flushSoon(connection)
    }
  }

  /** Resolves when no connection has bytes waiting; one that ends has none. */
  async drained(): Promise<void> {
    this.#flush()
    const empty = [...this.connections].map((connection) => new Promise<void>(connection.onceEmpty))
    await Promise.all(empty)
    this.#congested = false
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy())
    const target = this.#admit(request)
    if (typeof target === 'string') refuse(socket, target)
    else this.#sockets.handleUpgrade(request, socket, head, (ws) => this.#open(ws, request.socket, target))
  }

  close(): void {
    this.#cancelTick()
    for (const connection of this.connections) connection.terminate()
    this.#sockets.close()
  }

  /** What the address asks for, or the status line of its refusal. */
  #admit(request: IncomingMessage): StreamTarget | string {
    const refusal = this.#faults.refusal()
    if (refusal !== null) return refusal
    if (!this.#admitAttempt(this.#clock.monotonicMs())) return '429 Too Many Requests'
    const target = parseTarget(request.url ?? '/')
    if (typeof target === 'string' || target.streams.length <= this.rules.streamsMax) return target
    this.violations.streams++
    return '400 Bad Request'
  }

  #admitAttempt(nowMs: number): boolean {
    const attempts = this.#attemptsMs
    while (attempts.length > 0 && nowMs - (attempts[0] as number) >= this.rules.connectsWindowMs) attempts.shift()
    // Refused attempts are not remembered, so the list is bounded and a client that waits is let in again.
    if (attempts.length < this.rules.connectsMax) {
      attempts.push(nowMs)
      return true
    }
    this.violations.connects++
    return false
  }

  #open(ws: WebSocket, socket: Socket, target: StreamTarget): void {
    socket.setNoDelay(true)
    const connection = new VenueConnection(this.#nextId++, ws, socket, target.combined, this.#clock.monotonicMs())
    this.connections.add(connection)
    ws.on('message', (data, isBinary) => this.#message(connection, data, isBinary))
    ws.on('ping', (payload) => {
      if (this.#admitInbound(connection)) connection.answerPing(payload)
    })
    ws.on('pong', (payload) => {
      if (this.#admitInbound(connection)) connection.pong(payload.toString('latin1'))
    })
    ws.on('error', () => {
      this.violations.malformed++
      connection.terminate()
    })
    ws.on('close', () => {
      this.connections.delete(connection)
      this.#unsubscribe(connection, [...connection.streams.keys()])
    })
    if (target.streams.length > 0) this.#subscribe(connection, target.streams)
  }

  #admitInbound(connection: VenueConnection): boolean {
    if (connection.admitInbound(this.#clock.monotonicMs(), this.rules.inboundPerSecondMax)) return true
    this.violations.inboundRate++
    connection.close(1008, 'Too many requests')
    connection.terminate()
    return false
  }

  #message(connection: VenueConnection, data: RawData, isBinary: boolean): void {
    if (!this.#admitInbound(connection)) return
    const text = isBinary ? '' : data.toString()
    this.#control(connection, parseControl(text))
  }

  #control(connection: VenueConnection, message: ControlMessage): void {
    switch (message.method) {
      case 'SUBSCRIBE':
        this.#subscribeByMessage(connection, message.streams, message.id)
        break
      case 'UNSUBSCRIBE':
        this.#unsubscribe(connection, message.streams)
        connection.reply(resultText(null, message.id))
        break
      case 'LIST_SUBSCRIPTIONS':
        connection.reply(resultText([...connection.streams.keys()], message.id))
        break
      case 'SET_PROPERTY':
        connection.combined = message.combined
        connection.reply(resultText(null, message.id))
        break
      case 'GET_PROPERTY':
        connection.reply(resultText(connection.combined, message.id))
        break
      case 'ERROR':
        connection.reply(errorText(message, this.rules.errorShape))
    }
  }

  #subscribeByMessage(connection: VenueConnection, streams: readonly string[], id: string): void {
    const added = streams.filter((stream) => !connection.streams.has(stream))
    if (connection.streams.size + added.length > this.rules.streamsMax) {
      this.violations.streams++
      connection.reply(errorText(error(4, 'Too many subscriptions', id), this.rules.errorShape))
      return
    }
    // The reply first: the source may begin to send as soon as it is told.
    connection.reply(resultText(null, id))
    this.#subscribe(connection, added)
  }

  #subscribe(connection: VenueConnection, streams: readonly string[]): void {
    for (const stream of streams) {
      if (connection.streams.has(stream)) continue
      connection.streams.set(stream, ++this.subscriptions)
      if (this.#faults.silences(connection, stream)) connection.silence(stream)
      const subscribers = this.#subscribers.get(stream)
      if (subscribers) subscribers.push(connection)
      else this.#subscribers.set(stream, [connection])
      this.subscribedStreams.add(stream)
    }
    this.#told(this.subscribedStreams)
  }

  #unsubscribe(connection: VenueConnection, streams: readonly string[]): void {
    for (const stream of streams) {
      if (!connection.streams.delete(stream)) continue
      connection.silent?.delete(stream)
      // A new list, because the old one may be under way in `deliver`.
      const others = (this.#subscribers.get(stream) ?? []).filter((other) => other !== connection)
      if (others.length > 0) {
        this.#subscribers.set(stream, others)
      } else {
        this.#subscribers.delete(stream)
        this.subscribedStreams.delete(stream)
      }
    }
    this.#told(this.subscribedStreams)
  }

  #flushSoon(connection: VenueConnection): void {
    connection.dirty = true
    if (this.#dirty.push(connection) === 1) queueMicrotask(() => this.#flush())
  }

  #flush(): void {
    const dirty = this.#dirty
    this.#dirty = []
    for (const connection of dirty) {
      connection.dirty = false
      connection.flush()
      const buffered = connection.bufferedBytes
      if (buffered <= this.rules.bufferedBytesHigh) continue
      this.#congested = true
      if (buffered <= this.rules.bufferedBytesMax) continue
      this.violations.slowReader++
      connection.terminate()
    }
  }

  /** Pings, and ends what is too old or does not answer. */
  #tick(): void {
    const nowMs = this.#clock.monotonicMs()
    const { pongTimeoutMs, lifetimeMs, pingIntervalMs } = this.rules
    for (const connection of this.connections) {
      if (!connection.live) continue
      if (connection.pongOverdueMs(nowMs) >= pongTimeoutMs) {
        this.violations.pong++
        connection.terminate()
      } else if (nowMs - connection.openedMs >= lifetimeMs) {
        connection.close(1000, '')
      } else if (connection.pingDue(nowMs, pingIntervalMs)) {
        connection.ping(nowMs)
      }
    }
    const tickMs = Math.max(5, Math.min(TICK_MS, pingIntervalMs / 4, lifetimeMs / 4))
    this.#cancelTick = this.#clock.after(tickMs, () => this.#tick())
  }
}

interface StreamTarget {
  readonly combined: boolean
  readonly streams: readonly string[]
}

/** What an address asks for: `/stream?streams=a/b`, `/ws/a`, `/ws`; or why not. Times are served in milliseconds only. */
function parseTarget(address: string): StreamTarget | string {
  const url = URL.parse(address, 'http://localhost')
  if (url === null) return '400 Bad Request'
  if (!/^(millisecond)?$/i.test(url.searchParams.get('timeUnit') ?? '')) return '400 Bad Request'
  if (url.pathname === '/stream') return { combined: true, streams: split(url.searchParams.get('streams') ?? '') }
  if (url.pathname !== '/ws' && !url.pathname.startsWith('/ws/')) return '404 Not Found'
  try {
    return { combined: false, streams: split(decodeURIComponent(url.pathname.slice('/ws/'.length))) }
  } catch {
    return '400 Bad Request'
  }
}

function split(list: string): readonly string[] {
  return [...new Set(list.split('/').filter((stream) => stream !== ''))]
}

function refuse(socket: Duplex, statusLine: string): void {
  if (statusLine === '') socket.destroy()
  else socket.end(`HTTP/1.1 ${statusLine}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}
