import { backoffMs } from '../../lib/backoff.ts'
import type { Clock } from '../../lib/clock.ts'
import { metrics } from '../../telemetry/metrics.ts'
import type { StreamProtocol, VenueSink } from '../venue.ts'
import { coveredWithout, handedOver } from './coverage.ts'
import type { Staleness } from './freshness.ts'
import { Line, type LineCounts, type LineEnd, type LineOwner, type Tick } from './line.ts'
import { type ConnectionsOptions, defaultConnectionsOptions } from './options.ts'
import { SlidingWindow } from './outbound.ts'
import { placeGroup } from './packing.ts'
import { type RepairOwner, Repairs } from './repairs.ts'
import { type Group, type RenewReason, Slot } from './slot.ts'
import { type ConnectionsStatus, connectionStatus, StoppedTopics, topicStatus } from './status.ts'
import { type Carrier, Topic } from './topic.ts'

export interface ConnectionsHooks {
  /** The venue acknowledged the subscription, also again after a reconnect. */
  onTopicAcked?(topic: string): void
  /** Data came, for the first time or for the first time since an interruption. */
  onTopicFlowing?(topic: string): void
  /** No line carries the topic any more. */
  onTopicStopped?(topic: string): void
}

export interface ConnectionsParts {
  readonly protocol: StreamProtocol
  readonly sink: VenueSink
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly log: (level: 'info' | 'warn', message: string, facts: Readonly<Record<string, unknown>>) => void
  readonly options?: Partial<ConnectionsOptions>
  readonly hooks?: ConnectionsHooks
}

/**
 * Keeps a venue's streams flowing over as many sockets as they need.
 *
 * A wanted topic belongs to a group (its instrument), a group to a slot, and a slot is filled by one line (one socket,
 * one life) after the other. Where the change is planned, old and new line overlap and both feed the sink, which knows
 * duplicates; only what no line covered is told as `interrupted`. It never gives up, and it never throws.
 */
export class Connections implements LineOwner, RepairOwner {
  readonly #protocol: StreamProtocol
  readonly #sink: VenueSink
  readonly #clock: Clock
  readonly #random: () => number
  readonly #log: ConnectionsParts['log']
  readonly #hooks: ConnectionsHooks
  readonly #options: ConnectionsOptions
  readonly #market: string

  readonly #slots = new Map<number, Slot>()
  readonly #groups = new Map<string, Group>()
  readonly #topics = new Map<string, Topic>()
  /** Topics not wanted any more whose UNSUBSCRIBE is under way. */
  readonly #stopping = new Map<string, Line>()
  readonly #stopped: StoppedTopics
  readonly #ending = new Set<Line>()
  readonly #moving = new Set<Group>()
  readonly #repairs: Repairs
  readonly #connects: SlidingWindow
  readonly #tick: Tick
  readonly #counts: LineCounts = { frames: 0, bytes: 0, messagesSent: 0, strayEvents: 0, repliesUnmatched: 0 }
  #connectsHeldUntilMs = 0
  #pausedSinceMs = 0
  #nextSlotId = 1
  #generation = 0
  #cancelSweep: () => void = () => {}
  #closing: Promise<void> | null = null

