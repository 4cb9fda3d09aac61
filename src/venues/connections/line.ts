import type { Socket } from 'node:net'
import { WebSocket } from 'ws'
import type { VenueEvent } from '../venue.ts'
import type { LineEnd, LineParts } from './line-parts.ts'
import { SlidingWindow } from './outbound.ts'
import { due, NO_BATCH_BOUND, takeBatch, unbounded } from './packing.ts'
import { Punctuality } from './punctuality.ts'
import { differenceOf } from './reconcile.ts'
import { Carrier, type Topic } from './topic.ts'

interface Pending {
  readonly carriers: readonly Carrier[]
  readonly unsubscribed: readonly string[]
  readonly sentMs: number
  /** Asked for what the venue believes this line is subscribed to. */
  readonly lists?: boolean
}

/** After so many errors an UNSUBSCRIBE is given up; what still comes is counted as stray. */
const UNSUBSCRIBE_TRIES_MAX = 3
/** What `ws` says where no close frame came (RFC 6455, section 7.1.5). */
const CLOSED_ABNORMALLY = 1006

/**
 * One socket from opening to end. It is never opened again: the generation is its identity, and once ended every late
 * callback of its socket finds `state` closed and does nothing.
 */
export class Line {
  readonly generation: number
  readonly slotId: number
  readonly carriers = new Map<string, Carrier>()
  state: 'connecting' | 'open' | 'closed' = 'connecting'
  /** Monotonic; 0: not yet open. */
  openedMs = 0
  /** Bytes of any kind: of a frame that takes long to arrive, too. Known to a sweep's length and never too late. */
  lastReceivedMs: number
  /** 0: no event yet. */
  lastEventMs = 0

  readonly #parts: LineParts
  readonly #outbound: SlidingWindow
  readonly #pending = new Map<number, Pending>()
  /** Of these events are held back. */
  readonly #holding = new Set<Carrier>()
  readonly #toSubscribe = new Set<Carrier>()
  readonly #toUnsubscribe = new Set<string>()
  /** Topics whose UNSUBSCRIBE waits or is not answered. */
  readonly #leaving = new Set<string>()
  readonly #unsubscribeTries = new Map<string, number>()
  #socket: WebSocket | null = null
  #nextId = 1
  #transport: Socket | null = null
  #bytesRead = 0
  readonly #punctuality: Punctuality
  #probedMs = 0
  /** The venue's close frame was here by then at the latest; Infinity: not known to be. */
  #closingMs = Number.POSITIVE_INFINITY
  #pongDue: Buffer | null = null
  #listAtMs = 0
  #socketGone: Promise<void> = Promise.resolve()

