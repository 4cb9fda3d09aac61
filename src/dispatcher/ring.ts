import type { ChannelOutcome } from '../bus/publish.ts'
import { GapCause } from '../domain/event.ts'
import { heldBytesOf, type LineOffer } from './line-offer.ts'

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
 * everything. What is forgotten is the oldest, whichever line it belongs to; but the newest event of a line stays, however
 * old: a Redis that has it lacks nothing of a quiet line, and one that has not is told so at once.
 */
export class Ring {
  readonly #limits: RingLimits
  #chunks: (Chunk | null)[] = []
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
      bytes += heldBytesOf(offer)
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
      if (oldest === undefined || oldest === null) break
      if (!oldest.taken) {
        if (this.bytes <= bytesMax && nowMs - oldest.atMs <= ageMsMax) break
        oldest.line.forgetOldest()
        this.take(oldest)
      }
      this.#chunks[this.#head++] = null
    }
    if (this.#head > 256 && this.#head * 2 > this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#head)
      this.#head = 0
    }
  }

  /** The newest of a line outlives the bounds. */
  pin(offer: LineOffer): void {
    this.events++
    this.bytes += heldBytesOf(offer)
  }

  unpin(offer: LineOffer): void {
    this.events--
    this.bytes -= heldBytesOf(offer)
  }

  take(chunk: Chunk): void {
    chunk.taken = true
    this.events -= chunk.offers.length
    this.bytes -= chunk.bytes
  }
}

/** The end of what was forgotten, but for what is pinned; the offers themselves may be big. */
type Edge = Pick<LineOffer, 'high' | 'receivedTimeUs' | 'trace'>

function edgeOf({ high, receivedTimeUs, trace }: LineOffer): Edge {
  return { high, receivedTimeUs, trace }
}

/** What one line had acknowledged and can offer again, and between which offers lies what it can not. */
export class LineRing {
  readonly #ring: Ring
  #chunks: (Chunk | null)[] = []
  #head = 0
  /** Where the first ever forgotten begins, and the last ends. */
  #forgotten: { readonly low: number; readonly receivedTimeUs: number; last: Edge } | null = null
  #lostUnderWay = false
  /** By part (KLINE: interval): the newest, of those that were forgotten. A snapshot is too big for that, and can be had anew. */
  readonly #pinned = new Map<string, LineOffer>()

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
    if (this.#pinned.size > 0) this.#unpin(kept)
    this.#chunks.push(this.#ring.add(this, kept, nowMs))
    this.#ring.trim(nowMs)
  }

  /**
   * Hands out everything, oldest first, for a Redis that may lack it. In front stands what can not be offered any more, told
   * as a gap where that Redis lacks all of it. `byId`: the numbering has no holes, so the gap is one of ids.
   */
  takeAll(byId: boolean): LineOffer[] {
    const all: LineOffer[] = [...this.#pinned.values()]
    const lost = this.#lostUnderWay ? null : this.#lost(byId)
    if (lost !== null) {
      all.unshift(lost)
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
    for (const offer of this.#pinned.values()) this.#ring.unpin(offer)
    this.#pinned.clear()
  }

  #unpin(newer: readonly LineOffer[]): void {
    for (const { part } of newer) {
      const offer = this.#pinned.get(part)
      if (offer === undefined) continue
      this.#pinned.delete(part)
      this.#ring.unpin(offer)
      if (this.#forgotten !== null && part === '') this.#forgotten.last = edgeOf(offer)
    }
  }

  #pin(offer: LineOffer): void {
    if (offer.kind === 'SNAPSHOT') return
    this.#unpin([offer])
    this.#pinned.set(offer.part, offer)
    this.#ring.pin(offer)
    // A delta alone brings an empty stream nothing: there it is lost with the rest.
    if (this.#forgotten === null || offer.part !== '' || offer.kind === 'DELTA') return
    this.#forgotten.last = { ...edgeOf(offer), high: offer.low - 1 }
  }

  /** Whether something newer of its part is remembered. */
  #isNewest(offer: LineOffer): boolean {
    for (let at = this.#head; at < this.#chunks.length; at++) {
      if ((this.#chunks[at] as Chunk).offers.some(({ part }) => part === offer.part)) return false
    }
    return true
  }

  #lost(byId: boolean): LineOffer | null {
    if (this.#forgotten === null) return null
    const { low, receivedTimeUs, last } = this.#forgotten
    const [pinned] = this.#pinned.values()
    const next = (pinned?.kind === 'DELTA' ? undefined : pinned) ?? this.#chunks[this.#head]?.offers[0]
    const from = byId ? low : receivedTimeUs
    const to = byId ? (next === undefined ? last.high : next.low - 1) : (next ?? last).receivedTimeUs
    if (to < from) return null
    return {
      kind: 'LOST',
      id: `${from}`,
      first: `${to}`,
      venueTime: '',
      receivedTime: `${last.receivedTimeUs}`,
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
      quality: 'LIVE',
      merged: 0,
    }
  }

  /** Told by the ring, which forgets in the same order. */
  forgetOldest(): void {
    const chunk = this.#chunks[this.#head] as Chunk
    this.#chunks[this.#head++] = null
    if (this.#head > 64 && this.#head * 2 > this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#head)
      this.#head = 0
    }
    const [first, last] = [chunk.offers[0], chunk.offers.at(-1)] as [LineOffer, LineOffer]
    this.#forgotten ??= { low: first.low, receivedTimeUs: first.receivedTimeUs, last: edgeOf(last) }
    this.#forgotten.last = edgeOf(last)
    // Of a line with one part the newest can only be the last, and only when nothing is left.
    if (last.part !== '') for (const offer of chunk.offers) if (this.#isNewest(offer)) this.#pin(offer)
    if (last.part === '' && this.#head === this.#chunks.length) this.#pin(last)
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
