import { randomUUID } from 'node:crypto'
import { planHandover } from '../cluster/handover.ts'
import type { MemberFacts, MemberStore } from '../cluster/member-store.ts'
import { Membership, type MembershipIncident, type MemberView } from '../cluster/membership.ts'
import type { Conductor } from '../conductor/conductor.ts'
import { exportConductorMetrics } from '../conductor/export-metrics.ts'
import type { Config } from '../config/schema.ts'
import type { Clock } from '../lib/clock.ts'
import { metrics } from '../telemetry/metrics.ts'
import { version } from './version.ts'

const ROLE = 'conductor'
const LOOK_MS = 20
/** What is pending gets this long to leave at the end. */
const CLOSE_MS_MAX = 1_000

export interface ConductorRoleParts {
  readonly conductor: Conductor
  readonly store: MemberStore
  readonly worker: string
  readonly clock: Clock
  readonly cluster: Config['cluster']
  readonly partitions: number
  /** Conductors that work on each partition. */
  readonly redundancy: number
  readonly tell: (incident: MembershipIncident) => void
}

/**
 * The role `conductor`: this process's share of the partitions, given to its conductor. It follows the list of members as
 * the ingest role does; while a partition changes hands both work on it, and the commit script lets one of them win.
 */
export class ConductorRole {
  readonly conductor: Conductor
  readonly #parts: ConductorRoleParts
  readonly #incarnation = randomUUID()
  readonly #membership: Membership
  #view: MemberView | null = null
  #worksSinceUs: number | null = null
  #open = false
  #closing: Promise<void> | null = null
  #endExport: () => void = () => {}

  constructor(parts: ConductorRoleParts) {
    this.#parts = parts
    this.conductor = parts.conductor
    const { store, worker, clock, cluster } = parts
    this.#membership = new Membership({
      ...{ store, role: ROLE, id: worker, incarnation: this.#incarnation, clock },
      ...{ heartbeatMs: cluster.heartbeatMs, expiryMs: cluster.expiryMs },
      facts: (lateMs) => this.#facts(lateMs),
      hurries: () => this.#open && this.conductor.working.size < this.conductor.partitions.size,
      seen: (view) => this.#seen(view),
      tell: parts.tell,
    })
  }

  /** Takes its share from now on; resolves after the first try, where that fails the share is taken when a beat succeeds. */
  async start(): Promise<void> {
    this.#endExport = exportConductorMetrics(this.conductor)
    await this.#membership.start()
    this.#open = true
    await this.#membership.become('active')
  }

  /** Why this role cannot do its work now; empty when it can. */
  obstacles(): string[] {
    if (this.#view === null) return ['the list of conductors has not been seen yet']
    const { standing } = this.#view
    if (standing === 'superseded') return ['another conductor with the same worker.id started later']
    if (standing === 'full') return ['the list of conductors is full']
    const loading = this.conductor.partitions.size - this.conductor.working.size
    return loading > 0 ? [`the books of ${loading} partitions are not loaded yet`] : []
  }

  /** Gives its partitions to others where there are any, lets what is pending leave, and goes. Closing twice is harmless. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const { clock, cluster } = this.#parts
    if (this.#open) {
      await this.#membership.become('leaving')
      const endMs = clock.monotonicMs() + cluster.drainMs
      while (this.conductor.partitions.size > 0 && this.#hasSuccessors() && clock.monotonicMs() < endMs) {
        await new Promise<void>((resolve) => clock.after(LOOK_MS, resolve))
      }
    }
    this.#open = false
    await Promise.race([this.conductor.close(), new Promise<void>((resolve) => clock.after(CLOSE_MS_MAX, resolve))])
    await this.#membership.leave()
    this.#endExport()
  }

  #facts(lateMs: number): MemberFacts {
    const owns = this.conductor.partitions
    const flows = this.conductor.working
    const isWhole = owns.size > 0 && flows.size === owns.size
    this.#worksSinceUs = isWhole ? (this.#worksSinceUs ?? this.#parts.clock.nowUs()) : null
    const behindMs = this.conductor.lagMs
    const lagMs = behindMs === null ? null : Math.round(Math.max(behindMs, lateMs))
    const listensToNoVenue = { unheardMs: 0, missingMs: new Map(), untold: new Set<number>() }
    return { version, owns, flows, flowsSinceUs: this.#worksSinceUs, lagMs, ...listensToNoVenue }
  }

  #hasSuccessors(): boolean {
    return this.#view?.members.some(({ state }) => state === 'active') ?? false
  }

  #seen(view: MemberView): void {
    this.#view = view
    if (!this.#open) return
    const { worker, partitions, redundancy } = this.#parts
    const held = this.conductor.partitions
    const self = { id: worker, incarnation: this.#incarnation }
    const { wanted } = planHandover({ view, self, held, partitions, redundancy })
    for (const partition of wanted) {
      if (!held.has(partition)) metrics.handovers.inc({ role: ROLE, direction: 'taken' })
    }
    for (const partition of held) {
      if (!wanted.has(partition)) metrics.handovers.inc({ role: ROLE, direction: 'given' })
    }
    this.conductor.setPartitions(wanted)
    metrics.clusterMembers.set({ role: ROLE }, view.members.length)
    metrics.partitionsHeld.set({ role: ROLE }, wanted.size)
    metrics.partitionsFlowing.set({ role: ROLE }, this.conductor.working.size)
  }
}
