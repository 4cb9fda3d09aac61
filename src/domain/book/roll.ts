import { compareDecimal, isZeroDecimal, trimDecimal } from '../decimal.ts'
import type { Level } from '../event.ts'

/** A book as a venue tells it whole; levels best first. */
export interface WholeBook {
  /** Update id that it stands at. */
  readonly last: number
  readonly bids: readonly Level[]
  readonly asks: readonly Level[]
  /** Levels a side that were asked for: behind the worst one of a side that has so many lie others, not told. */
  readonly depth: number
}

export interface BookChange {
  readonly first: number
  readonly last: number
  readonly bids: readonly Level[]
  readonly asks: readonly Level[]
}

/**
 * A book brought forward to `have` (or as far as the changes go) by changes in their order; those that it holds already are
 * passed over. Levels keep the venue's digits. What a change says of what lies behind the book's reach is left out, as nothing
 * near it would be known; a side that has lost levels says a smaller depth, because one with fewer than were asked for counts
 * as whole. Null when changes are missing, or nothing is left of a side that had more behind it.
 */
export function rollForward(
  book: WholeBook,
  changes: readonly BookChange[],
  have: number = Number.POSITIVE_INFINITY,
): WholeBook | null {
  const bids = new RolledSide(book.bids, book.depth, 1)
  const asks = new RolledSide(book.asks, book.depth, -1)
  let { last } = book
  for (const change of changes) {
    if (change.last <= last || change.last > have) continue
    if (change.first > last + 1) return null
    bids.apply(change.bids)
    asks.apply(change.asks)
    last = change.last
  }
  if (have !== Number.POSITIVE_INFINITY && last !== have) return null
  if (last === book.last) return book
  const depth = Math.min(bids.depth, asks.depth)
  if (depth === 0) return null
  return { last, bids: bids.best(depth), asks: asks.best(depth), depth }
}

class RolledSide {
  readonly #levels: Map<string, Level>
  readonly #depth: number
  /** Price behind which nothing is known; null: everything is. */
  readonly #reach: string | null
  /** +1 where the greatest price is best (bids), -1 where the least is (asks). */
  readonly #direction: 1 | -1

  constructor(levels: readonly Level[], depth: number, direction: 1 | -1) {
    this.#levels = new Map(levels.map((level) => [trimDecimal(level[0]), level]))
    this.#reach = levels.length >= depth ? (levels.at(-1)?.[0] ?? null) : null
    this.#depth = depth
    this.#direction = direction
  }

  apply(levels: readonly Level[]): void {
    for (const level of levels) {
      const key = trimDecimal(level[0])
      if (isZeroDecimal(level[1])) this.#levels.delete(key)
      else if (this.#isKnown(level[0])) this.#levels.set(key, level)
    }
  }

  /** Levels down to which the side is known whole, at most as many as were asked for. */
  get depth(): number {
    return this.#reach === null ? this.#depth : Math.min(this.#depth, this.#levels.size)
  }

  best(count: number): Level[] {
    const levels = [...this.#levels.values()]
    return levels.sort((left, right) => this.#direction * compareDecimal(right[0], left[0])).slice(0, count)
  }

  #isKnown(price: string): boolean {
    return this.#reach === null || this.#direction * compareDecimal(price, this.#reach) >= 0
  }
}
