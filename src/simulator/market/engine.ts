import { BookSide, Level } from './book-side.ts'
import type { InstrumentSpec } from './instruments.ts'
import { Random } from './random.ts'

/** Below this many levels a side is not taken from any more: a book of this venue is never empty. */
const LEVELS_MIN = 5
/** Shares of the order flow; the rest are limit orders that rest. */
const MARKET_SHARE = 0.2
const CROSSING_LIMIT_SHARE = 0.04
const CANCEL_SHARE = 0.34
/** How far the price looks for its way in one step, and how strongly it is drawn to where it began. */
const DRIFT = 1e-5
const REVERSION = 1e-6
/** From this many gaps on, a limit order goes into the spread instead of behind it. */
const WIDE_SPREAD_GAPS = 3
/** How many of the resting orders else better the best price where the spread leaves room. */
const INSIDE_SHARE = 0.5
/** The distance between the fair price and the middle of the book at which the flow is as one-sided as it gets. */
const PULL_DISTANCE = 2e-4

/**
 * A small matching engine for one instrument, with the order flow that drives it: limit orders near the top, cancels,
 * orders that cross and trade by price and time. Integer ticks and lots, so everything it tells is exact. Pure: the
 * same specification and seed give the same sequence.
 *
 * Every change of a level has its own update id. What a batch changed is kept with the quantity before it, so that the
 * book can also be told as it was when the batch began.
 */
export class MatchingEngine {
  readonly bids = new BookSide(true)
  readonly asks = new BookSide(false)
  /** The last update id given. */
  updateId: number
  /** Prices changed since `beginBatch`, with the lots before the first change; 0 where nothing rested. */
  changedBids = new Map<number, number>()
  changedAsks = new Map<number, number>()
  /** What the last step traded: fills 0 to `fillCount` - 1 of one taker order, in order. */
  fillCount = 0
  takerBuys = false
  readonly fillTicks: number[] = []
  readonly fillLots: number[] = []

  readonly #spec: InstrumentSpec
  readonly #random: Random
  readonly #gapTicks: number
  /** How far from the best price orders rest. */
  readonly #rangeTicks: number
  #fairTicks: number

  constructor(spec: InstrumentSpec, seed: number) {
    this.#spec = spec
    this.#random = new Random(seed, spec.stream)
    this.#gapTicks = Math.max(1, Math.min(20, Math.floor(spec.startTicks / spec.levels / 20)))
    this.#rangeTicks = spec.levels * (1 + this.#gapTicks)
    this.#fairTicks = spec.startTicks
    this.updateId = spec.firstUpdateId
    this.#seed(this.bids)
    this.#seed(this.asks)
  }

  beginBatch(): void {
    this.changedBids = new Map()
    this.changedAsks = new Map()
  }

  /** One order or cancel. */
  step(): void {
    this.fillCount = 0
    const random = this.#random
    const start = this.#spec.startTicks
    const walk = random.unit() + random.unit() + random.unit() - 1.5
    this.#fairTicks += (start - this.#fairTicks) * REVERSION + start * DRIFT * walk
    const pull = this.#pull()
    const kind = random.unit()
    if (kind < MARKET_SHARE) this.#market(random.unit() < 0.5 + 0.4 * pull)
    else if (kind < MARKET_SHARE + CROSSING_LIMIT_SHARE) this.#crossingLimit(random.unit() < 0.5 + 0.4 * pull)
    else if (kind < MARKET_SHARE + CROSSING_LIMIT_SHARE + CANCEL_SHARE) {
      this.#cancel(random.unit() < 0.5 + 0.3 * pull ? this.asks : this.bids)
    } else this.#rest(random.unit() < 0.5 + 0.3 * pull ? this.bids : this.asks)
  }

  /**
   * An order of `lots` that may trade up to `limitTicks`; what is left rests there if `rests`. By price, then by time.
   */
  place(buys: boolean, limitTicks: number, lots: number, rests: boolean): void {
    const own = buys ? this.bids : this.asks
    const opposite = buys ? this.asks : this.bids
    let left = lots
    this.takerBuys = buys
    while (left > 0 && opposite.length > LEVELS_MIN && !own.isBetter(opposite.best.ticks, limitTicks)) {
      const level = opposite.best
      const before = level.lots
      while (left > 0 && level.lots > 0) {
        const filled = level.fill(left)
        this.fillTicks[this.fillCount] = level.ticks
        this.fillLots[this.fillCount] = filled
        this.fillCount += 1
        left -= filled
      }
      if (level.lots === 0) opposite.remove(0)
      this.#changed(opposite, level.ticks, before)
    }
    if (!rests || left === 0 || !own.isBetter(limitTicks, own.best.ticks)) return
    // The other side was kept from running empty: resting here would cross the book.
    if (!own.isBetter(opposite.best.ticks, limitTicks)) return
    own.insert(0, new Level(limitTicks, left))
    this.#changed(own, limitTicks, 0)
  }

