/**
 * Who owns which partition: rendezvous hashing with bounded loads. Every member that sees the same list computes the same
 * answer, whatever the order of the list, so no leader is needed.
 *
 * Each pair of member and partition has a score that depends on nothing else. Pairs are taken from the highest score down,
 * as long as the partition wants another owner and the member has room. Because the best scores are settled first, a
 * member that comes or goes disturbs the others little: a partition moves only to a better place that has become free, or
 * away from one that is full now.
 */
export interface Assignment {
  /** By partition: its owners, the best score first. */
  readonly owners: readonly (readonly string[])[]
  /** Nobody owns more. */
  readonly capacity: number
}

/** What a member may own above an even share. */
const LOAD_FACTOR = 1.2

/** The most partitions that one of `members` may own. */
export function capacityOf(members: number, partitions: number, redundancy: number): number {
  if (members === 0) return 0
  const owners = Math.min(redundancy, members)
  return Math.min(partitions, Math.ceil((LOAD_FACTOR * owners * partitions) / members))
}

/** Every beat asks again, and the members are seldom others: one assignment is kept for each role a process may have. */
const KEPT_MAX = 4
const kept = new Map<string, Assignment>()

/** Assigns each of `partitions` to `redundancy` different members, or to all of them where there are fewer. */
export function assignPartitions(members: Iterable<string>, partitions: number, redundancy: number): Assignment {
  const ids = [...new Set(members)].sort()
  const question = JSON.stringify([partitions, redundancy, ...ids])
  const known = kept.get(question)
  if (known !== undefined) return known
  const assignment = assign(ids, partitions, redundancy)
  if (kept.size >= KEPT_MAX) kept.clear()
  kept.set(question, assignment)
  return assignment
}

function assign(ids: readonly string[], partitions: number, redundancy: number): Assignment {
  const wanted = Math.min(redundancy, ids.length)
  const capacity = capacityOf(ids.length, partitions, redundancy)
  const owners: number[][] = Array.from({ length: partitions }, () => [])
  const owned: Set<number>[] = ids.map(() => new Set())
  const scores = ids.map((id) => scoresOf(id, partitions))
  let places = wanted * partitions
  for (const pair of descending(scores, partitions)) {
    const member = Math.floor(pair / partitions)
    const partition = pair % partitions
    const its = owners[partition] as number[]
    const mine = owned[member] as Set<number>
    if (its.length >= wanted || mine.size >= capacity) continue
    its.push(member)
    mine.add(partition)
    places--
    if (places === 0) break
  }
  for (const [partition, its] of owners.entries()) {
    while (its.length < wanted) makeRoom(partition, owners, owned, scores, capacity)
  }
  return { owners: owners.map((its) => its.map((member) => ids[member] as string)), capacity }
}

/** Partitions of one member, ascending. */
export function partitionsOf(assignment: Assignment, member: string): number[] {
  return [...assignment.owners.keys()].filter((partition) => assignment.owners[partition]?.includes(member))
}

/**
 * Everybody with room owns the partition already (possible with several owners only): a full member takes it and gives
 * one of its own, the one it scores lowest, to a member with room that does not own that one. There always is one,
 * because the full member owns more than the other.
 */
function makeRoom(
  partition: number,
  owners: readonly number[][],
  owned: readonly Set<number>[],
  scores: readonly Float64Array[],
  capacity: number,
): void {
  const free = owned.findIndex((mine) => mine.size < capacity)
  const full = owned.findIndex((mine) => !mine.has(partition))
  const roomy = owned[free] as Set<number>
  const taker = owned[full] as Set<number>
  const scoreOf = (candidate: number): number => scores[full]?.[candidate] ?? 0
  const given = [...taker].filter((candidate) => !roomy.has(candidate)).sort((a, b) => scoreOf(a) - scoreOf(b))[0]
  if (given === undefined) throw new Error(`expected room for partition ${partition}, found none`)
  taker.delete(given)
  roomy.add(given)
  const its = owners[given] as number[]
  its[its.indexOf(full)] = free
  taker.add(partition)
  owners[partition]?.push(full)
}

/** Whole numbers up to here are exact. */
const EXACT_MAX = 2 ** 53
const SCORES = 2 ** 32

/**
 * Every pair as `member * partitions + partition`, the highest score first; equal scores by member, then partition. Score and
 * pair are sorted as one number, because a sort without a comparator is much faster; with very many pairs the
 * score gives up its lowest bits.
 */
function* descending(scores: readonly Float64Array[], partitions: number): Generator<number> {
  const pairs = scores.length * partitions
  const ranks = Math.min(SCORES, Math.floor(EXACT_MAX / pairs))
  const places = new Float64Array(pairs)
  for (const [member, its] of scores.entries()) {
    for (const [partition, score] of its.entries()) {
      const pair = member * partitions + partition
      places[pair] = Math.floor(((SCORES - 1 - score) * ranks) / SCORES) * pairs + pair
    }
  }
  for (const place of places.sort()) yield place % pairs
}

function scoresOf(id: string, partitions: number): Float64Array {
  let hash = 0x811c9dc5
  for (let at = 0; at < id.length; at++) hash = Math.imul(hash ^ id.charCodeAt(at), 0x01000193)
  const seed = mix(hash)
  return Float64Array.from({ length: partitions }, (_, partition) => mix(seed ^ mix(partition + 0x9e3779b9)))
}

/** Murmur3's finalizer: every bit of the input moves half of the bits of the output. */
function mix(value: number): number {
  let hash = value | 0
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