  constructor(slotId: number, generation: number, parts: LineParts) {
    this.slotId = slotId
    this.generation = generation
    this.#parts = parts
    this.lastReceivedMs = parts.clock.monotonicMs()
    this.#punctuality = new Punctuality(parts.options.sweepMs)
    this.#outbound = new SlidingWindow(
      parts.protocol.limits.inboundMessagesPerSecondMax,
      parts.options.outboundWindowMs,
    )
  }

  /** Opens the socket. Everything that follows is told to the owner, never before this call has returned. */
  open(): void {
    const { options, protocol } = this.#parts
    let socket: WebSocket
    try {
      socket = new WebSocket(protocol.url(), {
        perMessageDeflate: false,
        // A broken byte must cost one frame (parseFrame rejects it), not the line.
        skipUTF8Validation: true,
        maxPayload: options.payloadBytesMax,
        handshakeTimeout: options.handshakeTimeoutMs,
        autoPong: false,
      })
    } catch (error) {
      queueMicrotask(() => this.#end('connect-failed', String(error)))
      return
    }
    this.#socket = socket
    this.#socketGone = new Promise((resolve) => socket.once('close', () => resolve()))
    socket.on('upgrade', (response) => {
      this.#transport = response.socket
    })
    socket.on('open', () => this.#onOpen())
    socket.on('message', (data, isBinary) => this.#onMessage(data as Buffer, isBinary))
    socket.on('ping', (payload) => this.#onPing(payload))
    socket.on('pong', () => this.#onPong())
    socket.on('unexpected-response', (request, response) => {
      const status = response.statusCode ?? 0
      const seconds = Number(response.headers['retry-after'])
      request.destroy()
      if (this.state === 'closed') return
      if (status === 429 || status === 418) {
        this.#parts.owner.connectsRefused(status, Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : null)
      }
      this.#end('connect-failed', `expected status 101 for the handshake, found ${status}`)
    })
    socket.on('error', (error) => this.#end(this.openedMs === 0 ? 'connect-failed' : 'disconnect', error.message))
    socket.on('close', (code, reason) => {
      // A close frame comes behind all data; without one, what was under way is lost.
      if (code !== CLOSED_ABNORMALLY) {
        const closedMs = Math.min(this.#closingMs, this.#punctuality.arrivedMs(this.#parts.clock.monotonicMs()))
        this.lastReceivedMs = Math.max(this.lastReceivedMs, closedMs)
      }
      this.#end(
        this.openedMs === 0 ? 'connect-failed' : 'disconnect',
        `closed by the venue with code ${code} ${reason}`,
      )
    })
  }

  /** Puts a topic on this line; it is subscribed with the next `flush`. */
  want(topic: Topic): Carrier {
    const known = this.carriers.get(topic.name)
    if (known) return known
    const carrier = new Carrier(topic, this)
    this.carriers.set(topic.name, carrier)
    topic.carriers.push(carrier)
    this.#toSubscribe.add(carrier)
    return carrier
  }

  /** Takes a topic off this line; it is unsubscribed with the next `flush`. */
  unwant(carrier: Carrier): void {
    if (this.carriers.get(carrier.name) !== carrier) return
    this.#forget(carrier)
    if (this.#toSubscribe.delete(carrier) && carrier.retryAtMs === 0 && !this.#toUnsubscribe.has(carrier.name)) {
      this.#parts.owner.topicsUnsubscribed(this, [carrier.name])
    } else this.#unsubscribe(carrier.name)
  }

  /** Unsubscribes and subscribes again, for a topic that is acknowledged and silent. */
  resubscribe(carrier: Carrier): void {
    if (this.carriers.get(carrier.name) !== carrier) return
    this.#unsubscribe(carrier.name)
    this.#requeue(carrier)
  }

  #unsubscribe(name: string): void {
    this.#toUnsubscribe.add(name)
    this.#leaving.add(name)
  }

  /** Sends what is due as far as the message bound allows; the rest goes out at later sweeps. */
  flush(): void {
    if (this.state !== 'open') return
    const { protocol, clock, options } = this.#parts
    const { subscribeTopicsPerMessageMax: countMax, subscribeBytesPerMessageMax: bytesMax } = protocol.limits
    const nowMs = clock.monotonicMs()
    if (this.#pongDue !== null && this.#outbound.take(nowMs)) this.#pong(this.#pongDue)
    while (this.#toUnsubscribe.size > 0 && this.#outbound.take(nowMs, options.outboundReserve)) {
      const names = takeBatch(unbounded(this.#toUnsubscribe), countMax, bytesMax).map(({ name }) => name)
      for (const name of names) this.#toUnsubscribe.delete(name)
      const id = this.#nextId++
      this.#pending.set(id, { carriers: [], unsubscribed: names, sentMs: nowMs })
      this.#send(protocol.encodeUnsubscribe(id, names))
    }
    // A topic must not be subscribed before the unsubscription that was asked for earlier has left.
    if (this.#toUnsubscribe.size > 0) return
    while (this.#toSubscribe.size > 0) {
      const carriers = takeBatch(due(this.#toSubscribe, nowMs), countMax, bytesMax)
      if (carriers.length === 0 || !this.#outbound.take(nowMs, options.outboundReserve)) return
      for (const carrier of carriers) {
        this.#toSubscribe.delete(carrier)
        carrier.phase = 'sent'
      }
      const id = this.#nextId++
      this.#pending.set(id, { carriers, unsubscribed: [], sentMs: nowMs })
      this.#send(
        protocol.encodeSubscribe(
          id,
          carriers.map((carrier) => carrier.name),
        ),
      )
    }
  }

  /** Everything that depends on time; called by the sweep. */
  check(nowMs: number): void {
    if (this.state !== 'open') return
    const { options, protocol, tick } = this.#parts
    for (const pending of this.#pending.values()) {
      if (nowMs - Math.max(pending.sentMs, tick.rebaseMs) <= options.replyTimeoutMs) break
      this.end('reply-timeout', `expected a reply within ${options.replyTimeoutMs} ms, found none`)
      return
    }
    const bytesRead = this.#transport?.bytesRead ?? 0
    if (bytesRead !== this.#bytesRead) {
      this.#bytesRead = bytesRead
      this.lastReceivedMs = Math.max(this.lastReceivedMs, this.#punctuality.checkedMs)
    }
    this.#punctuality.check(nowMs)
    const silentMs = nowMs - Math.max(this.lastReceivedMs, tick.rebaseMs)
    const probedFor = this.#probedMs === 0 ? 0 : nowMs - Math.max(this.#probedMs, tick.rebaseMs)
    if (
      silentMs > options.transportSilenceFactor * protocol.limits.pingIntervalMs ||
      probedFor > options.probeTimeoutMs
    ) {
      this.end('half-open', `not a byte for ${Math.round(silentMs)} ms`)
      return
    }
    if (this.#probedMs > 0 && this.lastReceivedMs >= this.#probedMs) this.#probedMs = 0
    if (
      this.#probedMs === 0 &&
      silentMs > options.probeAfterMs &&
      this.#outbound.take(nowMs, options.outboundReserve)
    ) {
      this.#probedMs = nowMs
      this.#parts.counts.messagesSent += 1
      this.#socket?.ping()
    }
    this.flush()
    // A stream that is quiet now brings no event with which the last ones could go.
    for (const carrier of this.#holding) {
      if (carrier.heldBackSinceMs === 0) this.#holding.delete(carrier)
      else this.#release(carrier)
    }
    if (nowMs >= this.#listAtMs && this.#isAtRest && this.#outbound.take(nowMs, options.outboundReserve)) {
      const id = this.#nextId++
      this.#pending.set(id, { carriers: [], unsubscribed: [], sentMs: nowMs, lists: true })
      this.#send(protocol.encodeListSubscriptions(id))
    }
  }

  /**
   * Looks whether the venue has said goodbye: between its close frame and the end of the connection lies the way there and back.
   * Asked before another line counts as carrying a topic, so that this one is not taken to have delivered until then.
   */
  noteClosing(nowMs: number): void {
    if (this.#socket?.readyState === WebSocket.CLOSING) this.#closingMs = Math.min(this.#closingMs, nowMs - 1)
  }

  pause(): void {
    if (this.state === 'open') this.#socket?.pause()
  }

  resume(): void {
    if (this.state === 'open') this.#socket?.resume()
  }

  /** What was held back goes to the sink. */
  sendOn(held: readonly VenueEvent[]): void {
    for (const event of held) this.#parts.sink.event(event, this.generation)
  }

  /** Ends the line and tells the owner. */
  end(end: LineEnd, detail: string): void {
    this.#end(end, detail)
  }

  /** Resolves when the socket is gone, at the latest `closeTimeoutMs` after the end. */
  get gone(): Promise<void> {
    return this.#socketGone
  }

  /** Everything wanted is acknowledged. */
  get settled(): boolean {
    return this.state === 'open' && this.#toSubscribe.size === 0 && this.#pending.size === 0
  }

  #onOpen(): void {
    if (this.state !== 'connecting') return
    this.state = 'open'
    this.openedMs = this.#parts.clock.monotonicMs()
    this.lastReceivedMs = this.openedMs
    this.#punctuality.begin(this.openedMs)
    this.#listAtMs = this.openedMs + this.#parts.options.reconcileMs
    this.#parts.owner.lineOpened(this)
    this.flush()
  }

  /** The hot path: no promise, no closure, no object of ours per frame. */
  #onMessage(data: Buffer, isBinary: boolean): void {
    if (this.state !== 'open') return
    const { protocol, sink, counts, owner, clock, tick } = this.#parts
    counts.frames += 1
    counts.bytes += data.length
    const receivedTimeUs = clock.nowUs()
    if (isBinary) {
      const detail = `expected a text frame, found ${data.length} binary bytes`
      sink.rejected({
        reason: 'malformed',
        topic: null,
        detail,
        sample: data.toString('latin1', 0, 100),
        receivedTimeUs,
      })
      return
    }
    const frame = protocol.parseFrame(data.toString('utf8'), receivedTimeUs)
    switch (frame.type) {
      case 'event': {
        const carrier = this.carriers.get(frame.event.topic)
        if (carrier === undefined) counts.strayEvents += 1
        else if (carrier.phase !== 'acked' && this.#leaving.has(carrier.name)) {
          // The rest of the subscription before: the hole between the two comes behind it, and begins where it was told.
          counts.strayEvents += 1
          return
        } else {
          if (carrier.lastSeenMs === 0) owner.topicFlowed(carrier)
          const { kind } = frame.event
          if (kind === 'quote') carrier.reach(frame.event.updateId)
          else if (kind === 'ticker' || kind === 'kline') carrier.note(frame.event)
          if (carrier.lastSeenMs !== tick.nowMs) {
            carrier.lastSeenMs = tick.nowMs
            tick.shown.push(carrier)
          }
          this.lastEventMs = tick.nowMs
          // Contiguous ids tell by themselves what is missing before an event.
          if (carrier.onProbation && kind !== 'trade' && kind !== 'delta' && !this.#release(carrier)) {
            carrier.holdBack(frame.event, tick.nowMs)
            this.#holding.add(carrier)
            counts.heldBackEvents += 1
            return
          }
        }
        sink.event(frame.event, this.generation)
        if (sink.saturated) owner.sinkSaturated()
        return
      }
      case 'rejected':
        sink.rejected(frame.frame)
        return
      case 'reply':
        this.#onReply(frame.id, frame.error, frame.topics)
        return
      case 'shutdown':
        owner.lineShutdown(this)
        return
    }
  }

  /** Sends on what was held back of it, if it need not be any longer. */
  #release(carrier: Carrier): boolean {
    const held = this.#parts.owner.takesOver(carrier)
    if (held === null) return false
    this.#holding.delete(carrier)
    this.sendOn(held)
    return true
  }

  #onReply(id: number, error: string | null, topics: readonly string[] | null): void {
    const { owner, clock, counts, tick } = this.#parts
    let key = id
    // An error may come without the id of its request; replies come in order, so it belongs to the oldest.
    if (error !== null && !this.#pending.has(id)) key = this.#pending.keys().next().value ?? id
    const pending = this.#pending.get(key)
    if (!pending) {
      counts.repliesUnmatched += 1
      return
    }
    this.#pending.delete(key)
    if (pending.lists) this.#reconcile(topics)
    if (pending.unsubscribed.length > 0) this.#onUnsubscribed(pending.unsubscribed, error)
    const nowMs = clock.monotonicMs()
    // Whether another line shows data behind this moment decides who covers what, so it is a moment of the tick.
    tick.nowMs = nowMs
    for (const carrier of pending.carriers) {
      if (this.carriers.get(carrier.name) !== carrier || carrier.phase !== 'sent') continue
      if (error === null) {
        for (const { line } of carrier.topic.carriers) if (line !== this) line.noteClosing(nowMs)
        carrier.phase = 'acked'
        carrier.ackedMs = nowMs
        carrier.batchMax = NO_BATCH_BOUND
        owner.topicAcked(carrier)
      } else {
        // One bad name fails its whole message: smaller ones find it, and the others get through.
        carrier.batchMax = Math.max(1, Math.floor(pending.carriers.length / 2))
        this.#requeue(carrier)
        owner.topicRefused(carrier, error, pending.carriers.length)
      }
    }
  }

  /** Nothing is under way that would make the venue's list another one. */
  get #isAtRest(): boolean {
    return this.settled && this.#leaving.size === 0
  }

  #reconcile(topics: readonly string[] | null): void {
    const { clock, options, owner } = this.#parts
    this.#listAtMs = clock.monotonicMs() + options.reconcileMs
    if (topics === null || !this.#isAtRest) return
    const { strangers, missing } = differenceOf(this.carriers, topics)
    if (strangers.length + missing.length === 0) return
    for (const name of strangers) this.#unsubscribe(name)
    // Before they are queued anew: what they have shown decides what is lost.
    owner.subscriptionsDiffer(this, strangers, missing)
    for (const carrier of missing) this.#requeue(carrier)
    this.flush()
  }

  #onUnsubscribed(names: readonly string[], error: string | null): void {
    const { owner } = this.#parts
    const done = names.filter((name) => {
      const tries = (this.#unsubscribeTries.get(name) ?? 0) + 1
      if (error === null || tries >= UNSUBSCRIBE_TRIES_MAX || this.carriers.has(name)) {
        this.#unsubscribeTries.delete(name)
        this.#leaving.delete(name)
        return true
      }
      this.#unsubscribeTries.set(name, tries)
      this.#toUnsubscribe.add(name)
      return false
    })
    if (error !== null) owner.unsubscribeRefused(this, names, error)
    if (done.length > 0) owner.topicsUnsubscribed(this, done)
  }

  #requeue(carrier: Carrier): void {
    carrier.phase = 'queued'
    carrier.ackedMs = 0
    carrier.lastSeenMs = 0
    carrier.place = 0
    carrier.letGo()
    this.#toSubscribe.add(carrier)
  }

  #onPing(payload: Buffer): void {
    if (this.state !== 'open') return
    // Only the newest ping needs its pong; one that does not fit the bound goes out with the next sweep.
    this.#pongDue = payload
    if (this.#outbound.take(this.#parts.clock.monotonicMs())) this.#pong(payload)
  }

  #pong(payload: Buffer): void {
    this.#pongDue = null
    this.#parts.counts.messagesSent += 1
    this.#socket?.pong(payload)
  }

  #onPong(): void {
    this.#probedMs = 0
  }

  #send(text: string): void {
    this.#parts.counts.messagesSent += 1
    this.#socket?.send(text)
  }

  #forget(carrier: Carrier): void {
    this.carriers.delete(carrier.name)
    this.#holding.delete(carrier)
    const at = carrier.topic.carriers.indexOf(carrier)
    if (at >= 0) carrier.topic.carriers.splice(at, 1)
  }

  #end(end: LineEnd, detail: string): void {
    if (this.state === 'closed') return
    const wasOpen = this.state === 'open'
    this.state = 'closed'
    const socket = this.#socket
    if (socket && socket.readyState !== WebSocket.CLOSED) {
      if (wasOpen && (end === 'retired' || end === 'closed')) {
        socket.close(1000)
        const cancel = this.#parts.clock.after(this.#parts.options.closeTimeoutMs, () => socket.terminate())
        socket.once('close', cancel)
      } else socket.terminate()
    }
    this.#parts.owner.lineEnded(this, end, detail)
    for (const carrier of [...this.carriers.values()]) this.#forget(carrier)
  }
}
