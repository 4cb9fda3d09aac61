import type { Level } from '../event.ts'
import { Ladder, type LadderEdges } from './ladder.ts'

export interface SnapshotPayload {
  readonly last: string
  readonly bids: readonly Level[]
  readonly asks: readonly Level[]
}

export interface DeltaPayload extends SnapshotPayload {
  readonly first: string
}

/** What an entry of an `ORDERBOOK` stream was to the book; as in `consumer/reader.ts`. */
export type LiveBookStep = 'snapshot' | 'applied' | 'old' | 'unjoined' | 'gap'

/**
 * A bounded book kept from its `ORDERBOOK` stream by the reader's rules of the wire contract: a delta applies when
 * `first <= have+1` and `last > have`, joined or not; a GAP breaks the book; a snapshot replaces it.
 *
 * Update ids are numbers here, as in the append script: exact up to 2^53.
 */
export class LiveBook {
  readonly ladder: Ladder
  #have: number | null
  #joined: boolean

  constructor(ladder: Ladder, have: number | null = null, joined = false) {
    this.ladder = ladder
    this.#have = have
    this.#joined = joined
  }

  /** Last update id inside, null before the first snapshot and after a reset of the venue's numbering. */
  get have(): number | null {
    return this.#have
  }

  get joined(): boolean {
    return this.#joined
  }

  snapshot(payload: SnapshotPayload): LiveBookStep {
    const last = Number(payload.last)
    if (this.#joined && this.#have !== null && last < this.#have) return 'old'
    this.ladder.replace(payload.bids, payload.asks)
    this.#have = last
    this.#joined = true
    return 'snapshot'
  }

  delta(payload: DeltaPayload): LiveBookStep {
    const have = this.#have
    if (have === null) return 'unjoined'
    const last = Number(payload.last)
    if (last <= have) return 'old'
    if (Number(payload.first) > have + 1) {
      this.#joined = false
      return 'unjoined'
    }
    this.ladder.apply(payload.bids, payload.asks)
    this.#have = last
    this.#joined = true
    return 'applied'
  }

  /** `known`: the range is told; without one the venue's numbering began anew and nothing of before can be continued. */
  gap(known: boolean): LiveBookStep {
    this.#joined = false
    if (!known) {
      this.#have = null
      this.ladder.replace([], [])
    }
    return 'gap'
  }

  /** Something is missing and nobody told the range. */
  break(): void {
    this.#joined = false
  }

  /** Nothing of what is here can be trusted: only a snapshot makes it a book again. */
  discard(): void {
    this.gap(false)
  }
}

/** A book from the levels of a snapshot record, all of them counted as stored. */
export function restoredBook(
  levels: { readonly bids: readonly Level[]; readonly asks: readonly Level[] },
  have: number | null,
  joined: boolean,
  levelsMax: number,
  digits: number,
  edges: LadderEdges,
): LiveBook {
  const ladder = new Ladder(levelsMax, digits)
  ladder.replace(levels.bids, levels.asks)
  ladder.edges = edges
  ladder.settle()
  return new LiveBook(ladder, have, joined)
}
