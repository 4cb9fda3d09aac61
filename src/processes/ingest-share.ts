import { OverlapEvidence } from '../cluster/evidence.ts'
import { FlowWatch, type TopicFlow, unheardMs } from '../cluster/flow.ts'
import { planHandover } from '../cluster/handover.ts'
import type { MemberFacts, MemberStore } from '../cluster/member-store.ts'
import { Membership, type MembershipIncident, type MemberView } from '../cluster/membership.ts'
import type { Config } from '../config/schema.ts'
import type { Clock } from '../lib/clock.ts'
import { metrics } from '../telemetry/metrics.ts'

const ROLE = 'ingest'
/** Of the time a process has to leave, the part after which a stream without data counts as quiet at its successor. */
const LEAVING_QUIET_SHARE = 1 / 3
const LOOK_MS = 20
/**
 * Shorter delays of a beat are the machine's ordinary unrest. A process that was held up for longer may have frames in its
 * sockets that nobody has read.
 */
const LATE_MS_MIN = 20

export interface ShareIncident extends Omit<MembershipIncident, 'kind' | 'member'> {
  readonly kind: MembershipIncident['kind'] | 'handover-slow' | 'drain-unfinished' | 'stood-still'
}

export interface IngestShareParts {
  readonly store: MemberStore
  readonly id: string
  readonly incarnation: string
  readonly version: string
  readonly clock: Clock
  readonly cluster: Config['cluster']
  readonly partitions: number
  readonly redundancy: number
  /** Every topic that this process may subscribe to, with the partition of its instrument. */
  topics(): ReadonlyMap<string, number>
  /** What the connection manager knows of the topics it was given. */
  status(): Iterable<TopicFlow>
  /** Makes these the topics that flow here. `fresh` are those that did not before. */
  subscribe(topics: ReadonlySet<string>, fresh: readonly string[]): void
  /** Whether all that the venue sent by these topics, which flow here no more, was read and is in the streams. */
  released(topics: readonly string[]): boolean
  /** Whether what this topic missed before is told with its next event, and nothing shows it before. */
  owesGap(topic: string): boolean
  /** Whether a numbering shows what is missing from this topic. */
  isNumbered(topic: string): boolean
  /** Another process's lines flowed for a while after the venue acknowledged these, and until these flowed, at the time given, us. */
  overlapped(topics: ReadonlyMap<string, number>): void
  /** The venue acknowledged these a while ago, and the process that covered them is gone. */
  uncovered(topics: readonly string[]): void
  /** Since the call before; see `MemberFacts`. */
  lagMs(): number | null
  tell(incident: ShareIncident): void
}

/**
 * This process's share of the role `ingest`: the partitions whose topics it is subscribed to. It follows the list of
 * members; what it takes it takes at once, what it gives it gives when the new owner shows that it flows.
 */
export class IngestShare {
  readonly #parts: IngestShareParts
  readonly #membership: Membership
  readonly #flow = new FlowWatch()
  #held: ReadonlySet<number> = new Set()
  #lent: ReadonlySet<number> = new Set()
  #lentSinceMs = 0
  #lentTold = false
  #takenMs = 0
  #covered: ReadonlySet<number> = new Set()
  #shared: ReadonlySet<number> = new Set()
  #awaitsOthers = false
  /** Let go, and not all of it read and appended yet: owned for all that others can tell. */
  readonly #releasing = new Set<number>()
  readonly #evidence = new OverlapEvidence()
  /** When the venue acknowledged the topics that are known to overlap with another process's, us. */
  readonly #overlapsSinceUs = new Map<string, number>()
  #view: MemberView | null = null
  #open = false
  /** When the list had heard that this process leaves; infinite while it is being told, null before. */
  #leavingSinceMs: number | null = null
  #factsMs: number

