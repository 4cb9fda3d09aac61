import type { InstrumentSpec } from './instruments.ts'
import { Listing, type ListingHost, Turn } from './listing.ts'
import { Random } from './random.ts'

/** Everything that is not an order happens on this grid, so one loop serves any number of instruments. */
const GRID_US = 10_000
/** Periods in steps of the grid. Seconds and minutes end for all instruments at once, the rest is spread by index. */
const PERIOD_STEPS: Readonly<Record<Turn, number>> = {
  [Turn.depth]: 10,
  [Turn.slowDepth]: 100,
  [Turn.ticker]: 100,
  [Turn.kline]: 200,
  [Turn.second]: 100,
  [Turn.minute]: 6000,
}
/** Bars close first, then a minute is stored; a slow batch follows the fast one that completes it. */
const TURN_ORDER: readonly Turn[] = [Turn.second, Turn.minute, Turn.depth, Turn.slowDepth, Turn.ticker, Turn.kline]

/**
 * The order of everything that happens in the market: which instrument acts next and when, and the turns of the feeds.
 * It moves only when told how far. The sequence of orders depends on the seed and the instruments alone; with a finite
 * rate so does their time, however finely it is advanced.
 */
export class Schedule {
  readonly listings: readonly Listing[]
  /** Orders and cancels so far. */
  actions = 0
  readonly #random: Random
  readonly #rate: number | 'max'
  readonly #cumulativeWeights: Float64Array
  /** For each turn and each step of its period the listings that wait for it. */
  readonly #waiting: Listing[][][]
  #nowUs: number
  #nextActionUs: number
  #nextGridUs: number

  /** `rate` in orders and cancels a second over all instruments. */
  constructor(specs: readonly InstrumentSpec[], seed: number, rate: number | 'max', startUs: number, host: Host) {
    this.#random = new Random(seed, 0)
    this.#rate = rate
    this.#nowUs = startUs
    this.#nextActionUs = startUs
    this.#nextGridUs = (Math.floor(startUs / GRID_US) + 1) * GRID_US
    const publish = host.publish
    const listingHost: ListingHost = { publish, wake: (listing, turn) => this.#wake(listing, turn) }
    this.listings = specs.map((spec, index) => new Listing(spec, index, seed, listingHost))
    this.#cumulativeWeights = new Float64Array(specs.length)
    let sum = 0
    for (const [index, spec] of specs.entries()) this.#cumulativeWeights[index] = sum += spec.weight
    this.#waiting = TURN_ORDER.map(() => [])
    for (const turn of TURN_ORDER) {
      this.#waiting[turn] = Array.from({ length: slotsOf(turn) }, () => [])
    }
  }

  /** The time up to which everything has happened, microseconds since the Unix epoch. */
  get nowUs(): number {
    return this.#nowUs
  }

  /**
   * Lets happen what is due up to `toUs`, in order of time. Asks `mayGoOn` after every order and every step of the grid,
   * and stops early, at the time reached, when it says no. With rate `max` orders go on at `toUs` until then.
   */
  advance(toUs: number, mayGoOn: () => boolean): void {
    if (this.#rate === 'max') this.#nextActionUs = Math.max(toUs, this.#nowUs)
    for (;;) {
      if (this.#nextGridUs <= this.#nextActionUs && this.#nextGridUs <= toUs) {
        this.#nowUs = this.#nextGridUs
        this.#nextGridUs += GRID_US
        this.#turn()
      } else if (this.#nextActionUs <= toUs) {
        this.#nowUs = this.#nextActionUs
        if (this.#rate !== 'max') this.#nextActionUs += (2e6 * this.#random.unit()) / this.#rate
        this.actions += 1
        this.#pick().act(Math.floor(this.#nowUs / 1000))
      } else {
        this.#nowUs = Math.max(this.#nowUs, toUs)
        return
      }
      if (!mayGoOn()) return
    }
  }

  /** Gives up the orders that were due before `toUs`; bars and batches still end on the way. */
  skip(toUs: number): void {
    this.#nextActionUs = Math.max(this.#nextActionUs, toUs)
    while (this.#nextGridUs < toUs) {
      this.#nowUs = this.#nextGridUs
      this.#nextGridUs += GRID_US
      this.#turn()
    }
  }

  #pick(): Listing {
    const weights = this.#cumulativeWeights
    const mark = this.#random.unit() * (weights[weights.length - 1] as number)
    let low = 0
    let high = weights.length - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if ((weights[middle] as number) > mark) high = middle
      else low = middle + 1
    }
    return this.listings[low] as Listing
  }

  #wake(listing: Listing, turn: Turn): void {
    const slots = this.#waiting[turn] as Listing[][]
    ;(slots[listing.index % slots.length] as Listing[]).push(listing)
  }

  #turn(): void {
    const step = this.#nowUs / GRID_US
    const timeMs = this.#nowUs / 1000
    for (const turn of TURN_ORDER) {
      const period = PERIOD_STEPS[turn]
      const slots = this.#waiting[turn] as Listing[][]
      const slot = step % period
      if (slot >= slots.length) continue
      const due = slots[slot] as Listing[]
      if (due.length === 0) continue
      slots[slot] = []
      for (const listing of due) listing.turned(turn, timeMs)
    }
  }
}

type Host = Pick<ListingHost, 'publish'>

function slotsOf(turn: Turn): number {
  return turn === Turn.second || turn === Turn.minute ? 1 : PERIOD_STEPS[turn]
}
