import { UsageError } from '../errors.ts'
import { restKeyOf, streamOfFrame, streamsOfUrl, symbolOfStream } from './binance-lines.ts'
import { readCapture } from './capture.ts'

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

/** Throws: as `readCapture`, and UsageError where the capture holds nothing of Binance. */
export async function indexCapture(file: string): Promise<CaptureIndex> {
  const streams = new Set<string>()
  const answers: { path: string; symbol: string }[] = []
  const urls = new FrameUrls()
  let exchangeInfo: string | null = null
  let frames = 0
  let others = 0
  for await (const records of readCapture(file)) {
    for (const record of records) {
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
