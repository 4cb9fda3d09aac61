import type { Offer } from '../bus/publish.ts'
import type { GapCause, Quality } from '../domain/event.ts'
import { flatten } from '../lib/flat-text.ts'
import { mergeOffers } from './merge.ts'

/**
 * An offer while the dispatcher holds it: what travels, and beside it the numbers that the repair needs, so that text is
 * never turned back into numbers. It is handed to the bus as it stands.
 */
export interface LineOffer extends Offer {
  declare: GapCause | ''
  /** First and last venue id it covers; equal but for book deltas. */
  readonly low: number
  readonly high: number
  /** KLINE: the interval, which has a position of its own in the stream. Else ''. */
  readonly part: string
  /** Running number on its line, in order of arrival. */
  order: number
  /** Monotonic ms since when it waits for something missing below it; 0 while it never did. */
  heldSinceMs: number
  /** What is known of it: nothing yet, that the answer to it got lost, or that it was in the stream of some Redis. */
  known: 'new' | 'unsure' | 'acknowledged'
  /** ORDERBOOK: the word for its entry, as the book stood when it came. */
  quality: Quality
  /** How many others it stands for. */
  readonly merged: number
}

/** One that was in the stream of some Redis, as it was sent there in a batch of this quality. */
export function acknowledgedOffer(offer: Offer, quality: Quality): LineOffer {
  const [part = '', number = ''] = offer.kind === 'KLINE' ? offer.id.split('@') : ['', offer.id]
  return {
    ...offer,
    low: Number(offer.kind === 'DELTA' ? offer.first : number),
    high: Number(offer.kind === 'LOST' ? offer.first : number),
    part,
    order: 0,
    heldSinceMs: 0,
    known: 'acknowledged',
    quality,
    merged: 0,
  }
}

/** What the fixed fields of an offer weigh on the wire beside its payload, so that a call can be bounded unmeasured. */
const OFFER_FIXED_BYTES = 200
/** And in memory: its own fields and the texts they hold, as measured in a heap of 170,000 offers. */
const HELD_FIXED_BYTES = 800

export function bytesOf(offer: Offer): number {
  return offer.data.length + OFFER_FIXED_BYTES
}

/** What it weighs while it is held. */
export function heldBytesOf(offer: Offer): number {
  return offer.data.length + HELD_FIXED_BYTES
}

/** How much is held somewhere, in events and bytes; shared by all lines that fill the same bound. */
export class OfferGauge {
  events = 0
  bytes = 0

  enter(offer: Offer): void {
    this.events++
    this.bytes += heldBytesOf(offer)
  }

  leave(offer: Offer): void {
    this.events--
    this.bytes -= heldBytesOf(offer)
  }

  /** Moves what `from` counted of these offers over here. */
  moveFrom(from: OfferGauge, events: number, bytes: number): void {
    from.events -= events
    from.bytes -= bytes
    this.events += events
    this.bytes += bytes
  }
}

/** First in, first out; taking from the front costs nothing per element. */
export class OfferQueue {
  #items: LineOffer[] = []
  #head = 0
  /** So many at the front are as few as `mergeOffers` could make of them. */
  #merged = 0
  bytes = 0

  /** How many came since they were merged. */
  get unmerged(): number {
    return this.length - this.#merged
  }

  get length(): number {
    return this.#items.length - this.#head
  }

  push(offer: LineOffer): void {
    this.#items.push(offer)
    this.bytes += heldBytesOf(offer)
  }

  peek(): LineOffer | undefined {
    return this.#items[this.#head]
  }

  shift(): LineOffer | undefined {
    const offer = this.#items[this.#head]
    if (offer === undefined) return undefined
    this.#head++
    if (this.#merged > 0) this.#merged--
    this.bytes -= heldBytesOf(offer)
    // The taken front is cut off when it is the greater part, so every element is moved at most once on average.
    if (this.#head > 64 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    } else if (this.#head === this.#items.length) {
      this.#items.length = 0
      this.#head = 0
    }
    return offer
  }

  /** Puts these before everything else. */
  putFront(offers: readonly LineOffer[]): void {
    if (offers.length === 0) return
    this.#items = [...offers, ...this.#items.slice(this.#head)]
    this.#head = 0
    this.#merged = 0
    for (const offer of offers) this.bytes += heldBytesOf(offer)
  }

  /** Makes of all there is as few as say the same; answers how many went. `gauge` counts what is in here. */
  merge(gauge: OfferGauge): number {
    const before = this.length
    const items = mergeOffers(this.#head === 0 ? this.#items : this.#items.slice(this.#head))
    this.#merged = items.length
    if (items.length === before) return 0
    gauge.events += items.length - before
    gauge.bytes -= this.bytes
    this.#items = items
    this.#head = 0
    this.bytes = 0
    for (const offer of items) {
      flatten(offer.data)
      this.bytes += heldBytesOf(offer)
    }
    gauge.bytes += this.bytes
    return before - items.length
  }

  list(): LineOffer[] {
    return this.#items.slice(this.#head)
  }

  takeAll(): LineOffer[] {
    const all = this.#items.slice(this.#head)
    this.#items = []
    this.#head = 0
    this.#merged = 0
    this.bytes = 0
    return all
  }

  /** Drops from the front what covers nothing above `high`; answers how many. */
  dropUpTo(high: number, gauge: OfferGauge): number {
    let dropped = 0
    // Sorted by first id, so the first that reaches beyond it need not be the last such one; the script judges those.
    for (let head = this.peek(); head !== undefined && head.high <= high; head = this.peek()) {
      this.shift()
      gauge.leave(head)
      dropped++
    }
    return dropped
  }

  /** Drops the older half. */
  dropHalf(gauge: OfferGauge): void {
    for (let count = Math.ceil(this.length / 2); count > 0; count--) {
      const oldest = this.shift()
      if (oldest !== undefined) gauge.leave(oldest)
    }
  }

  /** Puts it where its first id belongs; false when one that covers the same ids is there already. */
  insert(offer: LineOffer): boolean {
    let at = this.#items.length
    while (at > this.#head) {
      const before = this.#items[at - 1] as LineOffer
      if (before.low < offer.low || (before.low === offer.low && before.high < offer.high)) break
      if (before.low === offer.low && before.high === offer.high) return false
      at--
    }
    if (at === this.#items.length) this.#items.push(offer)
    else this.#items.splice(at, 0, offer)
    // It may wait for long, and was not sent yet where its book waits for a snapshot.
    flatten(offer.data)
    this.bytes += heldBytesOf(offer)
    return true
  }
}
