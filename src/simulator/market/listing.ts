import { Bar, BarHistory } from './bars.ts'
import { DepthBatches } from './depth-batches.ts'
import { MatchingEngine } from './engine.ts'
import {
  aggregateFrame,
  bookTickerFrame,
  type DayStatistics,
  dayStatistics,
  klineFrame,
  type Top,
  tickerFrame,
  tradeFrame,
} from './feeds.ts'
import type { InstrumentSpec } from './instruments.ts'
import { DAY_MS, INTERVALS, type Interval, nextOpen, openOf } from './intervals.ts'
import { TradeHistory } from './trade-history.ts'

/** The moments at which something of a listing is due, each with its own period. */
export const Turn = { depth: 0, slowDepth: 1, ticker: 2, kline: 3, second: 4, minute: 5 } as const
export type Turn = (typeof Turn)[keyof typeof Turn]
const TURNS_COUNT = 6

/** What a listing needs of the market around it. */
export interface ListingHost {
  /** Hands out one frame: stream name, JSON text of the payload. */
  publish(stream: string, data: string): void
  /** The listing changed and has work at its next turn of this kind; `turned` is called once then. */
  wake(listing: Listing, turn: Turn): void
}

/** Every feed of an instrument by its name behind the symbol. */
export const FEEDS: readonly string[] = [
  'trade',
  'aggTrade',
  'bookTicker',
  'depth@100ms',
  'depth',
  'ticker',
  ...INTERVALS.map((interval) => `kline_${interval}`),
]

interface LiveKline {
  readonly interval: Interval
  readonly stream: string
  bar: Bar | null
  changed: boolean
}

/**
 * One instrument of the generated market: its engine, its history, and its feeds, which are written only while somebody
 * wants them. Told the time, never asks for it.
 */
export class Listing {
  readonly spec: InstrumentSpec
  /** Its place in the market, which spreads its turns over time. */
  readonly index: number
  readonly engine: MatchingEngine
  readonly trades: TradeHistory
  readonly bars: BarHistory
  readonly depth: DepthBatches
  /** Batches closed since `depth@100ms` or `depth` was last taken up by somebody. */
  batchesSinceWanted = 0

  readonly #host: ListingHost
  readonly #prefix: string
  readonly #wanted = new Set<string>()
  readonly #awake: boolean[] = new Array<boolean>(TURNS_COUNT).fill(false)
  #top: Top
  #klines: LiveKline[] = []
  #day: { minuteMs: number; closed: Bar | null; previousTicks: number } | null = null
  #wantsTrade = false
  #wantsAggregate = false
  #wantsBookTicker = false
  #wantsDepth = false
  #wantsSlowDepth = false
  #wantsTicker = false
  #wantsSeconds = false

  constructor(spec: InstrumentSpec, index: number, seed: number, host: ListingHost) {
    this.spec = spec
    this.index = index
    this.#host = host
    this.#prefix = `${spec.symbol.toLowerCase()}@`
    this.engine = new MatchingEngine(spec, seed)
    this.trades = new TradeHistory(spec.firstTradeId, spec.firstAggregateId, spec.tradesKept)
    this.bars = new BarHistory(this.trades)
    this.depth = new DepthBatches(spec, this.engine)
    this.#top = topOf(this.engine)
  }

  get top(): Top {
    return this.#top
  }

