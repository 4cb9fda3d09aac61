import { HOUR_MS, type Interval, nextOpen, openOf } from './intervals.ts'
import type { TradeHistory } from './trade-history.ts'

/** Closed bars kept for REST answers: a day and an hour of minutes, which the 24 h ticker needs, and 41 days of hours. */
export const MINUTE_BARS_KEPT_MAX = 1500
export const HOUR_BARS_KEPT_MAX = 1000
const CAPACITY_START = 8

/** The trades of a span of time. Notional counts in ticks times lots. A bar exists only where something traded. */
export class Bar {
  readonly openMs: number
  firstTradeId = 0
  trades = 0
  open = 0
  high = 0
  low = 0
  close = 0
  lots = 0
  notional = 0n
  takerBuyLots = 0
  takerBuyNotional = 0n

  constructor(openMs: number) {
    this.openMs = openMs
  }

  get lastTradeId(): number {
    return this.firstTradeId + this.trades - 1
  }

  add(id: number, ticks: number, lots: number, notional: bigint, takerBuys: boolean): void {
    if (this.trades === 0) {
      this.firstTradeId = id
      this.open = ticks
      this.high = ticks
      this.low = ticks
    } else if (ticks > this.high) this.high = ticks
    else if (ticks < this.low) this.low = ticks
    this.close = ticks
    this.trades += 1
    this.lots += lots
    this.notional += notional
    if (!takerBuys) return
    this.takerBuyLots += lots
    this.takerBuyNotional += notional
  }

  /** Adds a bar that follows this one. */
  merge(later: Bar): void {
    if (this.trades === 0) {
      this.firstTradeId = later.firstTradeId
      this.open = later.open
      this.high = later.high
      this.low = later.low
    } else {
      this.high = Math.max(this.high, later.high)
      this.low = Math.min(this.low, later.low)
    }
    this.close = later.close
    this.trades += later.trades
    this.lots += later.lots
    this.notional += later.notional
    this.takerBuyLots += later.takerBuyLots
    this.takerBuyNotional += later.takerBuyNotional
  }
}

/** Closed bars in open-time order, in rings of plain numbers; at the bound the oldest give way. */
class BarSeries {
  readonly #keptMax: number
  #count = 0
  #capacity = CAPACITY_START
  /** openMs, firstTradeId, trades, open, high, low, close, lots, takerBuyLots. */
  #numbers = new Float64Array(CAPACITY_START * 9)
  /** notional, takerBuyNotional: 9.2e18 ticks times lots. */
  #notionals = new BigInt64Array(CAPACITY_START * 2)

  constructor(keptMax: number) {
    this.#keptMax = keptMax
  }

