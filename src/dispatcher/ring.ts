import assert from 'node:assert'
import type { ChannelOutcome, OfferReader } from '../bus/publish.ts'
import { type Channel, GapCause, type Quality } from '../domain/event.ts'
import { type Slab, Slabs } from '../lib/slabs.ts'
import type { CallAnswer } from './line.ts'
import { acknowledgedOffer, heldBytesOf, type LineOffer } from './line-offer.ts'

/** How much of what was acknowledged is remembered, for a Redis that comes back without it. */
export interface RingLimits {
  readonly bytesMax: number
  /** Longer than a fail-over takes. */
  readonly ageMsMax: number
}

const NO_PARTS: readonly string[] = ['']

/** Forgotten chunks kept for what comes; what is beyond goes to the collector. */
const FREE_CHUNKS_MAX = 32_768

/**
 * What was acknowledged together, as bytes: remembering costs one object a batch, and the offers themselves die young, where the
 * collector never has to move them. The bytes are copied out of the call: around them stand keys and header, as much again
 * where a batch is one event, and calls are sent and answered in another order than their offers are forgotten.
 *
 * A chunk outlives what is young, so one that was forgotten serves again: with many instruments each holds one event, and
 * moving them and their boxed numbers would be most of what the collector does.
 */
class Chunk {
  line: LineRing | null = null
  /** The next of the same line. */
  next: Chunk | null = null
  /** Where the batch's offers stand; null when they were let go. */
  slab: Slab | null = null
  at = 0
  reader: OfferReader | null = null
  /** How the batch was sent. */
  quality: Quality = 'LIVE'
  /** Which of its offers are in the stream; null: all of them. */
  kept: readonly number[] | null = null
  events = 0
  /** What they weigh when they are handed out; here less where many share a call, and more where each is alone in its group. */
  bytes = 0
  /** Of the first and the last of them. */
  low = 0
  high = 0
  firstUs = 0
  lastUs = 0
  /** Which parts are in it, KLINE; else ''. */
  parts = NO_PARTS
  atMs = 0
}

function offersOf({ line, slab, at, reader, quality, kept, events }: Chunk): LineOffer[] {
  assert(line !== null && slab !== null && reader !== null, 'what the ring has let go cannot be offered')
  const offers = reader.read(slab.memory, at, kept === null ? events : (kept.at(-1) as number) + 1, line.channel)
  return pick(offers, kept).map((offer) => acknowledgedOffer(offer, quality))
}

/** Those at these places; null: all of them. */
function pick<One>(all: readonly One[], places: readonly number[] | null): readonly One[] {
  return places === null ? all : places.map((at) => all[at] as One)
}

/**
 * The acknowledged offers of all lines, oldest first over all of them, so that one bound in bytes and one in age hold for
 * everything. What is forgotten is the oldest, whichever line it belongs to; but the newest event of a line stays, however
 * old: a Redis that has it lacks nothing of a quiet line, and one that has not is told so at once.
 */
export class Ring {
  readonly #limits: RingLimits
  readonly #memory = new Slabs()
  #chunks: (Chunk | null)[] = []
  #head = 0
  readonly #free: Chunk[] = []
  events = 0
  bytes = 0

  constructor(limits: RingLimits) {
    this.#limits = limits
  }

  /** What the offers' bytes take, with what is free for the next ones. */
  get memoryBytes(): number {
    return this.#memory.bytes
  }

  get spareChunks(): number {
    return this.#free.length
  }

  /** A ring of one line. */
  line(channel: Channel): LineRing {
    return new LineRing(this, channel)
  }

  /** A chunk of a line with memory for its offers, to be filled and added. */
  chunk(line: LineRing, bytes: number): Chunk {
    const chunk = this.#free.pop() ?? new Chunk()
    chunk.line = line
    chunk.slab = this.#memory.take(bytes)
    chunk.at = chunk.slab.end - bytes
    return chunk
  }

  add(chunk: Chunk): void {
    this.#chunks.push(chunk)
    this.events += chunk.events
    this.bytes += chunk.bytes
  }