  /** Begins or ends to write a feed, one of `FEEDS`; `timeMs` is the market's time. */
  want(feed: string, wanted: boolean, timeMs: number): void {
    if (wanted === this.#wanted.has(feed)) return
    if (wanted) this.#wanted.add(feed)
    else this.#wanted.delete(feed)
    this.#wantsTrade = this.#wanted.has('trade')
    this.#wantsAggregate = this.#wanted.has('aggTrade')
    this.#wantsBookTicker = this.#wanted.has('bookTicker')
    this.#wantsDepth = this.#wanted.has('depth@100ms')
    this.#wantsTicker = this.#wanted.has('ticker')
    this.#wantsSlowDepth = this.#wanted.has('depth')
    this.#wantsSeconds = this.#wanted.has('kline_1s')
    if (feed === 'depth') this.depth.dropSlow()
    if (feed.startsWith('kline_')) this.#wantKline(feed.slice(6) as Interval, wanted, timeMs)
  }

  /** A subscriber came to a depth stream that had none. */
  depthTakenUp(): void {
    this.batchesSinceWanted = 0
  }

  /** One order of the flow, and every frame that it causes at once. */
  act(timeMs: number): void {
    const engine = this.engine
    const idBefore = engine.updateId
    engine.step()
    if (engine.fillCount > 0) this.#trade(timeMs)
    if (engine.updateId === idBefore) return
    this.#wake(Turn.depth)
    const { bids, asks } = engine
    const bid = bids.best
    const ask = asks.best
    const top = this.#top
    if (
      bid.lots === top.bidLots &&
      ask.lots === top.askLots &&
      bid.ticks === top.bidTicks &&
      ask.ticks === top.askTicks
    )
      return
    this.#top = topOf(engine)
    if (this.#wantsBookTicker) {
      this.#host.publish(`${this.#prefix}bookTicker`, bookTickerFrame(this.spec, engine.updateId, this.#top))
    }
    if (this.#wantsTicker) this.#wake(Turn.ticker)
  }

  /** A turn that was asked for has come. */
  turned(turn: Turn, timeMs: number): void {
    this.#awake[turn] = false
    switch (turn) {
      case Turn.depth:
        this.#closeBatch(timeMs)
        return
      case Turn.slowDepth:
        this.#closeSlowBatch(timeMs)
        return
      case Turn.ticker:
        if (!this.#wantsTicker) return
        this.#host.publish(`${this.#prefix}ticker`, tickerFrame(this.spec.symbol, this.dayStatistics(timeMs)))
        return
      case Turn.kline:
        for (const kline of this.#klines) if (kline.changed) this.#publishKline(kline, timeMs, false)
        return
      case Turn.second:
        this.#closeKlines(timeMs)
        return
      case Turn.minute:
        this.#closeKlines(timeMs)
        this.bars.closeMinute()
        // A longer bar ends at a later minute, which may see no trade to ask for it.
        if (this.#klines.some((kline) => kline.bar !== null)) this.#wake(Turn.minute)
        return
    }
  }

  dayStatistics(timeMs: number): DayStatistics {
    const minuteMs = openOf('1m', timeMs)
    if (this.#day?.minuteMs !== minuteMs) {
      // The window moves by whole minutes: between them only the open minute changes.
      const fromMs = minuteMs - DAY_MS
      const previousTicks = this.bars.closeBefore(fromMs) ?? 0
      this.#day = { minuteMs, closed: this.bars.since(fromMs, minuteMs), previousTicks }
    }
    const day = new Bar(minuteMs - DAY_MS)
    if (this.#day.closed) day.merge(this.#day.closed)
    const open = this.bars.current('1m', timeMs)
    if (open) day.merge(open)
    const { nextTradeId, firstTradeId } = this.trades
    const last = nextTradeId > firstTradeId ? this.trades.trade(nextTradeId - 1) : { ticks: 0, lots: 0 }
    const previousTicks = this.#day.previousTicks || (day.trades > 0 ? day.open : last.ticks)
    return dayStatistics(this.spec, day.trades > 0 ? day : null, this.#top, timeMs, { ...last, previousTicks })
  }

  #trade(timeMs: number): void {
    const { spec, engine } = this
    const { takerBuys, fillCount, fillTicks, fillLots } = engine
    let aggregateFrom = 0
    let aggregateLots = 0
    for (let fill = 0; fill < fillCount; fill += 1) {
      const ticks = fillTicks[fill] as number
      const lots = fillLots[fill] as number
      const opens = fill === 0 || ticks !== fillTicks[fill - 1]
      const id = this.trades.add(timeMs, ticks, lots, !takerBuys, opens)
      const notional = BigInt(ticks) * BigInt(lots)
      if (this.bars.add(timeMs, id, ticks, lots, notional, takerBuys)) this.#wake(Turn.minute)
      for (const kline of this.#klines) {
        kline.bar ??= new Bar(openOf(kline.interval, timeMs))
        kline.bar.add(id, ticks, lots, notional, takerBuys)
        kline.changed = true
      }
      if (this.#wantsTrade) {
        this.#host.publish(`${this.#prefix}trade`, tradeFrame(spec, timeMs, id, ticks, lots, !takerBuys))
      }
      if (opens) {
        aggregateFrom = id
        aggregateLots = 0
      }
      aggregateLots += lots
      const ends = fill === fillCount - 1 || ticks !== fillTicks[fill + 1]
      if (!this.#wantsAggregate || !ends) continue
      const aggregateId = this.trades.nextAggregateId - 1
      const data = aggregateFrame(spec, timeMs, aggregateId, ticks, aggregateLots, aggregateFrom, id, !takerBuys)
      this.#host.publish(`${this.#prefix}aggTrade`, data)
    }
    if (this.#wantsTicker) this.#wake(Turn.ticker)
    if (this.#klines.length > 0) {
      this.#wake(Turn.kline)
      if (this.#wantsSeconds) this.#wake(Turn.second)
    }
  }

  #closeBatch(timeMs: number): void {
    const data = this.depth.close(timeMs, this.#wantsDepth)
    if (data !== null) this.#host.publish(`${this.#prefix}depth@100ms`, data)
    if (this.#wantsSlowDepth) {
      this.depth.gatherSlow()
      this.#wake(Turn.slowDepth)
    }
    this.batchesSinceWanted += 1
  }

  #closeSlowBatch(timeMs: number): void {
    const data = this.#wantsSlowDepth ? this.depth.closeSlow(timeMs) : null
    if (data !== null) this.#host.publish(`${this.#prefix}depth`, data)
  }

  #wantKline(interval: Interval, wanted: boolean, timeMs: number): void {
    if (!wanted) {
      this.#klines = this.#klines.filter((kline) => kline.interval !== interval)
      return
    }
    const bar = this.bars.current(interval, timeMs)
    this.#klines.push({ interval, stream: `${this.#prefix}kline_${interval}`, bar, changed: false })
    if (bar === null) return
    if (this.#wantsSeconds) this.#wake(Turn.second)
    this.#wake(Turn.minute)
  }

  #publishKline(kline: LiveKline, timeMs: number, closed: boolean): void {
    kline.changed = false
    this.#host.publish(kline.stream, klineFrame(this.spec, timeMs, kline.interval, kline.bar as Bar, closed))
  }

  #closeKlines(timeMs: number): void {
    for (const kline of this.#klines) {
      if (kline.bar === null || nextOpen(kline.interval, kline.bar.openMs) > timeMs) continue
      this.#publishKline(kline, timeMs, true)
      kline.bar = null
    }
  }

  #wake(turn: Turn): void {
    if (this.#awake[turn]) return
    this.#awake[turn] = true
    this.#host.wake(this, turn)
  }
}

function topOf({ bids, asks }: MatchingEngine): Top {
  const { ticks: bidTicks, lots: bidLots } = bids.best
  const { ticks: askTicks, lots: askLots } = asks.best
  return { bidTicks, bidLots, askTicks, askLots }
}
