import {
  addDecimal,
  compareDecimal,
  divideDecimal,
  isUnsignedDecimal,
  isZeroDecimal,
  multiplyDecimal,
  scaleOf,
} from '../decimal.ts'
import { Quality } from '../event.ts'
import type { DeltaPayload, LiveBook, LiveBookStep, SnapshotPayload } from './live-book.ts'
import { bestOf, bestOfQuote, DIVISION_DIGITS, prices } from './prices.ts'
import { worseQuality } from './worse-quality.ts'

/**
 * The fusion of one instrument's streams into `ANALYTICS.FUSED`, as a step without any waiting.
 *
 * A step folds one entry into the state and says when the state wants to be published; `fuse` makes the event that stands for
 * everything folded since the last one; `published` begins the next. Between the two nothing may be folded. The state is changed in place: a
 * copy of a book would cost more than the event.
 */

export const FusedChannels = ['ORDERBOOK', 'TRADE', 'QUOTE'] as const
export type FusedChannel = (typeof FusedChannels)[number]

/** Levels a side in a fused event. */
export const TOP_LEVELS = 20

/** Entries and changed levels that one event may stand for; at either bound it leaves before its time. */
export interface FusionLimits {
  readonly throttleMs: number
  readonly eventsMax: number
  readonly changesMax: number
}

/** An entry of a source stream, admitted. */
export interface SourceEvent {
  readonly channel: FusedChannel
  readonly type: string
  /** Entry id. */
  readonly id: string
  readonly epoch: string
  readonly seq: number
  readonly quality: string
  readonly venueTime: string
  readonly receivedTime: string
  readonly trace: string
  readonly data: unknown
}

/** The last entry of a stream that is inside. `0-0` and 0 before the first. */
export interface SourcePosition {
  readonly id: string
  readonly epoch: string
  readonly seq: number
}

export interface TradePayload {
  readonly id: string
  readonly price: string
  readonly quantity: string
  readonly side: 'buy' | 'sell'
  readonly merged?: number | undefined
}

export interface QuotePayload {
  readonly bidPrice: string
  readonly bidQuantity: string
  readonly askPrice: string
  readonly askQuantity: string
}

/** Something that went wrong while folding, to be told by the loop. */
export type FusionNotice =
  /** So many entries were gone before they could be read. */
  | { readonly kind: 'lost'; readonly channel: FusedChannel; readonly count: number }
  /** The entry could not be understood and was left out. */
  | { readonly kind: 'corrupt'; readonly channel: FusedChannel; readonly id: string }
  /** The book does not continue and no GAP told why. */
  | { readonly kind: 'unjoined'; readonly channel: 'ORDERBOOK'; readonly id: string }

export interface FusionState {
  book: LiveBook
  positions: Record<FusedChannel, SourcePosition>
  lastTrade: TradePayload | null
  quote: QuotePayload | null
  /** Us: where the window of the next event begins. */
  windowStartUs: number
  /** What the owner of the book says of it, with its newest entry or since; '' for LIVE. */
  sourceQuality: string
  /** Nothing comes although it should. */
  stale: boolean
  /** Trace, venue time and receive time of the entry that was folded last. */
  trace: string
  venueTime: string
  receivedTime: string
  /** Ms of the loop's clock when the last event left. */
  publishedMs: number
  pending: Pending
  notices: FusionNotice[]
}

/** What the next event will stand for. */
interface Pending {
  events: number
  from: Record<FusedChannel, number>
  trades: number
  volume: string
  notional: string
  priceDigits: number
  /** Entries were lost before these. */
  lossy: boolean
  /** To be published although no entry came: the quality changed. */
  forced: boolean
}

const NOWHERE: SourcePosition = { id: '0-0', epoch: '', seq: 0 }

const nothing = (): Pending => ({
  events: 0,
  from: { ORDERBOOK: 0, TRADE: 0, QUOTE: 0 },
  trades: 0,
  volume: '0',
  notional: '0',
  priceDigits: 0,
  lossy: false,
  forced: false,
})

export function newFusion(book: LiveBook, nowUs: number): FusionState {
  return {
    book,
    positions: { ORDERBOOK: NOWHERE, TRADE: NOWHERE, QUOTE: NOWHERE },
    lastTrade: null,
    quote: null,
    windowStartUs: nowUs,
    sourceQuality: '',
    stale: false,
    trace: '',
    venueTime: '',
    receivedTime: '',
    publishedMs: Number.NEGATIVE_INFINITY,
    pending: nothing(),
    notices: [],
  }
}

/**
 * Folds one entry.
 *
 * - `folded`: it is inside. `repeated`: it was inside already.
 * - `publish-first`: what is pending must leave before it: a bound is reached, or entries are missing between the two.
 */
