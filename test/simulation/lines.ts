import type { TopicFlow } from '../../src/cluster/flow.ts'
import { GapCause } from '../../src/domain/event.ts'
import type { VenueEvent } from '../../src/venues/venue.ts'
import type { Network } from './network.ts'
import type { Owner } from './scheduler.ts'
import type { VenueFrame } from './venue.ts'

/** One connection of a process to the venue. */
interface Connection {
  readonly id: number
  readonly owner: Owner
  open: boolean
  /** It has died, and this process does not know yet. */
  dead: boolean
  /** Topics that the venue acknowledged and sends no more, of which this process does not know yet. */
  readonly mute: Set<string>
  /** Topics whose unsubscription is not answered, and how often. */
  readonly leaving: Map<string, number>
  /** To be done when it ends. */
  readonly ends: Set<() => void>
  /** What has no numbering is taken from one connection at a time: of what the venue sends after this moment, ms. */
  takesFromMs: number
  /** What goes one way comes in its order. */
  requestMs: number
  frameMs: number
  newestFrameMs: number
  readonly acked: Set<string>
  receive(topic: string, frame: VenueFrame): void
}

/** The venue's end of all connections. */
export class Hub {
  /** Nothing that is sent lets wait for longer. */
  usualMs = 1_000
  readonly #byTopic = new Map<string, Set<Connection>>()
  readonly #network: Network

  constructor(network: Network) {
    this.#network = network
  }

  subscribe(topic: string, connection: Connection): void {
    const all = this.#byTopic.get(topic) ?? new Set()
    this.#byTopic.set(topic, all.add(connection))
  }

  unsubscribe(topic: string, connection: Connection): void {
    this.#byTopic.get(topic)?.delete(connection)
  }

  drop(connection: Connection): void {
    for (const all of this.#byTopic.values()) all.delete(connection)
  }

  /** `isNumbered`: a numbering shows what is lost or swapped. Without one nobody could tell, so as long as a connection stands that does not happen. */
  send(topic: string, frame: VenueFrame, isNumbered: boolean): void {
    const { dice, weather } = this.#network
    for (const connection of this.#byTopic.get(topic) ?? []) {
      if (connection.owner.state === 'dead') this.#byTopic.get(topic)?.delete(connection)
      else if (isNumbered && dice.chance(weather.frameLost))
        this.#network.tell(`${connection.owner.name}: a frame of ${topic} is lost`)
      else {
        this.#carry(topic, frame, connection, isNumbered)
        if (dice.chance(weather.frameTwice)) this.#carry(topic, frame, connection, isNumbered)
      }
    }
  }

  #carry(topic: string, frame: VenueFrame, connection: Connection, isNumbered: boolean): void {
    const { scheduler, dice, weather } = this.#network
    let dueMs = scheduler.nowMs + this.#network.delayMs()
    if (isNumbered && dice.chance(weather.frameReordered)) dueMs += dice.between(1, 250)
    else {
      dueMs = Math.max(dueMs, connection.frameMs)
      connection.frameMs = dueMs
    }
    connection.newestFrameMs = Math.max(connection.newestFrameMs, dueMs)
    const sentMs = scheduler.nowMs
    scheduler.after(dueMs - sentMs, connection.owner, () => {
      if (connection.open && (isNumbered || sentMs > connection.takesFromMs)) connection.receive(topic, frame)
    })
  }
}

interface Flow {
  ackedAtUs: number | null
  seenMs: number | null
}

export interface LinesParts {
  readonly network: Network
  readonly hub: Hub
  readonly owner: Owner
  event(event: VenueEvent, connection: number): void
  isNumbered(topic: string): boolean
  interrupted(topics: readonly string[], cause: GapCause): void
  acked(topic: string): void
}

/** The connection manager as the dispatcher and the cluster see it, in its simplest form: all topics on each connection. */
export class Lines {
  readonly #parts: LinesParts
  readonly #flows = new Map<string, Flow>()
  readonly #connections = new Set<Connection>()
  /** Was replaced, and the last of what the venue sent by it is still on its way. */
  #emptying: Connection | null = null
  readonly stopping = new Map<string, number>()
  #ids = 0
  #stops = 0

  constructor(parts: LinesParts) {
    this.#parts = parts
    this.#connect()
  }

