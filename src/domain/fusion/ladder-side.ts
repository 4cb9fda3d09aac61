import { isZeroDecimal, scaleOf, trimDecimal } from '../decimal.ts'
import type { Level } from '../event.ts'

/** Inserting so near to the best end moves fewer entries by hand than `splice` costs. */
const NEAR_END = 48
/** Levels that went stay in their place, because most come again; so many may stay for one that is there, and so many in any case. */
const GONE_SHARE = 1 / 4
const GONE_MIN = 32

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
export class LadderSide {
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
    if (this.rungs.length - this.count > Math.max(GONE_MIN, this.count * GONE_SHARE)) this.#sweep()
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

/** A price with at least so many decimals. */
export function pad(price: string, digits: number): string {
  const scale = scaleOf(price)
  if (scale >= digits) return price
  return `${price}${scale === 0 ? '.' : ''}${'0'.repeat(digits - scale)}`
}
