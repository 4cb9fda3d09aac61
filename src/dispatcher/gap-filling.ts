import type { OpenBars } from '../bus/open-gaps.ts'
import { Channel, GapCause } from '../domain/event.ts'
import type { Clock } from '../lib/clock.ts'
import type { VenueKline, VenueRest, VenueTrade } from '../venues/venue.ts'
import { Backfill, type BackfillLimits, type KlineGap } from './backfill.ts'
import { NOTHING_SHOWN } from './bar-answer.ts'
import { klineEndTimeUs } from './canonical.ts'
import type { ChannelLine } from './channel-line.ts'
import { givenUpIncident } from './given-up.ts'
import type { LineKey } from './line.ts'
import type { LineOffer } from './line-offer.ts'
import { MissedBars } from './missed-bars.ts'
import type { DispatcherIncident } from './options.ts'
import { retryIncident } from './retry.ts'

/** The ledger's word for it. */
const GIVEN_UP = 'given-up'

export interface GapFillingOptions {
  readonly rest: VenueRest
  readonly clock: Clock
  readonly random: () => number
  readonly limits: BackfillLimits
  lineOf(key: LineKey): ChannelLine
  offer(key: LineKey, event: VenueTrade | VenueKline): void
  /** Closes what is open in the ledger of `from`..`to`. */
  giveUp(key: LineKey, from: number, to: number, how: string): void
  saturated(): boolean
  tell(incident: DispatcherIncident): void
  /** A gap was worked off, or waits. */
  ended(): void
}

/** Which told holes are fetched from the venue, how much of each, and what is told of those that are not. */
export class GapFilling {
  readonly backfill: Backfill
  readonly #options: GapFillingOptions
  readonly #missedBars = new MissedBars()
  /** Newest open time given up as too old, us, by symbol and interval. */
  readonly #tooOldTo = new Map<string, number>()

  constructor(options: GapFillingOptions) {
    this.#options = options
    const { rest, clock, random, limits, lineOf, offer, giveUp, saturated, tell, ended } = options
    this.backfill = new Backfill({
      ...{ rest, clock, random, limits, saturated, ended },
      offerTrade: offer,
      offerKline: offer,
      tradesGivenUp: (key, from, to, reason) => {
        giveUp(key, from, to, GIVEN_UP)
        tell(givenUpIncident(key, `the trades ${from}..${to}`, reason))
      },
      barsGivenUp: ({ key, interval, fromOpenTimeUs, toOpenTimeUs, told }, reason) => {
        // Where no GAP tells the hole yet, the next bar says that the line was interrupted.
        if (!told) lineOf(key).interrupted(interval, GapCause.Lost)
        tell(givenUpIncident(key, `the ${interval} bars that open in ${fromOpenTimeUs}..${toOpenTimeUs} us`, reason))
      },
      failed: (key, error, attempt, delayMs) =>
        tell(retryIncident('backfill-failed', 'fetching what is missing', key, error, attempt, delayMs)),
      lagging: ({ instrument, channel }, attempt, delayMs) => {
        const message = `the ${attempt}. answer about bars of ${instrument} lags behind the stream, next try in ${delayMs} ms`
        tell({ kind: 'backfill-lagging', message, instrument, channel })
      },
    })
  }

  /** A hole was told in front of `shown`; see `LineWatch.gapTold`. */
  told(key: LineKey, from: number, to: number, shown: LineOffer): void {
    const { limits, lineOf, giveUp } = this.#options
    if (shown.declare === GapCause.NotSubscribed) {
      // Nobody wanted it, so nobody is to pay for it.
      if (key.channel === Channel.Trade && to >= from) giveUp(key, from, to, GapCause.NotSubscribed)
      return
    }
    if (key.channel === Channel.Trade) {
      const { numbering } = lineOf(key)
      if (to < from || numbering === '') return
      const shownTimeUs = shown.venueTimeUs ?? shown.receivedTimeUs
      this.backfill.trades({ key, numbering, from, to, shownTimeUs })
    } else if (key.channel === Channel.Kline) {
      const [openTimeUs, endTimeUs] = shown.first.split('@').map(Number) as [number, number]
      this.#fetchBars({
        ...{ key, interval: shown.part, fromOpenTimeUs: from, toOpenTimeUs: to },
        shown: this.#missedBars.shownBefore(key.symbol, shown.part, openTimeUs),
        shownTimeUs: shown.venueTimeUs ?? openTimeUs,
        told: true,
        oldestUs: openTimeUs - limits.ageMsMax * 1_000 - (endTimeUs - openTimeUs),
      })
    }
  }

  /** Every bar of a stream: the one before it may have been lost on the way. */
  bar(key: LineKey, bar: VenueKline): void {
    const missed = this.#missedBars.see(bar)
    if (missed === null) return
    this.#fetchBars({
      ...{ key, interval: bar.interval, ...missed },
      shown: this.#missedBars.shownBefore(bar.symbol, bar.interval, bar.openTimeUs),
      shownTimeUs: bar.venueTimeUs ?? bar.openTimeUs,
      told: false,
      oldestUs:
        bar.openTimeUs - this.#options.limits.ageMsMax * 1_000 - (klineEndTimeUs(bar.closeTimeUs) - bar.openTimeUs),
    })
  }

  /** Bars that an earlier life may have left open. */
  open(key: LineKey, { newestOpenTimeUs, ...bars }: Omit<OpenBars, 'instrument'>): void {
    this.backfill.klines({ key, ...bars, shown: NOTHING_SHOWN, shownTimeUs: newestOpenTimeUs, told: false })
  }

  #fetchBars({ oldestUs, ...gap }: KlineGap & { readonly oldestUs: number }): void {
    const { backfill } = this
    const { fromOpenTimeUs, shown } = gap
    if (fromOpenTimeUs >= oldestUs) {
      backfill.klines(gap)
      return
    }
    // Below 0: nobody here knows where the stream stood, so nobody can say what of it is too old.
    if (fromOpenTimeUs >= 0) this.#tooOld({ ...gap, toOpenTimeUs: Math.min(gap.toOpenTimeUs, oldestUs - 1) })
    backfill.klines({
      ...{ ...gap, fromOpenTimeUs: oldestUs },
      shown: {
        unfinished: (shown.unfinished?.openTimeUs ?? -1) < oldestUs ? null : shown.unfinished,
        counted: (shown.counted?.fromOpenTimeUs ?? -1) < oldestUs ? null : shown.counted,
      },
    })
  }

  /** The bar that shows the hole says so, and so does the GAP in front of it. */
  #tooOld(gap: KlineGap): void {
    const name = `${gap.key.symbol} ${gap.interval}`
    if (gap.toOpenTimeUs <= (this.#tooOldTo.get(name) ?? -1)) return
    this.#tooOldTo.set(name, gap.toOpenTimeUs)
    this.backfill.giveUpKlines(gap, 'too-old')
  }
}
