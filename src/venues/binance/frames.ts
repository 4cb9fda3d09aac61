import { Channel } from '../../domain/event.ts'
import type { Frame, RejectedFrame, VenueEvent } from '../venue.ts'
import { recordOf, type TopicRecord } from './parse.ts'
import { FRAME_START, type FrameShape, scanFrame } from './scan.ts'
import { lowerCaseAscii, parseTopic } from './topics.ts'
import { expected, isObject, type Unchecked, type UsPerUnit } from './wire.ts'

export interface FrameParserOptions {
  /** Unit of the connection's times. */
  readonly usPerUnit: UsPerUnit
  /** A longer frame is not even parsed. Counted in UTF-16 units, which are never more than its bytes. */
  readonly frameBytesMax: number
}

/** Topics remembered; the venue allows 1,024 a connection. Beyond it the one remembered longest is looked up anew. */
const TOPICS_MAX = 16_384
/** A power of two, several times the topics of 2,000 instruments: of two in one slot each makes the other be looked up. */
const SLOTS = 65_536
const QUOTE = 0x22
const SAMPLE_LENGTH_MAX = 1_000
const TOPIC_LENGTH_MAX = 120

const SHUTDOWN = 'serverShutdown'

/**
 * Turns the text frames of a market stream into what they meant.
 *
 * Shape:  combined frames `{"stream":..,"data":..}`, raw payloads, answers to control messages (both error shapes), and
 *         `serverShutdown` in both forms.
 * Units:  times in the connection's unit in, microseconds out; everything else keeps the venue's digits.
 * Throws: never; what cannot be admitted comes back as `rejected` with what was expected and what was found.
 * Source: binance/binance-spot-api-docs web-socket-streams.md, read 2026-07.
 */
export class FrameParser {
  readonly #usPerUnit: UsPerUnit
  readonly #frameBytesMax: number
  readonly #records = new Map<string, TopicRecord>()
  /** The record found last for every remainder of the names' hash: mostly the one, and no text is made to look it up. */
  readonly #recordBySlot: (TopicRecord | undefined)[] = new Array<undefined>(SLOTS).fill(undefined)

  constructor(options: FrameParserOptions) {
    this.#usPerUnit = options.usPerUnit
    this.#frameBytesMax = options.frameBytesMax
  }

  parse(text: string, receivedTimeUs: number): Frame {
    if (text.length > this.#frameBytesMax) {
      const detail = `a frame of at most ${this.#frameBytesMax} bytes expected, found ${text.length} characters`
      return rejected('oversized', topicHint(text), detail, text, receivedTimeUs)
    }
    const scanned = this.#scan(text, receivedTimeUs)
    if (scanned !== null) return { type: 'event', event: scanned }
    let frame: unknown
    try {
      frame = JSON.parse(text)
    } catch (error) {
      const found = error instanceof Error ? error.message : String(error)
      return rejected(
        'malformed',
        topicHint(text),
        `JSON expected, found: ${found.slice(0, 200)}`,
        text,
        receivedTimeUs,
      )
    }
    if (!isObject(frame)) {
      return rejected('malformed', null, expected('frame', 'a JSON object', frame), text, receivedTimeUs)
    }
    const { stream, data } = frame
    if (typeof stream === 'string') {
      const record = this.#records.get(stream) ?? this.#remember(stream)
      if (record !== null) return this.#event(record, data, text, receivedTimeUs)
      if (isObject(data) && data.e === SHUTDOWN) return { type: 'shutdown' }
      return rejected('unmapped', stream.slice(0, TOPIC_LENGTH_MAX), unknownTopic(stream), text, receivedTimeUs)
    }
    if (stream !== undefined) {
      return rejected('malformed', null, expected('stream', 'a text', stream), text, receivedTimeUs)
    }
    return parseReply(frame) ?? this.#rawFrame(frame, text, receivedTimeUs)
  }

  /** The event of a frame of a known topic that looks as they usually do; null says nothing of the others. */
  #scan(text: string, receivedTimeUs: number): VenueEvent | null {
    if (!text.startsWith(FRAME_START)) return null
    let end = FRAME_START.length
    let hash = 0
    for (; end < text.length; end++) {
      const code = text.charCodeAt(end)
      if (code === QUOTE) break
      hash = (hash * 31 + code) | 0
    }
    const slot = hash & (SLOTS - 1)
    let record = this.#recordBySlot[slot]
    if (record?.shape == null || !text.startsWith(record.shape.head)) {
      record = this.#records.get(text.slice(FRAME_START.length, end))
      if (record === undefined || record.shape === null || !text.startsWith(record.shape.head)) return null
      this.#recordBySlot[slot] = record
    }
    return scanFrame(record, record.shape as FrameShape, text, this.#usPerUnit, receivedTimeUs)
  }

