import { isZeroDecimal, scaleOf, trimDecimal } from '../decimal.ts'
import type { Level } from '../event.ts'

const POINT = 46
const ZERO = 48
/** Inserting so near to the best end moves fewer entries by hand than `splice` costs. */
const NEAR_END = 48
/**
 * So many times the levels that are shown are kept: the price moves, and what was behind the bound comes before it. Only what
 * is behind all of them is forgotten.
 */
export const KEPT_FACTOR = 2
/** Levels that went stay in their place, because most come again; so many more than live ones may stay. */
const GONE_MAX = 256

/** One level of a side. */
interface Rung {
  /** With as many decimals as every other price of the ladder. */
  readonly price: string
  /** In the venue's digits; '' while the level is gone. */
  quantity: string
  /** Whether the copy elsewhere (the snapshot cache) has the level. */
  stored: boolean
  /** Whether it stands in the list of changes. */
  changed: boolean
}

/**
 * One side, sorted with the best price last, so that changes near the top move little. Prices are written with equal
 * decimals and without leading zeros, so that a longer one is greater and those of one length compare as texts.
 */
class Side {
  /** All levels that are there, and some that are gone. */
  rungs: Rung[] = []
  readonly changes: Rung[] = []
  /** Worst price of which anything is known since worse levels were cut, '' while nothing was. */
  edge = ''
  /** Levels that are there. */
  count = 0
  /** The copy lacks some of them. */
  #isPartial = false
  readonly #byPrice = new Map<string, Rung>()
  /** Whether the greater price is better (bids). */
  readonly #greaterIsBetter: boolean

  constructor(greaterIsBetter: boolean) {
    this.#greaterIsBetter = greaterIsBetter
  }

