import { compareDecimal, isZeroDecimal, trimDecimal } from '../decimal.ts'
import type { Level } from '../event.ts'

export interface BookSide {
  /** Trimmed price -> quantity with the venue's digits. */
  readonly levels: ReadonlyMap<string, string>
}

/**
 * One side's levels. The best price is remembered and looked for anew only when it went away, because most changes
 * happen behind it and a full sort for each would cost more than the book itself.
 */
class Side implements BookSide {
  readonly levels = new Map<string, string>()
  /** +1 where the greatest price is best (bids), -1 where the least is (asks). */
  readonly #direction: 1 | -1
  #best: string | null = null
  #bestKnown = true

  constructor(direction: 1 | -1) {
    this.#direction = direction
  }

  set(price: string, quantity: string): void {
    const key = trimDecimal(price)
    if (isZeroDecimal(quantity)) {
      // Removing what is not there is normal: the venue names levels that no snapshot held.
      if (this.levels.delete(key) && key === this.#best) this.#bestKnown = false
      return
    }
    this.levels.set(key, quantity)
    if (this.#bestKnown && (this.#best === null || this.#isBetter(key, this.#best))) this.#best = key
  }

  clear(): void {
    this.levels.clear()
    this.#best = null
    this.#bestKnown = true
  }

  best(): string | null {
    if (!this.#bestKnown) {
      this.#best = null
      for (const price of this.levels.keys()) {
        if (this.#best === null || this.#isBetter(price, this.#best)) this.#best = price
      }
      this.#bestKnown = true
    }
    return this.#best
  }

  sorted(count: number): Level[] {
    const prices = [...this.levels.keys()].sort((left, right) => this.#direction * compareDecimal(right, left))
    return prices.slice(0, count).map((price) => [price, this.levels.get(price) as string])
  }

  #isBetter(price: string, than: string): boolean {
    return this.#direction * compareDecimal(price, than) > 0
  }
}

/**
 * An order book of absolute levels, both sides by price. It applies what it is given and judges no update ids; those are
 * `join.ts`'s business. Prices written differently (`1.50`, `1.5`) are one level.
 */
export class Book {
  readonly #bids = new Side(1)
  readonly #asks = new Side(-1)

  get bids(): BookSide {
    return this.#bids
  }

  get asks(): BookSide {
    return this.#asks
  }

  /** The whole book anew: nothing of what was there before stays. */
  replace(bids: readonly Level[], asks: readonly Level[]): void {
    this.#bids.clear()
    this.#asks.clear()
    this.apply(bids, asks)
  }

  /** Sets each level to its quantity; zero, however written, removes it. */
  apply(bids: readonly Level[], asks: readonly Level[]): void {
    for (const [price, quantity] of bids) this.#bids.set(price, quantity)
    for (const [price, quantity] of asks) this.#asks.set(price, quantity)
  }

  /** [price, quantity], null for an empty side. */
  bestBid(): Level | null {
    return levelAt(this.#bids, this.#bids.best())
  }

  bestAsk(): Level | null {
    return levelAt(this.#asks, this.#asks.best())
  }

  /** The best `count` bids, best first. */
  topBids(count: number): Level[] {
    return this.#bids.sorted(count)
  }

  topAsks(count: number): Level[] {
    return this.#asks.sorted(count)
  }

  /** Whether somebody bids what somebody else asks, or more: no true book does. */
  isCrossed(): boolean {
    const bid = this.#bids.best()
    const ask = this.#asks.best()
    return bid !== null && ask !== null && compareDecimal(bid, ask) >= 0
  }
}

function levelAt(side: BookSide, price: string | null): Level | null {
  return price === null ? null : [price, side.levels.get(price) as string]
}
