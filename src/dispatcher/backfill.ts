import type { TradeNumbering } from '../domain/event.ts'
import type { Clock } from '../lib/clock.ts'
import type { VenueKline, VenueRest, VenueTrade } from '../venues/venue.ts'
import { isWhole, type ShownBars } from './bar-answer.ts'
import { GivenUp, type GivenUpReason } from './given-up.ts'
import type { LineKey } from './line.ts'
import { retryDelayMs } from './retry.ts'

/** How much of a gap is fetched; beyond it the ledger entry is closed as given up. */
export interface BackfillLimits {
  /** Oldest trade or bar that is fetched, before the event that showed the gap, ms; also how long one gap is tried. */
  readonly ageMsMax: number
  readonly idsPerGapMax: number
  /** Gaps that are filled at the same time; the others wait their turn. */
  readonly gapsAtOnceMax: number
  /** Gaps that wait; beyond it a gap is given up at once. */
  readonly gapsWaitingMax: number
}

export interface BackfillOptions {
  readonly rest: VenueRest
  readonly clock: Clock
  readonly random: () => number
  readonly limits: BackfillLimits
  readonly offerTrade: (key: LineKey, trade: VenueTrade) => void
  readonly offerKline: (key: LineKey, bar: VenueKline) => void
  /** Nobody fetches these trades any more. */
  readonly tradesGivenUp: (key: LineKey, from: number, to: number, reason: GivenUpReason) => void
  /** Nobody fetches these bars any more. */
  readonly barsGivenUp: (gap: KlineGap, reason: GivenUpReason) => void
  /** True while the dispatcher's queues are full: then no page is fetched. */
  readonly saturated: () => boolean
  readonly failed: (key: LineKey, error: unknown, attempt: number, delayMs: number) => void
  /** The host that answers is behind the one that streams. */
  readonly lagging: (key: LineKey, attempt: number, delayMs: number) => void
  /** A gap was worked off, or waits. */
  readonly ended: () => void
}

/** A hole in a TRADE numbering, both ends missing. */
export interface TradeGap {
  readonly key: LineKey
  readonly numbering: TradeNumbering
  readonly from: number
  readonly to: number
  /** Time of the event that showed it, us. */
  readonly shownTimeUs: number
}

/** Bars that have closed unseen, by open time, us, both ends included; the stream has shown a later one. */
export interface KlineGap {
  readonly key: LineKey
  readonly interval: string
  readonly fromOpenTimeUs: number
  readonly toOpenTimeUs: number
  readonly shown: ShownBars
  /** The venue's clock when the later bar showed, us. */
  readonly shownTimeUs: number
  /** A GAP in the stream tells of this hole. */
  readonly told: boolean
}

const PAGE_TRADES_MAX = 1_000
/** Answers in a row that do not hold the id asked for; after them the venue is taken to have no such trade. */
const BARREN_ANSWERS_MAX = 3
const BARREN_DELAY_MS = 1_000
/** Answers about bars that lag behind the stream; asked for over about a minute. */
const LAGGING_ANSWERS_MAX = 8
const LAGGING_DELAY_MS = 1_000
const LAGGING_DELAY_MS_MAX = 15_000
const SATURATED_DELAY_MS = 50

/**
 * Fetches what the venue can still tell of a told gap, and offers it like anything else: the script knows which ranges are
 * open and takes what lies inside. A gap is one loop from its first id to its last; it never fills what another one fills,
 * because gaps do not overlap.
 */
export class Backfill {
  readonly #options: BackfillOptions
  readonly #waits = new Set<() => void>()
  #queue: (() => Promise<void>)[] = []
  /** Trade gaps that wait or are worked off. */
  readonly #taken = new Set<TradeGap>()
  /** The same for bars. */
  readonly #takenBars = new Set<KlineGap & { told: boolean }>()
  #running = 0
  #closed = false
  readonly givenUp = new GivenUp()
  tradesFetched = 0
  failures = 0
  /** Answers about bars that were not taken because they lag behind the stream. */
  laggingAnswers = 0

  constructor(options: BackfillOptions) {
    this.#options = options
  }

