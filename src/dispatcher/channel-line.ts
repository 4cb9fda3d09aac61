import type { ChannelBatch, OfferOutcome } from '../bus/publish.ts'
import { Channel, GapCause, Quality, type TradeNumbering } from '../domain/event.ts'
import {
  type CallAnswer,
  type CallRoom,
  type Line,
  type LineKey,
  type LineShared,
  newLineCounts,
  putOffer,
} from './line.ts'
import { type LineOffer, OfferQueue } from './line-offer.ts'
import { OverlapWait } from './overlap.ts'
import type { LineRing } from './ring.ts'

/** An interruption of the venue's line, and the number of the first offer after it. */
interface Interruption {
  readonly cause: GapCause
  readonly order: number
}

/**
 * The line of a TRADE, QUOTE, TICKER or KLINE channel.
 *
 * The script is the authority: everything is offered as it comes, and duplicates are its business. What is missing in a
 * contiguous numbering shows as the verdict `gap`; then the events above the hole are held, sorted by id, until the
 * missing ones came (by another line, or out of order) or the tolerance is over, and are offered again, with `declare`
 * in the latter case. In-order events never wait. The other channels have no contiguous numbering: there the first event
 * after an interruption says so, and the script tells the gap if no other line covered it.
 *
 * Nothing here waits or asks for the time, so the whole repair can be tested step by step.
 */
export class ChannelLine implements Line {
  readonly key: LineKey
  readonly counts = newLineCounts()
  readonly numbering: TradeNumbering | ''
  /** What is missing shows by the numbering. */
  readonly isContiguous: boolean
  tableVersion: number
  queued = false

  readonly #shared: LineShared
  readonly #pending = new OfferQueue()
  readonly #held = new OfferQueue()
  readonly #overlap: OverlapWait
  readonly #ring: LineRing
  #flying: LineOffer[] = []
  /** Last venue id known to be in the stream, -1 while unknown. */
  #have = -1
  #order = 0
  #epoch = ''
  #stopped = false
  /** Of parts that never flowed here. */
  #startCause: GapCause = GapCause.Disconnect
  /** Contiguous numbering: the interruption since which nothing was appended, and the first order number after it. */
  #resume: Interruption | null = { cause: GapCause.Disconnect, order: 1 }
  /** Other numberings, by part (KLINE: interval): '' while it flows, else the cause of the interruption. Unknown: just started. */
  readonly #resumeParts = new Map<string, GapCause | ''>()
  /** The part that came last, where it flows: it need not be looked up. */
  #flowingPart: string | null = null
  /** KLINE: open time of the newest bar appended, by interval. */
  readonly #lastByPart = new Map<string, number>()
  /** KLINE: id of the newest duplicate, by interval. */
  readonly #lastDuplicate = new Map<string, string>()

  constructor(key: LineKey, numbering: TradeNumbering | '', tableVersion: number, shared: LineShared) {
    this.key = key
    this.numbering = numbering
    this.tableVersion = tableVersion
    this.#shared = shared
    this.isContiguous = key.channel === Channel.Trade
    this.#overlap = new OverlapWait(shared.limits.overlapWaitMs)
    this.#ring = shared.ring.line(key.channel)
  }

  get stopped(): boolean {
    return this.#stopped
  }

  stop(): void {
    this.#stopped = true
    this.#letGo()
  }

  start(cause: GapCause): void {
    this.#stopped = false
    this.#have = -1
    this.#startCause = cause
    this.#resume = { cause, order: this.#order + 1 }
    this.#resumeParts.clear()
    this.#flowingPart = null
  }

  /** Whether the next event of this part tells an interruption, or a beginning, that no hole in a numbering would show. */
  owesGap(part: string): boolean {
    return !this.isContiguous && this.#resumeParts.get(part) !== ''
  }

  /** Nothing waits, is held or under way. */
  get idle(): boolean {
    return this.#pending.length === 0 && this.#held.length === 0 && this.#flying.length === 0
  }

