import type { Offer } from '../bus/publish.ts'
import { CanonicalType, Channel, type Level } from '../domain/event.ts'
import type { Instrument, Market } from '../domain/instrument.ts'
import { digitsOf } from '../lib/digits.ts'
import type {
  VenueBookDelta,
  VenueBookSnapshot,
  VenueEvent,
  VenueKline,
  VenueQuote,
  VenueTicker,
  VenueTrade,
} from '../venues/venue.ts'
import type { LineOffer } from './line-offer.ts'

/** Channel and canonical type of every kind of venue event. */
export const channelOfKind: Readonly<Record<VenueEvent['kind'], Channel>> = {
  trade: Channel.Trade,
  quote: Channel.Quote,
  ticker: Channel.Ticker,
  kline: Channel.Kline,
  delta: Channel.OrderBook,
  snapshot: Channel.OrderBook,
}

export const typeOfKind: Readonly<Record<VenueEvent['kind'], CanonicalType>> = {
  trade: CanonicalType.Trade,
  quote: CanonicalType.Quote,
  ticker: CanonicalType.Ticker,
  kline: CanonicalType.KlineSummary,
  delta: CanonicalType.BookDelta,
  snapshot: CanonicalType.BookSnapshot,
}

/**
 * Payloads of the wire contract, version 1. They are written by hand because this is the hot path: every text that gets
 * here was admitted as a decimal, an id or a venue word by `wire.ts`, so nothing needs escaping.
 */
function tradeData(event: VenueTrade): string {
  return `{"id":"${digitsOf(event.id)}","price":"${event.price}","quantity":"${event.quantity}","side":"${event.side}"}`
}

function quoteData(event: VenueQuote): string {
  return `{"bidPrice":"${event.bidPrice}","bidQuantity":"${event.bidQuantity}","askPrice":"${event.askPrice}","askQuantity":"${event.askQuantity}"}`
}

function tickerData(event: VenueTicker): string {
  return (
    `{"open":"${event.open}","high":"${event.high}","low":"${event.low}","last":"${event.last}",` +
    `"lastQuantity":"${event.lastQuantity}","change":"${event.change}","changePercent":"${event.changePercent}",` +
    `"vwap":"${event.vwap}","volume":"${event.volume}","quoteVolume":"${event.quoteVolume}",` +
    `"bidPrice":"${event.bidPrice}","bidQuantity":"${event.bidQuantity}",` +
    `"askPrice":"${event.askPrice}","askQuantity":"${event.askQuantity}",` +
    `"openTime":${event.openTimeUs},"closeTime":${event.closeTimeUs},` +
    // A day without trades has no ids: absent means unknown.
    (event.firstTradeId === null ? '' : `"firstTradeId":"${event.firstTradeId}",`) +
    (event.lastTradeId === null ? '' : `"lastTradeId":"${event.lastTradeId}",`) +
    `"trades":${event.trades}}`
  )
}

function klineData(event: VenueKline): string {
  return (
    `{"interval":"${event.interval}","openTime":${event.openTimeUs},"closeTime":${event.closeTimeUs},` +
    `"open":"${event.open}","high":"${event.high}","low":"${event.low}","close":"${event.close}",` +
    `"volume":"${event.volume}","quoteVolume":"${event.quoteVolume}","trades":${event.trades},` +
    `"takerBuyVolume":"${event.takerBuyVolume}","takerBuyQuoteVolume":"${event.takerBuyQuoteVolume}","closed":${event.closed}}`
  )
}

export function levelsData(levels: readonly Level[]): string {
  let text = '['
  for (let index = 0; index < levels.length; index++) {
    const level = levels[index] as Level
    text += index === 0 ? `["${level[0]}","${level[1]}"]` : `,["${level[0]}","${level[1]}"]`
  }
  return `${text}]`
}

function deltaData(event: VenueBookDelta): string {
  const bids = event.bidsText ?? levelsData(event.bids)
  const asks = event.asksText ?? levelsData(event.asks)
  return `{"first":"${digitsOf(event.first)}","last":"${digitsOf(event.last)}","bids":${bids},"asks":${asks}}`
}

