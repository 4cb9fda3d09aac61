import { isZeroDecimal, scaleOf, trimDecimal } from '../decimal.ts'
import type { Level } from '../event.ts'

const POINT = 46
const ZERO = 48
/** Inserting so near to the best end moves fewer entries by hand than `splice` costs. */
const NEAR_END = 48

/** One level of a side. */
interface Rung {
  /** With as many decimals as every other price of the ladder. */
  readonly price: string
  /** In the venue's digits; '' when the level is gone. */
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
  rungs: Rung[] = []
  readonly changes: Rung[] = []
  /** Worst price of which anything is known since worse levels were cut, '' while nothing was. */
  edge = ''
  /** Whether the greater price is better (bids). */
  readonly #greaterIsBetter: boolean

  constructor(greaterIsBetter: boolean) {
    this.#greaterIsBetter = greaterIsBetter
  }

  /** Index of the level with this price, or of the nearest worse one; -1 when all are better. */
  find(price: string): number {
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
    return low
  }

  /** `price` written as all others. */
  set(price: string, quantity: string): void {
    // Between the edge and this price others may have been cut: a level here would make a book with holes.
    if (this.edge !== '' && this.#isBetter(this.edge, price)) return
    const at = this.find(price)
    const found = at >= 0 ? (this.rungs[at] as Rung) : null
    if (found !== null && found.price === price) {
      if (isZeroDecimal(quantity)) {
        this.#remove(at)
        found.quantity = ''
      } else if (found.quantity === quantity) return
      else found.quantity = quantity
      this.#note(found)
    } else if (!isZeroDecimal(quantity)) {
      const rung: Rung = { price, quantity, stored: false, changed: true }
      this.#insert(at + 1, rung)
      this.changes.push(rung)
    }
  }

  /** Levels in any order, of one price the last counts; those that stay as they are count as unchanged. */
  replace(levels: readonly Level[]): void {
    this.edge = ''
    const before = new Map(this.rungs.map((rung) => [rung.price, rung]))
    const after = new Map<string, Rung>()
    for (const [price, quantity] of new Map(levels)) {
      if (isZeroDecimal(quantity)) continue
      const rung = before.get(price) ?? { price, quantity: '', stored: false, changed: false }
      if (rung.quantity !== quantity) {
        rung.quantity = quantity
        this.#note(rung)
      }
      after.set(price, rung)
    }
    for (const rung of this.rungs) {
      if (after.has(rung.price)) continue
      rung.quantity = ''
      this.#note(rung)
    }
    this.rungs = [...after.values()].sort((left, right) => (this.#isBetter(left.price, right.price) ? 1 : -1))
  }

  /** The worst levels beyond the bound go, and from then on nothing is known of what is worse than those that stay. */
  cut(levelsMax: number): void {
    const beyond = this.rungs.length - levelsMax
    if (beyond <= 0) return
    for (const rung of this.rungs.splice(0, beyond)) {
      rung.quantity = ''
      this.#note(rung)
    }
    this.edge = this.rungs[0]?.price ?? ''
  }

  #note(rung: Rung): void {
    if (rung.changed) return
    rung.changed = true
    this.changes.push(rung)
  }

  #isBetter(price: string, than: string): boolean {
    if (price.length !== than.length) return price.length > than.length === this.#greaterIsBetter
    return this.#greaterIsBetter ? price > than : price < than
  }

  #insert(at: number, rung: Rung): void {
    const { rungs } = this
    const length = rungs.length
    if (length - at > NEAR_END) {
      rungs.splice(at, 0, rung)
      return
    }
    rungs.push(rung)
    for (let index = length; index > at; index--) rungs[index] = rungs[index - 1] as Rung
    rungs[at] = rung
  }

  #remove(at: number): void {
    const { rungs } = this
    const last = rungs.length - 1
    if (last - at > NEAR_END) {
      rungs.splice(at, 1)
      return
    }
    for (let index = at; index < last; index++) rungs[index] = rungs[index + 1] as Rung
    rungs.pop()
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
 * Both sides of a book, bounded, sorted at all times, with the changes since they were last stored elsewhere. What is shown
 * of a side has no holes: where levels were cut at the bound, nothing worse enters until the book is replaced.
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

