import { UsageError } from '../errors.ts'
import { restKeyOf, streamOfFrame, streamsOfUrl, symbolOfStream } from './binance-lines.ts'
import { parseRecord, readCaptureLines } from './capture.ts'

/** What a capture holds of Binance, found by reading it once before it is replayed. */
export interface CaptureIndex {
  /** All streams its addresses name or its frames belong to. */
  readonly streams: ReadonlySet<string>
  /** Upper case, in the order in which they were seen. */
  readonly symbols: ReadonlySet<string>
  readonly frames: number
  /** Received texts of Binance connections that belong to no stream: replies, and what cannot be read. */
  readonly others: number
  /** Recorded REST answers in file order, `exchangeInfo` excepted. */
  readonly answers: readonly { readonly path: string; readonly symbol: string }[]
  /** The first recorded `exchangeInfo`; null where there is none. */
  readonly exchangeInfo: string | null
}

export const EXCHANGE_INFO = '/api/v3/exchangeInfo'

/**
 * Frames that begin as others did are counted and not parsed: the replay does that anyway, and tells a line that is broken
 * further on.
 *
 * Throws: as `readCapture`, and UsageError where the capture holds nothing of Binance.
 */
export async function indexCapture(file: string): Promise<CaptureIndex> {
  const streams = new Set<string>()
  const answers: { path: string; symbol: string }[] = []
  const urls = new FrameUrls()
  let exchangeInfo: string | null = null
  let frames = 0
  let others = 0
  const known = new Set<string>()
  for await (const { first, lines } of readCaptureLines(file)) {
    for (const [index, line] of lines.entries()) {
      if (line === '') continue
      const beginning = beginningOf(line)
      if (beginning !== null && known.has(beginning)) {
        frames++
        continue
      }
      const record = parseRecord(file, first + index, line)
      if (record.kind === 'ws') {
        const named = urls.streams(record.url)
        if (named === null) continue
        const stream = streamOfFrame(record.msg, named)
        if (stream === null) {
          others++
          continue
        }
        streams.add(stream)
        frames++
        if (beginning !== null && known.size < BEGINNINGS_MAX && KIND_AND_URL.test(beginning)) {
          // Of its own: cut out of the line it would keep the whole chunk of the file.
          known.add(Buffer.from(beginning).toString())
        }
      } else if (record.kind === 'http') {
        const key = restKeyOf(record)
        if (key === null) continue
        if (key.path === EXCHANGE_INFO) exchangeInfo ??= record.msg
        else answers.push(key)
      }
    }
  }
  for (const stream of urls.named()) streams.add(stream)
  if (streams.size === 0) {
    throw new UsageError(`${file}: expected frames of Binance streams (addresses with /stream or /ws), found none`)
  }
  const symbols = new Set<string>()
  for (const stream of streams) {
    const symbol = symbolOfStream(stream)
    if (symbol !== null) symbols.add(symbol)
  }
  return { streams, symbols, frames, others, answers, exchangeInfo }
}

const TIME = '{"ts":'
const AFTER_TIME = ',"conn":"'
const TIME_LENGTH_MAX = 40
/** What decides whose the frame is stands in front of it. */
const KIND_AND_URL = /"kind":"ws".*"url":"/
const MESSAGE = '"msg":"{\\"stream\\":\\"'

/** All but the time of a line up to the name of its frame's stream; null where it is not written as recorders mostly do. */
function beginningOf(line: string): string | null {
  const from = line.indexOf(AFTER_TIME)
  if (from === -1 || from > TIME_LENGTH_MAX || !line.startsWith(TIME) || !line.endsWith('"}')) return null
  const message = line.indexOf(MESSAGE, from)
  const end = message === -1 ? -1 : line.indexOf('\\"', message + MESSAGE.length)
  return end === -1 ? null : line.slice(from, end)
}

const BEGINNINGS_MAX = 10_000
const URLS_MAX = 10_000

/** The streams an address names, parsed once an address: a capture repeats it on every line. */
export class FrameUrls {
  readonly #streams = new Map<string, readonly string[] | null>()
  #lastUrl = ''
  #last: readonly string[] | null = null

  streams(url: string): readonly string[] | null {
    if (url === this.#lastUrl) return this.#last
    let named = this.#streams.get(url)
    if (named === undefined) {
      named = streamsOfUrl(url)
      if (this.#streams.size < URLS_MAX) this.#streams.set(url, named)
    }
    this.#lastUrl = url
    this.#last = named
    return named
  }

  *named(): Generator<string> {
    for (const streams of this.#streams.values()) if (streams !== null) yield* streams
  }
}
