import type { Line } from './line.ts'
import type { Topic } from './topic.ts'

/** The topics of one instrument, which stay together. */
export interface Group {
  readonly name: string
  slot: Slot
  readonly topics: Map<string, Topic>
  /** While it moves: where it comes from, and since when the new lines have all of it (0: not yet). */
  leaving: { readonly slot: Slot; coveredSinceMs: number } | null
}

/** A place for one connection: it outlives the lines that follow each other in it. */
export class Slot {
  readonly id: number
  readonly groups = new Set<Group>()
  line: Line | null = null
  /** In an overlap: the line that will replace `line`. */
  successor: Line | null = null
  renewReason: RenewReason | null = null
  /** Since when the successor has covered everything; 0: not yet. */
  coveredSinceMs = 0
  renewAtMs = Number.POSITIVE_INFINITY
  renewAttempt = 0
  /** Lines lost in a row without one that was stable. */
  attempt = 0
  cancelConnect: (() => void) | null = null
  /** Since when it carries nothing, monotonic; 0: it carries something. */
  idleSinceMs = 0
  /** When it began to carry something again, monotonic; its silence before that says nothing. */
  usedSinceMs = 0
  /** Lines renewed in a row because nothing came while all else was quiet too; the next not before `quietNextAtMs`. */
  quietAttempt = 0
  quietNextAtMs = 0

  constructor(id: number) {
    this.id = id
  }

  /** It carries something. */
  use(nowMs: number): void {
    if (this.idleSinceMs > 0) this.usedSinceMs = nowMs
    this.idleSinceMs = 0
  }

  /** Topics it holds or still carries for groups that are about to leave. */
  get load(): number {
    let load = 0
    for (const group of this.groups) load += group.topics.size
    return Math.max(load, this.line?.carriers.size ?? 0)
  }
}

export type RenewReason = 'lifetime' | 'shutdown' | 'silent'
