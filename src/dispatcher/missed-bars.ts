import type { VenueKline } from '../venues/venue.ts'

interface LastBar {
  readonly openTimeUs: number
  readonly closed: boolean
  readonly lastTradeId: number | null
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
  see({ topic, openTimeUs, closed, firstTradeId, lastTradeId }: VenueKline): MissedRange | null {
    const last = this.#last.get(topic)
    if (last !== undefined && (openTimeUs < last.openTimeUs || (openTimeUs === last.openTimeUs && last.closed))) {
      return null
    }
    this.#last.set(topic, { openTimeUs, closed, lastTradeId: lastTradeId ?? last?.lastTradeId ?? null })
    if (last === undefined || openTimeUs === last.openTimeUs) return null
    if (!last.closed) return { fromOpenTimeUs: last.openTimeUs, toOpenTimeUs: openTimeUs - 1 }
    const traded = firstTradeId !== null && last.lastTradeId !== null && firstTradeId > last.lastTradeId + 1
    return traded ? { fromOpenTimeUs: last.openTimeUs + 1, toOpenTimeUs: openTimeUs - 1 } : null
  }
}
