/** The channels of an instrument; each is one stream, because what must stay in order together is one stream. */
export const Channel = {
  Trade: 'TRADE',
  Quote: 'QUOTE',
  Ticker: 'TICKER',
  Kline: 'KLINE',
  OrderBook: 'ORDERBOOK',
  Analytics: 'ANALYTICS',
} as const
export type Channel = (typeof Channel)[keyof typeof Channel]

/** Every canonical type of the wire contract; the channel is the first segment. */
export const CanonicalType = {
  Trade: 'TRADE',
  TradeGap: 'TRADE.GAP',
  Quote: 'QUOTE',
  QuoteGap: 'QUOTE.GAP',
  Ticker: 'TICKER',
  TickerGap: 'TICKER.GAP',
  KlineSummary: 'KLINE.SUMMARY',
  KlineGap: 'KLINE.GAP',
  BookSnapshot: 'ORDERBOOK.SNAPSHOT',
  BookDelta: 'ORDERBOOK.DELTA',
  BookGap: 'ORDERBOOK.GAP',
  AnalyticsFused: 'ANALYTICS.FUSED',
} as const
export type CanonicalType = (typeof CanonicalType)[keyof typeof CanonicalType]

export const GapCause = {
  Lost: 'lost',
  Late: 'late',
  Disconnect: 'disconnect',
  Overflow: 'overflow',
  Corrupt: 'corrupt',
  NotSubscribed: 'not-subscribed',
  SinkDown: 'sink-down',
  SinkReset: 'sink-reset',
  VenueReset: 'venue-reset',
} as const
export type GapCause = (typeof GapCause)[keyof typeof GapCause]

/** State of an instrument's book as shown on events; `LIVE` is shown as the empty word. */
export const Quality = {
  Syncing: 'SYNCING',
  Live: 'LIVE',
  Stale: 'STALE',
  Gapped: 'GAPPED',
  Crossed: 'CROSSED',
  Halted: 'HALTED',
  Quarantined: 'QUARANTINED',
} as const
export type Quality = (typeof Quality)[keyof typeof Quality]

/** Which of the venue's numberings a `TRADE` channel follows. */
export type TradeNumbering = 'trade' | 'aggTrade'

/** A price level: price and absolute quantity as decimal strings with the venue's digits; a quantity of zero removes. */
export type Level = readonly [price: string, quantity: string]
