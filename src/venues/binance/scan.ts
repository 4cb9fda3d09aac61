import { DECIMAL_LENGTH_MAX } from '../../domain/decimal.ts'
import { Channel, type Level } from '../../domain/event.ts'
import type { VenueBookDelta, VenueEvent } from '../venue.ts'
import type { TopicRecord } from './parse.ts'
import { EVENT_TIME_US_MIN, type UsPerUnit } from './wire.ts'

/*
 * The commonest frames read where they stand, without JSON.parse: one pass that admits and cuts out at once. A frame is
 * either letter for letter in the form the venue writes, fields in its order and without blanks, or `null` is answered and
 * the general way (`JSON.parse`, then `wire.ts`) decides what it is. So nothing is admitted here that is refused there.
 *
 * Source: binance/binance-spot-api-docs web-socket-streams.md "Detailed Stream information", read 2026-07.
 */

/** How the frames of a topic begin, up to their first number, and what stands between it and the next field. */
export interface FrameShape {
  readonly kind: 'trade' | 'aggTrade' | 'quote' | 'delta'
  readonly head: string
  readonly afterFirst: string
}

/** What a combined frame begins with, before the name of its stream. */
export const FRAME_START = '{"stream":"'

const ID_DIGITS_MAX = 16
const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const POINT = 0x2e
const ZERO = 0x30
const NINE = 0x39
const OPEN = 0x5b
const CLOSE = 0x5d
const BRACE_END = 0x7d

/** null for topics whose frames are read by JSON.parse alone. */
export function shapeOf(record: Omit<TopicRecord, 'shape'>): FrameShape | null {
  const { topic, symbol, channel, word } = record
  // What JSON writes with escapes is not found by comparing letters.
  if (JSON.stringify(topic) !== `"${topic}"`) return null
  const begin = `${FRAME_START}${topic}","data":{`
  switch (channel) {
    case Channel.Trade:
      return word === 'trade'
        ? { kind: 'trade', head: `${begin}"e":"trade","E":`, afterFirst: `,"s":"${symbol}","t":` }
        : { kind: 'aggTrade', head: `${begin}"e":"aggTrade","E":`, afterFirst: `,"s":"${symbol}","a":` }
    case Channel.Quote:
      return { kind: 'quote', head: `${begin}"u":`, afterFirst: `,"s":"${symbol}","b":"` }
    case Channel.OrderBook:
      return { kind: 'delta', head: `${begin}"e":"depthUpdate","E":`, afterFirst: `,"s":"${symbol}","U":` }
    default:
      return null
  }
}

/** The event of a frame that begins with `shape.head`, null where it is not exactly in the venue's form. */
export function scanFrame(
  record: TopicRecord,
  shape: FrameShape,
  text: string,
  usPerUnit: UsPerUnit,
  receivedTimeUs: number,
): VenueEvent | null {
  const first = readId(text, shape.head.length)
  if (first < 0 || !text.startsWith(shape.afterFirst, end)) return null
  end += shape.afterFirst.length
  switch (shape.kind) {
    case 'quote':
      return scanQuote(record, text, first, receivedTimeUs)
    case 'delta':
      return scanDelta(record, text, first * usPerUnit, receivedTimeUs)
    default:
      return scanTrade(record, shape.kind, text, usPerUnit, receivedTimeUs)
  }
}

/** Where the last thing that was read ends. Reading is synchronous, and an object for every number would be waste. */
let end = 0

function scanQuote(record: TopicRecord, text: string, updateId: number, receivedTimeUs: number): VenueEvent | null {
  const bidPrice = readAmount(text, end)
  if (bidPrice === '' || !isNextText(text, 0x42)) return null
  const bidQuantity = readAmount(text, end)
  if (bidQuantity === '' || !isNextText(text, 0x61)) return null
  const askPrice = readAmount(text, end)
  if (askPrice === '' || !isNextText(text, 0x41)) return null
  const askQuantity = readAmount(text, end)
  if (askQuantity === '' || !isEnd(text, end, true)) return null
  const { topic, symbol, source } = record
  return {
    kind: 'quote',
    topic,
    symbol,
    venueTimeUs: null,
    receivedTimeUs,
    source,
    updateId,
    bidPrice,
    bidQuantity,
    askPrice,
    askQuantity,
  }
}

function scanTrade(
  record: TopicRecord,
  numbering: 'trade' | 'aggTrade',
  text: string,
  usPerUnit: UsPerUnit,
  receivedTimeUs: number,
): VenueEvent | null {
  const id = readId(text, end)
  if (id < 0 || !text.startsWith(',"p":"', end)) return null
  const price = readAmount(text, end + 6)
  if (price === '' || !isNextText(text, 0x71)) return null
  const quantity = readAmount(text, end)
  if (quantity === '') return null
  if (numbering === 'aggTrade') {
    if (!text.startsWith('","f":', end) || readId(text, end + 6) < 0) return null
    if (!text.startsWith(',"l":', end) || readId(text, end + 5) < 0) return null
    if (!text.startsWith(',"T":', end)) return null
    end += 5
  } else {
    if (!text.startsWith('","T":', end)) return null
    end += 6
  }
  const venueTimeUs = readId(text, end) * usPerUnit
  if (!isEventTimeUs(venueTimeUs) || !text.startsWith(',"m":', end)) return null
  end += 5
  const isBuyerMaker = text.startsWith('true', end)
  if (!isBuyerMaker && !text.startsWith('false', end)) return null
  end += isBuyerMaker ? 4 : 5
  // `M` says nothing and is told all the same.
  if (text.startsWith(',"M":true', end)) end += 9
  if (!isEnd(text, end, false)) return null
  const { topic, symbol, source } = record
  const side = isBuyerMaker ? 'sell' : 'buy'
  return {
    kind: 'trade',
    topic,
    symbol,
    venueTimeUs,
    receivedTimeUs,
    source,
    numbering,
    id,
    price,
    quantity,
    side,
  }
}

