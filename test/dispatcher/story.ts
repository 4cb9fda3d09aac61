import { expect } from 'chai'
import { defaultDispatcherLimits } from '../../src/dispatcher/dispatcher.ts'
import { Book } from '../../src/domain/book/book.ts'
import type { Level } from '../../src/domain/event.ts'
import { asInstrument } from '../../src/domain/instrument.ts'
import type { VenueBookSnapshot } from '../../src/venues/venue.ts'
import { World } from './world.ts'

export const BTC = asInstrument('BTC-USDT')
const limits = defaultDispatcherLimits

/** A market of one instrument whose book, deltas and tickers tell one story, in a proved world. */
export class Story {
  /** Who keeps the book; another one after a takeover. */
  world: World
  readonly book = new Book()
  readonly symbol: string
  last = 0
  #mismatches = 0

  constructor(world: World, symbol = 'BTCUSDT', count = 60) {
    this.world = world
    this.symbol = symbol
    const side = (price: number, step: number): Level[] =>
      Array.from({ length: count }, (_, at) => [(price + at * step).toFixed(2), '1.000'])
    this.book.replace(side(100, -0.01), side(100.01, 0.01))
  }

  ticker(ahead = 0): void {
    const [bidPrice, bidQuantity] = this.book.bestBid() as Level
    const [askPrice, askQuantity] = this.book.bestAsk() as Level
    const quote = this.world.quote(this.last + ahead, this.symbol)
    this.world.dispatcher.event({ ...quote, bidPrice, bidQuantity, askPrice, askQuantity }, 1)
  }

  /** Changes the true book and tells ticker and delta; `told` is what the delta says instead. */
  change(bids: Level[], asks: Level[] = [], told: { bids?: Level[]; asks?: Level[] } = {}): void {
    const first = this.last + 1
    this.last += 3
    this.book.apply(bids, asks)
    this.ticker()
    this.world.dispatcher.event(
      { ...this.world.delta(first, this.last, this.symbol), bids: told.bids ?? bids, asks: told.asks ?? asks },
      1,
    )
  }

  snapshot(depth = 1000) {
    const { world, symbol, last } = this
    return { ...world.snapshot(last, symbol, this.book.topBids(depth)), asks: this.book.topAsks(depth), depth }
  }

  answer(snapshot: VenueBookSnapshot = this.snapshot()): void {
    this.world.rest.snapshots.at(-1)?.answer(snapshot)
  }

  /** A delta says what is not so, which crosses the book. */
  async mismatch(): Promise<void> {
    this.#mismatches++
    this.change([['99.50', `${this.#mismatches}`]], [], { bids: [['100.50', '1']] })
    await this.world.advance(100)
  }

  /** As many mismatches as put a book into quarantine; a snapshot follows each but the last. */
  async quarantine(): Promise<void> {
    const { failuresMax } = limits.books.quarantine
    for (let failure = 1; failure <= failuresMax; failure++) {
      await this.mismatch()
      if (failure < failuresMax) this.answer()
      await this.world.settle()
    }
  }

  /** Joined, proved, with one delta behind the snapshot. */
  static async begin(options: Partial<ConstructorParameters<typeof World>[0]> = {}, depth = 1000): Promise<Story> {
    const story = new Story(new World({ books: limits.books, ...options }))
    story.change([['99.00', '2']])
    await story.world.settle()
    story.answer(story.snapshot(depth))
    await story.world.settle()
    story.change([['99.99', '3']])
    await story.world.settle()
    expect(story.world.dispatcher.bookShown(BTC)?.quality).to.equal('LIVE')
    return story
  }
}
