import { UsageError } from '../../errors.ts'
import type { Clock } from '../../lib/clock.ts'
import { REQUEST_WEIGHT_MAX } from '../exchange-info.ts'
import type { Emit, FaultRecord, MarketSource, RestAnswer } from '../source.ts'
import { chooseInstruments } from './instruments.ts'
import { Ledger } from './ledger.ts'
import { FEEDS, type Listing } from './listing.ts'
import { MarketRest } from './rest.ts'
import { Schedule } from './schedule.ts'

/** How often the market catches up with its clock, and how long it may take over it before others get their turn. */
const TICK_MS = 10
const SLICE_MS_MAX = 10
const SLICE_ACTIONS_MAX = 5000
/** The pause between two slices while there is more to do: sockets and requests get their turn. */
const PAUSE_MS = 1
/** A receiver that takes nothing for so long holds up nobody any more; the server cuts it at its buffer's bound. */
const STUCK_MS = 1_000
/** How many orders pass between two looks at how long a slice has taken. */
const SLICE_LOOK_ACTIONS = 64
/** Orders that are due for longer, because the machine or a receiver was too slow, are given up. */
const CATCH_UP_US_MAX = 1_000_000
export const RATE_MAX = 10_000_000

/** What the ledger always holds, of every instrument; other streams from the moment when somebody first asks for them. */
export const LEDGER_FEEDS: readonly string[] = ['trade', 'bookTicker', 'depth@100ms', 'kline_1m', 'ticker']

export interface GeneratedMarketOptions {
  /** How many of the standard list, or the venue's symbols, busiest first. */
  readonly instruments: number | readonly string[]
  /** Any safe integer: the same seed and instruments give the same orders. */
  readonly seed: number
  /**
   * Orders and cancels a second over all instruments, or as many as the machine can do. A market whose streams are all
   * subscribed tells about as many events.
   */
  readonly rate: number | 'max'
  readonly clock: Clock
  /** Where to write the truth; what is there is overwritten. */
  readonly ledgerFile?: string
  /** The market's time when it starts, microseconds since the Unix epoch; it then runs as the clock does. */
  readonly startUs?: number
  /** Share of the orders for each instrument; as 1, 1/2, 1/3 ... unless given. */
  readonly weights?: readonly number[]
  /** Price levels a side of the deepest books. */
  readonly levelsMax?: number
  /** REST weight that an address may spend in a minute; the venue's 6,000 when absent. */
  readonly requestWeight?: number
}

/**
 * A market of our own: order flow from a seed through a small matching engine for each instrument. Trades, books,
 * tickers, klines and REST answers all come from the same engines, so they tell the same story.
 *
 * Throws: UsageError for options that do not fit, UnavailableError where the ledger cannot be written.
 */
export function createGeneratedMarket(options: GeneratedMarketOptions): GeneratedMarket {
  return new GeneratedMarket(options)
}

export class GeneratedMarket implements MarketSource {
  readonly streams: ReadonlySet<string>
  readonly requestWeightMax: number
  /** The market has no end of its own: resolves when it is closed. */
  readonly done: Promise<void>

  readonly #seed: number
  readonly #rate: number | 'max'
  readonly #clock: Clock
  /** The market's time less the clock's. */
  readonly #offsetUs: number
  readonly #schedule: Schedule
  readonly #rest: MarketRest
  readonly #ledger: Ledger | null
  readonly #listings = new Map<string, Listing>()
  readonly #ledgerStreams = new Set<string>()
  readonly #finished = Promise.withResolvers<void>()
  #subscribed: ReadonlySet<string> = new Set()
  #emit: Emit = () => true
  #ready: () => Promise<void> = () => Promise.resolve()
  #cancelTick: () => void = () => {}
  #stage: 'idle' | 'running' | 'closed' = 'idle'
  /** A receiver is full. */
  #blocked = false
  #frames = 0
  #skippedUs = 0
  #sliceUntilMs = 0
  #sliceActions = 0

