import type { GapCause, Level, TradeNumbering } from '../domain/event.ts'
import type { InstrumentInfo, Market, VenueSymbol } from '../domain/instrument.ts'

/**
 * What a venue adapter owes. An adapter knows its venue's words and nothing of sockets: the connection manager opens and
 * keeps the sockets, the dispatcher takes the events.
 *
 * Ids are safe integers (checked in `wire.ts`); prices and quantities decimal strings with the venue's digits; times
 * integer microseconds since the Unix epoch, `null` where the venue tells none.
 */
interface VenueEventBase {
  /** The native topic it came by, for example `btcusdt@trade`, or `rest:depth:BTCUSDT` for an answer. */
  readonly topic: string
  readonly symbol: VenueSymbol
  readonly venueTimeUs: number | null
  /** Ours, when the frame or answer arrived. */
  readonly receivedTimeUs: number
  /** For the `source` field, for example `binance.ws.trade`. */
  readonly source: string
}

export interface VenueTrade extends VenueEventBase {
  readonly kind: 'trade'
  readonly numbering: TradeNumbering
  readonly id: number
  readonly price: string
  readonly quantity: string
  /** The taker's side. */
  readonly side: 'buy' | 'sell'
}

export interface VenueQuote extends VenueEventBase {
  readonly kind: 'quote'
  readonly updateId: number
  readonly bidPrice: string
  readonly bidQuantity: string
  readonly askPrice: string
  readonly askQuantity: string
}

export interface VenueTicker extends VenueEventBase {
  readonly kind: 'ticker'
  readonly open: string
  readonly high: string
  readonly low: string
  readonly last: string
  readonly lastQuantity: string
  readonly change: string
  readonly changePercent: string
  readonly vwap: string
  readonly volume: string
  readonly quoteVolume: string
  readonly bidPrice: string
  readonly bidQuantity: string
  readonly askPrice: string
  readonly askQuantity: string
  readonly openTimeUs: number
  readonly closeTimeUs: number
  /** null, as `lastTradeId`, where the window holds no trade. */
  readonly firstTradeId: number | null
  readonly lastTradeId: number | null
  readonly trades: number
}

export interface VenueKline extends VenueEventBase {
  readonly kind: 'kline'
  /** The venue's word: `1m`, `1h`, `1M` ... */
  readonly interval: string
  readonly openTimeUs: number
  /** The last microsecond of the bar as the venue gives it (inclusive). */
  readonly closeTimeUs: number
  readonly open: string
  readonly high: string
  readonly low: string
  readonly close: string
  readonly volume: string
  readonly quoteVolume: string
  readonly trades: number
  readonly takerBuyVolume: string
  readonly takerBuyQuoteVolume: string
  readonly closed: boolean
  /** null: no trades in it, or not told. */
  readonly firstTradeId: number | null
  readonly lastTradeId: number | null
}

/** A closed range of update ids `first..last` and the levels it left behind, absolute. */
export interface VenueBookDelta extends VenueEventBase {
  readonly kind: 'delta'
  readonly first: number
  readonly last: number
  readonly bids: readonly Level[]
  readonly asks: readonly Level[]
  /** The same as JSON without blanks, where the adapter has it at hand, so that nobody writes it anew. */
  readonly bidsText?: string
  readonly asksText?: string
}

/** A whole book at update id `last`, `depth` levels a side asked for. */
export interface VenueBookSnapshot extends VenueEventBase {
  readonly kind: 'snapshot'
  readonly last: number
  readonly bids: readonly Level[]
  readonly asks: readonly Level[]
  readonly depth: number
}

export type VenueEvent = VenueTrade | VenueQuote | VenueTicker | VenueKline | VenueBookDelta | VenueBookSnapshot

/** Why a frame was not admitted. `detail` says what was expected and what was found; `sample` is at most 1,000 characters. */
export interface RejectedFrame {
  readonly reason: 'malformed' | 'unmapped' | 'oversized'
  readonly topic: string | null
  readonly detail: string
  readonly sample: string
  readonly receivedTimeUs: number
}