  get edges(): LadderEdges {
    return { bids: this.#bids.edge, asks: this.#asks.edge }
  }

  /** As another ladder's were, whose levels this one was given. */
  set edges({ bids, asks }: LadderEdges) {
    this.#bids.edge = bids === '' ? '' : this.#spell(bids)
    this.#asks.edge = asks === '' ? '' : this.#spell(asks)
  }

  /** A side was cut and shows fewer levels than this: what is missing is known to be unknown. */
  isShallow(levels: number): boolean {
    return [this.#bids, this.#asks].some(({ edge, rungs }) => edge !== '' && rungs.length < levels)
  }

  get bidsCount(): number {
    return this.#bids.rungs.length
  }

  get asksCount(): number {
    return this.#asks.rungs.length
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
    this.#bids.cut(this.levelsMax)
    this.#asks.cut(this.levelsMax)
  }

  /** The whole book anew: nothing of what was there before stays. */
  replace(bids: readonly Level[], asks: readonly Level[]): void {
    // Spelt first: a price with more decimals respells those before it.
    for (const levels of [bids, asks]) for (const [price] of levels) this.#spell(price)
    this.#bids.replace(bids.map(([price, quantity]) => [this.#spell(price), quantity]))
    this.#asks.replace(asks.map(([price, quantity]) => [this.#spell(price), quantity]))
    this.#bids.cut(this.levelsMax)
    this.#asks.cut(this.levelsMax)
  }

  /** The best `count` levels, best first. */
  topBids(count: number): Level[] {
    return top(this.#bids.rungs, count)
  }

  topAsks(count: number): Level[] {
    return top(this.#asks.rungs, count)
  }

  /** What is to be written to the copy; asked again it answers the same until `settle`. */
  changes(): LadderChanges {
    const set: string[] = []
    const removed: string[] = []
    collect('b:', this.#bids.changes, set, removed)
    collect('a:', this.#asks.changes, set, removed)
    return { set, removed }
  }

  /** The copy has everything. */
  settle(): void {
    for (const side of [this.#bids, this.#asks]) {
      for (const rung of side.changes) {
        rung.stored = rung.quantity !== ''
        rung.changed = false
      }
      side.changes.length = 0
    }
  }

  /** The copy has nothing: every level counts as changed. */
  unsettle(): void {
    for (const side of [this.#bids, this.#asks]) {
      for (const rung of side.changes) rung.changed = false
      side.changes.length = 0
      for (const rung of side.rungs) {
        rung.stored = false
        rung.changed = true
        side.changes.push(rung)
      }
    }
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
    for (const side of [this.#bids, this.#asks]) {
      const respelt = new Map<Rung, Rung>()
      const respell = (rung: Rung): Rung => {
        const known = respelt.get(rung) ?? { ...rung, price: pad(rung.price, digits) }
        respelt.set(rung, known)
        return known
      }
      side.rungs = side.rungs.map(respell)
      side.changes.splice(0, side.changes.length, ...side.changes.map(respell))
      if (side.edge !== '') side.edge = pad(side.edge, digits)
    }
  }
}

function pad(price: string, digits: number): string {
  const scale = scaleOf(price)
  if (scale >= digits) return price
  return `${price}${scale === 0 ? '.' : ''}${'0'.repeat(digits - scale)}`
}

function top(rungs: readonly Rung[], count: number): Level[] {
  const levels: Level[] = []
  for (let at = rungs.length - 1; at >= 0 && levels.length < count; at--) {
    const { price, quantity } = rungs[at] as Rung
    levels.push([price, quantity])
  }
  return levels
}

/** A level that went and came again stands twice among the changes; the later one counts. */
function collect(head: string, changes: readonly Rung[], set: string[], removed: string[]): void {
  const newest = new Map<string, { quantity: string; stored: boolean }>()
  for (const { price, quantity, stored } of changes) {
    newest.set(price, { quantity, stored: stored || (newest.get(price)?.stored ?? false) })
  }
  for (const [price, { quantity, stored }] of newest) {
    if (quantity !== '') set.push(head + trimDecimal(price), quantity)
    else if (stored) removed.push(head + trimDecimal(price))
  }
}