  /** Forgets what is beyond the bounds. */
  trim(nowMs: number): void {
    const { bytesMax, ageMsMax } = this.#limits
    for (;;) {
      const oldest = this.#chunks[this.#head]
      if (oldest === undefined || oldest === null) break
      if (oldest.slab !== null) {
        if (this.bytes <= bytesMax && nowMs - oldest.atMs <= ageMsMax) break
        oldest.line?.forgetOldest()
        this.letGo(oldest)
      }
      this.#chunks[this.#head++] = null
      oldest.next = null
      if (this.#free.length < FREE_CHUNKS_MAX) this.#free.push(oldest)
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

  /** It is forgotten, or handed out to be offered again and remembered anew when that is acknowledged. */
  letGo(chunk: Chunk): void {
    assert(chunk.slab !== null, 'what the ring has let go cannot be let go again')
    this.#memory.giveBack(chunk.slab)
    chunk.slab = null
    this.events -= chunk.events
    this.bytes -= chunk.bytes
  }
}

/** What lies behind the bounds, but for what is pinned: where the first ever forgotten begins, and where the last ends. */
interface Forgotten {
  readonly low: number
  readonly firstUs: number
  high: number
  lastUs: number
}

/** What one line had acknowledged and can offer again, and between which offers lies what it can not. */
export class LineRing {
  readonly channel: Channel
  readonly #ring: Ring
  #oldest: Chunk | null = null
  #newest: Chunk | null = null
  #forgotten: Forgotten | null = null
  #lostUnderWay = false
  /** By part (KLINE: interval): the newest, of those that were forgotten. A snapshot is too big for that, and can be had anew. */
  readonly #pinned = new Map<string, LineOffer>()

  constructor(ring: Ring, channel: Channel) {
    this.#ring = ring
    this.channel = channel
  }

  /** Whether the stream held more of this line than can be offered again. */
  get incomplete(): boolean {
    return this.#forgotten !== null
  }

  /** Remembers those of a call's batch that are in the stream. */
  keep(offers: readonly LineOffer[], { result, nowMs }: CallAnswer, index: number): void {
    if (offers[0]?.kind === 'LOST') this.#lostUnderWay = false
    const { sent } = result
    const outcome = result.channels[index] ?? null
    const kept = outcome === null || outcome.outcomes.length === 0 ? null : acknowledged(offers, outcome)
    const there = pick(offers, kept)
    const [first, last] = [there[0], there.at(-1)]
    if (first === undefined || last === undefined) return
    const parts = last.part === '' ? NO_PARTS : [...new Set(there.map(({ part }) => part))]
    if (this.#pinned.size > 0) this.#unpin(parts)
    let bytes = 0
    for (const offer of there) bytes += heldBytesOf(offer)
    const chunk = this.#ring.chunk(this, sent.bytesOf(index))
    sent.copy(index, (chunk.slab as Slab).memory, chunk.at)
    chunk.reader = sent.reader
    chunk.quality = first.quality
    chunk.kept = kept
    chunk.events = there.length
    chunk.bytes = bytes
    chunk.low = first.low
    chunk.high = last.high
    chunk.firstUs = first.receivedTimeUs
    chunk.lastUs = last.receivedTimeUs
    chunk.parts = parts
    chunk.atMs = nowMs
    if (this.#newest === null) this.#oldest = chunk
    else this.#newest.next = chunk
    this.#newest = chunk
    this.#ring.add(chunk)
    this.#ring.trim(nowMs)
  }

  /**
   * Hands out everything, oldest first, for a Redis that may lack it. In front stands what can not be offered any more, told
   * as a gap where that Redis lacks all of it. `byId`: the numbering has no holes, so the gap is one of ids. `trace`: of that gap.
   */
  takeAll(byId: boolean, trace: string): LineOffer[] {
    const all: LineOffer[] = [...this.#pinned.values()]
    const lost = this.#lostUnderWay ? null : this.#lost(byId, trace)
    if (lost !== null) {
      all.unshift(lost)
      this.#lostUnderWay = true
    }
    for (let chunk = this.#oldest; chunk !== null; chunk = chunk.next) all.push(...offersOf(chunk))
    this.clear()
    return all
  }

  /** The venue's numbering began anew: what was remembered of the old one would stand in the way of the new. */
  clear(): void {
    for (let chunk = this.#oldest; chunk !== null; chunk = chunk.next) this.#ring.letGo(chunk)
    this.#oldest = null
    this.#newest = null
    for (const offer of this.#pinned.values()) this.#ring.unpin(offer)
    this.#pinned.clear()
  }

  #unpin(parts: readonly string[]): void {
    for (const part of parts) {
      const offer = this.#pinned.get(part)
      if (offer === undefined) continue
      this.#pinned.delete(part)
      this.#ring.unpin(offer)
      if (part === '') this.#endForgotten(offer.high, offer.receivedTimeUs)
    }
  }

  #pin(offer: LineOffer): void {
    if (offer.kind === 'SNAPSHOT') return
    this.#unpin([offer.part])
    this.#pinned.set(offer.part, offer)
    this.#ring.pin(offer)
    // A delta alone brings an empty stream nothing: there it is lost with the rest.
    if (offer.part === '' && offer.kind !== 'DELTA') this.#endForgotten(offer.low - 1, offer.receivedTimeUs)
  }

  #endForgotten(high: number, lastUs: number): void {
    if (this.#forgotten === null) return
    this.#forgotten.high = high
    this.#forgotten.lastUs = lastUs
  }

  /** Whether something newer of its part is remembered. */
  #isNewest(part: string): boolean {
    for (let chunk = this.#oldest; chunk !== null; chunk = chunk.next) if (chunk.parts.includes(part)) return false
    return true
  }

  #lost(byId: boolean, trace: string): LineOffer | null {
    if (this.#forgotten === null) return null
    const { low, firstUs, high, lastUs } = this.#forgotten
    const [pinned] = this.#pinned.values()
    const oldest = this.#oldest
    const remembered = oldest === null ? undefined : { low: oldest.low, receivedTimeUs: oldest.firstUs }
    const next = (pinned?.kind === 'DELTA' ? undefined : pinned) ?? remembered
    const from = byId ? low : firstUs
    const to = byId ? (next === undefined ? high : next.low - 1) : (next?.receivedTimeUs ?? lastUs)
    if (to < from) return null
    return {
      kind: 'LOST',
      id: `${from}`,
      first: `${to}`,
      venueTimeUs: null,
      receivedTimeUs: lastUs,
      source: 'dispatcher.ring',
      trace,
      declare: GapCause.SinkReset,
      refresh: false,
      data: '',
      low: from,
      high: to,
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
    const chunk = this.#oldest
    assert(chunk !== null, 'the ring has forgotten all of this line')
    this.#oldest = chunk.next
    if (chunk.next === null) this.#newest = null
    const { low, high, firstUs, lastUs, parts } = chunk
    if (this.#forgotten === null) this.#forgotten = { low, firstUs, high, lastUs }
    else this.#endForgotten(high, lastUs)
    const newest = parts.filter((part) => this.#isNewest(part))
    if (newest.length === 0) return
    const offers = offersOf(chunk)
    for (const part of newest) this.#pin(offers.findLast((offer) => offer.part === part) as LineOffer)
  }
}

/** Which of the offers are in the stream now: appended, told with a gap before them, or there already. */
function acknowledged(offers: readonly LineOffer[], outcome: ChannelOutcome): number[] {
  const kept: number[] = []
  let next = 0
  for (const { index, verdict } of outcome.outcomes) {
    for (; next < index; next++) kept.push(next)
    const offer = offers[next]
    const isThere = verdict === 'duplicate' || verdict === 'gapTold'
    if (offer !== undefined && offer.kind !== 'LOST' && isThere) kept.push(next)
    next++
  }
  for (; next < offers.length; next++) kept.push(next)
  return kept
}
