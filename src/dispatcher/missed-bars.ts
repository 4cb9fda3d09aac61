import type { VenueKline } from '../venues/venue.ts'
import { NOTHING_SHOWN, type ShownBars } from './bar-answer.ts'

interface LastBar {
  readonly openTimeUs: number
  readonly closed: boolean
  readonly trades: number
  readonly firstTradeId: number | null
  readonly lastTradeId: number | null
  /** The newest id of a trade in this bar or any before it. */
  readonly newestTradeId: number | null
  /** What was shown of the bars before it, from the one that the stream had shown last. */
  readonly before: ShownBars
}

/** Open times, us, both ends included. */
export interface MissedRange {
  readonly fromOpenTimeUs: number
  readonly toOpenTimeUs: number
}

/**
 * Which bars a stream of bars did not close although they must have: bars have no numbering, so a final bar that is lost
 * on the way shows only by the bar that follows. It tells that the one before is over, and by the ids of its trades
 * whether there were others in between; where nobody traded there was no bar. Pure.
 */
export class MissedBars {
  readonly #last = new Map<string, LastBar>()

  /** Takes note of a bar of the stream; answers what is missing before it, null for nothing. */
  see(bar: VenueKline): MissedRange | null {
    const { openTimeUs, closed, trades, firstTradeId, lastTradeId } = bar
    const name = nameOf(bar.symbol, bar.interval)
    const last = this.#last.get(name)
    if (last !== undefined && (openTimeUs < last.openTimeUs || (openTimeUs === last.openTimeUs && last.closed))) {
      return null
    }
    if (last?.openTimeUs === openTimeUs) {
      // Two connections may show one bar, and the slower one less of it.
      const first = firstTradeId ?? last.firstTradeId
      const newest = lastTradeId ?? last.newestTradeId
      const own = { firstTradeId: first, lastTradeId: lastTradeId ?? last.lastTradeId, newestTradeId: newest }
      this.#last.set(name, { ...last, closed, trades: Math.max(trades, last.trades), ...own })
      return null
    }
    const before = last === undefined ? NOTHING_SHOWN : shownBefore(bar, last)
    const newestTradeId = lastTradeId ?? last?.newestTradeId ?? null
    this.#last.set(name, { openTimeUs, closed, trades, firstTradeId, lastTradeId, newestTradeId, before })
    if (last === undefined) return null
    if (!last.closed) return { fromOpenTimeUs: last.openTimeUs, toOpenTimeUs: openTimeUs - 1 }
    const traded = firstTradeId !== null && last.newestTradeId !== null && firstTradeId > last.newestTradeId + 1
    return traded ? { fromOpenTimeUs: last.openTimeUs + 1, toOpenTimeUs: openTimeUs - 1 } : null
  }

  /** What the stream has shown of the bars before the one that opened at `openTimeUs`, if that is its newest. */
  shownBefore(symbol: string, interval: string, openTimeUs: number): ShownBars {
    const last = this.#last.get(nameOf(symbol, interval))
    return last?.openTimeUs === openTimeUs ? last.before : NOTHING_SHOWN
  }
}

function nameOf(symbol: string, interval: string): string {
  return `${symbol} ${interval}`
}

function shownBefore({ openTimeUs, firstTradeId }: VenueKline, last: LastBar): ShownBars {
  const unfinished = last.closed ? null : { openTimeUs: last.openTimeUs, trades: last.trades }
  const firstMissing = last.closed ? (last.lastTradeId ?? Number.NaN) + 1 : (last.firstTradeId ?? Number.NaN)
  const trades = (firstTradeId ?? Number.NaN) - firstMissing
  if (!(trades >= 0)) return { unfinished, counted: null }
  const fromOpenTimeUs = last.closed ? last.openTimeUs + 1 : last.openTimeUs
  return { unfinished, counted: { fromOpenTimeUs, toOpenTimeUs: openTimeUs - 1, trades } }
}