  constructor(options: GeneratedMarketOptions) {
    const { seed, rate, clock } = options
    if (!Number.isSafeInteger(seed)) throw new UsageError(`expected an integer as seed, found ${seed}`)
    if (rate !== 'max' && !(rate > 0 && rate <= RATE_MAX)) {
      throw new UsageError(`expected a rate above 0 and up to ${RATE_MAX} a second, or "max", found ${rate}`)
    }
    this.#seed = seed
    this.#rate = rate
    this.#clock = clock
    const startUs = Math.floor(options.startUs ?? clock.nowUs())
    this.#offsetUs = startUs - clock.nowUs()
    const specs = chooseInstruments(options)
    const publish = (stream: string, data: string): void => this.#publish(stream, data)
    this.#schedule = new Schedule(specs, seed, rate, startUs, { publish })
    this.requestWeightMax = options.requestWeight ?? REQUEST_WEIGHT_MAX
    this.#rest = new MarketRest(this.#schedule.listings, seed, this.requestWeightMax)
    const streams = new Set<string>()
    for (const listing of this.#schedule.listings) {
      const symbol = listing.spec.symbol.toLowerCase()
      this.#listings.set(symbol, listing)
      for (const feed of FEEDS) streams.add(`${symbol}@${feed}`)
    }
    this.streams = streams
    this.done = this.#finished.promise
    this.#ledger = options.ledgerFile === undefined ? null : new Ledger(options.ledgerFile, clock)
    if (this.#ledger) this.#beginLedger(this.#ledger)
  }

  subscribed(streams: ReadonlySet<string>): void {
    const before = this.#subscribed
    // The server's own set may change under us.
    const now = new Set(streams)
    this.#subscribed = now
    for (const stream of now) if (!before.has(stream)) this.#takeUp(stream)
    if (this.#ledger) return
    for (const stream of before) if (!now.has(stream)) this.#want(stream, false)
  }

  start(emit: Emit, ready: () => Promise<void>): void {
    if (this.#stage !== 'idle') return
    this.#stage = 'running'
    this.#emit = emit
    this.#ready = ready
    // The time before the start is no part of the market.
    this.#schedule.skip(this.#marketUs())
    this.#wakeIn(0)
  }

  rest(path: string, query: URLSearchParams): Promise<RestAnswer | null> {
    const nowUs = this.#stage === 'running' ? this.#marketUs() : this.#schedule.nowUs
    const answer = this.#rest.answer(path, query, Math.floor(nowUs / 1000))
    if (this.#ledger && path === '/api/v3/depth' && answer?.status === 200) {
      this.#ledger.answer(this.#schedule.nowUs, `${path}?${query}`, answer.body)
    }
    return Promise.resolve(answer)
  }

  faultApplied(record: FaultRecord): void {
    this.#ledger?.fault(record)
  }

  state(): Record<string, unknown> {
    const ledger = this.#ledger
    return {
      source: 'generated',
      seed: this.#seed,
      rate: this.#rate,
      instruments: this.#listings.size,
      marketTimeUs: Math.floor(this.#schedule.nowUs),
      orders: this.#schedule.actions,
      frames: this.#frames,
      skippedMs: Math.round(this.#skippedUs / 1000),
      ledger: ledger && { lines: ledger.lines, failure: ledger.failure },
    }
  }

  async close(): Promise<void> {
    if (this.#stage === 'closed') return this.done
    this.#stage = 'closed'
    this.#cancelTick()
    try {
      await this.#ledger?.close()
    } finally {
      this.#finished.resolve()
    }
  }

  #beginLedger(ledger: Ledger): void {
    const { nowUs } = this.#schedule
    const info = this.#rest.answer('/api/v3/exchangeInfo', new URLSearchParams(), Math.floor(nowUs / 1000))
    ledger.answer(nowUs, '/api/v3/exchangeInfo', info?.body ?? '')
    for (const symbol of this.#listings.keys()) for (const feed of LEDGER_FEEDS) this.#enterLedger(`${symbol}@${feed}`)
  }

  #enterLedger(stream: string): void {
    this.#ledgerStreams.add(stream)
    this.#want(stream, true)
  }

  #takeUp(stream: string): void {
    const at = stream.indexOf('@')
    const listing = this.#listings.get(stream.slice(0, at))
    if (!listing || !this.streams.has(stream)) return
    if (stream.startsWith('depth', at + 1)) listing.depthTakenUp()
    if (this.#ledger) this.#enterLedger(stream)
    else this.#want(stream, true)
  }

  #want(stream: string, wanted: boolean): void {
    const at = stream.indexOf('@')
    const listing = this.#listings.get(stream.slice(0, at))
    if (!this.streams.has(stream)) return
    listing?.want(stream.slice(at + 1), wanted, Math.floor(this.#schedule.nowUs / 1000))
  }

  #publish(stream: string, data: string): void {
    this.#frames += 1
    const combined = `{"stream":"${stream}","data":${data}}`
    if (this.#ledgerStreams.has(stream)) this.#ledger?.frame(Math.floor(this.#schedule.nowUs), combined)
    if (this.#subscribed.has(stream) && !this.#emit(stream, data, combined)) this.#blocked = true
  }

  #marketUs(): number {
    return this.#clock.nowUs() + this.#offsetUs
  }

  #wakeIn(delayMs: number): void {
    this.#cancelTick = this.#clock.after(delayMs, () => this.#tick())
  }

  #tick(): void {
    const toUs = this.#marketUs()
    const behindUs = toUs - this.#schedule.nowUs - CATCH_UP_US_MAX
    if (behindUs > 0) {
      this.#skippedUs += behindUs
      this.#schedule.skip(toUs - CATCH_UP_US_MAX)
    }
    this.#sliceUntilMs = this.#clock.monotonicMs() + SLICE_MS_MAX
    this.#sliceActions = 0
    this.#schedule.advance(toUs, () => this.#mayGoOn())
    if (this.#mustWait || this.#ledger?.saturated) void this.#waitForReceivers()
    else this.#wakeIn(this.#schedule.nowUs < toUs || this.#rate === 'max' ? PAUSE_MS : TICK_MS)
  }

  #mayGoOn(): boolean {
    if (this.#mustWait || this.#stage === 'closed') return false
    this.#sliceActions += 1
    if (this.#sliceActions % SLICE_LOOK_ACTIONS !== 0) return true
    if (this.#ledger?.saturated) return false
    return this.#sliceActions < SLICE_ACTIONS_MAX && this.#clock.monotonicMs() < this.#sliceUntilMs
  }

  /** A venue waits for nobody: who reads too slowly is cut off. Only a market as fast as can be has its pace from its readers. */
  get #mustWait(): boolean {
    return this.#blocked && this.#rate === 'max'
  }

  async #waitForReceivers(): Promise<void> {
    if (this.#mustWait) await this.#readyOrStuck()
    await this.#ledger?.drained()
    this.#blocked = false
    if (this.#stage === 'running') this.#wakeIn(PAUSE_MS)
  }

  #readyOrStuck(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(STUCK_MS, resolve)
      void this.#ready().then(() => {
        cancel()
        resolve()
      })
    })
  }
}
