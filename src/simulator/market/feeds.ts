import type { Bar } from './bars.ts'
import { digits, divideRounded, signedDigits } from './digits.ts'
import type { InstrumentSpec } from './instruments.ts'
import { type Interval, nextOpen } from './intervals.ts'

/*
 * The venue's stream payloads as JSON text. Pure. Names, types and order of the fields as in
 * binance/binance-spot-api-docs web-socket-streams.md, "Detailed Stream Information", read 2026-07.
 */

export function tradeFrame(
  spec: InstrumentSpec,
  timeMs: number,
  id: number,
  ticks: number,
  lots: number,
  buyerIsMaker: boolean,
): string {
  const price = digits(ticks, spec.priceDecimals)
  const quantity = digits(lots, spec.quantityDecimals)
  return `{"e":"trade","E":${timeMs},"s":"${spec.symbol}","t":${id},"p":"${price}","q":"${quantity}","T":${timeMs},"m":${buyerIsMaker},"M":true}`
}

export function aggregateFrame(
  spec: InstrumentSpec,
  timeMs: number,
  id: number,
  ticks: number,
  lots: number,
  firstTradeId: number,
  lastTradeId: number,
  buyerIsMaker: boolean,
): string {
  const price = digits(ticks, spec.priceDecimals)
  const quantity = digits(lots, spec.quantityDecimals)
  return `{"e":"aggTrade","E":${timeMs},"s":"${spec.symbol}","a":${id},"p":"${price}","q":"${quantity}","f":${firstTradeId},"l":${lastTradeId},"T":${timeMs},"m":${buyerIsMaker},"M":true}`
}

/** The best bid and ask as ticks and lots. */
export interface Top {
  readonly bidTicks: number
  readonly bidLots: number
  readonly askTicks: number
  readonly askLots: number
}

export function bookTickerFrame(spec: InstrumentSpec, updateId: number, top: Top): string {
  const { priceDecimals, quantityDecimals } = spec
  return `{"u":${updateId},"s":"${spec.symbol}","b":"${digits(top.bidTicks, priceDecimals)}","B":"${digits(top.bidLots, quantityDecimals)}","a":"${digits(top.askTicks, priceDecimals)}","A":"${digits(top.askLots, quantityDecimals)}"}`
}

/** `bids` and `asks` are the levels' JSON, as from `levelText`, joined by commas. */
export function depthFrame(
  spec: InstrumentSpec,
  timeMs: number,
  first: number,
  last: number,
  bids: string,
  asks: string,
): string {
  return `{"e":"depthUpdate","E":${timeMs},"s":"${spec.symbol}","U":${first},"u":${last},"b":[${bids}],"a":[${asks}]}`
}

export function levelText(spec: InstrumentSpec, ticks: number, lots: number): string {
  return `["${digits(ticks, spec.priceDecimals)}","${digits(lots, spec.quantityDecimals)}"]`
}

export function klineFrame(
  spec: InstrumentSpec,
  timeMs: number,
  interval: Interval,
  bar: Bar,
  closed: boolean,
): string {
  const { symbol, priceDecimals, quantityDecimals } = spec
  const price = (ticks: number): string => digits(ticks, priceDecimals)
  const volume = (lots: number): string => digits(lots, quantityDecimals)
  const notional = (units: bigint): string => digits(units, priceDecimals + quantityDecimals)
  return (
    `{"e":"kline","E":${timeMs},"s":"${symbol}","k":{"t":${bar.openMs},"T":${nextOpen(interval, bar.openMs) - 1},` +
    `"s":"${symbol}","i":"${interval}","f":${bar.firstTradeId},"L":${bar.lastTradeId},"o":"${price(bar.open)}",` +
    `"c":"${price(bar.close)}","h":"${price(bar.high)}","l":"${price(bar.low)}","v":"${volume(bar.lots)}",` +
    `"n":${bar.trades},"x":${closed},"q":"${notional(bar.notional)}","V":"${volume(bar.takerBuyLots)}",` +
    `"Q":"${notional(bar.takerBuyNotional)}","B":"0"}}`
  )
}

/** The last 24 hours as texts, for the stream and for REST, which differ only in the names. */
export interface DayStatistics {
  readonly change: string
  readonly changePercent: string
  readonly vwap: string
  readonly previousClose: string
  readonly last: string
  readonly lastQuantity: string
  readonly bid: string
  readonly bidQuantity: string
  readonly ask: string
  readonly askQuantity: string
  readonly open: string
  readonly high: string
  readonly low: string
  readonly volume: string
  readonly quoteVolume: string
  readonly openTimeMs: number
  readonly closeTimeMs: number
  readonly firstTradeId: number
  readonly lastTradeId: number
  readonly trades: number
}

/** `day` is null where nothing traded; `last` and `lastLots` are the last trade ever, 0 where there was none. */
export function dayStatistics(
  spec: InstrumentSpec,
  day: Bar | null,
  top: Top,
  closeTimeMs: number,
  last: { readonly ticks: number; readonly lots: number; readonly previousTicks: number },
): DayStatistics {
  const { priceDecimals, quantityDecimals } = spec
  const price = (ticks: number): string => digits(ticks, priceDecimals)
  const quantity = (lots: number): string => digits(lots, quantityDecimals)
  const open = day?.open ?? last.ticks
  const change = last.ticks - open
  const percent = open === 0 ? 0n : divideRounded(BigInt(Math.abs(change)) * 100_000n, BigInt(open))
  // Ticks times lots over lots leaves ticks; 8 places are what the venue writes.
  const scale = 10n ** BigInt(8 - priceDecimals)
  const vwap = day ? divideRounded(day.notional * scale, BigInt(day.lots)) : 0n
  return {
    change: signedDigits(change, priceDecimals),
    changePercent: signedDigits(change < 0 ? -percent : percent, 3).slice(0, -5),
    vwap: digits(vwap, 8),
    previousClose: price(last.previousTicks),
    last: price(last.ticks),
    lastQuantity: quantity(last.lots),
    bid: price(top.bidTicks),
    bidQuantity: quantity(top.bidLots),
    ask: price(top.askTicks),
    askQuantity: quantity(top.askLots),
    open: price(open),
    high: price(day?.high ?? last.ticks),
    low: price(day?.low ?? last.ticks),
    volume: quantity(day?.lots ?? 0),
    quoteVolume: digits(day?.notional ?? 0n, priceDecimals + quantityDecimals),
    openTimeMs: closeTimeMs - 86_400_000,
    closeTimeMs,
    firstTradeId: day?.firstTradeId ?? -1,
    lastTradeId: day?.lastTradeId ?? -1,
    trades: day?.trades ?? 0,
  }
}

export function tickerFrame(symbol: string, day: DayStatistics): string {
  return (
    `{"e":"24hrTicker","E":${day.closeTimeMs},"s":"${symbol}","p":"${day.change}","P":"${day.changePercent}",` +
    `"w":"${day.vwap}","x":"${day.previousClose}","c":"${day.last}","Q":"${day.lastQuantity}","b":"${day.bid}",` +
    `"B":"${day.bidQuantity}","a":"${day.ask}","A":"${day.askQuantity}","o":"${day.open}","h":"${day.high}",` +
    `"l":"${day.low}","v":"${day.volume}","q":"${day.quoteVolume}","O":${day.openTimeMs},"C":${day.closeTimeMs},` +
    `"F":${day.firstTradeId},"L":${day.lastTradeId},"n":${day.trades}}`
  )
}
