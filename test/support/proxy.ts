import { once } from 'node:events'
import { createServer, type Server, Socket } from 'node:net'

/** What the proxy does to the bytes of every connection, those that stand and those to come. */
export interface ProxyMood {
  /** Every piece of bytes comes so much later, ms, each way; their order stays. */
  readonly delayMs?: number
  /** Takes what is sent and passes nothing on, either way; connections are accepted and stay mute. */
  readonly blackhole?: boolean
  /** Passes what the client sends, and none of the answers. */
  readonly mute?: boolean
  /** All of this only for connections of Redis replicas to their master. */
  readonly replicationOnly?: boolean
}

/**
 * A TCP proxy on 127.0.0.1 between a client and a server, to make a network late, silent or gone. What a mood kept back is
 * lost when the connection ends before the mood does, as in a network; a connection that outlives it gets everything.
 */
export class TcpProxy {
  readonly port: number
  readonly #server: Server
  readonly #target: { readonly host: string; readonly port: number }
  readonly #pairs = new Set<Pair>()
  #mood: ProxyMood = {}
  #refuses = false
  /** Connections accepted so far. */
  accepted = 0

  private constructor(server: Server, port: number, target: { host: string; port: number }) {
    this.#server = server
    this.port = port
    this.#target = target
  }

  static async open(targetPort: number, host = '127.0.0.1'): Promise<TcpProxy> {
    const server = createServer({ noDelay: true })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const proxy = new TcpProxy(server, (server.address() as { port: number }).port, { host, port: targetPort })
    server.on('connection', (client) => proxy.#accept(client))
    return proxy
  }

  /** Of the mood before nothing stays. */
  set(mood: ProxyMood): void {
    this.#mood = mood
    for (const pair of this.#pairs) for (const pipe of pair.pipes) pipe.moodChanged()
  }

  /** Resets every connection; new ones are accepted unless `refuse` was called. */
  cut(): void {
    for (const pair of this.#pairs) pair.end()
  }

  /** Whether new connections are reset at once. */
  refuse(refuses: boolean): void {
    this.#refuses = refuses
  }

  get connections(): number {
    return this.#pairs.size
  }

  async close(): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #accept(client: Socket): void {
    this.accepted++
    if (this.#refuses) {
      client.resetAndDestroy()
      return
    }
    const server = new Socket()
    server.setNoDelay(true)
    server.connect(this.#target.port, this.#target.host)
    const pair = new Pair(client, server, () => this.#mood)
    this.#pairs.add(pair)
    pair.ended(() => this.#pairs.delete(pair))
  }
}

class Pair {
  readonly pipes: readonly Pipe[]
  readonly #client: Socket
  readonly #server: Socket

  constructor(client: Socket, server: Socket, mood: () => ProxyMood) {
    this.#client = client
    this.#server = server
    let replication = false
    client.on('data', (bytes) => {
      replication ||= bytes.includes('REPLCONF')
    })
    const isReplication = (): boolean => replication
    this.pipes = [
      new Pipe(client, server, mood, false, isReplication),
      new Pipe(server, client, mood, true, isReplication),
    ]
  }

  ended(callback: () => void): void {
    for (const socket of [this.#client, this.#server]) {
      // Whatever ends one end ends the other.
      socket.on('error', () => undefined)
      socket.once('close', () => {
        this.end()
        callback()
      })
    }
  }

  end(): void {
    this.#client.resetAndDestroy()
    this.#server.destroy()
  }
}

/** One direction. */
class Pipe {
  readonly #to: Socket
  readonly #mood: () => ProxyMood
  readonly #answers: boolean
  #replication: () => boolean
  readonly #waiting: { readonly bytes: Buffer; readonly dueMs: number }[] = []
  #timer: NodeJS.Timeout | null = null

  constructor(from: Socket, to: Socket, mood: () => ProxyMood, answers: boolean, replication: () => boolean) {
    this.#to = to
    this.#mood = mood
    this.#answers = answers
    this.#replication = replication
    from.on('data', (bytes) => {
      const { delayMs = 0 } = this.#moodHere()
      this.#waiting.push({ bytes, dueMs: performance.now() + delayMs })
      this.moodChanged()
    })
  }

  #moodHere(): ProxyMood {
    const mood = this.#mood()
    return mood.replicationOnly && !this.#replication() ? {} : mood
  }

  moodChanged(): void {
    const { delayMs = 0, blackhole, mute } = this.#moodHere()
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    if (blackhole || (mute && this.#answers)) return
    const nowMs = performance.now()
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const leftMs = Math.min(next.dueMs - nowMs, delayMs)
      if (leftMs > 0) {
        this.#timer = setTimeout(() => this.moodChanged(), leftMs)
        return
      }
      this.#waiting.shift()
      if (!this.#to.destroyed) this.#to.write(next.bytes)
    }
  }
}
