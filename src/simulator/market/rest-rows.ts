import { Bar } from './bars.ts'
import { digits } from './digits.ts'
import type { InstrumentSpec } from './instruments.ts'
import { type Interval, nextOpen, openOf, previousOpen } from './intervals.ts'
import type { Listing } from './listing.ts'

/*
 * The rows of the venue's historical answers. Fields as in binance/binance-spot-api-docs rest-api.md, "Market Data
 * endpoints", read 2026-07. What is older than the history begins with the oldest that is kept.
 */

/** Rows of one historical answer at most. */
export const ROWS_MAX = 1000

/** Which part of a history is asked for; times in milliseconds, both included. */
export interface Span {
  readonly fromId: number | null
  readonly startMs: number | null
  readonly endMs: number | null
  readonly limit: number
}

/** `trades` and `historicalTrades`: from an id upwards, or the newest. */
export function tradeRows({ spec, trades }: Listing, { fromId, limit }: Span): string {
  const { oldestTradeId, nextTradeId } = trades
  const first = Math.max(oldestTradeId, fromId ?? nextTradeId - limit)
  const rows: string[] = []
  for (let id = first; id < Math.min(nextTradeId, first + limit); id += 1) {
    const { ticks, lots, timeMs, buyerIsMaker } = trades.trade(id)
    const { price, quantity, notional } = amounts(spec, ticks, lots)
    rows.push(
      `{"id":${id},"price":"${price}","qty":"${quantity}","quoteQty":"${notional}","time":${timeMs},"isBuyerMaker":${buyerIsMaker},"isBestMatch":true}`,
    )
  }
  return `[${rows.join()}]`
}

/** `aggTrades`: from an id or a time upwards, the last before a time, or the newest. */
export function aggregateRows({ spec, trades }: Listing, { fromId, startMs, endMs, limit }: Span): string {
  const { oldestAggregateId, nextAggregateId } = trades
  const end = endMs === null ? nextAggregateId : trades.aggregateFrom(endMs + 1)
  const wanted = fromId ?? (startMs === null ? end - limit : trades.aggregateFrom(startMs))
  const first = Math.max(oldestAggregateId, wanted)
  const rows: string[] = []
  for (let id = first; id < Math.min(end, first + limit); id += 1) {
    const { ticks, lots, firstTradeId, lastTradeId, timeMs, buyerIsMaker } = trades.aggregate(id)
    const { price, quantity } = amounts(spec, ticks, lots)
    rows.push(
      `{"a":${id},"p":"${price}","q":"${quantity}","f":${firstTradeId},"l":${lastTradeId},"T":${timeMs},"m":${buyerIsMaker},"M":true}`,
    )
  }
  return `[${rows.join()}]`
}

/** `klines`, the open bar included: those that open from `startMs` on, or the last. Where nothing traded a bar is flat. */
export function klineRows({ spec, bars }: Listing, interval: Interval, span: Span, nowMs: number): string {
  const { startMs, limit } = span
  const oldestMs = bars.oldestMs(interval)
  const lastMs = openOf(interval, Math.min(span.endMs ?? nowMs, nowMs))
  if (oldestMs > lastMs) return '[]'
  const oldestOpen = openOf(interval, oldestMs)
  let openMs = lastMs
  if (startMs !== null) {
    openMs = openOf(interval, startMs) === startMs ? startMs : nextOpen(interval, openOf(interval, startMs))
  } else {
    for (let steps = 1; steps < limit && openMs > oldestOpen; steps += 1) openMs = previousOpen(interval, openMs)
  }
  openMs = Math.max(openMs, oldestOpen)
  const traded = bars.bars(interval, openMs, nextOpen(interval, lastMs))
  let close = bars.closeBefore(openMs)
  let next = 0
  const rows: string[] = []
  for (; openMs <= lastMs && rows.length < limit; openMs = nextOpen(interval, openMs)) {
    let bar = traded[next]
    if (bar?.openMs === openMs) next += 1
    else bar = flatBar(openMs, close ?? bar?.open ?? 0)
    close = bar.close
    rows.push(klineRow(spec, interval, bar))
  }
  return `[${rows.join()}]`
}

function flatBar(openMs: number, ticks: number): Bar {
  const bar = new Bar(openMs)
  bar.open = ticks
  bar.high = ticks
  bar.low = ticks
  bar.close = ticks
  return bar
}

function klineRow(spec: InstrumentSpec, interval: Interval, bar: Bar): string {
  const { priceDecimals, quantityDecimals } = spec
  const price = (ticks: number): string => digits(ticks, priceDecimals)
  const notional = (units: bigint): string => digits(units, priceDecimals + quantityDecimals)
  return (
    `[${bar.openMs},"${price(bar.open)}","${price(bar.high)}","${price(bar.low)}","${price(bar.close)}",` +
    `"${digits(bar.lots, quantityDecimals)}",${nextOpen(interval, bar.openMs) - 1},"${notional(bar.notional)}",` +
    `${bar.trades},"${digits(bar.takerBuyLots, quantityDecimals)}","${notional(bar.takerBuyNotional)}","0"]`
  )
}

function amounts(
  spec: InstrumentSpec,
  ticks: number,
  lots: number,
): { price: string; quantity: string; notional: string } {
  const { priceDecimals, quantityDecimals } = spec
  return {
    price: digits(ticks, priceDecimals),
    quantity: digits(lots, quantityDecimals),
    notional: digits(BigInt(ticks) * BigInt(lots), priceDecimals + quantityDecimals),
  }
}
