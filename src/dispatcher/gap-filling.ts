import { Channel, GapCause, type TradeNumbering } from '../domain/event.ts'
import type { VenueKline } from '../venues/venue.ts'
import type { Backfill } from './backfill.ts'
import type { LineKey } from './line.ts'
import type { LineOffer } from './line-offer.ts'
import { MissedBars } from './missed-bars.ts'

export interface GapFillingOptions {
  readonly backfill: Backfill
  /** Oldest bar that is fetched, ms before the one that showed the hole. */
  readonly ageMsMax: number
  numberingOf(key: LineKey): TradeNumbering | ''
  giveUp(key: LineKey, from: number, to: number, how: string): void
}

/** Which told holes are fetched from the venue, and how much of each. */
export class GapFilling {
  readonly #options: GapFillingOptions
  readonly #missedBars = new MissedBars()

  constructor(options: GapFillingOptions) {
    this.#options = options
  }

  /** A hole was told in front of `shown`; see `LineWatch.gapTold`. */
  told(key: LineKey, from: number, to: number, shown: LineOffer): void {
    const { backfill, ageMsMax, numberingOf, giveUp } = this.#options
    if (shown.declare === GapCause.NotSubscribed) {
      // Nobody wanted it, so nobody is to pay for it.
      if (key.channel === Channel.Trade && to >= from) giveUp(key, from, to, GapCause.NotSubscribed)
      return
    }
    if (key.channel === Channel.Trade) {
      const numbering = numberingOf(key)
      if (to < from || numbering === '') return
      const shownTimeUs = shown.venueTime === '' ? shown.receivedTimeUs : Number(shown.venueTime)
      backfill.trades({ key, numbering, from, to, shownTimeUs })
    } else if (key.channel === Channel.Kline) {
      const [openTimeUs, endTimeUs] = shown.first.split('@').map(Number) as [number, number]
      const oldestUs = openTimeUs - ageMsMax * 1_000 - (endTimeUs - openTimeUs)
      backfill.klines({
        ...{ key, interval: shown.part, fromOpenTimeUs: Math.max(from, oldestUs), toOpenTimeUs: to },
        shown: this.#missedBars.shownBefore(key.symbol, shown.part, openTimeUs),
        shownTimeUs: shown.venueTime === '' ? openTimeUs : Number(shown.venueTime),
      })
    }
  }

  /** Every bar of a stream: the one before it may have been lost on the way. */
  bar(key: LineKey, bar: VenueKline): void {
    const missed = this.#missedBars.see(bar)
    if (missed === null) return
    const { backfill, ageMsMax } = this.#options
    const oldestUs = bar.openTimeUs - ageMsMax * 1_000 - (bar.closeTimeUs - bar.openTimeUs)
    const fromOpenTimeUs = Math.max(missed.fromOpenTimeUs, oldestUs)
    backfill.klines({
      ...{ key, interval: bar.interval, fromOpenTimeUs, toOpenTimeUs: missed.toOpenTimeUs },
      shown: this.#missedBars.shownBefore(bar.symbol, bar.interval, bar.openTimeUs),
      shownTimeUs: bar.venueTimeUs ?? bar.openTimeUs,
    })
  }
}