  /** -1 to 1: which way the flow leans. */
  #pull(): number {
    const middle = (this.bids.best.ticks + this.asks.best.ticks) / 2
    const pull = (this.#fairTicks - middle) / (middle * PULL_DISTANCE)
    return Math.max(-1, Math.min(1, pull))
  }

  #market(buys: boolean): void {
    this.place(buys, buys ? Infinity : 0, Math.ceil(this.#lots() / 2), false)
  }

  #crossingLimit(buys: boolean): void {
    this.place(buys, (buys ? this.asks : this.bids).best.ticks, this.#lots(), true)
  }

  #cancel(side: BookSide): void {
    // A thin side grows again, at any distance alike.
    if (side.length < this.#spec.levels * 0.9 && this.#random.unit() < 0.6) this.#restBehind(side, this.#random.unit())
    else this.#cancelAt(side, this.#depth(side))
  }

  #cancelAt(side: BookSide, depth: number): void {
    if (side.length <= LEVELS_MIN) return
    const level = side.at(depth)
    const before = level.lots
    level.cancel(this.#random.below(level.orderCount))
    if (level.lots === 0) side.remove(depth)
    this.#changed(side, level.ticks, before)
  }

  #rest(side: BookSide): void {
    if (side.length > this.#spec.levels * 1.1) {
      // What the price left behind is given up from the far end.
      this.#cancelAt(side, side.length - 1)
      return
    }
    const spread = this.asks.best.ticks - this.bids.best.ticks
    const isWide = spread > WIDE_SPREAD_GAPS * this.#gapTicks
    if (spread > 1 && (isWide || this.#random.unit() < INSIDE_SHARE)) {
      // A hole that large orders tore closes within a few steps.
      const step = 1 + this.#random.below(isWide ? spread - 1 : Math.min(spread - 1, this.#gapTicks))
      const ticks = side.isBid ? side.best.ticks + step : side.best.ticks - step
      side.insert(0, new Level(ticks, this.#lots()))
      this.#changed(side, ticks, 0)
      return
    }
    const unit = this.#random.unit()
    this.#restBehind(side, unit * unit * unit * unit)
  }

  /** An order at a share of the way from the best price to the end of the book. */
  #restBehind(side: BookSide, share: number): void {
    const offset = Math.floor(this.#rangeTicks * share)
    const ticks = side.isBid ? Math.max(1, side.best.ticks - offset) : side.best.ticks + offset
    const depth = side.depthOf(ticks)
    const level = depth < side.length ? side.at(depth) : null
    if (level?.ticks === ticks) {
      const before = level.lots
      level.join(this.#lots())
      this.#changed(side, ticks, before)
    } else {
      side.insert(depth, new Level(ticks, this.#lots()))
      this.#changed(side, ticks, 0)
    }
  }

  /** Mostly near the top: the fourth power puts a sixth of all orders on the best of 1,500 levels. */
  #depth(side: BookSide): number {
    const unit = this.#random.unit()
    return Math.floor(side.length * unit * unit * unit * unit)
  }

  #lots(): number {
    const unit = this.#random.unit()
    const size = 0.05 + 4 * unit * unit * unit * unit
    return Math.max(1, Math.round(this.#spec.meanLots * (unit > 0.99 ? size * 3 : size)))
  }

  #changed(side: BookSide, ticks: number, lotsBefore: number): void {
    this.updateId += 1
    const changed = side.isBid ? this.changedBids : this.changedAsks
    if (!changed.has(ticks)) changed.set(ticks, lotsBefore)
  }

  /** The book as the market opens: gaps and quantities grow with the distance from the top. */
  #seed(side: BookSide): void {
    const levels = this.#spec.levels
    let ticks = side.isBid ? this.#spec.startTicks : this.#spec.startTicks + 1
    for (let depth = 0; depth < levels && ticks >= 1; depth += 1) {
      const far = depth / levels
      const lots = Math.max(1, Math.round(this.#lots() * (1 + 4 * far)))
      side.insert(depth, new Level(ticks, lots))
      const gap = 1 + this.#random.below(Math.max(1, Math.round(this.#gapTicks * (0.5 + 2 * far))))
      ticks += side.isBid ? -gap : gap
    }
  }
}
