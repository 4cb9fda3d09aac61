import type { Level } from '../../src/domain/event.ts'
import type { InstrumentInfo } from '../../src/domain/instrument.ts'
import type { VenueBookDelta, VenueBookSnapshot, VenueTicker, VenueTrade } from '../../src/venues/venue.ts'
import { tickerOf } from '../dispatcher/world.ts'
import type { Dice, Scheduler } from './scheduler.ts'

export interface VenueTimes {
  readonly receivedTimeUs: number
  readonly topic: string
}

/** A frame of the venue; it becomes an event when a process receives it. */
export type VenueFrame = (times: VenueTimes) => VenueTrade | VenueBookDelta | VenueTicker

export type Side = 'bids' | 'asks'
export type Book = ReadonlyMap<string, string>

/** One instrument at the venue, with everything that was ever true there. */
export class Market {
  readonly info: InstrumentInfo
  readonly tradeTopic: string
  readonly bookTopic: string
  readonly tickerTopic: string
  /** By id - 1. */
  readonly trades: { readonly price: string; readonly timeUs: number }[] = []
  /** The book after each update, by update id; by side and price, `b90.5`. */
  readonly books: Book[] = [new Map()]
  /** When each of the venue's statistics was made, us: the only number they have. */
  readonly tickerTimesUs: number[] = []
  #sentTo = 0
  readonly #changed = new Map<string, string>()

  constructor(info: InstrumentInfo, topics: Readonly<Record<'trade' | 'book' | 'ticker', string>>) {
    this.info = info
    this.tradeTopic = topics.trade
    this.bookTopic = topics.book
    this.tickerTopic = topics.ticker
  }

  get lastUpdate(): number {
    return this.books.length - 1
  }

  /** The last update that a delta has told. */
  get lastTold(): number {
    return this.#sentTo
  }

  trade(timeUs: number, dice: Dice): VenueFrame {
    this.trades.push({ price: `${dice.whole(100, 999)}.5`, timeUs })
    const { length } = this.trades
    return (times) => this.tradeOf(length, times, 'binance.ws.trade')
  }

  tradeOf(id: number, times: VenueTimes, source: string): VenueTrade {
    const { price, timeUs } = this.trades[id - 1] as { price: string; timeUs: number }
    return {
      ...{ ...times, kind: 'trade', numbering: 'trade', symbol: this.info.symbol, venueTimeUs: timeUs, source },
      ...{ id, price, quantity: '1.0', side: 'buy' },
    }
  }

  ticker(timeUs: number): VenueFrame {
    this.tickerTimesUs.push(timeUs)
    const { symbol } = this.info
    return (times) => tickerOf({ ...times, symbol, venueTimeUs: timeUs, source: 'binance.ws.ticker' }, timeUs)
  }

  /** Several updates; the book is ahead of its deltas until `delta` tells them. */
  update(count: number, dice: Dice): void {
    for (let done = 0; done < count; done++) {
      const book = new Map(this.books.at(-1))
      const level = dice.chance(0.5) ? `b${dice.whole(90, 98)}.5` : `a${dice.whole(102, 110)}.5`
      const quantity = dice.chance(0.25) ? '0.0' : `${dice.whole(1, 9)}.0`
      if (quantity === '0.0') book.delete(level)
      else book.set(level, quantity)
      this.#changed.set(level, quantity)
      this.books.push(book)
    }
  }

  /** All updates since the delta before; null where there are none. */
  delta(timeUs: number): VenueFrame | null {
    const first = this.#sentTo + 1
    const last = this.lastUpdate
    if (last < first) return null
    this.#sentTo = last
    const bids = levelsOf(this.#changed, 'b')
    const asks = levelsOf(this.#changed, 'a')
    this.#changed.clear()
    const { symbol } = this.info
    return (times) => ({
      ...{ ...times, kind: 'delta', symbol, venueTimeUs: timeUs, source: 'binance.ws.depth' },
      ...{ first, last, bids, asks },
    })
  }

  snapshot(last: number, receivedTimeUs: number): VenueBookSnapshot {
    const book = this.books[last] as Book
    const topic = `rest:depth:${this.info.symbol}`
    const { symbol } = this.info
    return {
      ...{ topic, symbol, venueTimeUs: null, receivedTimeUs, source: 'binance.rest.depth', kind: 'snapshot' },
      ...{ last, bids: levelsOf(book, 'b'), asks: levelsOf(book, 'a'), depth: 1_000 },
    }
  }
}

function levelsOf(book: Book, side: 'a' | 'b'): Level[] {
  return [...book].filter(([level]) => level.startsWith(side)).map(([level, quantity]) => [level.slice(1), quantity])
}

/** Lets a market live: trades and updates at random, a delta every 100 ms where there is something to tell, statistics. */
export function live(market: Market, scheduler: Scheduler, dice: Dice, pace: () => number, send: Send): void {
  const trade = (): void => {
    send(market.tradeTopic, market.trade(Math.round(scheduler.nowMs * 1_000), dice))
    scheduler.after(dice.between(5, 400) * pace(), null, trade)
  }
  const tell = (): void => {
    const delta = market.delta(Math.round(scheduler.nowMs * 1_000))
    if (delta !== null) send(market.bookTopic, delta)
    scheduler.after(100 * pace(), null, tell)
  }
  const update = (): void => {
    market.update(dice.whole(1, 3), dice)
    scheduler.after(dice.between(10, 250) * pace(), null, update)
  }
  const ticker = (): void => {
    send(market.tickerTopic, market.ticker(Math.round(scheduler.nowMs * 1_000)))
    scheduler.after(dice.between(20, 1_000) * pace(), null, ticker)
  }
  scheduler.after(dice.between(0, 1_000), null, ticker)
  scheduler.after(dice.between(0, 100), null, trade)
  scheduler.after(dice.between(0, 100), null, tell)
  update()
}

type Send = (topic: string, frame: VenueFrame) => void