  constructor(parts: ConnectionsParts) {
    this.#protocol = parts.protocol
    this.#sink = parts.sink
    this.#clock = parts.clock
    this.#random = parts.random
    this.#log = parts.log
    this.#hooks = parts.hooks ?? {}
    this.#options = { ...defaultConnectionsOptions, ...parts.options }
    this.#market = parts.protocol.market
    const { limits } = parts.protocol
    this.#connects = new SlidingWindow(
      this.#options.connectsPerWindowMax ?? limits.connectsPerWindowMax,
      limits.connectsWindowMs,
    )
    this.#repairs = new Repairs(this, this.#options, this.#random)
    this.#stopped = new StoppedTopics(this.#options.stoppedTopicsMax)
    const nowMs = this.#clock.monotonicMs()
    this.#tick = { nowMs, rebaseMs: nowMs }
    this.#sink.onDrained(() => this.#resume())
    this.#scheduleSweep()
  }

  /** Makes `topics` the wanted set. Idempotent; lines follow by native SUBSCRIBE and UNSUBSCRIBE, without reconnecting. */
  setTopics(topics: ReadonlySet<string>): void {
    if (this.#closing !== null) return
    for (const topic of [...this.#topics.values()]) if (!topics.has(topic.name)) this.#remove(topic)
    const fresh = new Map<string, Topic[]>()
    for (const name of topics) {
      if (this.#topics.has(name)) continue
      const key = this.#groupKey(name, fresh)
      const topic = new Topic(name, key, this.#clock.nowUs())
      this.#topics.set(name, topic)
      this.#stopped.delete(name)
      this.#stopping.delete(name)
      const others = fresh.get(key)
      if (others) others.push(topic)
      else fresh.set(key, [topic])
    }
    for (const [key, added] of fresh) this.#place(key, added)
    for (const slot of [...this.#slots.values()]) {
      if (this.#isIdle(slot)) this.#dissolve(slot)
      else if (slot.line === null) this.#connectSoon(slot, 0)
      slot.line?.flush()
      slot.successor?.flush()
    }
  }

  status(): ConnectionsStatus {
    const nowMs = this.#clock.monotonicMs()
    const connections = []
    for (const slot of this.#slots.values()) {
      for (const line of [slot.line, slot.successor]) {
        if (line !== null) connections.push(connectionStatus(slot, line, this.#pausedSinceMs > 0, nowMs))
      }
    }
    const topics = [...this.#topics.values()].map((topic) => topicStatus(topic, nowMs))
    return { connections, topics, stopped: this.#stopped.list(), staleTopicsCount: this.#repairs.staleTopicsCount }
  }

  /** Ends every line; resolves when all sockets are gone, at the latest after `closeTimeoutMs`. Later calls wait for the same. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#cancelSweep()
    const lines: Line[] = [...this.#ending]
    for (const slot of this.#slots.values()) {
      slot.cancelConnect?.()
      for (const line of [slot.line, slot.successor]) if (line) lines.push(line)
    }
    for (const line of lines) line.end('closed', 'closed by us')
    await Promise.all(lines.map((line) => line.gone))
    this.#carryCounts()
    metrics.venueConnections.set({ market: this.#market }, 0)
    metrics.venueStaleTopics.set({ market: this.#market }, 0)
  }

  // Topics, groups and slots

  /** A group that would not fit into one connection goes on under a key of its own. */
  #groupKey(name: string, fresh: ReadonlyMap<string, readonly Topic[]>): string {
    let key = this.#protocol.groupOf?.(name) ?? (name.includes('@') ? name.slice(0, name.indexOf('@')) : name)
    const max = this.#protocol.limits.topicsPerConnectionMax
    while ((this.#groups.get(key)?.topics.size ?? 0) + (fresh.get(key)?.length ?? 0) >= max) key += '+'
    return key
  }

  #place(key: string, added: readonly Topic[]): void {
    let group = this.#groups.get(key)
    if (group === undefined) {
      const slot = this.#slotFor(added.length, null)
      group = { name: key, slot, topics: new Map(), leaving: null }
      this.#groups.set(key, group)
      slot.groups.add(group)
    }
    for (const topic of added) group.topics.set(topic.name, topic)
    this.#findWitnesses(group)
    if (group.slot.load > this.#protocol.limits.topicsPerConnectionMax) this.#move(group)
    for (const topic of added) {
      group.slot.line?.want(topic)
      group.slot.successor?.want(topic)
    }
  }

  #slotFor(size: number, besides: Slot | null): Slot {
    const { topicsPerConnectionMax: hardMax } = this.#protocol.limits
    const bounds = { preferredMax: this.#options.topicsPerConnection, hardMax }
    const candidates = [...this.#slots.values()].filter((slot) => slot !== besides)
    const known = placeGroup(candidates, size, bounds)
    if (known !== null) return known
    const slot = new Slot(this.#nextSlotId++)
    this.#slots.set(slot.id, slot)
    return slot
  }

  #findWitnesses(group: Group): void {
    const topics = [...group.topics.values()]
    for (const topic of topics) {
      topic.witnesses = topics.filter(
        (other) => other !== topic && this.#protocol.mustMoveWith?.(topic.name, other.name) === true,
      )
    }
  }

  #remove(topic: Topic): void {
    this.#topics.delete(topic.name)
    const group = this.#groups.get(topic.group)
    if (group !== undefined) {
      group.topics.delete(topic.name)
      this.#findWitnesses(group)
      if (group.topics.size === 0) {
        this.#groups.delete(group.name)
        this.#moving.delete(group)
        group.slot.groups.delete(group)
      }
    }
    const carriers = [...topic.carriers]
    if (carriers.length === 0) this.#markStopped(topic.name)
    for (const carrier of carriers) {
      this.#stopping.set(topic.name, carrier.line)
      carrier.line.unwant(carrier)
    }
  }

  /** Holds nothing, and nothing leans on it until it has moved. */
  #isIdle(slot: Slot): boolean {
    if (slot.groups.size > 0) return false
    for (const group of this.#moving) if (group.leaving?.slot === slot) return false
    return true
  }

  /** A slot without topics needs no line. */
  #dissolve(slot: Slot): void {
    this.#slots.delete(slot.id)
    slot.cancelConnect?.()
    this.#retire(slot.successor)
    this.#retire(slot.line)
    slot.line = null
    slot.successor = null
  }

  #markStopped(name: string): void {
    if (this.#topics.has(name)) return
    this.#stopped.add(name, this.#clock.nowUs())
    this.#hooks.onTopicStopped?.(name)
  }

  // Connecting and renewing

  /** Opens the slot's line, or its successor while there is a line, once the limits allow. */
  #connectSoon(slot: Slot, delayMs: number): void {
    if (slot.cancelConnect !== null || this.#closing !== null) return
    const waitMs = Math.max(delayMs, this.#connectWaitMs())
    if (waitMs === 0) {
      this.#connect(slot)
      return
    }
    slot.cancelConnect = this.#clock.after(waitMs, () => {
      slot.cancelConnect = null
      this.#connectSoon(slot, 0)
    })
  }

  #connectWaitMs(): number {
    const nowMs = this.#clock.monotonicMs()
    const drainWaitMs = this.#sink.saturated ? this.#options.sweepMs : 0
    return Math.max(0, this.#connectsHeldUntilMs - nowMs, this.#connects.waitMs(nowMs), drainWaitMs)
  }

  #connect(slot: Slot): void {
    const isSuccessor = slot.line !== null
    if (isSuccessor && (slot.successor !== null || slot.renewReason === null)) return
    this.#connects.take(this.#clock.monotonicMs())
    const line = new Line(slot.id, ++this.#generation, {
      protocol: this.#protocol,
      sink: this.#sink,
      clock: this.#clock,
      options: this.#options,
      owner: this,
      tick: this.#tick,
      counts: this.#counts,
    })
    if (isSuccessor) slot.successor = line
    else slot.line = line
    slot.coveredSinceMs = 0
    for (const group of slot.groups) for (const topic of group.topics.values()) line.want(topic)
    line.open()
  }

  #renew(slot: Slot, reason: RenewReason): void {
    if (slot.line === null || slot.successor !== null || slot.cancelConnect !== null) return
    slot.renewReason = reason
    metrics.venueRenewals.inc({ market: this.#market, reason })
    this.#log('info', 'renewing a connection', { market: this.#market, connection: slot.id, reason })
    this.#connectSoon(slot, 0)
  }

  /** Ends a line whose topics are covered or not wanted. */
  #retire(line: Line | null): void {
    if (line === null || line.state === 'closed') return
    line.end('retired', 'replaced or not needed any more')
  }

  #setRenewal(slot: Slot): void {
    const { renewMarginShareMin: min, renewMarginShareMax: max } = this.#options
    const margin = min + this.#random() * (max - min)
    slot.renewAtMs = this.#clock.monotonicMs() + this.#protocol.limits.lifetimeMs * (1 - margin)
  }

  #promote(slot: Slot): void {
    slot.line = slot.successor
    slot.successor = null
    slot.renewReason = null
    slot.coveredSinceMs = 0
    slot.renewAttempt = 0
  }

  // What lines report

  lineOpened(line: Line): void {
    const slot = this.#slots.get(line.slotId)
    if (slot) this.#setRenewal(slot)
    if (this.#pausedSinceMs > 0) line.pause()
    this.#log('info', 'connection open', { market: this.#market, connection: line.slotId, generation: line.generation })
  }

  lineEnded(line: Line, end: LineEnd, detail: string): void {
    this.#ending.add(line)
    void line.gone.then(() => this.#ending.delete(line))
    for (const [name, stoppingOn] of this.#stopping) {
      if (stoppingOn !== line) continue
      this.#stopping.delete(name)
      this.#markStopped(name)
    }
    if (end === 'closed' || end === 'retired') return
    metrics.venueReconnects.inc({ market: this.#market, reason: end })
    this.#log('warn', 'connection lost', {
      market: this.#market,
      connection: line.slotId,
      generation: line.generation,
      reason: end,
      detail,
      topics: line.carriers.size,
    })
    const lost: string[] = []
    for (const { topic } of line.carriers.values()) {
      if (coveredWithout(topic, line, end)) continue
      topic.ackedAtUs = null
      if (topic.interrupt()) lost.push(topic.name)
    }
    this.#tellInterrupted(lost, end === 'overflow' ? 'overflow' : 'disconnect')
    const slot = this.#slots.get(line.slotId)
    if (slot) this.#replaceLost(slot, line)
  }

  #replaceLost(slot: Slot, line: Line): void {
    const bounds = { baseMs: this.#options.reconnectBaseMs, maxMs: this.#options.reconnectMsMax }
    if (slot.successor === line) {
      slot.successor = null
      this.#connectSoon(slot, backoffMs(slot.renewAttempt++, bounds, this.#random))
      return
    }
    if (slot.line !== line) return
    if (slot.successor !== null) {
      this.#promote(slot)
      return
    }
    slot.line = null
    slot.renewReason = null
    // A wait that belonged to a renewal would now hold up the reconnect.
    slot.cancelConnect?.()
    slot.cancelConnect = null
    this.#connectSoon(slot, backoffMs(slot.attempt++, bounds, this.#random))
  }

  lineShutdown(line: Line): void {
    const slot = this.#slots.get(line.slotId)
    if (!slot) return
    if (slot.line === line) this.#renew(slot, 'shutdown')
    // The line that was to replace the old one is told to go itself: another one takes its part.
    else if (slot.successor === line) line.end('disconnect', 'the venue shuts down the replacement')
  }

  topicAcked(carrier: Carrier): void {
    const { topic } = carrier
    topic.errors = 0
    topic.ackedAtUs ??= this.#clock.nowUs()
    this.#hooks.onTopicAcked?.(topic.name)
  }

  topicFlowed(carrier: Carrier): void {
    const { topic } = carrier
    if (topic.flowing) return
    topic.flowing = true
    topic.flowingAtUs = this.#clock.nowUs()
    this.#hooks.onTopicFlowing?.(topic.name)
  }

  topicRefused(carrier: Carrier, error: string, together: number): void {
    metrics.venueSubscribeErrors.inc({ market: this.#market })
    const { topic } = carrier
    if (together > 1) return
    const bounds = { baseMs: this.#options.errorRetryBaseMs, maxMs: this.#options.errorRetryMsMax }
    carrier.retryAtMs = this.#clock.monotonicMs() + backoffMs(topic.errors, bounds, this.#random)
    topic.errors += 1
    this.#log('warn', 'subscription refused', { market: this.#market, topic: topic.name, error, errors: topic.errors })
  }

  topicsUnsubscribed(line: Line, names: readonly string[]): void {
    for (const name of names) {
      if (this.#stopping.get(name) !== line) continue
      this.#stopping.delete(name)
      this.#markStopped(name)
    }
  }

  unsubscribeRefused(line: Line, names: readonly string[], error: string): void {
    metrics.venueSubscribeErrors.inc({ market: this.#market })
    this.#log('warn', 'unsubscription refused', {
      market: this.#market,
      connection: line.slotId,
      topics: names.length,
      error,
    })
  }

  connectsRefused(status: number, retryAfterMs: number | null): void {
    const holdMs = retryAfterMs ?? this.#options.refusedHoldMs
    this.#connectsHeldUntilMs = Math.max(this.#connectsHeldUntilMs, this.#clock.monotonicMs() + holdMs)
    this.#log('warn', 'the venue refuses connections', { market: this.#market, status, holdMs })
  }

  sinkSaturated(): void {
    if (this.#pausedSinceMs > 0 || this.#closing !== null) return
    this.#pausedSinceMs = this.#clock.monotonicMs()
    for (const slot of this.#slots.values()) {
      slot.line?.pause()
      slot.successor?.pause()
    }
  }

  #resume(): void {
    if (this.#pausedSinceMs === 0 || this.#closing !== null) return
    this.#pausedSinceMs = 0
    this.#tick.rebaseMs = this.#clock.monotonicMs()
    for (const slot of this.#slots.values()) {
      slot.line?.resume()
      slot.successor?.resume()
    }
  }

  // What repairs ask

  topicStale(topic: Topic, reason: Staleness): void {
    this.#log('warn', 'topic acknowledged and silent', { market: this.#market, topic: topic.name, reason })
    if (topic.interrupt()) this.#tellInterrupted([topic.name], 'lost')
  }

  topicResubscribed(carrier: Carrier, reason: Staleness): void {
    metrics.venueResubscribes.inc({ market: this.#market, reason })
    carrier.line.resubscribe(carrier)
  }

  moveGroup(group: Group, reason: Staleness): void {
    metrics.venueMoves.inc({ market: this.#market, reason })
    this.#log('warn', 'moving an instrument to another connection', { market: this.#market, group: group.name, reason })
    this.#move(group)
  }

  lineSilent(line: Line, topicsCount: number): void {
    const slot = this.#slots.get(line.slotId)
    const facts = { market: this.#market, connection: line.slotId, silent: topicsCount, topics: line.carriers.size }
    this.#log('warn', 'many topics of a connection are silent', facts)
    if (slot) this.#renew(slot, 'silent')
  }

  /** The group's topics are subscribed elsewhere first; the old line gives them up once the new one has them. */
  #move(group: Group): void {
    const from = group.slot
    const to = this.#slotFor(group.topics.size, from)
    from.groups.delete(group)
    to.groups.add(group)
    group.slot = to
    group.leaving = { slot: from, sinceMs: this.#clock.monotonicMs(), coveredSinceMs: 0 }
    this.#moving.add(group)
    for (const topic of group.topics.values()) {
      to.line?.want(topic)
      to.successor?.want(topic)
    }
    if (to.line === null) this.#connectSoon(to, 0)
    else to.line.flush()
  }

  // The sweep

  #scheduleSweep(): void {
    this.#cancelSweep = this.#clock.after(this.#options.sweepMs, () => {
      this.#sweep()
      this.#scheduleSweep()
    })
  }

  #sweep(): void {
    const nowMs = this.#clock.monotonicMs()
    const late = nowMs - this.#tick.nowMs > this.#options.sweepMs + this.#options.sweepLateMs
    this.#tick.nowMs = nowMs
    if (late) this.#tick.rebaseMs = nowMs
    if (this.#pausedSinceMs > 0) this.#whilePaused(nowMs)
    const isPaused = this.#pausedSinceMs > 0
    for (const slot of [...this.#slots.values()]) {
      if (!isPaused) {
        slot.line?.check(nowMs)
        slot.successor?.check(nowMs)
      }
      this.#advance(slot, nowMs)
    }
    for (const group of [...this.#moving]) this.#advanceMove(group, nowMs)
    if (!isPaused) this.#repairs.sweep(this.#slots.values(), nowMs, this.#tick.rebaseMs)
    for (const slot of this.#slots.values()) slot.line?.flush()
    this.#carryCounts()
  }

  #whilePaused(nowMs: number): void {
    if (!this.#sink.saturated) this.#resume()
    else if (nowMs - this.#pausedSinceMs > this.#options.pausedMsMax) {
      for (const slot of [...this.#slots.values()]) {
        for (const line of [slot.successor, slot.line]) {
          line?.end('overflow', `the sink was full for more than ${this.#options.pausedMsMax} ms`)
        }
      }
      this.#pausedSinceMs = nowMs
    }
  }

  /** Stability, renewal by age, and the end of an overlap. */
  #advance(slot: Slot, nowMs: number): void {
    const { line, successor } = slot
    if (line === null || line.state !== 'open') return
    if (slot.attempt > 0 && line.settled && nowMs - line.openedMs >= this.#options.stableMs) slot.attempt = 0
    if (successor === null) {
      if (nowMs >= slot.renewAtMs && this.#renewalsCount() < this.#options.renewalsConcurrentMax)
        this.#renew(slot, 'lifetime')
      return
    }
    if (!this.#isCovered(slot.groups, line, successor, nowMs)) slot.coveredSinceMs = 0
    else if (slot.coveredSinceMs === 0) slot.coveredSinceMs = nowMs
    else if (nowMs - slot.coveredSinceMs >= this.#options.lingerMs) {
      this.#promote(slot)
      this.#retire(line)
    }
  }

  #renewalsCount(): number {
    let count = 0
    for (const slot of this.#slots.values()) if (slot.renewReason === 'lifetime') count += 1
    return count
  }

  #isCovered(groups: Iterable<Group>, previous: Line | null, next: Line | null, nowMs: number): boolean {
    for (const group of groups) {
      for (const topic of group.topics.values()) {
        if (!handedOver(topic, previous, next, nowMs, this.#options)) return false
      }
    }
    return true
  }

  #advanceMove(group: Group, nowMs: number): void {
    const { leaving } = group
    if (leaving === null) return
    const previous = leaving.slot.line
    if (!this.#isCovered([group], previous, group.slot.line, nowMs)) leaving.coveredSinceMs = 0
    else if (leaving.coveredSinceMs === 0) leaving.coveredSinceMs = nowMs
    else if (nowMs - leaving.coveredSinceMs >= this.#options.lingerMs) {
      group.leaving = null
      this.#moving.delete(group)
      for (const topic of group.topics.values()) {
        for (const carrier of [...topic.carriers]) {
          if (carrier.line.slotId !== group.slot.id) carrier.line.unwant(carrier)
        }
      }
      if (this.#isIdle(leaving.slot)) this.#dissolve(leaving.slot)
      else previous?.flush()
    }
  }

  #tellInterrupted(topics: readonly string[], cause: 'disconnect' | 'overflow' | 'lost'): void {
    if (topics.length === 0) return
    metrics.venueInterruptedTopics.inc({ market: this.#market, cause }, topics.length)
    this.#sink.interrupted(topics, cause)
  }

  #carryCounts(): void {
    const market = { market: this.#market }
    const counts = this.#counts
    metrics.venueFrames.inc(market, counts.frames)
    metrics.venueReceivedBytes.inc(market, counts.bytes)
    metrics.venueMessagesSent.inc(market, counts.messagesSent)
    metrics.venueStrayEvents.inc(market, counts.strayEvents)
    metrics.venueRepliesUnmatched.inc(market, counts.repliesUnmatched)
    counts.frames = counts.bytes = counts.messagesSent = counts.strayEvents = counts.repliesUnmatched = 0
    let open = 0
    for (const slot of this.#slots.values()) {
      if (slot.line?.state === 'open') open += 1
      if (slot.successor?.state === 'open') open += 1
    }
    metrics.venueConnections.set(market, open)
    metrics.venueStaleTopics.set(market, this.#repairs.staleTopicsCount)
  }
}
