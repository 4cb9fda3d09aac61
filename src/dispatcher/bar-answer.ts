import type { VenueKline } from '../venues/venue.ts'

/** What the stream has shown of bars that are asked for of REST; open times in us. */
export interface ShownBars {
  /** A bar that it did not close, with the most trades that any frame told of it. */
  readonly unfinished: { readonly openTimeUs: number; readonly trades: number } | null
  /** By the ids of the trades around them: how many trades the bars hold that open in `fromOpenTimeUs`..`toOpenTimeUs`. */
  readonly counted: { readonly fromOpenTimeUs: number; readonly toOpenTimeUs: number; readonly trades: number } | null
}

export const NOTHING_SHOWN: ShownBars = { unfinished: null, counted: null }

/** How long after the end of a bar the host that answers may still not have all of it, where nothing else proves it, us. */
export const BAR_MARGIN_US = 2_000_000

/**
 * Whether an answer about bars up to `toOpenTimeUs` can be taken as final. A closed bar is never corrected, so a host that
 * lags behind the stream's must not close one: it has to hold what the stream has shown, and either all trades by their
 * ids, or the venue's clock, `venueNowUs` when the request was made, has to be past the bars by a margin. Pure.
 */
export function isWhole(
  bars: readonly VenueKline[],
  toOpenTimeUs: number,
  { unfinished, counted }: ShownBars,
  venueNowUs: number,
): boolean {
  if (unfinished !== null) {
    const answered = bars.find(({ openTimeUs }) => openTimeUs === unfinished.openTimeUs)
    if (answered === undefined || answered.trades < unfinished.trades) return false
  }
  const isCounted = ({ openTimeUs }: VenueKline): boolean =>
    counted !== null && openTimeUs >= counted.fromOpenTimeUs && openTimeUs <= counted.toOpenTimeUs
  const trades = bars.filter(isCounted).reduce((sum, bar) => sum + bar.trades, 0)
  if (counted !== null && trades < counted.trades) return false
  const isProved = counted !== null && trades === counted.trades
  // A bar that is not there can still come.
  if (!isProved && toOpenTimeUs + BAR_MARGIN_US > venueNowUs) return false
  return bars.every(
    (bar) =>
      bar.openTimeUs > toOpenTimeUs || (isProved && isCounted(bar)) || bar.closeTimeUs + BAR_MARGIN_US <= venueNowUs,
  )
}
