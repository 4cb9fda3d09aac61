import type { Level } from '../event.ts'
import { decimalEnd, decimalKey, readDecimalKey } from './decimal-key.ts'

/** Levels kept a side; what is worse than that is forgotten and counts as unknown. */
export const SHADOW_LEVELS_MAX = 1_000
/** So many more may gather before the worst are cut, so that not every new level moves all others. */
const LEVELS_SLACK = 96
const CAPACITY_MIN = 64
/** Moving so few entries by hand costs less than `copyWithin`. */
const NEAR_END = 24
/** A number of ticks is whole up to what doubles make of it. */
const GRID_TOLERANCE = 1e-3
/** With more ticks or steps than this the tolerance says nothing. */
const GRID_MAX = 1e12
const COMMA = 0x2c
const OPEN = 0x5b

/**
 * One side as two sorted columns of keys, the best level last: 16 bytes a level, and changes near the top move little.
 * Asks are kept with their sign turned, so that the greater key is the better one on both sides.
 */
export class ShadowSide {
  count = 0
  /** Below this key nothing is known: the worst level of a snapshot that was cut, or of what was kept. */
  edge = Number.NEGATIVE_INFINITY
  /** New levels whose price is no multiple of the tick, and quantities that are none of the step, ever seen. */
  offTick = 0
  offStep = 0
  /** Zero: nothing is judged. */
  #ticksPerUnit = 0
  #stepsPerUnit = 0
  readonly #sign: 1 | -1
  #keys = new Float64Array(CAPACITY_MIN)
  #quantities = new Float64Array(CAPACITY_MIN)

  constructor(sign: 1 | -1) {
    this.#sign = sign
  }

