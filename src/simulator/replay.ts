import { type Clock, SystemClock } from '../lib/clock.ts'
import { dataOfFrame, isCombined, normalPath, restKeyOf, streamOfFrame, symbolOfStream } from './binance-lines.ts'
import { type CaptureRecord, readCapture } from './capture.ts'
import { type CaptureIndex, EXCHANGE_INFO, FrameUrls, indexCapture } from './capture-index.ts'
import { ReplayedExchangeInfo } from './exchange-info.ts'
import { RecordedAnswers, unavailableAnswer } from './recorded-answers.ts'
import { aggregateRows, ReplayedBars, ReplayedTrades, rowLimit, tradeRows } from './replayed-history.ts'
import type { Emit, MarketSource, RestAnswer } from './source.ts'

export type ReplaySpeed = number | 'max'

export interface ReplayOptions {
  readonly file: string
  /** 1 is the recorded pace, N that many times as fast, `max` as fast as the connections take it. */
  readonly speed?: ReplaySpeed
  /** Begin so long after `start` although not every stream is subscribed; null waits for all of them. */
  readonly startAfterMs?: number | null
  readonly clock?: Clock
}

const DEPTH = '/api/v3/depth'
const DEPTH_WAIT_MS = 5000
const DEPTH_WAIT_AT_MAX_MS = 1000
/** Frames sent before requests and sockets get their turn. */
const BURST_FRAMES_MAX = 256

/**
 * A capture as a market.
 *
 * 1. It begins when every stream of the capture is subscribed, or after `startAfterMs`.
 * 2. Lines go out in the order of the file, at the pace of their `ts`; a line without one at once.
 * 3. At a recorded depth answer it waits until that line was asked for and written to a live connection, 5 s at most
 *    (1 s at `max` speed), so that a snapshot never comes from the future of its deltas. Recorded time stands still meanwhile.
 */
export async function openReplay(options: ReplayOptions): Promise<CaptureReplay> {
  return new CaptureReplay(options, await indexCapture(options.file))
}

export class CaptureReplay implements MarketSource {
  readonly streams: ReadonlySet<string>
  readonly requestWeightMax: number
  readonly done: Promise<void>
  readonly #file: string
  readonly #speed: ReplaySpeed
  readonly #startAfterMs: number | null
  readonly #clock: Clock
  readonly #index: CaptureIndex
  readonly #exchangeInfo: ReplayedExchangeInfo
  readonly #answers = new RecordedAnswers()
  readonly #trades = new ReplayedTrades('trade')
  readonly #aggTrades = new ReplayedTrades('aggTrade')
  readonly #bars = new ReplayedBars()
  readonly #finished = Promise.withResolvers<void>()
  #stage: 'waiting' | 'replaying' | 'ended' | 'closed' = 'waiting'
  #wake: () => void = () => {}
  #allSubscribed = false
  #emitted = 0
  #holding: string | null = null
  /** Monotonic milliseconds at which a line of recorded time 0 would be due. */
  #originMs: number | null = null

  constructor(options: ReplayOptions, index: CaptureIndex) {
    this.#file = options.file
    this.#speed = options.speed ?? 1
    this.#startAfterMs = options.startAfterMs ?? null
    this.#clock = options.clock ?? new SystemClock()
    this.#index = index
    this.streams = index.streams
    this.#exchangeInfo = new ReplayedExchangeInfo(
      index.exchangeInfo,
      index.symbols,
      Math.trunc(this.#clock.nowUs() / 1000),
    )
    this.requestWeightMax = this.#exchangeInfo.requestWeightMax
    for (const { path, symbol } of index.answers) this.#answers.expect(path, symbol)
    this.done = this.#finished.promise
    this.done.catch(() => {})
  }