  /** Gaps being asked for or worked off, and those for which nothing was asked yet; one in a back-off does not count. */
  get waiting(): number {
    return this.#running - this.#waits.size + this.#queue.length
  }

  /** Gaps that wait or are worked off, those in a back-off too. */
  get gaps(): number {
    return this.#taken.size + this.#takenBars.size
  }

  /** Fills the gap, unless one is being filled that shares ids with it: then that one is left to end, and this is not taken. */
  trades(gap: TradeGap): void {
    const { idsPerGapMax } = this.#options.limits
    for (const other of this.#taken) {
      if (other.key.instrument === gap.key.instrument && other.from <= gap.to && other.to >= gap.from) return
    }
    let from = gap.from
    if (gap.to - from + 1 > idsPerGapMax) {
      // The newest are worth most, and the oldest are the likeliest to be beyond the age bound anyway.
      from = gap.to - idsPerGapMax + 1
      this.#giveUp(gap.key, gap.from, from - 1, 'too-many')
    }
    const taken = { ...gap, from }
    this.#taken.add(taken)
    if (this.#start(() => this.#fillTrades(taken).finally(() => this.#taken.delete(taken)))) return
    this.#taken.delete(taken)
    if (!this.#closed) this.#giveUp(gap.key, from, gap.to, 'queue-full')
  }

  /** Fetches the bars, unless they are asked for already. */
  klines(gap: KlineGap): void {
    const { key, interval, fromOpenTimeUs, toOpenTimeUs } = gap
    if (toOpenTimeUs < fromOpenTimeUs || this.#closed) return
    for (const other of this.#takenBars) {
      if (other.key !== key || other.interval !== interval) continue
      if (other.fromOpenTimeUs > fromOpenTimeUs || other.toOpenTimeUs < toOpenTimeUs) continue
      other.told ||= gap.told
      return
    }
    const taken = { ...gap }
    this.#takenBars.add(taken)
    const shownMs = this.#options.clock.monotonicMs()
    if (this.#start(() => this.#fillKlines(taken, shownMs).finally(() => this.#takenBars.delete(taken)))) return
    this.#takenBars.delete(taken)
    this.giveUpKlines(taken, 'queue-full')
  }

  /** Counts and tells that these bars are fetched no further. */
  giveUpKlines(gap: KlineGap, reason: GivenUpReason): void {
    this.givenUp.add(gap.key.channel, reason, 0)
    this.#options.barsGivenUp(gap, reason)
  }

  close(): void {
    this.#closed = true
    this.#queue = []
    for (const wake of [...this.#waits]) wake()
  }

  #giveUp(key: LineKey, from: number, to: number, reason: GivenUpReason): void {
    this.givenUp.add(key.channel, reason, to - from + 1)
    this.#options.tradesGivenUp(key, from, to, reason)
  }

  #start(fill: () => Promise<void>): boolean {
    if (this.#closed || this.#queue.length >= this.#options.limits.gapsWaitingMax) return false
    this.#queue.push(fill)
    this.#next()
    return true
  }

  #next(): void {
    while (this.#running < this.#options.limits.gapsAtOnceMax) {
      const fill = this.#queue.shift()
      if (fill === undefined) return
      this.#running++
      void fill().finally(() => {
        this.#running--
        this.#next()
        this.#options.ended()
      })
    }
  }

  async #fillTrades(gap: TradeGap): Promise<void> {
    const { clock, rest, random, limits } = this.#options
    const untilMs = clock.monotonicMs() + limits.ageMsMax
    let next = gap.from
    let barren = 0
    let failures = 0
    while (next <= gap.to && clock.monotonicMs() < untilMs) {
      if (this.#closed) return
      if (this.#options.saturated()) {
        await this.#wait(SATURATED_DELAY_MS)
        continue
      }
      const count = Math.min(PAGE_TRADES_MAX, gap.to - next + 1)
      const page = await this.#ask(() => rest.fetchTrades(gap.key.symbol, gap.numbering, next, count))
      if (this.#closed) return
      if (!page.ok) {
        failures++
        this.failures++
        const delayMs = retryDelayMs(page.error, failures, random)
        this.#options.failed(gap.key, page.error, failures, delayMs)
        await this.#wait(delayMs)
        continue
      }
      failures = 0
      const reached = this.#offerPage(gap, page.answer, next)
      if (reached.next > next) {
        next = reached.next
        barren = 0
      } else if (++barren < BARREN_ANSWERS_MAX) {
        await this.#wait(BARREN_DELAY_MS * barren)
      } else {
        this.#giveUp(gap.key, next, Math.min(gap.to, reached.firstAbove - 1), 'absent')
        next = reached.firstAbove
        barren = 0
      }
    }
    if (next <= gap.to) this.#giveUp(gap.key, next, gap.to, 'unanswered')
  }

  /** Offers what lies inside the gap; answers the first id that is still missing, and the first id the venue has above it. */
  #offerPage(gap: TradeGap, page: readonly VenueTrade[], from: number): { next: number; firstAbove: number } {
    const oldestUs = gap.shownTimeUs - this.#options.limits.ageMsMax * 1_000
    let next = from
    let tooOldTo = -1
    let firstAbove = gap.to + 1
    for (const trade of page) {
      if (trade.id < next || trade.id > gap.to) continue
      if (trade.id > next) {
        firstAbove = trade.id
        break
      }
      next = trade.id + 1
      if (trade.venueTimeUs !== null && trade.venueTimeUs < oldestUs) {
        tooOldTo = trade.id
      } else {
        this.tradesFetched++
        this.#options.offerTrade(gap.key, trade)
      }
    }
    if (tooOldTo >= from) this.#giveUp(gap.key, from, tooOldTo, 'too-old')
    return { next, firstAbove }
  }

  /** `shownMs`: when the gap showed, monotonic. */
  async #fillKlines(gap: KlineGap, shownMs: number): Promise<void> {
    const { rest, clock, random, limits } = this.#options
    const untilMs = clock.monotonicMs() + limits.ageMsMax
    let failures = 0
    let lagging = 0
    while (clock.monotonicMs() < untilMs && !this.#closed) {
      const venueNowUs = gap.shownTimeUs + (clock.monotonicMs() - shownMs) * 1_000
      const answer = await this.#ask(() =>
        rest.fetchKlines(gap.key.symbol, gap.interval, gap.fromOpenTimeUs, gap.toOpenTimeUs),
      )
      if (this.#closed) return
      if (!answer.ok) {
        failures++
        this.failures++
        const delayMs = retryDelayMs(answer.error, failures, random)
        this.#options.failed(gap.key, answer.error, failures, delayMs)
        await this.#wait(delayMs)
        continue
      }
      failures = 0
      const bars = answer.answer.filter(({ openTimeUs }) => openTimeUs <= gap.toOpenTimeUs)
      if (isWhole(bars, gap.toOpenTimeUs, gap.shown, venueNowUs)) {
        // They are final whatever the answer says of itself: the stream has shown a later bar.
        for (const bar of bars) this.#options.offerKline(gap.key, { ...bar, closed: true })
        return
      }
      this.laggingAnswers++
      if (++lagging === LAGGING_ANSWERS_MAX) {
        this.giveUpKlines(gap, 'lagging')
        return
      }
      const delayMs = Math.min(LAGGING_DELAY_MS_MAX, LAGGING_DELAY_MS * 2 ** (lagging - 1))
      this.#options.lagging(gap.key, lagging, delayMs)
      await this.#wait(delayMs)
    }
    if (!this.#closed) this.giveUpKlines(gap, 'unanswered')
  }

  async #ask<Answer>(
    request: () => Promise<Answer>,
  ): Promise<{ ok: true; answer: Answer } | { ok: false; error: unknown }> {
    try {
      return { ok: true, answer: await request() }
    } catch (error) {
      return { ok: false, error }
    }
  }

  #wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#waits.delete(wake)
        cancel()
        resolve()
      }
      const cancel = this.#options.clock.after(delayMs, wake)
      this.#waits.add(wake)
      this.#options.ended()
    })
  }
}
