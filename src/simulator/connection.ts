import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'

const SLAB_BYTES = 64 * 1024

/**
 * One client of the simulated venue: what it subscribed to, what it has to answer, and its way out.
 *
 * Frames are written into slabs with their WebSocket headers (RFC 6455, section 5.2: unmasked text frames) and handed to
 * the socket a burst at a time; one system call then carries hundreds of frames instead of one. `ws` does the rest: the
 * handshake, control frames, and everything inbound. Its own frames never mix with ours, since both write whole frames.
 */
export class VenueConnection {
  readonly id: number
  readonly openedMs: number
  /** What it subscribed to, with the number of the subscription. */
  readonly streams = new Map<string, number>()
  /** Streams acknowledged but never sent; null while there is none, which is nearly always. */
  silent: Set<string> | null = null
  combined: boolean
  /** True while the connection looks open and does nothing, neither sending nor answering. */
  halfOpen = false
  dirty = false
  framesSent = 0
  readonly #ws: WebSocket
  readonly #socket: Socket
  readonly #inbound: number[] = []
  readonly #pings = new Map<string, number>()
  #lastPingMs: number
  #pingNumber = 0
  #slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
  #start = 0
  #end = 0

  constructor(id: number, ws: WebSocket, socket: Socket, combined: boolean, nowMs: number) {
    this.id = id
    this.#ws = ws
    this.#socket = socket
    this.combined = combined
    this.openedMs = nowMs
    this.#lastPingMs = nowMs
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength + this.#end - this.#start
  }

  /** Adds one text frame to the burst under way; `flush` sends it. */
  push(text: string): void {
    if (!this.live) return
    this.framesSent++
    const bytes = Buffer.byteLength(text)
    const header = bytes < 126 ? 2 : bytes < 65_536 ? 4 : 10
    if (this.#end + header + bytes > this.#slab.length) {
      this.flush()
      this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, header + bytes))
      this.#start = 0
      this.#end = 0
    }
    const slab = this.#slab
    let at = this.#end
    slab[at++] = 0x81
    if (header === 2) {
      slab[at++] = bytes
    } else if (header === 4) {
      slab[at++] = 126
      slab[at++] = bytes >>> 8
      slab[at++] = bytes & 0xff
    } else {
      slab[at++] = 127
      slab.writeUInt32BE(0, at)
      slab.writeUInt32BE(bytes, at + 4)
      at += 8
    }
    slab.write(text, at)
    this.#end = at + bytes
  }

  flush(): void {
    if (this.#end === this.#start) return
    // After a close frame nothing may follow.
    if (this.live) this.#socket.write(this.#slab.subarray(this.#start, this.#end))
    this.#start = this.#end
  }

  /** A reply or a notice, outside the counted data. */
  reply(text: string): void {
    if (!this.live) return
    this.flush()
    this.#ws.send(text)
  }

  /** Counts an inbound message; false when there were more than `max` within the last second. */
  admitInbound(nowMs: number, max: number): boolean {
    const inbound = this.#inbound
    inbound.push(nowMs)
    if (inbound.length <= max) return true
    return nowMs - (inbound.shift() as number) >= 1000
  }

  pingDue(nowMs: number, intervalMs: number): boolean {
    return nowMs - this.#lastPingMs >= intervalMs
  }

  ping(nowMs: number): void {
    this.#lastPingMs = nowMs
    if (!this.live) return
    const payload = `${Math.trunc(nowMs)}.${this.#pingNumber++}`
    this.#pings.set(payload, nowMs)
    this.#ws.ping(payload)
  }

  /** A pong counts only with the payload of a ping; it settles that ping and all before it. */
  pong(payload: string): void {
    const answeredMs = this.#pings.get(payload)
    if (answeredMs === undefined) return
    for (const [sent, sentMs] of this.#pings) if (sentMs <= answeredMs) this.#pings.delete(sent)
  }

  answerPing(payload: Buffer): void {
    if (this.live) this.#ws.pong(payload)
  }

  /** How long the oldest unanswered ping has been out. */
  pongOverdueMs(nowMs: number): number {
    for (const sentMs of this.#pings.values()) return nowMs - sentMs
    return 0
  }

  close(code: number, reason: string): void {
    if (!this.live) return
    this.flush()
    this.#ws.close(code, reason)
  }

  /** Ends without a closing handshake, as a broken line does. */
  terminate(): void {
    this.#ws.terminate()
  }

  /** Calls back once when the socket has taken everything or has ended; at once when it has already. */
  readonly onceEmpty = (callback: () => void): void => {
    const socket = this.#socket
    if (!socket.writableNeedDrain || socket.destroyed || this.halfOpen) {
      callback()
      return
    }
    const done = (): void => {
      socket.off('drain', done)
      socket.off('close', done)
      callback()
    }
    socket.on('drain', done)
    socket.on('close', done)
  }

  silence(stream: string): void {
    this.silent ??= new Set()
    this.silent.add(stream)
  }

  /** The line looks open while nothing is read or written any more, as behind a firewall that forgot it. */
  freeze(): void {
    this.flush()
    this.halfOpen = true
    this.#ws.pause()
  }

  state(): Record<string, unknown> {
    return {
      id: this.id,
      streams: this.streams.size,
      combined: this.combined,
      framesSent: this.framesSent,
      bufferedBytes: this.bufferedBytes,
      halfOpen: this.halfOpen,
      silent: [...(this.silent ?? [])],
    }
  }

  /** Whether it still takes part: neither closing nor frozen. */
  get live(): boolean {
    return this.#ws.readyState === 1 && !this.halfOpen
  }
}