  /** `price` written as all others. */
  set(price: string, quantity: string): void {
    const known = this.#byPrice.get(price)
    const goes = isZeroDecimal(quantity)
    if (known === undefined) {
      if (goes || this.#isBeyond(price)) return
      const rung: Rung = { price, quantity, stored: false, changed: true }
      this.#insert(rung)
      this.changes.push(rung)
    } else if (goes) {
      if (known.quantity === '') return
      known.quantity = ''
      this.count--
      this.#note(known)
    } else {
      if (known.quantity === quantity) return
      if (known.quantity === '') {
        if (this.#isBeyond(price)) return
        this.count++
      }
      known.quantity = quantity
      this.#note(known)
    }
  }

  /** Levels in any order, of one price the last counts; those that stay as they are count as unchanged. */
  replace(levels: readonly Level[]): void {
    this.edge = ''
    const after = new Map(levels)
    for (const rung of this.rungs) {
      if (rung.quantity === '' || after.has(rung.price)) continue
      rung.quantity = ''
      this.count--
      this.#note(rung)
    }
    const fresh: Rung[] = []
    for (const [price, quantity] of after) {
      if (this.#byPrice.has(price) || isZeroDecimal(quantity)) this.set(price, quantity)
      else fresh.push({ price, quantity, stored: false, changed: true })
    }
    for (const rung of fresh) {
      this.#byPrice.set(rung.price, rung)
      this.rungs.push(rung)
      this.changes.push(rung)
    }
    this.count += fresh.length
    this.rungs.sort((left, right) => (this.#isBetter(left.price, right.price) ? 1 : -1))
  }

  /** The worst levels beyond the bound go, and from then on nothing is known of what is worse than those that stay. */
  cut(levelsMax: number): void {
    if (this.count <= levelsMax) return
    let at = 0
    for (; this.count > levelsMax; at++) {
      const rung = this.rungs[at] as Rung
      if (rung.quantity === '') continue
      rung.quantity = ''
      this.count--
      this.#note(rung)
    }
    while ((this.rungs[at] as Rung).quantity === '') at++
    this.edge = (this.rungs[at] as Rung).price
  }

  /** The best `count` levels, best first. */
  top(count: number): Level[] {
    const { rungs } = this
    const levels: Level[] = []
    for (let at = rungs.length - 1; at >= 0 && levels.length < count; at--) {
      const { price, quantity } = rungs[at] as Rung
      if (quantity !== '') levels.push([price, quantity])
    }
    return levels
  }

  /** What is to be written to a copy that holds the best `levelsMax` levels. */
  collect(head: string, levelsMax: number, set: string[], removed: string[]): void {
    const { rungs } = this
    if (!this.#isPartial && this.count <= levelsMax) {
      for (const { price, quantity, stored } of this.changes) {
        if (quantity !== '') set.push(head + trimDecimal(price), quantity)
        else if (stored) removed.push(head + trimDecimal(price))
      }
      return
    }
    let rank = 0
    for (let at = rungs.length - 1; at >= 0; at--) {
      const { price, quantity, stored, changed } = rungs[at] as Rung
      if (quantity !== '' && rank < levelsMax) {
        rank++
        if (!stored || changed) set.push(head + trimDecimal(price), quantity)
      } else if (stored) removed.push(head + trimDecimal(price))
    }
  }

  settle(levelsMax: number): void {
    if (!this.#isPartial && this.count <= levelsMax) {
      for (const rung of this.changes) rung.stored = rung.quantity !== ''
    } else {
      let rank = 0
      for (let at = this.rungs.length - 1; at >= 0; at--) {
        const rung = this.rungs[at] as Rung
        rung.stored = rung.quantity !== '' && rank < levelsMax
        if (rung.stored) rank++
      }
    }
    for (const rung of this.changes) rung.changed = false
    this.changes.length = 0
    this.#isPartial = this.count > levelsMax
    if (this.rungs.length - this.count > GONE_MAX) this.#sweep()
  }

  unsettle(): void {
    for (const rung of this.changes) rung.changed = false
    this.changes.length = 0
    this.#sweep()
    for (const rung of this.rungs) rung.stored = false
    this.#isPartial = true
  }

  /** Worst price of which a copy of the best `levelsMax` levels says anything, '' where it says all there is. */
  shownEdge(levelsMax: number): string {
    if (this.count <= levelsMax) return this.edge
    let rank = 0
    for (let at = this.rungs.length - 1; at >= 0; at--) {
      const { price, quantity } = this.rungs[at] as Rung
      if (quantity !== '' && ++rank === levelsMax) return price
    }
    return this.edge
  }

  /** Writes every price with more decimals. */
  respell(digits: number): void {
    const respelt = new Map<Rung, Rung>()
    this.#byPrice.clear()
    this.rungs = this.rungs.map((rung) => {
      const again = { ...rung, price: pad(rung.price, digits) }
      respelt.set(rung, again)
      this.#byPrice.set(again.price, again)
      return again
    })
    for (const [at, rung] of this.changes.entries()) this.changes[at] = respelt.get(rung) as Rung
    if (this.edge !== '') this.edge = pad(this.edge, digits)
  }

  /** Forgets levels that are gone. The copy must know it already, or there must be none. */
  #sweep(): void {
    const kept = this.rungs.filter(({ quantity, changed }) => quantity !== '' || changed)
    for (const { price, quantity, changed } of this.rungs) {
      if (quantity === '' && !changed) this.#byPrice.delete(price)
    }
    this.rungs = kept
  }

  #note(rung: Rung): void {
    if (rung.changed) return
    rung.changed = true
    this.changes.push(rung)
  }

  /** Between the edge and this price others may have been cut: a level here would make a book with holes. */
  #isBeyond(price: string): boolean {
    return this.edge !== '' && this.#isBetter(this.edge, price)
  }

  #isBetter(price: string, than: string): boolean {
    if (price.length !== than.length) return price.length > than.length === this.#greaterIsBetter
    return this.#greaterIsBetter ? price > than : price < than
  }

  #insert(rung: Rung): void {
    const { rungs } = this
    const { length } = rungs
    const at = this.#placeOf(rung.price)
    this.#byPrice.set(rung.price, rung)
    this.count++
    if (length - at > NEAR_END) {
      rungs.splice(at, 0, rung)
      return
    }
    rungs.push(rung)
    for (let index = length; index > at; index--) rungs[index] = rungs[index - 1] as Rung
    rungs[at] = rung
  }

  /** Index at which a level of this price is to stand: behind all that are worse. */
  #placeOf(price: string): number {
    const { rungs } = this
    let high = rungs.length
    let low = high - 1
    // Most changes happen near the top.
    for (let step = 1; low >= 0 && this.#isBetter((rungs[low] as Rung).price, price); step *= 2) {
      high = low
      low -= step
    }
    if (low < 0) low = -1
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if (this.#isBetter((rungs[middle] as Rung).price, price)) high = middle
      else low = middle
    }
    return low + 1
  }
}

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
  readonly #bids = new Side(true)
  readonly #asks = new Side(false)
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

function pad(price: string, digits: number): string {
  const scale = scaleOf(price)
  if (scale >= digits) return price
  return `${price}${scale === 0 ? '.' : ''}${'0'.repeat(digits - scale)}`
}
