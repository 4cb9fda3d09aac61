/** What is known of one native topic; the connection manager's status has it. */
export interface TopicFlow {
  readonly topic: string
  readonly state: 'requested' | 'acked' | 'flowing' | 'stale'
  readonly ackedAtUs: number | null
  /** Age of the latest data, ms; null: none yet. */
  readonly lastSeenAgoMs: number | null
  /** For how long it has shown nothing although it should have, ms; 0: no longer than usual, or nothing happened that it shows. */
  readonly missingMs: number
  /** Ids of the connections that carry it. */
  readonly connections: readonly number[]
}

export interface FlowMoment {
  readonly nowUs: number
  readonly nowMs: number
  /** A topic that shows no data for this long after its acknowledgement counts as quiet, ms. */
  readonly quietMs: number
}

/**
 * For how long the connection that is silent for longest has shown no data at all, ms; one that never did shows no flow
 * either. Such a connection may be dead already, and what it carries is known only up to when it was heard.
 */
export function unheardMs(topics: Iterable<TopicFlow>): number {
  const heardAgoMs = new Map<number, number>()
  for (const { connections, lastSeenAgoMs } of topics) {
    if (lastSeenAgoMs === null) continue
    for (const id of connections) heardAgoMs.set(id, Math.min(heardAgoMs.get(id) ?? lastSeenAgoMs, lastSeenAgoMs))
  }
  return Math.max(0, ...heardAgoMs.values())
}

/** Ages are known to the step of the connection manager's sweep. */
const AGE_STEP_MS = 300

/**
 * Which partitions flow here: every topic of theirs shows data, or is acknowledged and quiet. What was shown before this
 * process took the partition, or before it stood still, proves nothing.
 */
export class FlowWatch {
  /** By partition held: monotonic ms from which on signs count. */
  readonly #sinceMs = new Map<number, number>()
  #flows: ReadonlyMap<number, number> = new Map()
  #allSinceUs: number | null = null

  /** Partitions that flow, and since when, us. */
  get flows(): ReadonlyMap<number, number> {
    return this.#flows
  }

  /** Since when all that is held flows, us; null while something does not. */
  get allSinceUs(): number | null {
    return this.#allSinceUs
  }

  /** These partitions are held from now on, and no others. */
  hold(partitions: ReadonlySet<number>, nowMs: number): void {
    for (const partition of this.#sinceMs.keys()) if (!partitions.has(partition)) this.#sinceMs.delete(partition)
    for (const partition of partitions) if (!this.#sinceMs.has(partition)) this.#sinceMs.set(partition, nowMs)
    this.#flows = new Map([...this.#flows].filter(([partition]) => partitions.has(partition)))
    if (this.#flows.size < partitions.size) this.#allSinceUs = null
  }

  /** This process stood still, or was alone: everything has to show itself anew. */
  restart(nowMs: number): void {
    for (const partition of this.#sinceMs.keys()) this.#sinceMs.set(partition, nowMs)
    this.#flows = new Map()
    this.#allSinceUs = null
  }

  look(topics: Iterable<TopicFlow>, partitionOf: (topic: string) => number | undefined, moment: FlowMoment): void {
    const flows = new Set(this.#sinceMs.keys())
    for (const topic of topics) {
      const partition = partitionOf(topic.topic)
      if (partition === undefined || !flows.has(partition)) continue
      if (!isFlowing(topic, this.#sinceMs.get(partition) ?? 0, moment)) flows.delete(partition)
    }
    this.#flows = new Map([...flows].map((partition) => [partition, this.#flows.get(partition) ?? moment.nowUs]))
    if (flows.size < this.#sinceMs.size) this.#allSinceUs = null
    else this.#allSinceUs ??= moment.nowUs
  }
}

function isFlowing(topic: TopicFlow, sinceMs: number, { nowUs, nowMs, quietMs }: FlowMoment): boolean {
  if (topic.state === 'requested' || topic.state === 'stale' || topic.ackedAtUs === null) return false
  const { lastSeenAgoMs } = topic
  if (topic.state === 'flowing' && lastSeenAgoMs !== null && nowMs - lastSeenAgoMs >= sinceMs - AGE_STEP_MS) return true
  return Math.min((nowUs - topic.ackedAtUs) / 1_000, nowMs - sinceMs) >= quietMs
}