  constructor(parts: IngestShareParts) {
    this.#parts = parts
    const { store, id, incarnation, clock, cluster } = parts
    this.#factsMs = clock.monotonicMs()
    this.#membership = new Membership({
      store,
      role: ROLE,
      id,
      incarnation,
      clock,
      heartbeatMs: cluster.heartbeatMs,
      expiryMs: cluster.expiryMs,
      facts: (lateMs) => this.#facts(lateMs),
      hurries: () => this.#hurries(),
      seen: (view) => this.#seen(view),
      tell: ({ member: _, ...incident }) => parts.tell(incident),
    })
  }

  /** Is on the list from now on, and owns nothing yet. Resolves after the first try. */
  join(): Promise<void> {
    return this.#membership.start()
  }

  /** Takes its share from now on. Resolves after the first try; where that fails the share is taken when a beat succeeds. */
  async activate(): Promise<void> {
    this.#open = true
    await this.#membership.become('active')
  }

  /** The topics have changed: those of the partitions held are subscribed to. */
  topicsChanged(): void {
    if (this.#open) this.#subscribe(this.#held)
  }

  /** Whether another live process's lines feed the streams of this partition. */
  covers(partition: number): boolean {
    return this.#covered.has(partition)
  }

  /** Whether another live process may be writing to the streams of this partition, also one that has only begun. */
  shares(partition: number): boolean {
    return this.#shared.has(partition)
  }

  /** Live processes of the role, at least this one. */
  get processes(): number {
    return Math.max(1, this.#view?.members.length ?? 1)
  }

  get held(): ReadonlySet<number> {
    return this.#held
  }

  /** Gives everything away, waiting for those who take it at most `cluster.drainMs`. What nobody took stays. */
  async drain(): Promise<void> {
    const { clock, cluster, tell } = this.#parts
    const endMs = clock.monotonicMs() + cluster.drainMs
    if (!this.#open) return
    this.#leavingSinceMs = Number.POSITIVE_INFINITY
    await this.#membership.become('leaving')
    this.#leavingSinceMs = clock.monotonicMs()
    while (this.#isLeavingSomething() && clock.monotonicMs() < endMs) {
      await new Promise<void>((resolve) => clock.after(LOOK_MS, resolve))
    }
    if (this.#held.size > 0 && this.#hasSuccessors()) {
      const message = `${this.#held.size} partitions did not flow elsewhere within ${cluster.drainMs} ms of leaving`
      tell({ kind: 'drain-unfinished', severity: 'warning', message })
    }
  }

  /**
   * Takes this process off the list. To others that says that whatever flowed here is in the streams up to what flows
   * there; where that is not so it only falls silent, as if it were killed.
   */
  async leave(): Promise<void> {
    this.#open = false
    const isClean = this.#held.size === 0 && this.#releasing.size === 0
    if (isClean || (this.#view?.members.length ?? 0) <= 1) await this.#membership.leave()
    else this.#membership.fallSilent()
  }

  #isLeavingSomething(): boolean {
    return this.#releasing.size > 0 || (this.#held.size > 0 && this.#hasSuccessors())
  }

  /** Why this process does not do its part now; empty when it does. */
  obstacles(): string[] {
    const found: string[] = []
    const { silentMs } = this.#membership
    if (silentMs > 0) found.push(`no heartbeat was answered for ${Math.round(silentMs)} ms`)
    if (this.#view === null) return ['the list of members has not been seen yet', ...found]
    const { standing } = this.#view
    if (standing === 'superseded') found.push('another process with the same worker.id started later')
    if (standing === 'full') found.push('the list of members is full')
    const silent = this.#held.size - this.#flow.flows.size
    if (silent > 0) found.push(`${silent} of ${this.#held.size} partitions do not flow yet`)
    return found
  }

  #facts(lateMs: number): MemberFacts {
    const { clock, cluster, tell } = this.#parts
    const nowMs = clock.monotonicMs()
    if (nowMs - this.#factsMs > cluster.expiryMs) {
      // Signs from before prove nothing, and others may let go of what this process says it has.
      this.#flow.restart(nowMs)
      const message = `this process stood still for ${Math.round(nowMs - this.#factsMs)} ms: its streams have to show themselves anew`
      tell({ kind: 'stood-still', severity: 'warning', message })
    }
    this.#factsMs = nowMs
    const status = [...this.#parts.status()]
    if (this.#open) {
      const topics = this.#parts.topics()
      const quietMs = this.#view?.members.some(({ state }) => state === 'leaving')
        ? Math.min(cluster.handoverMs, cluster.drainMs * LEAVING_QUIET_SHARE)
        : cluster.handoverMs
      const moment = { nowUs: clock.nowUs(), nowMs, quietMs }
      this.#flow.look(status, (topic) => topics.get(topic), moment)
    }
    this.#findReleased()
    const lagMs = this.#parts.lagMs()
    return {
      version: this.#parts.version,
      owns: this.#releasing.size === 0 ? this.#held : new Set([...this.#held, ...this.#releasing]),
      flows: new Set(this.#flow.flows.keys()),
      flowsSinceUs: this.#flow.allSinceUs,
      lagMs: lateMs < LATE_MS_MIN ? lagMs : Math.round(Math.max(lateMs, lagMs ?? 0)),
      unheardMs: Math.round(unheardMs(status)),
      missingMs: this.#missingMs(status),
      untold: this.#untold(),
    }
  }

  #missingMs(status: readonly TopicFlow[]): ReadonlyMap<number, number> {
    const topics = this.#parts.topics()
    const longestMs = new Map<number, number>()
    for (const { topic, missingMs } of status) {
      const partition = topics.get(topic)
      if (missingMs === 0 || partition === undefined || !this.#held.has(partition)) continue
      if (!this.#parts.isNumbered(topic))
        longestMs.set(partition, Math.max(longestMs.get(partition) ?? 0, Math.round(missingMs)))
    }
    return longestMs
  }

  #untold(): ReadonlySet<number> {
    const untold = new Set<number>()
    for (const [topic, partition] of this.#parts.topics()) {
      if (this.#held.has(partition) && !untold.has(partition) && this.#parts.owesGap(topic)) untold.add(partition)
    }
    return untold
  }

  #findReleased(): void {
    if (this.#releasing.size === 0) return
    const byPartition = new Map<number, string[]>([...this.#releasing].map((partition) => [partition, []]))
    for (const [topic, partition] of this.#parts.topics()) byPartition.get(partition)?.push(topic)
    for (const [partition, topics] of byPartition) {
      if (this.#parts.released(topics)) this.#releasing.delete(partition)
    }
  }

  #hurries(): boolean {
    const { clock, cluster } = this.#parts
    if (this.#lent.size > 0 || this.#releasing.size > 0 || this.#hasLeaving()) return true
    const isTaking = clock.monotonicMs() - this.#takenMs <= cluster.handoverMs
    return isTaking && (this.#flow.flows.size < this.#held.size || this.#awaitsOthers)
  }

  #hasLeaving(): boolean {
    return this.#view?.members.some(({ state }) => state === 'leaving') ?? false
  }

  #hasSuccessors(): boolean {
    return this.#view?.members.some(({ state }) => state === 'active') ?? false
  }

  #seen(view: MemberView): void {
    this.#view = view
    if (!this.#open) return
    const { id, incarnation, partitions, redundancy, clock } = this.#parts
    const self = { id, incarnation }
    const outdated = this.#outdated(view)
    const plan = planHandover({ view, self, held: this.#held, partitions, redundancy, outdated })
    this.#covered = plan.covered
    this.#shared = plan.shared
    this.#awaitsOthers = plan.awaited.size > 0
    this.#watchLent(plan.lent, clock.monotonicMs())
    if (!isSame(plan.wanted, this.#held)) this.#take(plan.wanted)
    this.#findOverlaps(view)
    this.#findUncovered(view)
    metrics.clusterMembers.set({ role: ROLE }, view.members.length)
    metrics.partitionsHeld.set({ role: ROLE }, this.#held.size)
    metrics.partitionsFlowing.set({ role: ROLE }, this.#flow.flows.size)
  }

  /** Who has not said anything since it could see that this process leaves. */
  #outdated({ members, askedMs }: MemberView): ReadonlySet<string> {
    const sinceMs = this.#leavingSinceMs
    if (sinceMs === null) return new Set()
    return new Set(
      members.filter(({ ageMs, spared }) => spared || askedMs - ageMs < sinceMs).map(({ incarnation }) => incarnation),
    )
  }

  #take(wanted: ReadonlySet<number>): void {
    const before = this.#held
    for (const partition of wanted) {
      this.#releasing.delete(partition)
      if (!before.has(partition)) metrics.handovers.inc({ role: ROLE, direction: 'taken' })
    }
    for (const partition of before) {
      if (wanted.has(partition)) continue
      this.#releasing.add(partition)
      metrics.handovers.inc({ role: ROLE, direction: 'given' })
    }
    this.#held = wanted
    this.#takenMs = this.#parts.clock.monotonicMs()
    this.#flow.hold(wanted, this.#takenMs)
    const topics = this.#parts.topics()
    for (const topic of this.#overlapsSinceUs.keys()) {
      if (!wanted.has(topics.get(topic) ?? -1)) this.#overlapsSinceUs.delete(topic)
    }
    this.#subscribe(before)
  }

  /** `before`: what was held when the topics were told last. */
  #subscribe(before: ReadonlySet<number>): void {
    const topics = new Set<string>()
    const fresh: string[] = []
    for (const [topic, partition] of this.#parts.topics()) {
      if (!this.#held.has(partition)) continue
      topics.add(topic)
      if (!before.has(partition)) fresh.push(topic)
    }
    this.#parts.subscribe(topics, fresh)
  }

  /** Somebody else ought to have taken these and does not flow: said once, and kept flowing here. */
  #watchLent(lent: ReadonlySet<number>, nowMs: number): void {
    const { cluster, tell } = this.#parts
    if (lent.size === 0 || this.#lent.size === 0) {
      this.#lentSinceMs = nowMs
      this.#lentTold = false
    }
    this.#lent = lent
    if (lent.size === 0 || this.#lentTold || nowMs - this.#lentSinceMs <= 2 * cluster.handoverMs) return
    this.#lentTold = true
    const message = `${lent.size} partitions of other members do not flow there after ${2 * cluster.handoverMs} ms, so they go on here`
    tell({ kind: 'handover-slow', severity: 'warning', message })
  }

  /** Our lines that overlap with another member's for certain need not tell that they began. */
  #findOverlaps(view: MemberView): void {
    const { clock, incarnation } = this.#parts
    const askedUs = clock.nowUs() - (clock.monotonicMs() - view.askedMs) * 1_000
    const toldUs = this.#evidence.look(view, { incarnation, held: this.#held, askedUs })
    if (toldUs.size === 0) return
    const topics = this.#parts.topics()
    const overlapped = new Map<string, number>()
    for (const { topic, ackedAtUs } of this.#parts.status()) {
      const partition = topics.get(topic) ?? -1
      if (ackedAtUs === null || this.#overlapsSinceUs.get(topic) === ackedAtUs) continue
      if ((toldUs.get(partition) ?? 0) < ackedAtUs) continue
      this.#overlapsSinceUs.set(topic, ackedAtUs)
      // Nobody lets go before that.
      overlapped.set(topic, this.#flow.flows.get(partition) ?? Number.POSITIVE_INFINITY)
    }
    if (overlapped.size > 0) this.#parts.overlapped(overlapped)
  }

  /**
   * A member that fell silent may have been dead already when our subscriptions were acknowledged under its cover. Those
   * older than that overlapped with it and miss nothing.
   */
  #findUncovered(view: MemberView): void {
    const lost = new Set<number>()
    for (const { facts } of view.vanished) {
      for (const partition of facts.flows) {
        if (this.#held.has(partition) && !this.#covered.has(partition)) lost.add(partition)
      }
    }
    if (lost.size === 0) return
    const { clock, cluster } = this.#parts
    const sinceUs = clock.nowUs() - 2 * cluster.expiryMs * 1_000
    const topics = this.#parts.topics()
    const uncovered: string[] = []
    for (const { topic, ackedAtUs } of this.#parts.status()) {
      if (ackedAtUs !== null && ackedAtUs > sinceUs && lost.has(topics.get(topic) ?? -1)) uncovered.push(topic)
    }
    if (uncovered.length > 0) this.#parts.uncovered(uncovered)
  }
}

function isSame(left: ReadonlySet<number>, right: ReadonlySet<number>): boolean {
  if (left.size !== right.size) return false
  for (const partition of left) if (!right.has(partition)) return false
  return true
}