export function step(
  state: FusionState,
  event: SourceEvent,
  limits: FusionLimits,
): 'folded' | 'repeated' | 'publish-first' {
  const { channel, seq } = event
  const { pending } = state
  const position = state.positions[channel]
  const isSameEpoch = position.epoch === event.epoch
  if (isSameEpoch && seq <= position.seq) {
    state.positions[channel] = { ...position, id: event.id }
    return 'repeated'
  }
  if (pending.events >= limits.eventsMax || state.book.ladder.changesCount >= limits.changesMax) return 'publish-first'
  if (seq !== position.seq + 1 && position.epoch !== '') {
    // Ranges of one event are without holes.
    if (pending.from[channel] !== 0) return 'publish-first'
    if (seq > position.seq) lose(state, channel, seq - position.seq - 1)
    // Another epoch that begins below: the stream was begun anew, and what it has comes again.
    else if (channel === 'ORDERBOOK') state.book.break()
  }
  try {
    if (channel === 'ORDERBOOK') {
      const wasJoined = state.book.joined
      const found = foldBook(state.book, event)
      if (found === 'unjoined' && wasJoined) state.notices.push({ kind: 'unjoined', channel, id: event.id })
      state.sourceQuality = event.quality
    } else if (channel === 'TRADE') foldTrade(state, event)
    else foldQuote(state, event)
  } catch {
    // Whatever wrote it did not keep the contract. The position goes on: the same entry would fail for ever. Half of it
    // may be in the book.
    if (channel === 'ORDERBOOK') state.book.discard()
    state.notices.push({ kind: 'corrupt', channel, id: event.id })
  }
  state.positions[channel] = { id: event.id, epoch: event.epoch, seq }
  if (pending.from[channel] === 0) pending.from[channel] = seq
  pending.events++
  newest(state, event)
  return 'folded'
}

/**
 * Folds the newest entry of `QUOTE`, of which nothing but the newest counts, as if all before it had been folded: within an
 * epoch `seq` is dense, so how many they were is known without reading them.
 *
 * - `unreadable`: it is of another epoch, or nothing was folded before: those before it are to be read.
 */
export function leap(state: FusionState, event: SourceEvent): 'folded' | 'repeated' | 'unreadable' {
  const { channel, seq, epoch } = event
  const { pending } = state
  const position = state.positions[channel]
  if (position.epoch !== epoch) return 'unreadable'
  if (seq <= position.seq) return 'repeated'
  try {
    foldQuote(state, event)
  } catch {
    return 'unreadable'
  }
  state.positions[channel] = { id: event.id, epoch, seq }
  if (pending.from[channel] === 0) pending.from[channel] = position.seq + 1
  pending.events += seq - position.seq
  newest(state, event)
  return 'folded'
}

function newest(state: FusionState, event: SourceEvent): void {
  state.trace = event.trace
  state.venueTime = event.venueTime
  state.receivedTime = event.receivedTime
}

/** Leaves out an entry that is none of the contract's, so that it is not read again and again. */
export function passOver(state: FusionState, channel: FusedChannel, id: string): void {
  state.positions[channel] = { ...state.positions[channel], id }
  // What it said is not known, and its `seq` will be missed.
  if (channel === 'ORDERBOOK') state.book.break()
  state.notices.push({ kind: 'corrupt', channel, id })
}

/** When the state is to be published, in ms of the loop's clock; null while there is nothing to publish. */
export function dueMs(state: FusionState, limits: FusionLimits): number | null {
  const { pending } = state
  if (pending.events === 0 && !pending.forced) return null
  if (pending.events >= limits.eventsMax || state.book.ladder.changesCount >= limits.changesMax)
    return Number.NEGATIVE_INFINITY
  return state.publishedMs + limits.throttleMs
}

/** Marks the source as silent or flowing again; a change is published. */
export function setStale(state: FusionState, stale: boolean): void {
  if (state.stale === stale) return
  state.stale = stale
  state.pending.forced = true
}

/** What the owner of the book says of it, whether an entry came or not; a change of what is shown is published. */
export function setSourceQuality(state: FusionState, word: Quality): void {
  const before = bookQuality(state)
  state.sourceQuality = word === Quality.Live ? '' : word
  if (bookQuality(state) !== before) state.pending.forced = true
}

/** The quality of the book as its record shows it. */
export function bookQuality(state: FusionState): Quality {
  const { book } = state
  let quality = (state.sourceQuality === '' ? Quality.Live : state.sourceQuality) as Quality
  if (!book.joined) quality = worseQuality(quality, book.have === null ? Quality.Syncing : Quality.Gapped)
  else if (isCrossed(book)) quality = worseQuality(quality, Quality.Crossed)
  return state.stale ? worseQuality(quality, Quality.Stale) : quality
}

export interface FusedEvent {
  readonly quality: Quality
  readonly venueTime: string
  readonly receivedTime: string
  readonly trace: string
  /** The payload, JSON. */
  readonly data: string
}

