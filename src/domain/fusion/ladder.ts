import { scaleOf, trimDecimal } from '../decimal.ts'
import type { Level } from '../event.ts'
import { LadderSide, pad } from './ladder-side.ts'

const POINT = 46
const ZERO = 48
/**
 * So many times the levels that are shown are kept: the price moves, and what was behind the bound comes before it. Only what
 * is behind all of them is forgotten.
 */
export const KEPT_FACTOR = 2
/** What differs from the copy elsewhere. */
export interface LadderChanges {
  /** `b:<price>` or `a:<price>`, the price without trailing zeros, and the quantity; flat. */
  readonly set: readonly string[]
  readonly removed: readonly string[]
}

/** The worst price of a side of which anything is known, '' where nothing was cut. */
export interface LadderEdges {
  readonly bids: string
  readonly asks: string
}

/**
 * Both sides of a book, bounded, sorted at all times, with the changes since their best levels were last stored elsewhere. What
 * is shown of a side has no holes: where levels were cut at the bound, nothing worse enters until the book is replaced.
 *
 * Prices keep the venue's digits as long as the venue writes all prices of an instrument with equally many; where it does
 * not, they are padded to the most it ever wrote.
 */
export class Ladder {
  readonly levelsMax: number
  readonly #bids = new LadderSide(true)
  readonly #asks = new LadderSide(false)
  /** Decimals of every price; -1 until the first one. */
  #digits: number

  constructor(levelsMax: number, digits = -1) {
    this.levelsMax = levelsMax
    this.#digits = digits
  }

  get digits(): number {
    return this.#digits
  }

  /** Of the copy, which holds the best `levelsMax` levels a side. */
  get edges(): LadderEdges {
    return { bids: this.#bids.shownEdge(this.levelsMax), asks: this.#asks.shownEdge(this.levelsMax) }
  }

  /** As those of the copy were, whose levels this one was given. */
  set edges({ bids, asks }: LadderEdges) {
    this.#bids.edge = bids === '' ? '' : this.#spell(bids)
    this.#asks.edge = asks === '' ? '' : this.#spell(asks)
  }

  /** A side was cut and shows fewer levels than this: what is missing is known to be unknown. */
  isShallow(levels: number): boolean {
    return [this.#bids, this.#asks].some(({ edge, count }) => edge !== '' && count < levels)
  }

  get bidsCount(): number {
    return this.#bids.count
  }

  get asksCount(): number {
    return this.#asks.count
  }

  get changesCount(): number {
    return this.#bids.changes.length + this.#asks.changes.length
  }

  /** Sets each level to its quantity; zero, however written, removes it. */
  apply(bids: readonly Level[], asks: readonly Level[]): void {
    for (let at = 0; at < bids.length; at++) {
      const level = bids[at] as Level
      this.#bids.set(this.#spell(level[0]), level[1])
    }
    for (let at = 0; at < asks.length; at++) {
      const level = asks[at] as Level
      this.#asks.set(this.#spell(level[0]), level[1])
    }
    this.#bids.cut(KEPT_FACTOR * this.levelsMax)
    this.#asks.cut(KEPT_FACTOR * this.levelsMax)
  }

  /** The whole book anew: nothing of what was there before stays. */
  replace(bids: readonly Level[], asks: readonly Level[]): void {
    // Spelt first: a price with more decimals respells those before it.
    for (const levels of [bids, asks]) for (const [price] of levels) this.#spell(price)
    this.#bids.replace(bids.map(([price, quantity]) => [this.#spell(price), quantity]))
    this.#asks.replace(asks.map(([price, quantity]) => [this.#spell(price), quantity]))
    this.#bids.cut(KEPT_FACTOR * this.levelsMax)
    this.#asks.cut(KEPT_FACTOR * this.levelsMax)
  }

  /** The best `count` levels, best first. */
  topBids(count: number): Level[] {
    return this.#bids.top(count)
  }

  topAsks(count: number): Level[] {
    return this.#asks.top(count)
  }

  /** What is to be written to the copy; asked again it answers the same until `settle`. */
  changes(): LadderChanges {
    const set: string[] = []
    const removed: string[] = []
    this.#bids.collect('b:', this.levelsMax, set, removed)
    this.#asks.collect('a:', this.levelsMax, set, removed)
    return { set, removed }
  }

  /** The copy has everything. */
  settle(): void {
    this.#bids.settle(this.levelsMax)
    this.#asks.settle(this.levelsMax)
  }

  /** The copy has nothing: every level counts as changed. */
  unsettle(): void {
    this.#bids.unsettle()
    this.#asks.unsettle()
  }

  #spell(price: string): string {
    const digits = this.#digits
    const point = price.length - digits - 1
    if (digits > 0 && price.charCodeAt(point) === POINT && (point === 1 || price.charCodeAt(0) !== ZERO)) return price
    return this.#respell(price)
  }

  #respell(price: string): string {
    const trimmed = trimDecimal(price)
    if (this.#digits === -1) this.#digits = scaleOf(price)
    if (scaleOf(trimmed) > this.#digits) this.#widen(scaleOf(trimmed))
    return pad(trimmed, this.#digits)
  }

  #widen(digits: number): void {
    this.#digits = digits
    this.#bids.respell(digits)
    this.#asks.respell(digits)
  }
}
