import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'

/** One connection as the venue sees it. */
export interface Client {
  readonly socket: WebSocket
  readonly topics: Set<string>
  /** Control messages in order of arrival. */
  readonly received: { method: string; params: string[]; id: number; atMs: number }[]
  readonly pongs: string[]
  pings: number
  frozen: boolean
}

/** What the venue does wrong, on purpose; all off at first. */
export interface Faults {
  /** HTTP status for handshakes, 0: accept. */
  refuseWith: number
  retryAfterSeconds: number
  /** Topics acknowledged and never fed, on connections with an index from `silentFrom` and below `silentBelow`. */
  silent: Set<string>
  silentFrom: number
  silentBelow: number
  /** Topics that start to flow when they are subscribed a second time on the same connection. */
  mendedByResubscribe: boolean
  /** Topics whose SUBSCRIBE is answered with an error, the whole message with them. */
  bad: Set<string>
  noReply: boolean
  /** The reply to a SUBSCRIBE comes so much later than the first data. */
  replyDelayMs: number
  /** The topic's next frame is sent once, while it is being subscribed: the new connection gets it so much later, behind its acknowledgement. */
  between: { topic: string; delayMs: number } | null
}

/**
 * A small venue on a local port: SUBSCRIBE, UNSUBSCRIBE, data on command (`feed`) or all the time (`feedEvery`).
 * A frame of data is `{"topic", "n"}` with `n` counting up per topic over all connections.
 */
export class FakeVenue {
  readonly clients: Client[] = []
  readonly faults: Faults = {
    refuseWith: 0,
    retryAfterSeconds: 0,
    silent: new Set(),
    silentFrom: 0,
    silentBelow: Number.POSITIVE_INFINITY,
    mendedByResubscribe: false,
    bad: new Set(),
    noReply: false,
    replyDelayMs: 0,
    between: null,
  }
  readonly handshakeTimesMs: number[] = []
  readonly #http: Server
  readonly #wss = new WebSocketServer({ noServer: true, autoPong: false })
  readonly #subscribed = new Map<Client, Map<string, number>>()
  readonly #numbers = new Map<string, number>()
  #feeding: NodeJS.Timeout | null = null

  private constructor() {
    this.#http = createServer((_request, response) => response.writeHead(404).end())
    this.#http.on('upgrade', (request, socket, head) => this.#onUpgrade(request, socket, head))
  }

  static async start(): Promise<FakeVenue> {
    const venue = new FakeVenue()
    venue.#http.listen(0, '127.0.0.1')
    await once(venue.#http, 'listening')
    return venue
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#http.address() as AddressInfo).port}/stream`
  }

  get handshakes(): number {
    return this.handshakeTimesMs.length
  }

  /** Connections that are open now. */
  get open(): Client[] {
    return this.clients.filter((client) => client.socket.readyState === client.socket.OPEN && !client.frozen)
  }

  /** The connection that was opened first. */
  get first(): Client {
    const [client] = this.clients
    if (client === undefined) throw new Error('expected a connection, found none')
    return client
  }

  /** Sends the next numbered frame of a topic to everyone who is subscribed and is not to be kept in silence. */
  feed(topic: string): void {
    this.feedLate(topic, null)()
  }

  /** The same, but for one connection that gets it with the call of what is returned. */
  feedLate(topic: string, late: Client | null): () => void {
    const frame = this.#next(topic)
    for (const client of this.open) {
      if (client !== late && client.topics.has(topic) && !this.#isSilent(client, topic)) client.socket.send(frame)
    }
    return () => late?.socket.send(frame)
  }

  lastNumber(topic: string): number {
    return this.#numbers.get(topic) ?? 0
  }

  /** Feeds all these topics every `periodMs` until called again or closed. */
  feedEvery(periodMs: number, topics: readonly string[]): void {
    if (this.#feeding !== null) clearInterval(this.#feeding)
    this.#feeding = setInterval(() => {
      for (const topic of topics) this.feed(topic)
    }, periodMs)
  }

  /** From now on this connection neither reads nor writes, and nobody is told. */
  freeze(client: Client): void {
    client.socket.pause()
    client.frozen = true
  }

  shutdown(client: Client): void {
    client.socket.send(JSON.stringify({ shutdown: true }))
  }

  async close(): Promise<void> {
    if (this.#feeding !== null) clearInterval(this.#feeding)
    for (const client of this.clients) client.socket.terminate()
    this.#http.closeAllConnections()
    this.#http.close()
    await once(this.#http, 'close')
  }

  #isSilent(client: Client, topic: string): boolean {
    const { silent, silentFrom, silentBelow } = this.faults
    const index = this.clients.indexOf(client)
    if (!silent.has(topic) || index < silentFrom || index >= silentBelow) return false
    return !(this.faults.mendedByResubscribe && (this.#subscribed.get(client)?.get(topic) ?? 0) > 1)
  }

  #onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.handshakeTimesMs.push(performance.now())
    if (this.faults.refuseWith > 0) {
      const retry = this.faults.retryAfterSeconds > 0 ? `Retry-After: ${this.faults.retryAfterSeconds}\r\n` : ''
      socket.end(`HTTP/1.1 ${this.faults.refuseWith} Refused\r\n${retry}Content-Length: 0\r\nConnection: close\r\n\r\n`)
      return
    }
    this.#wss.handleUpgrade(request, socket, head, (ws) => this.#onConnection(ws))
  }

  #onConnection(socket: WebSocket): void {
    const client: Client = { socket, topics: new Set(), received: [], pongs: [], pings: 0, frozen: false }
    this.clients.push(client)
    this.#subscribed.set(client, new Map())
    socket.on('error', () => {})
    socket.on('pong', (payload) => client.pongs.push(payload.toString()))
    socket.on('ping', (payload) => {
      client.pings += 1
      socket.pong(payload)
    })
    socket.on('message', (data) => this.#onMessage(client, data.toString()))
  }

  #onMessage(client: Client, text: string): void {
    const { method, params, id } = JSON.parse(text) as { method: string; params: string[]; id: number }
    client.received.push({ method, params, id, atMs: performance.now() })
    if (this.faults.noReply) return
    if (method === 'SUBSCRIBE' && params.some((topic) => this.faults.bad.has(topic))) {
      client.socket.send(JSON.stringify({ id, error: 'Invalid request' }))
      return
    }
    if (method === 'LIST_SUBSCRIPTIONS') {
      client.socket.send(JSON.stringify({ id, error: null, listed: [...client.topics] }))
      return
    }
    const times = this.#subscribed.get(client)
    for (const topic of params) {
      if (method === 'SUBSCRIBE') {
        client.topics.add(topic)
        times?.set(topic, (times.get(topic) ?? 0) + 1)
      } else client.topics.delete(topic)
    }
    const { between } = this.faults
    if (between === null || method !== 'SUBSCRIBE' || !params.includes(between.topic)) {
      const reply = (): void => client.socket.send(JSON.stringify({ id, error: null }))
      if (method === 'SUBSCRIBE' && this.faults.replyDelayMs > 0) setTimeout(reply, this.faults.replyDelayMs)
      else reply()
      return
    }
    this.faults.between = null
    const frame = this.#next(between.topic)
    for (const other of this.open) if (other !== client && other.topics.has(between.topic)) other.socket.send(frame)
    setTimeout(() => {
      client.socket.send(JSON.stringify({ id, error: null }))
      client.socket.send(frame)
    }, between.delayMs)
  }

  #next(topic: string): string {
    const n = (this.#numbers.get(topic) ?? 0) + 1
    this.#numbers.set(topic, n)
    return JSON.stringify({ topic, n })
  }
}
