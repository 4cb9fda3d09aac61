import { z } from 'zod'
import { CanonicalType, GapCause } from '../domain/event.ts'

/**
 * The payloads of the wire contract, version 1: what stands as JSON in an entry's `data`, one schema a canonical type.
 * `schemas/*.json` is generated from here, so that readers in other languages check the same.
 *
 * Units: ids are decimal strings; prices and quantities decimal strings with the venue's digits; times integer
 * microseconds since the Unix epoch; counts integers. Absent means unknown. Fields that a later version adds are no error.
 */

const patterns = {
  /** No leading zero, so that equal ids are equal texts; 19 digits hold every 64-bit id. */
  id: /^(0|[1-9][0-9]{0,18})$/,
  /** The venue's own writing, padded zeros included; never an exponent. */
  unsigned: /^[0-9]{1,40}(\.[0-9]{1,40})?$/,
  signed: /^-?[0-9]{1,40}(\.[0-9]{1,40})?$/,
} as const

const id = z.string().regex(patterns.id)
const decimal = z.string().regex(patterns.unsigned)
const signedDecimal = z.string().regex(patterns.signed)
const timeUs = z.int().nonnegative()
const count = z.int().nonnegative()
/** The event also stands for so many others that were conflated away. */
const merged = z.int().positive().optional()
/** Price and absolute quantity; a quantity equal to zero, however written, removes the level. */
const level = z.tuple([decimal, decimal])
const levels = z.array(level)

const causes = Object.values(GapCause) as [GapCause, ...GapCause[]]

const trade = z
  .object({ id, price: decimal, quantity: decimal, side: z.enum(['buy', 'sell']), merged })
  .describe("One trade, or one aggregate of trades; `side` is the taker's.")

const quote = z
  .object({ bidPrice: decimal, bidQuantity: decimal, askPrice: decimal, askQuantity: decimal, merged })
  .describe('Best bid and ask.')

const ticker = z
  .object({
    open: decimal,
    high: decimal,
    low: decimal,
    last: decimal,
    lastQuantity: decimal,
    change: signedDecimal,
    changePercent: signedDecimal,
    vwap: decimal,
    volume: decimal,
    quoteVolume: decimal,
    bidPrice: decimal,
    bidQuantity: decimal,
    askPrice: decimal,
    askQuantity: decimal,
    openTime: timeUs,
    closeTime: timeUs,
    firstTradeId: id,
    lastTradeId: id,
    trades: count,
    merged,
  })
  .partial()
  .required({ last: true, closeTime: true })
  .describe('Statistics of the last 24 hours.')

const kline = z
  .object({
    interval: z.string().min(1),
    openTime: timeUs,
    closeTime: timeUs,
    open: decimal,
    high: decimal,
    low: decimal,
    close: decimal,
    volume: decimal,
    quoteVolume: decimal,
    trades: count,
    takerBuyVolume: decimal,
    takerBuyQuoteVolume: decimal,
    closed: z.boolean(),
    merged,
  })
  .describe('One bar; final when `closed`. `closeTime` is the last moment of the bar as the venue gives it.')

const snapshot = z
  .object({ last: id, bids: levels, asks: levels, depth: count })
  .describe('A whole book at update id `last`; `depth` levels a side were asked for, deeper ones are unknown.')

const delta = z
  .object({ first: id, last: id, bids: levels, asks: levels, merged })
  .describe('The closed range of update ids `first..last` and the levels it left behind, absolute.')

/** Both ends are missing themselves. Only a reset of the venue's numbering leaves the range unknown. */
function gap<Edge extends z.ZodType>(edge: Edge) {
  return z.union([
    z.object({ from: edge, to: edge, cause: z.enum(causes) }),
    z.object({ cause: z.literal(GapCause.VenueReset) }),
  ])
}
/** Bars of several intervals share a stream; a gap names the interval whose line was interrupted. */
const klineGap = z
  .union([
    z.object({ from: timeUs, to: timeUs, cause: z.enum(causes), interval: z.string().min(1).optional() }),
    z.object({ cause: z.literal(GapCause.VenueReset), interval: z.string().min(1).optional() }),
  ])
  .describe('Nothing is known of the bars between two receive times, of `interval` where it is given.')

const timeGap = (what: string) =>
  gap(timeUs).describe(`Nothing is known of the ${what} between two receive times: the last before, the first after.`)

const range = z.tuple([id, id])
const fused = z
  .object({
    bids: levels,
    asks: levels,
    mid: decimal,
    spread: signedDecimal,
    imbalance: signedDecimal,
    microprice: decimal,
    lastTrade: trade.optional(),
    window: z.object({ start: timeUs, end: timeUs, trades: count, volume: decimal, vwap: decimal.optional() }),
    ranges: z.object({ ORDERBOOK: range, TRADE: range, QUOTE: range }).partial(),
    suppressed: count,
  })
  .partial()
  .required({ bids: true, asks: true, window: true, ranges: true, suppressed: true })
  .describe('The view of one instrument; `ranges` are the source `seq` it folds, and successive entries abut.')

/** The payload schema of every canonical type. */
export const payloadSchemas = {
  [CanonicalType.Trade]: trade,
  [CanonicalType.TradeGap]: gap(id).describe('Trades `from..to` are missing; both ends included.'),
  [CanonicalType.Quote]: quote,
  [CanonicalType.QuoteGap]: timeGap('quotes'),
  [CanonicalType.Ticker]: ticker,
  [CanonicalType.TickerGap]: timeGap('tickers'),
  [CanonicalType.KlineSummary]: kline,
  [CanonicalType.KlineGap]: klineGap,
  [CanonicalType.BookSnapshot]: snapshot,
  [CanonicalType.BookDelta]: delta,
  [CanonicalType.BookGap]: gap(id).describe(
    'Update ids `from..to` are missing; `to` is one below the delta that showed it. The book is broken until a delta continues it or a snapshot replaces it.',
  ),
  [CanonicalType.AnalyticsFused]: fused,
} as const satisfies Record<CanonicalType, z.ZodType>

/** A member of a gap ledger (the zset `...:gaps`); its score is the first missing id. Open: `filledAt` and `how` both null. */
export const ledgerMemberSchema = z
  .object({
    from: z.union([id, timeUs]).optional(),
    to: z.union([id, timeUs]).optional(),
    cause: z.enum(causes),
    openedAt: timeUs,
    filledAt: timeUs.nullable(),
    how: z.string().min(1).nullable(),
  })
  .describe('One told gap: ids as decimal strings (TRADE, ORDERBOOK) or receive times in us (QUOTE, TICKER, KLINE).')

export type PayloadOf<Type extends CanonicalType> = z.output<(typeof payloadSchemas)[Type]>
export type LedgerMember = z.output<typeof ledgerMemberSchema>
export const wirePatterns = patterns