/** What one text frame of a venue meant. A reply's `id` is -1 where it names no request of ours. */
export type Frame =
  | { readonly type: 'event'; readonly event: VenueEvent }
  | {
      readonly type: 'reply'
      readonly id: number
      readonly error: string | null
      readonly topics: readonly string[] | null
    }
  | { readonly type: 'shutdown' }
  | { readonly type: 'rejected'; readonly frame: RejectedFrame }

/** The venue's connection rules; the manager keeps every number. */
export interface ConnectionLimits {
  readonly topicsPerConnectionMax: number
  /** Client to server messages, pongs counted. */
  readonly inboundMessagesPerSecondMax: number
  readonly connectsPerWindowMax: number
  readonly connectsWindowMs: number
  readonly lifetimeMs: number
  /** The server pings this often; silence of the transport for several of them is a dead line. */
  readonly pingIntervalMs: number
  readonly subscribeTopicsPerMessageMax: number
  readonly subscribeBytesPerMessageMax: number
}

/** What a stream shows of others: data of its own; that there were trades; that best price or quantity are others. */
export type Sign = 'data' | 'trades' | 'best'
export const SIGNS: readonly Sign[] = ['data', 'trades', 'best']

/** The half of an adapter that the connection manager drives. */
export interface StreamProtocol {
  readonly market: Market
  readonly limits: ConnectionLimits
  /** Where to open a connection. */
  url(): string
  encodeSubscribe(id: number, topics: readonly string[]): string
  encodeUnsubscribe(id: number, topics: readonly string[]): string
  encodeListSubscriptions(id: number): string
  /** Never throws: what it cannot admit comes back as `rejected`. */
  parseFrame(text: string, receivedTimeUs: number): Frame
  /** Topics with the same answer (an instrument's) stay on one connection. Absent: the text before the first `@`. */
  groupOf?(topic: string): string
  /**
   * Whether `sign`, shown by `moved`, proves that `topic`, of the same group, must show data within 2 s too: the best
   * price cannot move while the book stands still. False where unsure; a wrong true calls a quiet stream stale. Absent:
   * never.
   */
  mustMoveWith?(topic: string, moved: string, sign: Sign): boolean
}

/**
 * The half of an adapter that asks. Every method spends the request budget, has a time-out, and throws
 * `VenueRateLimitError` (with `retryAfterMs`), `VenueConnectionError` or `VenueProtocolError`.
 */
export interface VenueRest {
  fetchInstruments(): Promise<readonly InstrumentInfo[]>
  fetchBookSnapshot(symbol: VenueSymbol): Promise<VenueBookSnapshot>
  /** Trades of the numbering with ids from `fromId` upwards, ascending, at most `limit` (1,000). */
  fetchTrades(
    symbol: VenueSymbol,
    numbering: TradeNumbering,
    fromId: number,
    limit: number,
  ): Promise<readonly VenueTrade[]>
  /** Bars whose open time lies in the closed range, ascending; `closed` is true where the venue's clock has passed them. */
  fetchKlines(
    symbol: VenueSymbol,
    interval: string,
    fromOpenTimeUs: number,
    toOpenTimeUs: number,
  ): Promise<readonly VenueKline[]>
  /** The venue's clock in microseconds. */
  fetchTime(): Promise<number>
}

/** What is asked on a schedule; as `VenueRest`, but everything else that asks goes first. */
export interface VenuePolls {
  pollBookSnapshot(symbol: VenueSymbol): Promise<VenueBookSnapshot>
  pollTicker(symbol: VenueSymbol): Promise<VenueTicker>
}

/** Where the venue's events go: the dispatcher. None of these waits; fullness is told by `saturated`. */
export interface VenueSink {
  /** `connection` tells apart the connections of this process: what one delivers is in order. */
  event(event: VenueEvent, connection?: number): void
  rejected(frame: RejectedFrame): void
  /** These topics flowed and were interrupted without another line covering them; the next event of each resumes it. */
  interrupted(topics: readonly string[], cause: GapCause): void
  /** True while the sink's queues are at their bound: the manager pauses its sockets until `drained` is called. */
  readonly saturated: boolean
  onDrained(callback: () => void): void
}
