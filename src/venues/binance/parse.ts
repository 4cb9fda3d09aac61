import { Channel } from '../../domain/event.ts'
import type { VenueEvent } from '../venue.ts'
import { type FrameShape, shapeOf } from './scan.ts'
import type { Topic } from './topics.ts'
import {
  type AggTradePayload,
  type BookTickerPayload,
  type DepthUpdatePayload,
  isId,
  type KlinePayload,
  refuseAggTrade,
  refuseBookTicker,
  refuseDepthUpdate,
  refuseKline,
  refuseTicker,
  refuseTrade,
  type TickerPayload,
  type TradePayload,
  type Unchecked,
  type UsPerUnit,
} from './wire.ts'

/*
 * Wire -> domain, pure: one step for every kind of payload. Times in the connection's unit in, microseconds out; everything
 * else keeps the venue's digits.
 */

/** A topic with all that its events share, worked out once. */
export interface TopicRecord extends Topic {
  readonly source: string
  /** What `e` of its payloads says. `bookTicker` payloads carry none. */
  readonly word: string
  /** The event, or why the payload is not admitted: what was expected and what was found. */
  readonly parse: (
    record: TopicRecord,
    data: Unchecked,
    usPerUnit: UsPerUnit,
    receivedTimeUs: number,
  ) => VenueEvent | string
  /** How its frames look when nothing about them is special; null: they are parsed one and all. */
  readonly shape: FrameShape | null
}

/** The record of a topic: which payload it carries and how that is read. */
export function recordOf(topic: Topic): TopicRecord {
  const record = stepOf(topic)
  return { ...record, shape: shapeOf(record) }
}

function stepOf(topic: Topic): Omit<TopicRecord, 'shape'> {
  switch (topic.channel) {
    case Channel.Trade:
      return topic.numbering === 'aggTrade'
        ? { ...topic, source: 'binance.ws.aggTrade', word: 'aggTrade', parse: parseAggTrade }
        : { ...topic, source: 'binance.ws.trade', word: 'trade', parse: parseTrade }
    case Channel.Quote:
      return { ...topic, source: 'binance.ws.bookTicker', word: 'bookTicker', parse: parseBookTicker }
    case Channel.Ticker:
      return { ...topic, source: 'binance.ws.ticker', word: '24hrTicker', parse: parseTicker }
    case Channel.Kline:
      return { ...topic, source: 'binance.ws.kline', word: 'kline', parse: parseKline }
    case Channel.OrderBook:
      return { ...topic, source: 'binance.ws.depth', word: 'depthUpdate', parse: parseDepthUpdate }
  }
}

type ParseStep = TopicRecord['parse']

const parseTrade: ParseStep = (record, data, usPerUnit, receivedTimeUs) => {
  const refusal = refuseTrade(data, usPerUnit)
  if (refusal !== null) return refusal
  const trade = data as unknown as TradePayload
  return tradeEvent(record, trade.t, trade, usPerUnit, receivedTimeUs)
}

const parseAggTrade: ParseStep = (record, data, usPerUnit, receivedTimeUs) => {
  const refusal = refuseAggTrade(data, usPerUnit)
  if (refusal !== null) return refusal
  const trade = data as unknown as AggTradePayload
  return tradeEvent(record, trade.a, trade, usPerUnit, receivedTimeUs)
}

function tradeEvent(
  record: TopicRecord,
  id: number,
  trade: Omit<TradePayload, 't'>,
  usPerUnit: UsPerUnit,
  receivedTimeUs: number,
): VenueEvent {
  return {
    kind: 'trade',
    topic: record.topic,
    symbol: record.symbol,
    venueTimeUs: trade.T * usPerUnit,
    receivedTimeUs,
    source: record.source,
    numbering: record.numbering ?? 'trade',
    id,
    price: trade.p,
    quantity: trade.q,
    side: trade.m ? 'sell' : 'buy',
  }
}

const parseBookTicker: ParseStep = (record, data, _usPerUnit, receivedTimeUs) => {
  const refusal = refuseBookTicker(data)
  if (refusal !== null) return refusal
  const quote = data as unknown as BookTickerPayload
  return {
    kind: 'quote',
    topic: record.topic,
    symbol: record.symbol,
    venueTimeUs: null,
    receivedTimeUs,
    source: record.source,
    updateId: quote.u,
    bidPrice: quote.b,
    bidQuantity: quote.B,
    askPrice: quote.a,
    askQuantity: quote.A,
  }
}

const parseDepthUpdate: ParseStep = (record, data, usPerUnit, receivedTimeUs) => {
  const refusal = refuseDepthUpdate(data, usPerUnit)
  if (refusal !== null) return refusal
  const update = data as unknown as DepthUpdatePayload
  return {
    kind: 'delta',
    topic: record.topic,
    symbol: record.symbol,
    venueTimeUs: update.E * usPerUnit,
    receivedTimeUs,
    source: record.source,
    first: update.U,
    last: update.u,
    bids: update.b,
    asks: update.a,
  }
}

const parseTicker: ParseStep = (record, data, usPerUnit, receivedTimeUs) => {
  const refusal = refuseTicker(data, usPerUnit)
  if (refusal !== null) return refusal
  const ticker = data as unknown as TickerPayload
  return {
    kind: 'ticker',
    topic: record.topic,
    symbol: record.symbol,
    venueTimeUs: ticker.E * usPerUnit,
    receivedTimeUs,
    source: record.source,
    open: ticker.o,
    high: ticker.h,
    low: ticker.l,
    last: ticker.c,
    lastQuantity: ticker.Q,
    change: ticker.p,
    changePercent: ticker.P,
    vwap: ticker.w,
    volume: ticker.v,
    quoteVolume: ticker.q,
    bidPrice: ticker.b,
    bidQuantity: ticker.B,
    askPrice: ticker.a,
    askQuantity: ticker.A,
    openTimeUs: ticker.O * usPerUnit,
    closeTimeUs: ticker.C * usPerUnit,
    firstTradeId: ticker.F === -1 ? null : ticker.F,
    lastTradeId: ticker.L === -1 ? null : ticker.L,
    trades: ticker.n,
  }
}

const parseKline: ParseStep = (record, data, usPerUnit, receivedTimeUs) => {
  const interval = record.interval ?? ''
  const refusal = refuseKline(data, interval, usPerUnit)
  if (refusal !== null) return refusal
  const { E, k: bar } = data as unknown as KlinePayload
  return {
    kind: 'kline',
    topic: record.topic,
    symbol: record.symbol,
    venueTimeUs: E * usPerUnit,
    receivedTimeUs,
    source: record.source,
    interval,
    openTimeUs: bar.t * usPerUnit,
    closeTimeUs: bar.T * usPerUnit,
    open: bar.o,
    high: bar.h,
    low: bar.l,
    close: bar.c,
    volume: bar.v,
    quoteVolume: bar.q,
    trades: bar.n,
    takerBuyVolume: bar.V,
    takerBuyQuoteVolume: bar.Q,
    closed: bar.x,
    firstTradeId: isId(bar.f) ? bar.f : null,
    lastTradeId: isId(bar.L) ? bar.L : null,
  }
}