  push(offer: LineOffer): void {
    if (this.#stopped) return
    offer.order = ++this.#order
    if (this.isContiguous) {
      if (this.#resume?.order === offer.order) {
        if (isSignOfLife(offer)) this.#resumed()
        else this.#resume = { ...this.#resume, order: offer.order + 1 }
      }
    } else if (offer.part !== this.#flowingPart) {
      this.#resumePart(offer)
    }
    this.#pending.push(offer)
    this.#shared.queue.enter(offer)
  }

  #resumePart(offer: LineOffer): void {
    const { part } = offer
    const cause = this.#resumeParts.get(part) ?? this.#startCause
    if (cause !== '') {
      if (!isSignOfLife(offer)) return
      offer.declare = cause
      this.#resumeParts.set(part, '')
      this.#resumed()
    }
    this.#flowingPart = part
  }

  interrupted(part: string, cause: GapCause): void {
    this.#flowingPart = null
    // An interruption that nothing followed yet goes on: its first cause stands.
    if (this.isContiguous) this.#resume ??= { cause, order: this.#order + 1 }
    else if (this.#resumeParts.get(part) === '') this.#resumeParts.set(part, cause)
  }

  offerAgain(): void {
    this.#again([], false)
  }

  overlapped(part: string, untilUs: number): void {
    // A hole in a contiguous numbering shows by itself.
    if (this.isContiguous) return
    this.#resumeParts.set(part, '')
    // The first event may wait for just this. What came until then the other process must have been sent too: where it did not
    // append that, the venue sent it nothing by this topic.
    for (const offer of this.#pending.list()) {
      if (offer.part !== part || offer.known !== 'new' || offer.declare === GapCause.SinkDown) continue
      if (offer.receivedTimeUs > untilUs) offer.declare = ''
    }
  }

  get oldestUs(): number {
    return Math.min(...[this.#flying[0], this.#pending.peek()].map((offer) => offer?.receivedTimeUs ?? Infinity))
  }

  get mergeable(): number {
    return this.isContiguous ? 0 : this.#pending.unmerged
  }

  merge(): void {
    this.counts.merged += this.#pending.merge(this.#shared.queue)
  }

  ready(nowMs: number): boolean {
    if (this.#overlap.holds(nowMs)) return false
    return this.#pending.length > 0 || this.#releasable(nowMs)
  }

  wakeMs(): number {
    if (this.#overlap.untilMs > 0) return this.#overlap.untilMs
    const head = this.#held.peek()
    return head === undefined ? Number.POSITIVE_INFINITY : head.heldSinceMs + this.#shared.limits.latenessToleranceMs
  }

  take(room: CallRoom, nowMs: number): ChannelBatch | null {
    if (this.#overlap.holds(nowMs)) return null
    if (this.#shared.pressure.overloaded && this.mergeable > 1) this.merge()
    const offers: LineOffer[] = []
    let have = this.#have
    let resume = this.#resume
    if (this.#held.length > 0) {
      have = this.#sortPending(offers, room, nowMs)
      for (;;) {
        const head = this.#held.peek()
        if (head === undefined) break
        const fits = head.low <= have + 1
        if (!fits && !this.#overdue(head, nowMs)) break
        if (!fits) head.declare = this.#causeFor(head, resume, nowMs)
        if (!putOffer(offers, head, room)) break
        this.#held.shift()
        if (head.high > have) have = head.high
        // An interruption explains the first hole after it and no other, also within one call.
        if (resume !== null && head.order >= resume.order) resume = null
      }
    }
    if (this.#held.length === 0) {
      for (;;) {
        const head = this.#pending.peek()
        if (head === undefined || !putOffer(offers, head, room)) break
        this.#pending.shift()
      }
    }
    if (offers.length === 0) return null
    this.#flying = offers
    return {
      market: this.key.market,
      instrument: this.key.instrument,
      channel: this.key.channel,
      tableVersion: this.tableVersion,
      numbering: this.numbering,
      quality: Quality.Live,
      epoch: this.#epoch,
      offers,
    }
  }

  settle(answer: CallAnswer, index: number): void {
    const { result, nowMs, retried } = answer
    const outcome = result.channels[index] ?? null
    const offers = this.#flying
    this.#flying = []
    if (outcome?.outcomes[0]?.reason === 'epoch') {
      this.#epoch = outcome.epoch
      this.#again(offers, retried)
      return
    }
    let next = 0
    let have = this.#have
    for (const told of outcome?.outcomes ?? []) {
      for (; next < told.index; next++) have = this.#appended(offers[next], have)
      const offer = offers[told.index]
      next = told.index + 1
      if (offer !== undefined) have = this.#exception(offer, told, have, nowMs, retried)
    }
    for (; next < offers.length; next++) have = this.#appended(offers[next], have)
    if (outcome === null) {
      this.#have = have
    } else {
      if (this.#epoch !== outcome.epoch && this.#epoch !== '') this.#ring.clear()
      this.#epoch = outcome.epoch
      if (this.isContiguous && outcome.have !== '') this.#have = Number(outcome.have)
    }
    this.#ring.keep(offers, answer, index)
    if (this.#stopped) this.#letGo()
  }

  /** Nothing of it is wanted any more, nor what was remembered for another Redis. */
  #letGo(): void {
    for (const offer of [...this.#pending.takeAll(), ...this.#held.takeAll()]) this.#shared.queue.leave(offer)
    this.#ring.clear()
  }

  /** What the other Redis may lack goes first, then what was under way, then what is held; the script sorts it out. */
  #again(flying: readonly LineOffer[], retried: boolean): void {
    const front = this.#ring.takeAll(this.isContiguous, this.#shared.trace())
    for (const offer of front) this.#shared.queue.enter(offer)
    if (retried) for (const offer of flying) if (offer.known === 'new') offer.known = 'unsure'
    // Declared by where the other Redis stood; where this one stands shows first.
    if (this.isContiguous) for (const offer of flying) if (offer.kind === 'TRADE') offer.declare = ''
    this.#pending.putFront([...front, ...flying, ...this.#held.takeAll()])
    this.#have = -1
    if (front.length === 0) return
    if (this.isContiguous) this.#resume = { cause: GapCause.SinkDown, order: 0 }
    else if (this.#ring.incomplete) declareFirstOfParts(front)
  }

  #resumed(): void {
    if (this.#shared.covered(this.key.instrument)) this.#overlap.begin()
  }

  #appended(offer: LineOffer | undefined, have: number): number {
    if (offer === undefined) return have
    this.#shared.queue.leave(offer)
    if (offer.kind === 'GIVEUP' || offer.kind === 'LOST') return have
    if (offer.known === 'acknowledged') {
      this.counts.restored++
    } else {
      this.counts.appended++
      this.#shared.watch.appended(offer)
    }
    if (offer.part !== '') this.#lastByPart.set(offer.part, offer.low)
    if (this.#resume !== null && offer.order >= this.#resume.order) this.#resume = null
    return this.isContiguous && offer.high > have ? offer.high : have
  }

  #exception(offer: LineOffer, told: OfferOutcome, have: number, nowMs: number, retried: boolean): number {
    switch (told.verdict) {
      case 'gap':
      case 'early':
        if (offer.heldSinceMs === 0) offer.heldSinceMs = nowMs
        this.#hold(offer)
        return have
      case 'duplicate':
        if (offer.known === 'acknowledged') {
          this.#shared.queue.leave(offer)
          // The stream reaches into the ring, so nothing is missing before it.
          if (this.#resume?.cause === GapCause.SinkDown) this.#resume = null
          return have
        }
        if (retried || offer.known === 'unsure') return this.#appendedBefore(offer, have)
        this.#shared.queue.leave(offer)
        if (offer.kind === 'GIVEUP' || offer.kind === 'LOST') return have
        this.counts.duplicates++
        // The stream has it by another line, so what is missing above it has nothing to do with the interruption before it.
        if (this.#resume !== null && offer.order >= this.#resume.order) this.#resume = null
        if (offer.part === '') return have
        if (this.#lastDuplicate.get(offer.part) === offer.id) this.counts.repeated++
        else this.#lastDuplicate.set(offer.part, offer.id)
        return have
      case 'gapTold': {
        this.counts.gaps++
        this.#tellGap(offer, have)
        return this.#appended(offer, have)
      }
      case 'gapToldRefused':
      case 'refused': {
        this.#shared.queue.leave(offer)
        const reason = told.reason ?? 'error'
        // What a table refuses that went on meanwhile is not wanted; whoever lags for long is told by the watch.
        if (reason !== 'table-version') this.counts.refused++
        this.counts.refusedByReason[reason] = (this.counts.refusedByReason[reason] ?? 0) + 1
        this.#shared.watch.refused(this.key, offer, reason, told.error)
        return have
      }
    }
  }

  /** The try whose answer got lost appended it; a hole that was to be declared with it was told then and is still to be filled. */
  #appendedBefore(offer: LineOffer, have: number): number {
    const told = offer.declare !== '' && (!this.isContiguous || offer.low > have + 1)
    if (told) this.#tellGap(offer, have)
    // Of the other channels nobody knows any more whether the script had a gap to tell.
    if (told && this.isContiguous) this.counts.gaps++
    return this.#appended(offer, have)
  }

  #tellGap(shown: LineOffer, have: number): void {
    const { watch } = this.#shared
    if (shown.kind === 'LOST') {
      if (this.isContiguous) watch.gapTold(this.key, shown.low, shown.high, shown)
      return
    }
    if (this.key.channel === Channel.Kline) {
      watch.gapTold(this.key, this.#lastByPart.get(shown.part) ?? -1, shown.low - 1, shown)
    } else if (this.isContiguous && have >= 0 && shown.low > have + 1) {
      watch.gapTold(this.key, have + 1, shown.low - 1, shown)
    } else {
      watch.gapTold(this.key, 0, -1, shown)
    }
  }

  /**
   * While something is held, what comes is sorted in among it, so that a missing event that has already arrived is seen
   * before a hole is declared. What lies at or below the stream's position (a filling, a second copy) goes out at once.
   */
  #sortPending(offers: LineOffer[], room: CallRoom, nowMs: number): number {
    let have = this.#have
    for (;;) {
      const offer = this.#pending.peek()
      if (offer === undefined) return have
      if (offer.low <= have + 1) {
        if (!putOffer(offers, offer, room)) return have
        this.#pending.shift()
        if (offer.high > have && offer.kind !== 'GIVEUP') have = offer.high
      } else {
        this.#pending.shift()
        offer.heldSinceMs = nowMs
        this.#hold(offer)
      }
    }
  }

  #hold(offer: LineOffer): void {
    if (this.#held.insert(offer)) return
    this.#shared.queue.leave(offer)
    this.counts.duplicates++
  }

  #releasable(nowMs: number): boolean {
    const head = this.#held.peek()
    return head !== undefined && (head.low <= this.#have + 1 || this.#overdue(head, nowMs))
  }

  #overdue(head: LineOffer, nowMs: number): boolean {
    const { latenessToleranceMs, heldPerLineMax } = this.#shared.limits
    return nowMs - head.heldSinceMs >= latenessToleranceMs || this.#held.length >= heldPerLineMax
  }

  #causeFor(head: LineOffer, resume: Interruption | null, nowMs: number): GapCause {
    if (resume !== null && head.order >= resume.order) return resume.cause
    const overdue = nowMs - head.heldSinceMs >= this.#shared.limits.latenessToleranceMs
    return overdue ? GapCause.Lost : GapCause.Overflow
  }
}

/** An answer of REST, or the end of a gap, shows nothing of the stream: the first event by the stream is what resumes it. */
function isSignOfLife({ kind, source }: LineOffer): boolean {
  return kind !== 'GIVEUP' && !source.includes('.rest.')
}

/** What begins a part again says so: the script tells the gap before it unless it is in the stream already. */
function declareFirstOfParts(offers: readonly LineOffer[]): void {
  const seen = new Set<string>()
  for (const offer of offers) {
    if (offer.kind === 'LOST' || !isSignOfLife(offer) || seen.has(offer.part)) continue
    seen.add(offer.part)
    if (offer.declare === '') offer.declare = GapCause.SinkDown
  }
}