  /** Key of the best price, NaN on an empty side. */
  get best(): number {
    return this.count === 0 ? Number.NaN : (this.#keys[this.count - 1] as number)
  }

  get bestQuantity(): number {
    return this.count === 0 ? Number.NaN : (this.#quantities[this.count - 1] as number)
  }

  get bytes(): number {
    return this.#keys.byteLength + this.#quantities.byteLength
  }

  keyOf(price: string): number {
    return this.#sign * decimalKey(price)
  }

  judgeBy({ tick, step }: Grid): void {
    this.#ticksPerUnit = perUnit(tick)
    this.#stepsPerUnit = perUnit(step)
  }

  /** Nothing of before stays. `whole`: the levels are all there are, so nothing beyond them is unknown. */
  replace(levels: readonly Level[], whole: boolean): void {
    this.edge = Number.NEGATIVE_INFINITY
    this.count = 0
    const sorted = levels.map(([price, quantity]) => [this.keyOf(price), decimalKey(quantity)] as const)
    sorted.sort((left, right) => left[0] - right[0])
    this.#reserve(Math.min(sorted.length, SHADOW_LEVELS_MAX) + LEVELS_SLACK)
    for (const [key, quantity] of sorted.slice(-SHADOW_LEVELS_MAX)) {
      if (quantity === 0) continue
      this.#keys[this.count] = key
      this.#quantities[this.count] = quantity
      this.count++
    }
    if (this.count > 0 && (!whole || sorted.length > SHADOW_LEVELS_MAX)) this.edge = this.#keys[0] as number
  }

  apply(levels: readonly Level[]): void {
    for (let index = 0; index < levels.length; index++) {
      const level = levels[index] as Level
      this.set(this.#sign * decimalKey(level[0]), decimalKey(level[1]))
    }
  }

  /** The same of levels that stand as JSON without blanks, `[["price","quantity"],...]`, as an adapter admitted them. */
  applyText(levels: string): void {
    let at = 1
    while (levels.charCodeAt(at) === OPEN) {
      const price = readDecimalKey(levels, at + 2)
      const quantity = readDecimalKey(levels, decimalEnd + 3)
      this.set(this.#sign * price, quantity)
      at = decimalEnd + 2
      if (levels.charCodeAt(at) === COMMA) at++
    }
  }

  /** A quantity of zero removes. What lies beyond the edge stays unknown. */
  set(key: number, quantity: number): void {
    if (key < this.edge) return
    const keys = this.#keys
    const at = this.#find(key)
    if (isOff(quantity * this.#stepsPerUnit)) this.offStep++
    if (at >= 0 && keys[at] === key) {
      if (quantity === 0) this.#remove(at)
      else this.#quantities[at] = quantity
    } else if (quantity !== 0) {
      if (isOff(key * this.#ticksPerUnit)) this.offTick++
      this.#insert(at + 1, key, quantity)
    }
  }

  /** Quantity at a key, 0 where there is no level. */
  quantityAt(key: number): number {
    const at = this.#find(key)
    return at >= 0 && this.#keys[at] === key ? (this.#quantities[at] as number) : 0
  }

  /** How many levels differ from `levels` (keys to quantities), looking no further than `edge` and no further than known. */
  differences(levels: ReadonlyMap<number, number>, edge: number): number {
    const from = Math.max(edge, this.edge)
    let differing = 0
    for (const [key, quantity] of levels) if (key >= from && this.quantityAt(key) !== quantity) differing++
    for (let at = this.count - 1; at >= 0; at--) {
      const key = this.#keys[at] as number
      if (key < from) break
      if (!levels.has(key)) differing++
    }
    return differing
  }

  /** Index of the level with this key, or of the nearest worse one; -1 when all are better. */
  #find(key: number): number {
    const keys = this.#keys
    let high = this.count
    let low = high - 1
    // Most changes happen near the top.
    for (let step = 4; low >= 0 && (keys[low] as number) > key; step *= 4) {
      high = low
      low -= step
    }
    if (low < 0) low = -1
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if ((keys[middle] as number) > key) high = middle
      else low = middle
    }
    return low
  }

  #insert(at: number, key: number, quantity: number): void {
    if (this.count === this.#keys.length) {
      if (this.count >= SHADOW_LEVELS_MAX + LEVELS_SLACK) {
        const cut = this.count - SHADOW_LEVELS_MAX
        this.#keys.copyWithin(0, cut, this.count)
        this.#quantities.copyWithin(0, cut, this.count)
        this.count -= cut
        this.edge = this.#keys[0] as number
        at -= cut
        if (at <= 0) return
      } else {
        this.#reserve(this.count * 2)
      }
    }
    const keys = this.#keys
    const quantities = this.#quantities
    const { count } = this
    if (count - at > NEAR_END) {
      keys.copyWithin(at + 1, at, count)
      quantities.copyWithin(at + 1, at, count)
    } else {
      for (let index = count; index > at; index--) {
        keys[index] = keys[index - 1] as number
        quantities[index] = quantities[index - 1] as number
      }
    }
    keys[at] = key
    quantities[at] = quantity
    this.count = count + 1
  }

  #remove(at: number): void {
    const keys = this.#keys
    const quantities = this.#quantities
    const last = this.count - 1
    if (last - at > NEAR_END) {
      keys.copyWithin(at, at + 1, this.count)
      quantities.copyWithin(at, at + 1, this.count)
    } else {
      for (let index = at; index < last; index++) {
        keys[index] = keys[index + 1] as number
        quantities[index] = quantities[index + 1] as number
      }
    }
    this.count = last
  }

  #reserve(capacity: number): void {
    const bounded = Math.min(Math.max(capacity, CAPACITY_MIN), SHADOW_LEVELS_MAX + LEVELS_SLACK)
    if (bounded <= this.#keys.length) return
    const keys = new Float64Array(bounded)
    const quantities = new Float64Array(bounded)
    keys.set(this.#keys.subarray(0, this.count))
    quantities.set(this.#quantities.subarray(0, this.count))
    this.#keys = keys
    this.#quantities = quantities
  }
}

/** What prices and quantities are multiples of, as the venue says; '' where it says nothing. */
export interface Grid {
  readonly tick: string
  readonly step: string
}

function perUnit(unit: string): number {
  const size = Number(unit)
  if (!(size > 0)) return 0
  const count = 1 / size
  return Math.abs(count - Math.round(count)) < GRID_TOLERANCE ? Math.round(count) : count
}

function isOff(count: number): boolean {
  return Math.abs(count - Math.round(count)) > GRID_TOLERANCE && Math.abs(count) < GRID_MAX
}

/** Absolute levels; where they are at hand as text too, that is read instead, and nobody takes it apart. */
export interface LevelChanges {
  readonly bids: readonly Level[]
  readonly asks: readonly Level[]
  readonly bidsText?: string
  readonly asksText?: string
}

/**
 * A second book beside the one in the stream, kept only to be compared with what else the venue says of it. It knows all
 * levels between the best one and its edge, and nothing beyond; prices and quantities are keys (`decimal-key.ts`).
 */
export class ShadowBook {
  readonly bids = new ShadowSide(1)
  readonly asks = new ShadowSide(-1)

  /** Levels of a snapshot for which `depth` a side were asked; a side with fewer is whole. */
  replace(bids: readonly Level[], asks: readonly Level[], depth: number): void {
    this.bids.replace(bids, bids.length < depth)
    this.asks.replace(asks, asks.length < depth)
  }

  apply(changes: LevelChanges): void {
    const { bidsText, asksText } = changes
    if (bidsText === undefined || asksText === undefined) {
      this.bids.apply(changes.bids)
      this.asks.apply(changes.asks)
    } else {
      this.bids.applyText(bidsText)
      this.asks.applyText(asksText)
    }
  }

  judgeBy(grid: Grid): void {
    this.bids.judgeBy(grid)
    this.asks.judgeBy(grid)
  }

  /** Somebody bids what somebody else asks, or more: no true book does. */
  get crossed(): boolean {
    return this.bids.best >= -this.asks.best
  }

  get bytes(): number {
    return this.bids.bytes + this.asks.bytes
  }
}
