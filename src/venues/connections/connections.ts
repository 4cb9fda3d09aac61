import { backoffMs } from '../../lib/backoff.ts'
import type { Clock } from '../../lib/clock.ts'
import type { StreamProtocol, VenueEvent, VenueSink } from '../venue.ts'
import { ConnectAttempts } from './attempts.ts'
import {
  areHandedOver,
  bequeath,
  besideHeir,
  coveredWithout,
  hidesHole,
  overlaps,
  releaseHeld,
  sendOnShown,
  silencedBeside,
} from './coverage.ts'
import type { Staleness } from './freshness.ts'
import { Layout } from './layout.ts'
import { Line } from './line.ts'
import type { LineEnd, LineOwner, Tick } from './line-parts.ts'
import { type ConnectionsOptions, defaultConnectionsOptions, renewalDelayMs } from './options.ts'
import type { ConnectionsHooks, ConnectionsParts } from './parts.ts'
import { type RepairOwner, Repairs } from './repairs.ts'
import { Reports } from './reports.ts'
import type { Group, RenewReason, Slot } from './slot.ts'
import { type ConnectionsStatus, connectionStatus, StoppedTopics, topicStatus } from './status.ts'
import { type Carrier, interruptAll, type Topic } from './topic.ts'

export type { ConnectionsHooks, ConnectionsParts } from './parts.ts'

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
  readonly #hooks: ConnectionsHooks
  readonly #options: ConnectionsOptions

  readonly #reports: Reports
  readonly #layout: Layout
  /** Topics not wanted any more whose UNSUBSCRIBE is under way. */
  readonly #stopping = new Map<string, Line>()
  readonly #stopped: StoppedTopics
  readonly #ending = new Set<Line>()
  readonly #repairs: Repairs
  readonly #attempts: ConnectAttempts
  readonly #tick: Tick
  #pausedSinceMs = 0
  #generation = 0
  #cancelSweep: () => void = () => {}
  #closing: Promise<void> | null = null

  constructor(parts: ConnectionsParts) {
    this.#protocol = parts.protocol
    this.#sink = parts.sink
    this.#clock = parts.clock
    this.#random = parts.random
    this.#hooks = parts.hooks ?? {}
    this.#options = { ...defaultConnectionsOptions, ...parts.options }
    this.#reports = new Reports(parts.protocol.market, parts.log)
    this.#layout = new Layout(parts.protocol, this.#options)
    const { market, limits } = parts.protocol
    const connectsPerWindowMax = this.#options.connectsPerWindowMax ?? limits.connectsPerWindowMax
    this.#attempts = new ConnectAttempts({
      ...{ clock: this.#clock, market, limits: { ...limits, connectsPerWindowMax } },
      ...{ shared: parts.connectBudget ?? null, processes: parts.processes ?? (() => 1) },
      heldMs: () => (this.#sink.saturated ? this.#options.sweepMs : 0),
      failed: (error) => this.#reports.connectBudgetFailed(error),
    })
    this.#repairs = new Repairs(this, this.#options, this.#random)
    this.#stopped = new StoppedTopics(this.#options.stoppedTopicsMax)
    const nowMs = this.#clock.monotonicMs()
    this.#tick = { nowMs, rebaseMs: nowMs, shown: [] }
    this.#sink.onDrained(() => this.#resume())
    this.#scheduleSweep()
  }

  /** Makes `topics` the wanted set. Idempotent; lines follow by native SUBSCRIBE and UNSUBSCRIBE, without reconnecting. */
  setTopics(topics: ReadonlySet<string>): void {
    if (this.#closing !== null) return
    for (const topic of [...this.#layout.topics.values()]) if (!topics.has(topic.name)) this.#remove(topic)
    const fresh = [...topics].filter((name) => !this.#layout.topics.has(name))
    for (const name of fresh) {
      this.#stopped.delete(name)
      this.#stopping.delete(name)
    }
    this.#layout.add(fresh, this.#clock.nowUs())
    for (const slot of [...this.#layout.slots.values()]) {
      const isIdle = this.#layout.isIdle(slot)
      if (!isIdle) slot.use(this.#clock.monotonicMs())
      else if (slot.line?.state === 'open') slot.idleSinceMs ||= this.#clock.monotonicMs()
      else this.#dissolve(slot)
      if (!isIdle && slot.line === null) this.#connectSoon(slot, 0)
      slot.line?.flush()
      slot.successor?.flush()
    }
  }

  status(): ConnectionsStatus {
    const nowMs = this.#clock.monotonicMs()
    const connections = []
    for (const slot of this.#layout.slots.values()) {
      for (const line of [slot.line, slot.successor]) {
        if (line !== null) connections.push(connectionStatus(slot, line, this.#pausedSinceMs > 0, nowMs))
      }
    }
    const topics = [...this.#layout.topics.values()].map((topic) => topicStatus(topic, nowMs, this.#options))
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
    for (const slot of this.#layout.slots.values()) {
      slot.cancelConnect?.()
      for (const line of [slot.line, slot.successor]) if (line) lines.push(line)
    }
    for (const line of lines) line.end('closed', 'closed by us')
    await Promise.all(lines.map((line) => line.gone))
    this.#reports.carry(0, 0)
  }

  // Topics, groups and slots

  #remove(topic: Topic): void {
    this.#layout.remove(topic)
    const carriers = [...topic.carriers]
    if (carriers.length === 0) this.#markStopped(topic.name)
    for (const carrier of carriers) {
      this.#stopping.set(topic.name, carrier.line)
      carrier.line.unwant(carrier)
    }
  }

  /** A slot without topics needs no line. */
  #dissolve(slot: Slot): void {
    this.#layout.slots.delete(slot.id)
    slot.cancelConnect?.()
    this.#retire(slot.successor)
    this.#retire(slot.line)
    slot.line = null
    slot.successor = null
  }

  #markStopped(name: string): void {
    if (this.#layout.topics.has(name)) return
    this.#stopped.add(name, this.#clock.nowUs())
    this.#hooks.onTopicStopped?.(name)
  }

  // Connecting and renewing

  /** Opens the slot's line, or its successor while there is a line, once the limits allow. */
  #connectSoon(slot: Slot, delayMs: number): void {
    if (slot.cancelConnect !== null || this.#closing !== null) return
    let isOver = false
    const cancel = this.#attempts.when(delayMs, () => {
      isOver = true
      slot.cancelConnect = null
      if (this.#closing === null) this.#connect(slot)
    })
    if (!isOver) slot.cancelConnect = cancel
  }

  #connect(slot: Slot): void {
    const isSuccessor = slot.line !== null
    if (isSuccessor && (slot.successor !== null || slot.renewReason === null)) return
    const line = new Line(slot.id, ++this.#generation, {
      protocol: this.#protocol,
      sink: this.#sink,
      clock: this.#clock,
      options: this.#options,
      owner: this,
      tick: this.#tick,
      counts: this.#reports.counts,
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
    this.#reports.renewing(slot.id, reason)
    this.#connectSoon(slot, 0)
  }

  /** Ends a line whose topics are covered or not wanted. */
  #retire(line: Line | null): void {
    if (line === null || line.state === 'closed') return
    line.end('retired', 'replaced or not needed any more')
  }

  #setRenewal(slot: Slot): void {
    const lifetimeMs = this.#options.lifetimeMs ?? this.#protocol.limits.lifetimeMs
    slot.renewAtMs = this.#clock.monotonicMs() + renewalDelayMs(lifetimeMs, this.#options, this.#random)
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
    const slot = this.#layout.slots.get(line.slotId)
    if (slot) this.#setRenewal(slot)
    if (this.#pausedSinceMs > 0) line.pause()
    this.#reports.opened(line)
  }

  lineEnded(line: Line, end: LineEnd, detail: string): void {
    this.#ending.add(line)
    void line.gone.then(() => this.#ending.delete(line))
    for (const [name, stoppingOn] of this.#stopping) {
      if (stoppingOn !== line) continue
      this.#stopping.delete(name)
      this.#markStopped(name)
    }
    if (end === 'closed') return
    if (end !== 'retired') this.#reports.lost(line, end, detail)
    for (const carrier of line.carriers.values()) bequeath(carrier, end === 'retired')
    this.#lose(line, line.carriers.values(), end === 'overflow' ? 'overflow' : 'disconnect')
    const slot = this.#layout.slots.get(line.slotId)
    if (slot && end !== 'retired') this.#replaceLost(slot, line)
  }

  /** The line carries these no longer; what no other one covers is interrupted. */
  #lose(line: Line, carriers: Iterable<Carrier>, cause: 'disconnect' | 'overflow' | 'lost'): void {
    const lost: Topic[] = []
    for (const { topic, lastSeenMs } of carriers) {
      // Where the line itself goes on, nobody knows since when it does so without them.
      const untilMs = cause === 'lost' ? lastSeenMs : line.lastReceivedMs
      if (coveredWithout(topic, line, untilMs)) sendOnShown(topic, line)
      else lost.push(topic)
    }
    for (const topic of lost) topic.ackedAtUs = null
    this.#interrupt(lost, cause, line)
  }

  /** These are interrupted, which is told. What other lines than the lost one hold back of them follows the hole and ends it. */
  #interrupt(topics: readonly Topic[], cause: 'disconnect' | 'overflow' | 'lost', lost: Line | null = null): void {
    const held = releaseHeld(topics, lost)
    this.#tellInterrupted(interruptAll(topics), cause)
    for (const { carrier, events } of held) {
      // What is lost from here on is another hole.
      carrier.lastSeenMs = this.#tick.nowMs
      this.topicFlowed(carrier)
      carrier.line.sendOn(events)
    }
  }

  #replaceLost(slot: Slot, line: Line): void {
    if (this.#layout.isIdle(slot)) {
      this.#dissolve(slot)
      return
    }
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
    const slot = this.#layout.slots.get(line.slotId)
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
    if (hidesHole(carrier, this.#tick.nowMs, this.#options)) this.#tellInterrupted(interruptAll([topic]), 'lost')
    const isBesideHeir = besideHeir(carrier)
    if (!isBesideHeir) topic.inherited = null
    if (topic.flowing) {
      carrier.onProbation =
        isBesideHeir ||
        topic.carriers.some((other) => other !== carrier && other.lastSeenMs > 0 && other.heldBackSinceMs === 0)
      return
    }
    topic.flowing = true
    topic.flowingAtUs = this.#clock.nowUs()
    this.#hooks.onTopicFlowing?.(topic.name)
  }

  /**
   * Data of a topic that another line carries too. Best prices, statistics and bars have no numbering that shows a hole,
   * so until the other line has shown that it still delivers, nobody knows whether the two overlap: the other may have
   * fallen silent before this one began. What comes meanwhile is held back until the other has shown as much; of what is still
   * on its way there everything is here then. If it shows nothing within `probationMs`, the hole is told and ends with what was
   * held back.
   */
  takesOver(carrier: Carrier): readonly VenueEvent[] | null {
    const { topic, heldBackSinceMs } = carrier
    if (topic.carriers.length === 1 || overlaps(carrier)) return carrier.release()
    const { nowMs, rebaseMs } = this.#tick
    // While nothing was read, nobody could show anything.
    if (heldBackSinceMs === 0 || nowMs - Math.max(heldBackSinceMs, rebaseMs) < this.#options.probationMs) return null
    this.#interrupt(silencedBeside(carrier), 'lost')
    return []
  }

  topicRefused(carrier: Carrier, error: string, together: number): void {
    const { topic } = carrier
    this.#reports.refusedSubscription(topic.name, error, together, topic.errors + 1)
    if (together > 1) return
    const bounds = { baseMs: this.#options.errorRetryBaseMs, maxMs: this.#options.errorRetryMsMax }
    carrier.retryAtMs = this.#clock.monotonicMs() + backoffMs(topic.errors, bounds, this.#random)
    topic.errors += 1
  }

  topicsUnsubscribed(line: Line, names: readonly string[]): void {
    for (const name of names) {
      if (this.#stopping.get(name) !== line) continue
      this.#stopping.delete(name)
      this.#markStopped(name)
    }
  }

  unsubscribeRefused(line: Line, names: readonly string[], error: string): void {
    this.#reports.refusedUnsubscription(line, names, error)
  }

  subscriptionsDiffer(line: Line, strangers: readonly string[], missing: readonly Carrier[]): void {
    this.#reports.differing(line, strangers, missing.length)
    for (const carrier of missing) bequeath(carrier, false, carrier.lastSeenMs)
    this.#lose(line, missing, 'lost')
  }

  connectsRefused(status: number, retryAfterMs: number | null): void {
    const holdMs = retryAfterMs ?? this.#options.refusedHoldMs
    this.#attempts.hold(holdMs)
    this.#reports.refusedConnects(status, holdMs)
  }

  sinkSaturated(): void {
    if (this.#pausedSinceMs > 0 || this.#closing !== null) return
    this.#pausedSinceMs = this.#clock.monotonicMs()
    for (const slot of this.#layout.slots.values()) {
      slot.line?.pause()
      slot.successor?.pause()
    }
  }

  #resume(): void {
    if (this.#pausedSinceMs === 0 || this.#closing !== null) return
    const nowMs = this.#clock.monotonicMs()
    // A pause that no sweep could have seen hides no silence; were it to count, a busy sink would hide all of it.
    if (nowMs - this.#pausedSinceMs > this.#options.sweepMs) this.#tick.rebaseMs = nowMs
    this.#pausedSinceMs = 0
    for (const slot of this.#layout.slots.values()) {
      slot.line?.resume()
      slot.successor?.resume()
    }
  }

  // What repairs ask

  topicStale(topic: Topic, reason: Staleness): void {
    this.#reports.stale(topic.name, reason)
    if (topic.interrupt()) this.#tellInterrupted([topic.name], 'lost')
  }

  topicResubscribed(carrier: Carrier, reason: Staleness): void {
    this.#reports.resubscribed(reason)
    carrier.line.resubscribe(carrier)
  }

  moveGroup(group: Group, reason: Staleness): void {
    this.#reports.moving(group.name, reason)
    this.#layout.move(group)
    if (group.slot.line === null) this.#connectSoon(group.slot, 0)
  }

  lineSilent(line: Line, topicsCount: number): void {
    this.#reports.silentLine(line, topicsCount)
    const slot = this.#layout.slots.get(line.slotId)
    if (slot) this.#renew(slot, 'silent')
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
    // While paused nothing is read, so silence proves nothing and no line may be let go.
    if (this.#pausedSinceMs === 0) {
      for (const slot of [...this.#layout.slots.values()]) {
        slot.line?.check(nowMs)
        slot.successor?.check(nowMs)
        this.#advance(slot, nowMs)
      }
      for (const group of [...this.#layout.moving]) this.#advanceMove(group, nowMs)
      this.#repairs.sweep(this.#layout.slots.values(), nowMs, this.#tick)
      for (const slot of this.#layout.slots.values()) slot.line?.flush()
    }
    this.#reports.carry(this.#layout.openLinesCount, this.#repairs.staleTopicsCount)
  }

  #whilePaused(nowMs: number): void {
    this.#repairs.observe(this.#tick)
    if (!this.#sink.saturated) this.#resume()
    else if (nowMs - this.#pausedSinceMs > this.#options.pausedMsMax) {
      const detail = `the sink was full for more than ${this.#options.pausedMsMax} ms`
      for (const line of this.#layout.lines) line.end('overflow', detail)
      this.#pausedSinceMs = nowMs
    }
  }

  /** Stability, renewal by age, and the end of an overlap. */
  #advance(slot: Slot, nowMs: number): void {
    const { line, successor } = slot
    if (slot.idleSinceMs > 0 && nowMs - slot.idleSinceMs >= this.#options.idleMs) this.#dissolve(slot)
    if (line === null || line.state !== 'open') return
    if (slot.attempt > 0 && line.settled && nowMs - line.openedMs >= this.#options.stableMs) slot.attempt = 0
    if (successor === null) {
      if (nowMs >= slot.renewAtMs && this.#layout.renewalsCount < this.#options.renewalsConcurrentMax)
        this.#renew(slot, 'lifetime')
      return
    }
    // The successor does not carry what is on its way to another slot; the old line has to wait for it.
    if (this.#layout.isLeft(slot) || !areHandedOver(slot.groups, line, successor, nowMs, this.#options))
      slot.coveredSinceMs = 0
    else if (slot.coveredSinceMs === 0) slot.coveredSinceMs = nowMs
    else if (nowMs - slot.coveredSinceMs >= this.#options.lingerMs) {
      this.#promote(slot)
      this.#retire(line)
    }
  }

  #advanceMove(group: Group, nowMs: number): void {
    const { leaving } = group
    if (leaving === null) return
    const previous = leaving.slot.line
    if (!areHandedOver([group], previous, group.slot.line, nowMs, this.#options)) leaving.coveredSinceMs = 0
    else if (leaving.coveredSinceMs === 0) leaving.coveredSinceMs = nowMs
    else if (nowMs - leaving.coveredSinceMs >= this.#options.lingerMs) {
      this.#layout.moved(group)
      if (this.#layout.isIdle(leaving.slot)) this.#dissolve(leaving.slot)
      else previous?.flush()
    }
  }

  #tellInterrupted(topics: readonly string[], cause: 'disconnect' | 'overflow' | 'lost'): void {
    if (topics.length === 0) return
    this.#reports.interrupted(topics.length, cause)
    this.#sink.interrupted(topics, cause)
  }
}
