import type { BookSide } from './book-side.ts'
import type { MatchingEngine } from './engine.ts'
import { depthFrame, levelText } from './feeds.ts'
import type { InstrumentSpec } from './instruments.ts'

/** How many closed batches are kept to tell the book as it was then. */
export const CLOSED_BATCHES_KEPT_MAX = 3

/** A batch of book changes that has been closed: its first id, and the lots of every changed price before it. */
interface ClosedBatch {
  readonly firstId: number
  readonly bids: ReadonlyMap<number, number>
  readonly asks: ReadonlyMap<number, number>
}

/**
 * The book of one instrument as its feeds tell it: in batches with contiguous ids, of 100 ms for `depth@100ms`, and of
 * ten of those for `depth`. Batches are counted also while nobody listens, so that REST can answer with the book as it
 * stood when one began, as a host does that is a little behind.
 */
export class DepthBatches {
  readonly #spec: InstrumentSpec
  readonly #engine: MatchingEngine
  #firstId: number
  #closed: ClosedBatch[] = []
  #slowFirstId: number | null = null
  readonly #slowBids = new Set<number>()
  readonly #slowAsks = new Set<number>()

  constructor(spec: InstrumentSpec, engine: MatchingEngine) {
    this.#spec = spec
    this.#engine = engine
    this.#firstId = engine.updateId + 1
  }

  /** Ends the open batch, which must hold a change. Answers its frame, or null when it is not wanted. */
  close(timeMs: number, isWanted: boolean): string | null {
    const engine = this.#engine
    const { changedBids, changedAsks } = engine
    const firstId = this.#firstId
    this.#firstId = engine.updateId + 1
    this.#closed.unshift({ firstId, bids: changedBids, asks: changedAsks })
    if (this.#closed.length > CLOSED_BATCHES_KEPT_MAX) this.#closed.pop()
    engine.beginBatch()
    return isWanted ? this.#frame(timeMs, firstId, changedBids.keys(), changedAsks.keys()) : null
  }

  /** Adds the batch closed last to the slow one. */
  gatherSlow(): void {
    const batch = this.#closed[0] as ClosedBatch
    this.#slowFirstId ??= batch.firstId
    for (const ticks of batch.bids.keys()) this.#slowBids.add(ticks)
    for (const ticks of batch.asks.keys()) this.#slowAsks.add(ticks)
  }

  /** Ends the slow batch; to be called when no change has happened since the last `close`. null: it is empty. */
  closeSlow(timeMs: number): string | null {
    if (this.#slowFirstId === null) return null
    const frame = this.#frame(timeMs, this.#slowFirstId, this.#slowBids, this.#slowAsks)
    this.dropSlow()
    return frame
  }

  dropSlow(): void {
    this.#slowFirstId = null
    this.#slowBids.clear()
    this.#slowAsks.clear()
  }

  /** How many batches back the book can be told: 0 is now, 1 the end of the last closed batch, and so on. */
  get batchesBackMax(): number {
    return this.#closed.length + 1
  }

  /** The answer of REST `depth`, now or as the book stood that many batches back. */
  snapshot(limit: number, batchesBack: number): string {
    const undone = this.#closed.slice(0, Math.max(0, batchesBack - 1))
    const engine = this.#engine
    const lastUpdateId = batchesBack === 0 ? engine.updateId : (undone.at(-1)?.firstId ?? this.#firstId) - 1
    // Newest first: what the oldest batch found is what the book held then.
    const bidsBefore = batchesBack === 0 ? [] : [engine.changedBids, ...undone.map((batch) => batch.bids)]
    const asksBefore = batchesBack === 0 ? [] : [engine.changedAsks, ...undone.map((batch) => batch.asks)]
    const bids = this.#levels(engine.bids, limit, bidsBefore)
    const asks = this.#levels(engine.asks, limit, asksBefore)
    return `{"lastUpdateId":${lastUpdateId},"bids":[${bids}],"asks":[${asks}]}`
  }

  #frame(timeMs: number, firstId: number, bids: Iterable<number>, asks: Iterable<number>): string {
    const { bids: bidSide, asks: askSide, updateId } = this.#engine
    const bidChanges = this.#changes(bidSide, bids)
    return depthFrame(this.#spec, timeMs, firstId, updateId, bidChanges, this.#changes(askSide, asks))
  }

  /** The quantities now of the prices that changed, best first. */
  #changes(side: BookSide, prices: Iterable<number>): string {
    const sorted = [...prices].sort(side.isBid ? (a, b) => b - a : (a, b) => a - b)
    let text = ''
    for (const ticks of sorted) text += `${text && ','}${levelText(this.#spec, ticks, side.lotsAt(ticks))}`
    return text
  }

  #levels(side: BookSide, limit: number, before: readonly ReadonlyMap<number, number>[]): string {
    const changed = new Map<number, number>()
    for (const batch of before) for (const [ticks, lots] of batch) changed.set(ticks, lots)
    const levels: [ticks: number, lots: number][] = []
    for (let depth = 0; depth < side.length && levels.length < limit; depth += 1) {
      const { ticks, lots } = side.at(depth)
      if (!changed.has(ticks)) levels.push([ticks, lots])
    }
    if (changed.size > 0) {
      for (const level of changed) if (level[1] > 0) levels.push(level)
      levels.sort(side.isBid ? (a, b) => b[0] - a[0] : (a, b) => a[0] - b[0])
    }
    let text = ''
    for (const [ticks, lots] of levels.slice(0, limit)) text += `${text && ','}${levelText(this.#spec, ticks, lots)}`
    return text
  }
}