/**
 * The event for everything folded since the last one. A book that is not whole is not shown; the newest quote then gives
 * the prices. `suppressed` counts the folded entries beyond the one that this event is.
 */
export function fuse(state: FusionState, nowUs: number): FusedEvent {
  const { book, pending, lastTrade, positions } = state
  const isWhole = book.joined
  const bids = isWhole ? book.ladder.topBids(TOP_LEVELS) : []
  const asks = isWhole ? book.ladder.topAsks(TOP_LEVELS) : []
  const ranges: Partial<Record<FusedChannel, [string, string]>> = {}
  for (const channel of FusedChannels) {
    if (pending.from[channel] !== 0) ranges[channel] = [String(pending.from[channel]), String(positions[channel].seq)]
  }
  const vwap = isZeroDecimal(pending.volume)
    ? {}
    : { vwap: divideDecimal(pending.notional, pending.volume, pending.priceDigits + DIVISION_DIGITS) }
  const data = JSON.stringify({
    bids,
    asks,
    ...prices(isWhole ? bestOf(bids, asks) : bestOfQuote(state.quote)),
    ...(lastTrade === null ? {} : { lastTrade }),
    window: {
      start: state.windowStartUs,
      end: Math.max(nowUs, state.windowStartUs),
      trades: pending.trades,
      volume: pending.volume,
      ...vwap,
    },
    ranges,
    suppressed: Math.max(0, pending.events - 1),
  })
  const own = bookQuality(state)
  const hasEvents = pending.events > 0
  return {
    quality: pending.lossy ? worseQuality(own, Quality.Gapped) : own,
    venueTime: hasEvents ? state.venueTime : '',
    receivedTime: hasEvents ? state.receivedTime : String(nowUs),
    trace: state.trace,
    data,
  }
}

/** The event made at `nowUs` has left. */
export function published(state: FusionState, nowUs: number, nowMs: number): void {
  state.windowStartUs = Math.max(nowUs, state.windowStartUs)
  state.publishedMs = nowMs
  state.pending = nothing()
}

function lose(state: FusionState, channel: FusedChannel, count: number): void {
  state.pending.lossy = true
  if (channel === 'ORDERBOOK') state.book.break()
  state.notices.push({ kind: 'lost', channel, count })
}

/** Folds one entry of an `ORDERBOOK` stream into its book. Throws: RangeError, TypeError where it does not keep the contract. */
export function foldBook(book: LiveBook, event: SourceEvent): LiveBookStep {
  switch (event.type) {
    case 'ORDERBOOK.DELTA':
      return book.delta(event.data as DeltaPayload)
    case 'ORDERBOOK.SNAPSHOT':
      return book.snapshot(event.data as SnapshotPayload)
    case 'ORDERBOOK.GAP':
      return book.gap('from' in (event.data as object))
    default:
      throw new RangeError(`expected a type of ORDERBOOK, found ${event.type}`)
  }
}

function foldTrade(state: FusionState, event: SourceEvent): void {
  if (event.type === 'TRADE.GAP') {
    // Another numbering: the next trade is the last one, whatever its id.
    if (!('from' in (event.data as object))) state.lastTrade = null
    return
  }
  const trade = event.data as TradePayload
  const { id, price, quantity, side } = trade
  if (!isUnsignedDecimal(price) || !isUnsignedDecimal(quantity)) throw new RangeError('expected a price and a quantity')
  const { pending } = state
  pending.trades += 1 + (trade.merged ?? 0)
  pending.volume = addDecimal(pending.volume, quantity)
  pending.notional = addDecimal(pending.notional, multiplyDecimal(price, quantity))
  pending.priceDigits = Math.max(pending.priceDigits, scaleOf(price))
  // A trade that fills a gap is older than the last one.
  if (state.lastTrade === null || Number(id) > Number(state.lastTrade.id)) {
    state.lastTrade = { id, price, quantity, side, ...(trade.merged === undefined ? {} : { merged: trade.merged }) }
  }
}

function foldQuote(state: FusionState, event: SourceEvent): void {
  if (event.type === 'QUOTE.GAP') {
    state.quote = null
    return
  }
  const { bidPrice, bidQuantity, askPrice, askQuantity } = event.data as QuotePayload
  for (const text of [bidPrice, bidQuantity, askPrice, askQuantity]) {
    if (!isUnsignedDecimal(text)) throw new RangeError('expected prices and quantities')
  }
  state.quote = { bidPrice, bidQuantity, askPrice, askQuantity }
}

function isCrossed(book: LiveBook): boolean {
  const bid = book.ladder.topBids(1)[0]
  const ask = book.ladder.topAsks(1)[0]
  return bid !== undefined && ask !== undefined && compareDecimal(bid[0], ask[0]) >= 0
}