  get first(): number {
    return Math.max(0, this.#count - this.#keptMax)
  }

  get end(): number {
    return this.#count
  }

  push(bar: Bar): void {
    if (this.#count >= this.#capacity && this.#capacity < this.#keptMax) {
      this.#capacity = Math.min(this.#capacity * 2, this.#keptMax)
      const numbers = new Float64Array(this.#capacity * 9)
      numbers.set(this.#numbers)
      this.#numbers = numbers
      const notionals = new BigInt64Array(this.#capacity * 2)
      notionals.set(this.#notionals)
      this.#notionals = notionals
    }
    const place = this.#count % this.#capacity
    const { openMs, firstTradeId, trades, open, high, low, close, lots, takerBuyLots } = bar
    this.#numbers.set([openMs, firstTradeId, trades, open, high, low, close, lots, takerBuyLots], place * 9)
    this.#notionals[place * 2] = bar.notional
    this.#notionals[place * 2 + 1] = bar.takerBuyNotional
    this.#count += 1
  }

  openMsAt(index: number): number {
    return this.#numbers[(index % this.#capacity) * 9] as number
  }

  at(index: number): Bar {
    const place = index % this.#capacity
    const number = (column: number): number => this.#numbers[place * 9 + column] as number
    const bar = new Bar(number(0))
    bar.firstTradeId = number(1)
    bar.trades = number(2)
    bar.open = number(3)
    bar.high = number(4)
    bar.low = number(5)
    bar.close = number(6)
    bar.lots = number(7)
    bar.takerBuyLots = number(8)
    bar.notional = this.#notionals[place * 2] as bigint
    bar.takerBuyNotional = this.#notionals[place * 2 + 1] as bigint
    return bar
  }

  /** The first index whose bar opens at or after a time. */
  from(openMs: number): number {
    let low = this.first
    let high = this.#count
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.openMsAt(middle) >= openMs) high = middle
      else low = middle + 1
    }
    return low
  }
}

/**
 * The bars of one instrument. Minutes are kept, hours are folded from them, every other interval is folded from those
 * when it is asked for; seconds are folded from the trades.
 */
export class BarHistory {
  readonly #trades: TradeHistory
  readonly #minutes = new BarSeries(MINUTE_BARS_KEPT_MAX)
  readonly #hours = new BarSeries(HOUR_BARS_KEPT_MAX)
  #minute: Bar | null = null
  /** The closed minutes of the hour that is under way. */
  #hour: Bar | null = null

  constructor(trades: TradeHistory) {
    this.#trades = trades
  }

  /** True when this trade opened a minute, which must be closed by `closeMinute` when its time is over. */
  add(timeMs: number, id: number, ticks: number, lots: number, notional: bigint, takerBuys: boolean): boolean {
    const opened = this.#minute === null
    this.#minute ??= new Bar(openOf('1m', timeMs))
    this.#minute.add(id, ticks, lots, notional, takerBuys)
    return opened
  }

  closeMinute(): void {
    const minute = this.#minute
    if (!minute) return
    const hourMs = openOf('1h', minute.openMs)
    if (this.#hour && this.#hour.openMs !== hourMs) {
      this.#hours.push(this.#hour)
      this.#hour = null
    }
    this.#hour ??= new Bar(hourMs)
    this.#hour.merge(minute)
    this.#minutes.push(minute)
    this.#minute = null
  }

  /** The oldest time of which bars of this interval can still be told whole; Infinity where nothing has traded. */
  oldestMs(interval: Interval): number {
    if (interval === '1s') {
      const { oldestTradeId, nextTradeId, firstTradeId } = this.#trades
      if (nextTradeId === firstTradeId) return Infinity
      const second = openOf('1s', this.#trades.timeOf(oldestTradeId))
      return oldestTradeId === firstTradeId ? second : second + 1000
    }
    const series = isHourly(interval) ? this.#hours : this.#minutes
    if (series.first < series.end) {
      const oldestMs = series.openMsAt(series.first)
      const openMs = openOf(interval, oldestMs)
      // Where something was given up, the bar in which the oldest lies may have lost its beginning.
      return series.first === 0 || openMs === oldestMs ? openMs : nextOpen(interval, openMs)
    }
    return (isHourly(interval) ? this.#hour : null)?.openMs ?? this.#minute?.openMs ?? Infinity
  }

  /** Bars of an interval that traded and open in [fromMs, toMs), oldest first. */
  bars(interval: Interval, fromMs: number, toMs: number): Bar[] {
    const bars: Bar[] = []
    const into = (timeMs: number): Bar => {
      const openMs = openOf(interval, timeMs)
      const last = bars.at(-1)
      if (last?.openMs === openMs) return last
      const bar = new Bar(openMs)
      bars.push(bar)
      return bar
    }
    if (interval === '1s') {
      for (let id = this.#trades.tradeFrom(fromMs); id < this.#trades.nextTradeId; id += 1) {
        const { timeMs, ticks, lots, buyerIsMaker } = this.#trades.trade(id)
        if (timeMs >= toMs) break
        into(timeMs).add(id, ticks, lots, BigInt(ticks) * BigInt(lots), !buyerIsMaker)
      }
      return bars
    }
    const hourly = isHourly(interval)
    const series = hourly ? this.#hours : this.#minutes
    for (let index = series.from(fromMs); index < series.end; index += 1) {
      if (series.openMsAt(index) >= toMs) return bars
      into(series.openMsAt(index)).merge(series.at(index))
    }
    const open = hourly ? [this.#hour, this.#minute] : [this.#minute]
    for (const bar of open) if (bar && bar.openMs >= fromMs && bar.openMs < toMs) into(bar.openMs).merge(bar)
    return bars
  }

  /** The bar that holds `timeMs` as far as it has come, for a stream that begins in its middle. */
  current(interval: Interval, timeMs: number): Bar | null {
    const openMs = openOf(interval, timeMs)
    return this.bars(interval, openMs, nextOpen(interval, openMs))[0] ?? null
  }

  /** The minutes that open in [fromMs, toMs) as one; null where nothing traded. */
  since(fromMs: number, toMs: number): Bar | null {
    const sum = new Bar(fromMs)
    for (const bar of this.bars('1m', fromMs, toMs)) sum.merge(bar)
    return sum.trades > 0 ? sum : null
  }

  /** The close of the last bar before a time, null where none is known. */
  closeBefore(timeMs: number): number | null {
    if (this.#minute && this.#minute.openMs < timeMs) return this.#minute.close
    const minute = this.#minutes.from(timeMs) - 1
    if (minute >= this.#minutes.first) return this.#minutes.at(minute).close
    const hour = this.#hours.from(openOf('1h', timeMs)) - 1
    return hour >= this.#hours.first ? this.#hours.at(hour).close : null
  }
}

function isHourly(interval: Interval): boolean {
  return interval === '1M' || nextOpen(interval, 0) >= HOUR_MS
}
