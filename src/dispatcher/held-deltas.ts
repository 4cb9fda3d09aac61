import type { LineCounts, LineShared } from './line.ts'
import { heldBytesOf, type LineOffer, OfferQueue } from './line-offer.ts'

/**
 * The deltas of a book above a hole, sorted by first id: held for the tolerance while the stream is joined, the buffer of the
 * next snapshot while it is not. As a buffer they count against the bound of the buffers, else against that of the queues.
 */
export class HeldDeltas {
  readonly #shared: Pick<LineShared, 'limits' | 'queue' | 'bookBuffers'>
  readonly #counts: LineCounts
  readonly #offers = new OfferQueue()
  #isBuffer = false

  constructor(shared: Pick<LineShared, 'limits' | 'queue' | 'bookBuffers'>, counts: LineCounts) {
    this.#shared = shared
    this.#counts = counts
  }

  get length(): number {
    return this.#offers.length
  }

  peek(): LineOffer | undefined {
    return this.#offers.peek()
  }

  list(): LineOffer[] {
    return this.#offers.list()
  }

  /** Whether it is a buffer from now on. */
  buffer(is: boolean): void {
    if (is === this.#isBuffer) return
    const { queue, bookBuffers } = this.#shared
    const [to, from] = is ? [bookBuffers, queue] : [queue, bookBuffers]
    to.moveFrom(from, this.#offers.length, this.#offers.bytes)
    this.#isBuffer = is
  }

  /** Takes one that the queues' bound counts. */
  hold(delta: LineOffer, nowMs: number): void {
    const { queue, bookBuffers, limits } = this.#shared
    if (this.#isBuffer) {
      bookBuffers.moveFrom(queue, 1, heldBytesOf(delta))
      if (this.#offers.length >= limits.bookBufferEventsMax || bookBuffers.events > limits.bookBuffersEventsMax) {
        // The snapshot to come is younger than the older half, so nothing is lost by throwing that away.
        this.#offers.dropHalf(bookBuffers)
        this.#counts.bufferRestarts++
      }
    }
    if (delta.heldSinceMs === 0) delta.heldSinceMs = nowMs
    if (this.#offers.insert(delta)) return
    this.#gauge.leave(delta)
    this.#counts.duplicates++
  }

  /** Takes the first out; the queues' bound counts it again. */
  shift(): void {
    const head = this.#offers.shift()
    if (head !== undefined && this.#isBuffer) {
      this.#shared.queue.moveFrom(this.#shared.bookBuffers, 1, heldBytesOf(head))
    }
  }

  /** All of them, and it is no buffer any more. */
  takeAll(): LineOffer[] {
    this.buffer(false)
    return this.#offers.takeAll()
  }

  /** Drops from the front what covers nothing above `high`; answers how many. */
  dropUpTo(high: number): number {
    return this.#offers.dropUpTo(high, this.#gauge)
  }

  letGo(): void {
    for (const offer of this.#offers.takeAll()) this.#gauge.leave(offer)
    this.#isBuffer = false
  }

  get #gauge() {
    return this.#isBuffer ? this.#shared.bookBuffers : this.#shared.queue
  }
}
