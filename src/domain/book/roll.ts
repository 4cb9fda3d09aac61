import { isZeroDecimal, trimDecimal } from '../decimal.ts'
import type { Level } from '../event.ts'

export interface WholeBook {
  /** Update id that it stands at. */
  readonly last: number
  readonly bids: readonly Level[]
  readonly asks: readonly Level[]
}

export interface BookChange extends WholeBook {
  readonly first: number
}

/**
 * A book brought forward by changes in their order; those that it holds already are passed over. Levels that stay keep the
 * venue's digits and their order, new ones stand at the end. Null when changes are missing in between.
 */
export function rollForward(book: WholeBook, changes: readonly BookChange[]): WholeBook | null {
  const bids = byPrice(book.bids)
  const asks = byPrice(book.asks)
  let { last } = book
  for (const change of changes) {
    if (change.last <= last) continue
    if (change.first > last + 1) return null
    set(bids, change.bids)
    set(asks, change.asks)
    last = change.last
  }
  return last === book.last ? book : { last, bids: [...bids.values()], asks: [...asks.values()] }
}

function byPrice(levels: readonly Level[]): Map<string, Level> {
  return new Map(levels.map((level) => [trimDecimal(level[0]), level]))
}

function set(side: Map<string, Level>, levels: readonly Level[]): void {
  for (const level of levels) {
    const key = trimDecimal(level[0])
    if (isZeroDecimal(level[1])) side.delete(key)
    else side.set(key, level)
  }
}