  #event(record: TopicRecord, data: unknown, text: string, receivedTimeUs: number): Frame {
    let detail: string
    if (!isObject(data)) detail = expected('data', 'an object', data)
    else if (data.s !== record.symbol) detail = expected('s', `"${record.symbol}" as in the topic`, data.s)
    else if (data.e !== record.word && (data.e !== undefined || record.channel !== Channel.Quote)) {
      detail = expected('e', `"${record.word}" as in the topic`, data.e)
      if (typeof data.e === 'string') return rejected('unmapped', record.topic, detail, text, receivedTimeUs)
    } else {
      const event = record.parse(record, data, this.#usPerUnit, receivedTimeUs)
      if (typeof event !== 'string') return { type: 'event', event }
      detail = event
    }
    return rejected('malformed', record.topic, detail, text, receivedTimeUs)
  }

  /** A payload without envelope names no topic; its own words do, up to the speed of a depth stream, of which we take one. */
  #rawFrame(frame: Unchecked, text: string, receivedTimeUs: number): Frame {
    if (frame.e === SHUTDOWN) return { type: 'shutdown' }
    const word = rawTopicWord(frame)
    if (word === null) {
      const detail = expected('e', 'an event type with a canonical one', frame.e)
      return rejected('unmapped', null, detail, text, receivedTimeUs)
    }
    if (typeof frame.s !== 'string') {
      return rejected('malformed', null, expected('s', 'a symbol', frame.s), text, receivedTimeUs)
    }
    const topic = `${lowerCaseAscii(frame.s.slice(0, TOPIC_LENGTH_MAX))}@${word}`
    const record = this.#records.get(topic) ?? this.#remember(topic)
    if (record === null) return rejected('unmapped', topic, unknownTopic(topic), text, receivedTimeUs)
    return this.#event(record, frame, text, receivedTimeUs)
  }

  #remember(name: string): TopicRecord | null {
    if (name.length > TOPIC_LENGTH_MAX) return null
    const topic = parseTopic(name)
    if (topic === null) return null
    if (this.#records.size >= TOPICS_MAX) {
      const [oldest] = this.#records.keys()
      if (oldest !== undefined) this.#records.delete(oldest)
    }
    const record = recordOf(topic)
    this.#records.set(name, record)
    return record
  }
}

/** An answer to a control message, null if the frame is none. `id` is -1 where the answer names no request of ours. */
function parseReply(frame: Unchecked): Frame | null {
  const id = Number.isSafeInteger(frame.id) ? (frame.id as number) : -1
  // Documented as flat {code, msg, id?}; the test network was seen to send {error: {code, msg}, id}.
  const error = isObject(frame.error) ? frame.error : frame
  if (typeof error.code === 'number' && typeof error.msg === 'string') {
    return { type: 'reply', id, error: `${error.code} ${error.msg.slice(0, SAMPLE_LENGTH_MAX)}`, topics: null }
  }
  if (frame.result === undefined || frame.id === undefined) return null
  const topics =
    Array.isArray(frame.result) && frame.result.every((topic) => typeof topic === 'string') ? frame.result : null
  return { type: 'reply', id, error: null, topics }
}

/** The part of the topic behind `@` that a payload without envelope must have come by; null where it has no canonical type. */
function rawTopicWord(payload: Unchecked): string | null {
  switch (payload.e) {
    case 'trade':
    case 'aggTrade':
      return payload.e
    case '24hrTicker':
      return 'ticker'
    case 'depthUpdate':
      return 'depth@100ms'
    case 'kline':
      return isObject(payload.k) && typeof payload.k.i === 'string' ? `kline_${payload.k.i.slice(0, 8)}` : null
    case 'bookTicker':
      return 'bookTicker'
    case undefined:
      return payload.u !== undefined && payload.b !== undefined && payload.B !== undefined ? 'bookTicker' : null
    default:
      return null
  }
}

/** The topic of a combined frame that could not be parsed as a whole, read from its first characters; null if it names none. */
function topicHint(text: string): string | null {
  if (!text.startsWith(FRAME_START)) return null
  const end = text.indexOf('"', FRAME_START.length)
  if (end === -1 || end - FRAME_START.length > TOPIC_LENGTH_MAX) return null
  try {
    const topic: unknown = JSON.parse(text.slice(FRAME_START.length - 1, end + 1))
    return typeof topic === 'string' ? topic : null
  } catch {
    // The name itself is damaged. The frame is counted and told as malformed; that it names no topic is told by the null.
    return null
  }
}

function unknownTopic(topic: string): string {
  return expected('stream', 'a topic with a canonical type', topic)
}

function rejected(
  reason: RejectedFrame['reason'],
  topic: string | null,
  detail: string,
  text: string,
  receivedTimeUs: number,
): Frame {
  // Through bytes, because a slice keeps the whole frame alive for as long as somebody holds the sample.
  const sample = Buffer.from(text.slice(0, SAMPLE_LENGTH_MAX)).toString()
  return { type: 'rejected', frame: { reason, topic, detail, sample, receivedTimeUs } }
}
