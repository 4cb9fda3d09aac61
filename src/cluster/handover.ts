import { assignPartitions } from './assignment.ts'
import type { Member } from './member-store.ts'
import type { MemberView } from './membership.ts'

export interface HandoverInput {
  readonly view: MemberView
  readonly self: { readonly id: string; readonly incarnation: string }
  /** What this process works on now. */
  readonly held: ReadonlySet<number>
  readonly partitions: number
  readonly redundancy: number
  /**
   * Incarnations whose last word is older than the change that gives them what we hold: they may have let it go since, because
   * it was ours.
   */
  readonly outdated?: ReadonlySet<string>
}

export interface HandoverPlan {
  /** Assigned to this process. */
  readonly owned: ReadonlySet<number>
  /** Held, assigned to others, and kept until they show that they flow. */
  readonly lent: ReadonlySet<number>
  /** What it is to work on: both of the above. */
  readonly wanted: ReadonlySet<number>
  /** Partitions that flow at another live member. */
  readonly covered: ReadonlySet<number>
  /** Partitions that another live member may be writing to, whether it flows already or not. */
  readonly shared: ReadonlySet<number>
  /** Assigned to this process, and not let go yet by a member that they are not assigned to any more. */
  readonly awaited: ReadonlySet<number>
}

/**
 * What a member works on next. Pure.
 *
 * Handover is overlap: what is assigned elsewhere is let go only when every one of its owners tells that it flows there.
 * An owner that is alive and never flows therefore keeps the old one working: twice is economy lost, none is data lost.
 * Where nobody can own anything (all are leaving) everybody keeps what they hold.
 */
export function planHandover(input: HandoverInput): HandoverPlan {
  const { view, self, held, partitions, redundancy, outdated } = input
  const eligible = view.members.filter(({ state }) => state === 'active')
  const others = view.members.filter(({ incarnation }) => incarnation !== self.incarnation)
  const { owners } = assignPartitions(
    eligible.map(({ id }) => id),
    partitions,
    redundancy,
  )
  // By life, not by id: of two processes with one id only one is on the list.
  const isEligible = eligible.some(({ incarnation }) => incarnation === self.incarnation)
  const heard = eligible.filter(({ incarnation }) => outdated?.has(incarnation) !== true)
  const byId = new Map<string, Member>(heard.map((member) => [member.id, member]))
  const owned = new Set<number>()
  const lent = new Set<number>()
  for (const [partition, ids] of owners.entries()) {
    if (isEligible && ids.includes(self.id)) owned.add(partition)
    else if (held.has(partition) && !flowsAtAll(partition, ids, byId)) lent.add(partition)
  }
  const covered = new Set<number>()
  const shared = new Set<number>()
  const awaited = new Set<number>()
  for (const { id, facts, state } of others) {
    for (const partition of facts.flows) covered.add(partition)
    for (const partition of facts.owns) {
      shared.add(partition)
      if (owned.has(partition) && owners[partition]?.includes(id) === false) awaited.add(partition)
    }
    // It is about to take its share, and saw perhaps other members than we do.
    if (state === 'active' && facts.owns.size === 0) for (const partition of owners.keys()) shared.add(partition)
  }
  for (const [partition, ids] of owners.entries()) if (ids.some((id) => id !== self.id)) shared.add(partition)
  return { owned, lent, wanted: new Set([...owned, ...lent]), covered, shared, awaited }
}

function flowsAtAll(partition: number, ids: readonly string[], byId: ReadonlyMap<string, Member>): boolean {
  return ids.length > 0 && ids.every((id) => byId.get(id)?.facts.flows.has(partition) === true)
}