  subscribed(streams: ReadonlySet<string>): void {
    if (this.#stage !== 'waiting' || this.#allSubscribed) return
    this.#allSubscribed = isSubset(this.streams, streams)
    if (this.#allSubscribed) this.#wake()
  }

  start(emit: Emit, ready: () => Promise<void>): void {
    this.#run(emit, ready).then(this.#finished.resolve, this.#finished.reject)
  }

  async #run(emit: Emit, ready: () => Promise<void>): Promise<void> {
    if (!this.#allSubscribed) await this.#sleep(this.#startAfterMs)
    if (this.#stage === 'closed') return
    this.#stage = 'replaying'
    const urls = new FrameUrls()
    let burst = 0
    for await (const records of readCapture(this.#file)) {
      for (const record of records) {
        const waitMs = this.#msUntilDue(record.ts)
        if (waitMs > 0) {
          await this.#sleep(waitMs)
          burst = 0
        }
        if (record.kind === 'ws') {
          if (!this.#sendFrame(record, urls, emit)) await ready()
          if (++burst >= BURST_FRAMES_MAX) {
            await new Promise((resolve) => setImmediate(resolve))
            burst = 0
          }
        } else if (record.kind === 'http') {
          await this.#reachAnswer(record, ready)
        }
        if (this.#stage !== 'replaying') return
      }
    }
    this.#stage = 'ended'
  }

  /** Answers whether the next line may follow at once. */
  #sendFrame(record: CaptureRecord, urls: FrameUrls, emit: Emit): boolean {
    const named = urls.streams(record.url)
    if (named === null) return true
    const stream = streamOfFrame(record.msg, named)
    if (stream === null) return true
    const data = dataOfFrame(record.msg, stream)
    this.#remember(stream, data)
    this.#emitted++
    return emit(stream, data, isCombined(record.msg) ? record.msg : undefined)
  }

  #remember(stream: string, data: string): void {
    const symbol = symbolOfStream(stream)
    if (symbol === null) return
    if (stream.endsWith('@trade')) this.#trades.add(symbol, data)
    else if (stream.endsWith('@aggTrade')) this.#aggTrades.add(symbol, data)
    else if (stream.includes('@kline_')) this.#bars.add(symbol, data)
  }

  async #reachAnswer(record: CaptureRecord, ready: () => Promise<void>): Promise<void> {
    const key = restKeyOf(record)
    if (key === null || key.path === EXCHANGE_INFO) return
    const line = this.#answers.reach(key.path, key.symbol, record.msg)
    if (key.path !== DEPTH || line.used) return
    this.#holding = `${key.path} ${key.symbol}`
    const beganMs = this.#clock.monotonicMs()
    // A client that still has frames before it cannot know yet that it will ask.
    await ready()
    this.#answers.onUsed = () => {
      if (line.used) this.#wake()
    }
    if (!line.used) await this.#sleep(this.#speed === 'max' ? DEPTH_WAIT_AT_MAX_MS : DEPTH_WAIT_MS)
    this.#answers.onUsed = () => {}
    this.#holding = null
    if (this.#originMs !== null) this.#originMs += this.#clock.monotonicMs() - beganMs
  }

  #msUntilDue(ts: number | null): number {
    if (this.#speed === 'max' || ts === null) return 0
    const recordedMs = ts / this.#speed
    this.#originMs ??= this.#clock.monotonicMs() - recordedMs
    return this.#originMs + recordedMs - this.#clock.monotonicMs()
  }

  /** Until `#wake` is called or so long at most; null: until woken. */
  #sleep(ms: number | null): Promise<void> {
    return new Promise((resolve) => {
      const cancel = ms === null ? null : this.#clock.after(ms, () => this.#wake())
      this.#wake = () => {
        this.#wake = () => {}
        cancel?.()
        resolve()
      }
      if (this.#stage === 'closed') this.#wake()
    })
  }

  async rest(path: string, query: URLSearchParams): Promise<RestAnswer | null> {
    const symbol = query.get('symbol')
    switch (normalPath(path)) {
      case '/api/v3/ping':
        return ok('{}')
      case '/api/v3/time':
        return ok(`{"serverTime":${Math.trunc(this.#clock.nowUs() / 1000)}}`)
      case EXCHANGE_INFO: {
        const body = this.#exchangeInfo.body(query)
        return body === null ? INVALID_SYMBOL : ok(body)
      }
      case '/api/v3/trades':
      case '/api/v3/historicalTrades':
      case '/api/v3/aggTrades':
      case '/api/v3/klines':
      case '/api/v3/uiKlines':
        if (symbol === null) return MISSING_SYMBOL
        if (!this.#index.symbols.has(symbol)) return this.#stage === 'ended' ? unavailableAnswer : INVALID_SYMBOL
        return this.#history(normalPath(path), symbol, query)
      case DEPTH:
        return symbol === null ? MISSING_SYMBOL : this.#answers.ask(DEPTH, symbol)
      default: {
        const key = normalPath(path)
        if (this.#answers.has(key, symbol ?? '')) return this.#answers.ask(key, symbol ?? '')
        return this.#stage === 'ended' ? unavailableAnswer : null
      }
    }
  }

  #history(path: string, symbol: string, query: URLSearchParams): RestAnswer {
    const limit = rowLimit(query.get('limit'))
    const fromId = numberOf(query, 'fromId')
    const startMs = numberOf(query, 'startTime') ?? 0
    const endMs = numberOf(query, 'endTime') ?? Number.MAX_SAFE_INTEGER
    if (path.endsWith('lines')) {
      return ok(JSON.stringify(this.#bars.select(symbol, query.get('interval') ?? '', startMs, endMs, limit)))
    }
    if (path.endsWith('/aggTrades')) {
      const timed = fromId === null && (query.has('startTime') || query.has('endTime'))
      const chosen = timed
        ? this.#aggTrades.selectTimes(symbol, startMs, endMs, limit)
        : this.#aggTrades.select(symbol, fromId, limit)
      return ok(aggregateRows(chosen))
    }
    const from = path.endsWith('/trades') ? null : fromId
    return ok(tradeRows(this.#trades.select(symbol, from, limit)))
  }

  state(): Record<string, unknown> {
    return {
      kind: 'replay',
      file: this.#file,
      speed: this.#speed,
      stage: this.#stage,
      frames: this.#index.frames,
      others: this.#index.others,
      unlisted: this.#exchangeInfo.unlisted,
      emitted: this.#emitted,
      holding: this.#holding,
      answers: this.#answers.state(),
      tradesKept: this.#trades.count + this.#aggTrades.count,
    }
  }

  async close(): Promise<void> {
    this.#stage = 'closed'
    this.#answers.close()
    this.#wake()
  }
}

const INVALID_SYMBOL: RestAnswer = { status: 400, body: '{"code":-1121,"msg":"Invalid symbol."}' }
const MISSING_SYMBOL: RestAnswer = {
  status: 400,
  body: `{"code":-1102,"msg":"Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."}`,
}

function ok(body: string): RestAnswer {
  return { status: 200, body }
}

function numberOf(query: URLSearchParams, name: string): number | null {
  const text = query.get(name)
  if (text === null) return null
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : null
}

function isSubset(part: ReadonlySet<string>, whole: ReadonlySet<string>): boolean {
  for (const element of part) if (!whole.has(element)) return false
  return true
}
