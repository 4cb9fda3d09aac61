import type { ChannelOutcome } from '../bus/publish.ts'
import { GapCause } from '../domain/event.ts'
import { bytesOf, type LineOffer } from './line-offer.ts'

/** How much of what was acknowledged is remembered, for a Redis that comes back without it. */
export interface RingLimits {
  readonly bytesMax: number
  /** Longer than a fail-over takes. */
  readonly ageMsMax: number
}

/** What was acknowledged together: the very array of the call, so that remembering costs one object a batch. */
interface Chunk {
  readonly line: LineRing
  readonly offers: readonly LineOffer[]
  readonly bytes: number
  readonly atMs: number
  /** Handed out to be offered again; it is remembered anew when that is acknowledged. */
  taken: boolean
}

/**
 * The acknowledged offers of all lines, oldest first over all of them, so that one bound in bytes and one in age hold for
 * everything. What is forgotten is the oldest, whichever line it belongs to.
 */
export class Ring {
  readonly #limits: RingLimits
  #chunks: Chunk[] = []
  #head = 0
  events = 0
  bytes = 0

  constructor(limits: RingLimits) {
    this.#limits = limits
  }

  /** A ring of one line. */
  line(): LineRing {
    return new LineRing(this)
  }

  add(line: LineRing, offers: readonly LineOffer[], nowMs: number): Chunk {
    let bytes = 0
    for (const offer of offers) {
      offer.known = 'acknowledged'
      bytes += bytesOf(offer)
    }
    const chunk: Chunk = { line, offers, bytes, atMs: nowMs, taken: false }
    this.#chunks.push(chunk)
    this.events += offers.length
    this.bytes += bytes
    return chunk
  }

  /** Forgets what is beyond the bounds. */
  trim(nowMs: number): void {
    const { bytesMax, ageMsMax } = this.#limits
    for (;;) {
      const oldest = this.#chunks[this.#head]
      if (oldest === undefined) break
      if (!oldest.taken) {
        if (this.bytes <= bytesMax && nowMs - oldest.atMs <= ageMsMax) break
        oldest.line.forgetOldest()
        this.take(oldest)
      }
      this.#head++
    }
    if (this.#head > 256 && this.#head * 2 > this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#head)
      this.#head = 0
    }
  }

  take(chunk: Chunk): void {
    chunk.taken = true
    this.events -= chunk.offers.length
    this.bytes -= chunk.bytes
  }
}

/** What one line had acknowledged and can offer again, and between which offers lies what it can not. */
export class LineRing {
  readonly #ring: Ring
  #chunks: Chunk[] = []
  #head = 0
  /** The first ever forgotten, and the last. */
  #forgotten: { readonly first: LineOffer; last: LineOffer } | null = null
  #lostUnderWay = false

  constructor(ring: Ring) {
    this.#ring = ring
  }

  /** Whether the stream held more of this line than can be offered again. */
  get incomplete(): boolean {
    return this.#forgotten !== null
  }

  /** Remembers those of a call that are in the stream; `outcome` as the line was told. */
  keep(offers: readonly LineOffer[], outcome: ChannelOutcome | null, nowMs: number): void {
    if (offers[0]?.kind === 'LOST') this.#lostUnderWay = false
    const kept = outcome === null || outcome.outcomes.length === 0 ? offers : acknowledged(offers, outcome)
    if (kept.length === 0) return
    this.#chunks.push(this.#ring.add(this, kept, nowMs))
    this.#ring.trim(nowMs)
  }

  /**
   * Hands out everything, oldest first, for a Redis that may lack it. In front stands what can not be offered any more, told
   * as a gap where that Redis lacks all of it. `byId`: the numbering has no holes, so the gap is one of ids.
   */
  takeAll(byId: boolean): LineOffer[] {
    const all: LineOffer[] = []
    const lost = this.#lostUnderWay ? null : this.#lost(byId)
    if (lost !== null) {
      all.push(lost)
      this.#lostUnderWay = true
    }
    for (; this.#head < this.#chunks.length; this.#head++) {
      const chunk = this.#chunks[this.#head] as Chunk
      this.#ring.take(chunk)
      for (const offer of chunk.offers) {
        offer.heldSinceMs = 0
        all.push(offer)
      }
    }
    this.clear()
    return all
  }

  /** The venue's numbering began anew: what was remembered of the old one would stand in the way of the new. */
  clear(): void {
    for (; this.#head < this.#chunks.length; this.#head++) this.#ring.take(this.#chunks[this.#head] as Chunk)
    this.#chunks = []
    this.#head = 0
  }

  #lost(byId: boolean): LineOffer | null {
    if (this.#forgotten === null) return null
    const { first, last } = this.#forgotten
    const next = this.#chunks[this.#head]?.offers[0]
    const from = byId ? first.low : first.receivedTimeUs
    const to = byId ? (next === undefined ? last.high : next.low - 1) : (next ?? last).receivedTimeUs
    if (to < from) return null
    return {
      kind: 'LOST',
      id: `${from}`,
      first: `${to}`,
      venueTime: '',
      receivedTime: last.receivedTime,
      source: 'dispatcher.ring',
      trace: last.trace,
      declare: GapCause.SinkReset,
      refresh: false,
      data: '',
      low: from,
      high: to,
      receivedTimeUs: last.receivedTimeUs,
      part: '',
      order: 0,
      heldSinceMs: 0,
      known: 'new',
      merged: 0,
    }
  }

  /** Told by the ring, which forgets in the same order. */
  forgetOldest(): void {
    const chunk = this.#chunks[this.#head] as Chunk
    this.#head++
    if (this.#head > 64 && this.#head * 2 > this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#head)
      this.#head = 0
    }
    const first = chunk.offers[0] as LineOffer
    const last = chunk.offers.at(-1) as LineOffer
    if (this.#forgotten === null) this.#forgotten = { first, last }
    else this.#forgotten.last = last
  }
}

/** The offers that are in the stream now: appended, told with a gap before them, or there already. */
function acknowledged(offers: readonly LineOffer[], outcome: ChannelOutcome): LineOffer[] {
  const kept: LineOffer[] = []
  let next = 0
  for (const { index, verdict } of outcome.outcomes) {
    for (; next < index; next++) kept.push(offers[next] as LineOffer)
    const offer = offers[next++]
    if (offer !== undefined && offer.kind !== 'LOST' && (verdict === 'duplicate' || verdict === 'gapTold'))
      kept.push(offer)
  }
  for (; next < offers.length; next++) kept.push(offers[next] as LineOffer)
  return kept
}