function scanDelta(
  record: TopicRecord,
  text: string,
  venueTimeUs: number,
  receivedTimeUs: number,
): VenueBookDelta | null {
  if (!isEventTimeUs(venueTimeUs)) return null
  const first = readId(text, end)
  if (first < 0 || !text.startsWith(',"u":', end)) return null
  const last = readId(text, end + 5)
  if (last < first || !text.startsWith(',"b":', end)) return null
  const bidsFrom = end + 5
  const bidsEnd = skipSide(text, bidsFrom)
  if (bidsEnd < 0 || !text.startsWith(',"a":', bidsEnd)) return null
  const asksFrom = bidsEnd + 5
  const asksEnd = skipSide(text, asksFrom)
  if (asksEnd < 0 || !isEnd(text, asksEnd, false)) return null
  return new ScannedDelta(
    record,
    venueTimeUs,
    receivedTimeUs,
    first,
    last,
    text.slice(bidsFrom, bidsEnd),
    text.slice(asksFrom, asksEnd),
  )
}

/** A delta whose levels stay text until somebody looks at them: the wire contract spells them as the venue does. */
class ScannedDelta implements VenueBookDelta {
  readonly kind = 'delta'
  readonly topic: VenueBookDelta['topic']
  readonly symbol: VenueBookDelta['symbol']
  readonly venueTimeUs: number
  readonly receivedTimeUs: number
  readonly source: string
  readonly first: number
  readonly last: number
  readonly bidsText: string
  readonly asksText: string

  constructor(
    record: TopicRecord,
    venueTimeUs: number,
    receivedTimeUs: number,
    first: number,
    last: number,
    bidsText: string,
    asksText: string,
  ) {
    this.topic = record.topic
    this.symbol = record.symbol
    this.venueTimeUs = venueTimeUs
    this.receivedTimeUs = receivedTimeUs
    this.source = record.source
    this.first = first
    this.last = last
    this.bidsText = bidsText
    this.asksText = asksText
  }

  get bids(): readonly Level[] {
    return JSON.parse(this.bidsText) as Level[]
  }

  get asks(): readonly Level[] {
    return JSON.parse(this.asksText) as Level[]
  }
}

/** A safe integer >= 0 as JSON writes it; -1 where there is none. */
function readId(text: string, from: number): number {
  let value = 0
  let at = from
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code < ZERO || code > NINE) break
    value = value * 10 + (code - ZERO)
  }
  end = at
  const digits = at - from
  if (digits === 0 || digits > ID_DIGITS_MAX || value > Number.MAX_SAFE_INTEGER) return -1
  return digits > 1 && text.charCodeAt(from) === ZERO ? -1 : value
}

/** Where a decimal as `isUnsignedDecimal` wants it ends, with a quotation mark behind it; -1 where there is none. */
function amountEnd(text: string, from: number): number {
  let point = -1
  let at = from
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code >= ZERO && code <= NINE) continue
    if (code !== POINT || point !== -1 || at === from) break
    point = at
  }
  if (at === from || at - from > DECIMAL_LENGTH_MAX || point === at - 1) return -1
  return at < text.length && text.charCodeAt(at) === QUOTE ? at : -1
}

function readAmount(text: string, from: number): string {
  end = amountEnd(text, from)
  return end < 0 ? '' : text.slice(from, end)
}

/** Whether `","X":"` follows, X being the name of one letter; steps behind it. */
function isNextText(text: string, name: number): boolean {
  const at = end
  if (
    text.charCodeAt(at) !== QUOTE ||
    text.charCodeAt(at + 1) !== COMMA ||
    text.charCodeAt(at + 2) !== QUOTE ||
    text.charCodeAt(at + 3) !== name ||
    text.charCodeAt(at + 4) !== QUOTE ||
    text.charCodeAt(at + 5) !== COLON ||
    text.charCodeAt(at + 6) !== QUOTE
  ) {
    return false
  }
  end = at + 7
  return true
}

/** Whether the frame ends here: `}}`, behind a quotation mark where a text was the last. */
function isEnd(text: string, from: number, afterText: boolean): boolean {
  const at = afterText ? from + 1 : from
  return (
    text.length === at + 2 &&
    (!afterText || text.charCodeAt(from) === QUOTE) &&
    text.charCodeAt(at) === BRACE_END &&
    text.charCodeAt(at + 1) === BRACE_END
  )
}

/** Steps over `[["price","quantity"],...]`; -1 where it is anything else. */
function skipSide(text: string, from: number): number {
  if (text.charCodeAt(from) !== OPEN) return -1
  let at = from + 1
  if (text.charCodeAt(at) === CLOSE) return at + 1
  for (;;) {
    if (text.charCodeAt(at) !== OPEN || text.charCodeAt(at + 1) !== QUOTE) return -1
    at = amountEnd(text, at + 2)
    if (at < 0 || text.charCodeAt(at + 1) !== COMMA || text.charCodeAt(at + 2) !== QUOTE) return -1
    at = amountEnd(text, at + 3)
    if (at < 0 || text.charCodeAt(at + 1) !== CLOSE) return -1
    at += 2
    const code = text.charCodeAt(at)
    if (code === CLOSE) return at + 1
    if (code !== COMMA) return -1
    at++
  }
}

function isEventTimeUs(timeUs: number): boolean {
  return timeUs >= EVENT_TIME_US_MIN && timeUs <= Number.MAX_SAFE_INTEGER
}