  setTopics(topics: ReadonlySet<string>): void {
    for (const topic of this.#flows.keys()) if (!topics.has(topic)) this.#stop(topic)
    for (const topic of topics) {
      if (this.#flows.has(topic)) continue
      this.stopping.delete(topic)
      this.#flows.set(topic, { ackedAtUs: null, seenMs: null })
      for (const connection of this.#connections) this.#subscribe(connection, topic)
    }
  }

  status(): TopicFlow[] {
    const { nowMs } = this.#parts.network.scheduler
    return [...this.#flows].map(([topic, { ackedAtUs, seenMs }]) => ({
      topic,
      state: seenMs !== null ? 'flowing' : ackedAtUs !== null ? 'acked' : 'requested',
      ackedAtUs,
      lastSeenAgoMs: seenMs === null ? null : nowMs - seenMs,
      missingMs: seenMs !== null && nowMs - seenMs > this.#parts.hub.usualMs ? nowMs - seenMs : 0,
      connections: [...this.#connections].filter(({ acked }) => acked.has(topic)).map(({ id }) => id),
    }))
  }

  /** The venue or the way to it ends a connection; another one is made after a while. */
  cut(): void {
    const { network, hub, owner } = this.#parts
    const connection = network.dice.pick([...this.#connections])
    if (connection === undefined) return
    connection.dead = true
    hub.drop(connection)
    network.scheduler.after(network.delayMs(), owner, () => this.#ended(connection))
  }

  /** The only connection dies without a word; that it shows nothing is noticed after a while. */
  goSilent(): void {
    const { network, hub, owner } = this.#parts
    const [connection] = this.#connections
    if (connection === undefined || connection.dead || this.#connections.size > 1) return
    connection.dead = true
    hub.drop(connection)
    network.scheduler.after(network.dice.between(3_000, 7_000), owner, () => this.#ended(connection))
  }

  get isMute(): boolean {
    return [...this.#connections].some(({ mute }) => mute.size > 0)
  }

  /** The venue ceases to send one stream; that it shows nothing is noticed after a while, and it is subscribed to anew. */
  goMute(): void {
    const { network, hub, owner, interrupted } = this.#parts
    const [connection] = this.#connections
    if (connection === undefined || connection.dead || this.#connections.size > 1) return
    const topic = network.dice.pick([...connection.acked].filter((one) => !connection.mute.has(one)))
    if (topic === undefined) return
    network.tell(`${owner.name}: ${topic} falls silent`)
    connection.mute.add(topic)
    hub.unsubscribe(topic, connection)
    network.scheduler.after(network.dice.between(3_000, 7_000), owner, () => {
      if (!connection.mute.delete(topic) || !connection.open || !connection.acked.delete(topic)) return
      Object.assign(this.#flows.get(topic) as Flow, { ackedAtUs: null, seenMs: null })
      interrupted([topic], GapCause.Disconnect)
      this.#subscribe(connection, topic)
    })
  }

  #ended(connection: Connection): void {
    const { network, owner, interrupted } = this.#parts
    if (!this.#connections.delete(connection)) return
    connection.open = false
    // What came by it now would pass for the first of the next one.
    if (this.#emptying !== null) this.#emptying.open = false
    for (const end of connection.ends) end()
    const { nowMs } = network.scheduler
    const [next] = this.#connections
    const isTakenFrom = connection.takesFromMs < Number.POSITIVE_INFINITY
    if (next !== undefined && isTakenFrom) next.takesFromMs = nowMs
    const lost = [...this.#flows.keys()].filter(
      (topic) => !this.#isCarried(topic) || (isTakenFrom && !this.#parts.isNumbered(topic)),
    )
    for (const topic of lost) {
      const ackedAtUs = this.#isCarried(topic) ? Math.round(nowMs * 1_000) : null
      Object.assign(this.#flows.get(topic) as Flow, { ackedAtUs, seenMs: null })
    }
    if (lost.length > 0) interrupted(lost, GapCause.Disconnect)
    network.scheduler.after(network.dice.between(20, 1_500), owner, () => {
      if (this.#connections.size === 0) this.#connect()
    })
  }

  /** A second connection takes the place of the first without an interruption; of a dead one it would have to tell one. */
  renew(): void {
    const [old] = this.#connections
    if (old === undefined || old.dead || old.mute.size > 0 || this.#connections.size > 1) return
    const { network, hub, owner } = this.#parts
    const next = this.#connect()
    const carriesAll = (): boolean => [...this.#flows.keys()].every((topic) => next.acked.has(topic))
    const look = (): void => {
      if (!next.open || !old.open) return
      if (!carriesAll()) {
        network.scheduler.after(50, owner, look)
        return
      }
      network.scheduler.after(300, owner, () => {
        if (!next.open || !old.open || old.dead || old.mute.size > 0) return
        // Asked for meanwhile.
        if (!carriesAll()) {
          look()
          return
        }
        hub.drop(old)
        this.#connections.delete(old)
        next.takesFromMs = network.scheduler.nowMs
        next.frameMs = Math.max(next.frameMs, old.newestFrameMs)
        this.#emptying = old
        this.#behindFrames(old, () => {
          old.open = false
        })
      })
    }
    look()
  }

  close(): void {
    for (const connection of this.#connections) {
      this.#parts.hub.drop(connection)
      // Nobody is there any more to notice it.
      connection.mute.clear()
    }
    this.#connections.clear()
  }

  #isCarried(topic: string): boolean {
    return [...this.#connections].some(({ acked }) => acked.has(topic))
  }

  #connect(): Connection {
    const { network, owner, event } = this.#parts
    const { scheduler } = network
    const connection: Connection = {
      ...{
        id: ++this.#ids,
        owner,
        open: true,
        dead: false,
        mute: new Set(),
        leaving: new Map(),
        ends: new Set(),
        requestMs: 0,
        frameMs: 0,
        newestFrameMs: 0,
        acked: new Set(),
        takesFromMs: this.#connections.size === 0 ? -1 : Number.POSITIVE_INFINITY,
      },
      receive: (topic, frame) => {
        const flow = this.#flows.get(topic)
        // The rest of the subscription before: what is missing between the two comes behind it.
        if (flow !== undefined && connection.leaving.has(topic) && !connection.acked.has(topic)) return
        if (flow !== undefined) flow.seenMs = scheduler.nowMs
        event(frame({ topic, receivedTimeUs: Math.round(scheduler.nowMs * 1_000) }), connection.id)
      },
    }
    this.#connections.add(connection)
    for (const topic of this.#flows.keys()) this.#subscribe(connection, topic)
    return connection
  }

  #subscribe(connection: Connection, topic: string): void {
    const { hub, acked, network } = this.#parts
    this.#ask(connection, () => {
      hub.subscribe(topic, connection)
      this.#behindFrames(connection, () => {
        const flow = this.#flows.get(topic)
        if (!connection.open || flow === undefined) return
        const isFirst = !this.#isCarried(topic)
        connection.acked.add(topic)
        if (!isFirst) return
        flow.ackedAtUs = Math.round(network.scheduler.nowMs * 1_000)
        acked(topic)
      })
    })
  }

  #stop(topic: string): void {
    const { hub } = this.#parts
    this.#flows.delete(topic)
    const stop = ++this.#stops
    this.stopping.set(topic, stop)
    let waiting = this.#connections.size
    if (waiting === 0) this.stopping.delete(topic)
    for (const connection of this.#connections) {
      connection.acked.delete(topic)
      connection.mute.delete(topic)
      const done = (): void => {
        if (!connection.ends.delete(done)) return
        const left = (connection.leaving.get(topic) ?? 1) - 1
        if (left === 0) connection.leaving.delete(topic)
        else connection.leaving.set(topic, left)
        waiting--
        if (waiting === 0 && this.stopping.get(topic) === stop) this.stopping.delete(topic)
      }
      connection.ends.add(done)
      connection.leaving.set(topic, (connection.leaving.get(topic) ?? 0) + 1)
      this.#ask(connection, () => {
        hub.unsubscribe(topic, connection)
        this.#behindFrames(connection, done)
      })
    }
  }

  /** Done at the venue, in order. */
  #ask(connection: Connection, work: () => void): void {
    const { network } = this.#parts
    const { scheduler } = network
    connection.requestMs = Math.max(connection.requestMs, scheduler.nowMs + network.delayMs())
    scheduler.after(connection.requestMs - scheduler.nowMs, null, () => {
      if (connection.open && !connection.dead) work()
    })
  }

  #behindFrames(connection: Connection, work: () => void): void {
    const { network, owner } = this.#parts
    const { scheduler } = network
    const dueMs = Math.max(scheduler.nowMs + network.delayMs(), connection.newestFrameMs)
    connection.frameMs = Math.max(connection.frameMs, dueMs)
    scheduler.after(dueMs - scheduler.nowMs, owner, work)
  }
}
