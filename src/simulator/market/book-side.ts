/** The most resting orders told apart at one price; beyond, a new order joins the last. */
export const ORDERS_PER_LEVEL_MAX = 32

/**
 * One price with what rests there. `orders` holds the lots of every order, oldest first; null stands for a single order
 * of `lots`, which is what most levels of a deep book are, so that they cost no array.
 */
export class Level {
  readonly ticks: number
  lots: number
  orders: number[] | null = null

  constructor(ticks: number, lots: number) {
    this.ticks = ticks
    this.lots = lots
  }

  get orderCount(): number {
    return this.orders === null ? 1 : this.orders.length
  }

  join(lots: number): void {
    if (this.orders === null) this.orders = [this.lots, lots]
    else if (this.orders.length < ORDERS_PER_LEVEL_MAX) this.orders.push(lots)
    else this.orders[this.orders.length - 1] = (this.orders.at(-1) as number) + lots
    this.lots += lots
  }

  /** Fills the oldest order with at most `lots`; answers what was filled. */
  fill(lots: number): number {
    const oldest = this.orders === null ? this.lots : (this.orders[0] as number)
    const filled = Math.min(oldest, lots)
    this.lots -= filled
    if (this.orders === null) return filled
    if (filled < oldest) this.orders[0] = oldest - filled
    else this.#drop(0)
    return filled
  }

  /** Takes the order at `index` away; the level is empty when `lots` is 0. */
  cancel(index: number): void {
    if (this.orders === null) {
      this.lots = 0
      return
    }
    this.lots -= this.orders[index] as number
    this.#drop(index)
  }

  #drop(index: number): void {
    const orders = this.orders as number[]
    orders.splice(index, 1)
    if (orders.length === 1) this.orders = null
  }
}

/**
 * One side of a book. Depth 0 is the best level. Kept as an array with the best level last, because order flow happens
 * near the top, where inserting and removing then moves few entries.
 */
export class BookSide {
  readonly isBid: boolean
  readonly #levels: Level[] = []

  constructor(isBid: boolean) {
    this.isBid = isBid
  }

  get length(): number {
    return this.#levels.length
  }

  get best(): Level {
    return this.#levels[this.#levels.length - 1] as Level
  }

  at(depth: number): Level {
    return this.#levels[this.#levels.length - 1 - depth] as Level
  }

  /** Puts a level so that it has this depth; the caller answers for the order of prices. */
  insert(depth: number, level: Level): void {
    if (depth === 0) this.#levels.push(level)
    else this.#levels.splice(this.#levels.length - depth, 0, level)
  }

  remove(depth: number): void {
    if (depth === 0) this.#levels.pop()
    else this.#levels.splice(this.#levels.length - 1 - depth, 1)
  }

  /** Whether `ticks` is a better price on this side than `other`. */
  isBetter(ticks: number, other: number): boolean {
    return this.isBid ? ticks > other : ticks < other
  }

  /** How many levels are better than a price: its depth if it rests here, else the depth it would have. */
  depthOf(ticks: number): number {
    let low = 0
    let high = this.#levels.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.isBetter((this.#levels[middle] as Level).ticks, ticks)) high = middle
      else low = middle + 1
    }
    return this.#levels.length - low
  }

  /** Lots at a price, 0 where nothing rests. */
  lotsAt(ticks: number): number {
    const depth = this.depthOf(ticks)
    if (depth === this.length) return 0
    const level = this.at(depth)
    return level.ticks === ticks ? level.lots : 0
  }
}