function snapshotData(event: VenueBookSnapshot): string {
  return `{"last":"${event.last}","bids":${levelsData(event.bids)},"asks":${levelsData(event.asks)},"depth":${event.depth}}`
}

/** The payload of the wire contract, JSON, fields in the contract's order. */
export function payloadOf(event: VenueEvent): string {
  switch (event.kind) {
    case 'trade':
      return tradeData(event)
    case 'quote':
      return quoteData(event)
    case 'ticker':
      return tickerData(event)
    case 'kline':
      return klineData(event)
    case 'delta':
      return deltaData(event)
    case 'snapshot':
      return snapshotData(event)
  }
}

const kindOfKind: Readonly<Record<VenueEvent['kind'], Offer['kind']>> = {
  trade: 'TRADE',
  quote: 'QUOTE',
  ticker: 'TICKER',
  kline: 'KLINE',
  delta: 'DELTA',
  snapshot: 'SNAPSHOT',
}

/** The end of a bar, exclusive, us: venues on a millisecond clock give its last millisecond, those on us its last us. */
export function klineEndTimeUs(closeTimeUs: number): number {
  return Math.floor(closeTimeUs / 1000) * 1000 + 1000
}

/** One venue event as an offer, its payload given (`payloadOf`) so that filters can look at it first. */
export function offerOf(event: VenueEvent, data: string, trace: string): LineOffer {
  let low = 0
  let high = 0
  let id: string
  let first = ''
  switch (event.kind) {
    case 'trade':
      low = high = event.id
      id = digitsOf(high)
      break
    case 'quote':
      low = high = event.updateId
      id = digitsOf(high)
      break
    case 'ticker':
      low = high = event.closeTimeUs
      id = digitsOf(high)
      break
    case 'kline':
      low = high = event.openTimeUs
      id = event.closed
        ? `${event.interval}@${event.openTimeUs}@${event.trades}@closed`
        : `${event.interval}@${event.openTimeUs}@${event.trades}`
      first = `${event.openTimeUs}@${klineEndTimeUs(event.closeTimeUs)}`
      break
    case 'delta':
      low = event.first
      high = event.last
      id = digitsOf(high)
      first = digitsOf(low)
      break
    case 'snapshot':
      low = high = event.last
      id = digitsOf(high)
      break
  }
  return {
    kind: kindOfKind[event.kind],
    id,
    first,
    venueTimeUs: event.venueTimeUs,
    receivedTimeUs: event.receivedTimeUs,
    source: event.source,
    trace,
    declare: '',
    refresh: false,
    data,
    low,
    high,
    part: event.kind === 'kline' ? event.interval : '',
    order: 0,
    heldSinceMs: 0,
    known: 'new',
    quality: 'LIVE',
    merged: 0,
  }
}

/** The event as filters see it; `data` is its payload. */
export function filteredOf(event: VenueEvent, market: Market, instrument: Instrument, data: string) {
  return { type: typeOfKind[event.kind], market, instrument, data: JSON.parse(data) as unknown }
}

/** A snapshot of the venue as an offer; `refresh`: for a stream that stands just where it stands. */
export function snapshotOffer(snapshot: VenueBookSnapshot, trace: string, refresh: boolean): LineOffer {
  return { ...offerOf(snapshot, snapshotData(snapshot), trace), refresh }
}

/** Says of the missing ids `from`..`to` that they will not be fetched; nothing enters the stream. */
export function giveUpOffer(from: number, to: number, how: string, receivedTimeUs: number, trace: string): LineOffer {
  return {
    kind: 'GIVEUP',
    id: `${from}`,
    first: `${to}`,
    venueTimeUs: null,
    receivedTimeUs,
    source: 'dispatcher.backfill',
    trace,
    declare: '',
    refresh: false,
    data: how,
    low: from,
    high: from,
    part: '',
    order: 0,
    heldSinceMs: 0,
    known: 'new',
    quality: 'LIVE',
    merged: 0,
  }
}
