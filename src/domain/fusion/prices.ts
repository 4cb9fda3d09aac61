import {
  addDecimal,
  divideDecimal,
  isUnsignedDecimal,
  isZeroDecimal,
  multiplyDecimal,
  scaleOf,
  subtractDecimal,
} from '../decimal.ts'
import type { Level } from '../event.ts'
import type { QuotePayload } from './fusion.ts'

/** Places that divisions carry beyond the price's own. */
export const DIVISION_DIGITS = 8

/** The best bid and ask, each with its quantity. */
export interface Best {
  readonly bid: Level
  readonly ask: Level
}

export function bestOf(bids: readonly Level[], asks: readonly Level[]): Best | null {
  const [bid] = bids
  const [ask] = asks
  if (bid === undefined || ask === undefined) return null
  return [...bid, ...ask].every(isUnsignedDecimal) ? { bid, ask } : null
}

export function bestOfQuote(quote: QuotePayload | null): Best | null {
  if (quote === null || isZeroDecimal(quote.bidQuantity) || isZeroDecimal(quote.askQuantity)) return null
  return { bid: [quote.bidPrice, quote.bidQuantity], ask: [quote.askPrice, quote.askQuantity] }
}

/** What follows from the best bid and ask; nothing when one is missing. */
export function prices(best: Best | null): object {
  if (best === null) return {}
  const [bid, bidQuantity] = best.bid
  const [ask, askQuantity] = best.ask
  const digits = Math.max(scaleOf(bid), scaleOf(ask)) + DIVISION_DIGITS
  const quantity = addDecimal(bidQuantity, askQuantity)
  const weighted = addDecimal(multiplyDecimal(bid, askQuantity), multiplyDecimal(ask, bidQuantity))
  return {
    mid: multiplyDecimal(addDecimal(bid, ask), '0.5'),
    spread: subtractDecimal(ask, bid),
    imbalance: divideDecimal(subtractDecimal(bidQuantity, askQuantity), quantity, digits),
    microprice: divideDecimal(weighted, quantity, digits),
  }
}
