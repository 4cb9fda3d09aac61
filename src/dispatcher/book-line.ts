import type { ChannelBatch, OfferOutcome } from '../bus/publish.ts'
import { isSnapshotUsable, judgeDelta } from '../domain/book/join.ts'
import { GapCause, type Quality } from '../domain/event.ts'
import type { BookGuard } from './book-guard.ts'
import type { GuardedLine } from './guard-parts.ts'
import { HeldDeltas } from './held-deltas.ts'
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

/** An unjoined line asks so often, with its oldest delta, whether another process's snapshot joined the stream meanwhile. */
const ASK_MS = 1_000

/**
 * The line of an ORDERBOOK channel: which deltas are offered, which are held, and when a snapshot is wanted.
 *
 * - `unknown`: nothing was answered yet. Deltas are offered at once; if the stream stands from an earlier life and they
 *   continue it, no snapshot is ever needed.
 * - `joined`: the script applies. A delta above a hole is held for the tolerance, then declared.
 * - `unjoined`: deltas are buffered, sorted, until a snapshot comes that can carry them. A delta that continues what the
 *   stream has is offered even so: it heals the gap without a request. The oldest is offered once a second all the same,
 *   because another process may have joined the stream while this one waits for the venue's answer.
 *
 * Only this instrument is touched by any of it. Pure: it is told the time and tells its wishes to the watch.
 */
export class BookLine implements Line, GuardedLine {
  readonly key: LineKey
  readonly counts = newLineCounts()
  tableVersion: number
  queued = false

  readonly guard: BookGuard
  readonly #shared: LineShared
  readonly #pending = new OfferQueue()
  readonly #above: HeldDeltas
  readonly #overlap: OverlapWait
  readonly #ring: LineRing
  #flying: LineOffer[] = []
  #state: 'unknown' | 'joined' | 'unjoined' = 'unknown'
  /** Newest snapshot that was not offered yet, or that was answered `early`. */
  #snapshot: LineOffer | null = null
  /** Last update id known to be in the stream, -1 while unknown. */
  #have = -1
  #order = 0
  #epoch = ''
  #stopped = false
  /** When an unjoined stream is asked next whether it still is. */
  #askAtMs = 0
  /** The interruption since which nothing showed that the stream stands at the venue's present position. */
  #resume: { cause: GapCause; order: number } | null = { cause: GapCause.Disconnect, order: 1 }

  constructor(key: LineKey, tableVersion: number, shared: LineShared, guard: BookGuard) {
    this.key = key
    this.tableVersion = tableVersion
    this.#shared = shared
    this.guard = guard
    guard.line = this
    this.#above = new HeldDeltas(shared, this.counts)
    this.#overlap = new OverlapWait(shared.limits.overlapWaitMs)
    this.#ring = shared.ring.line(key.channel)
  }

  get quality(): Quality {
    return this.guard.shown.quality
  }

  get joined(): boolean {
    return this.#state === 'joined' && !this.#stopped
  }

  get have(): number {
    return this.#have
  }

  waiting(): LineOffer[] {
    return [...this.#above.list(), ...this.#pending.list()].filter(({ kind }) => kind === 'DELTA')
  }

  /** Nothing came since the start or the last interruption, so the stream may stand behind the venue. */
  get unproven(): boolean {
    return this.#resume !== null
  }

  /** Nothing under way will show where the stream stands: no event waits or flies, no snapshot is at hand. */
  get idle(): boolean {
    return this.#pending.length === 0 && this.#flying.length === 0 && this.#snapshot === null
  }

  get unknown(): boolean {
    return this.#state === 'unknown'
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
    this.#state = 'unknown'
    this.#have = -1
    this.guard.unjoined(false, false)
    this.#resume = { cause, order: this.#order + 1 }
  }

  push(offer: LineOffer): void {
    if (this.#stopped) return
    offer.order = ++this.#order
    offer.quality = this.guard.enteringWord
    if (this.#resume?.order === offer.order && this.#shared.covered(this.key.instrument)) this.#overlap.begin()
    if (offer.kind === 'SNAPSHOT') {
      this.#takeSnapshot(offer)
      return
    }
    this.#pending.push(offer)
    this.#shared.queue.enter(offer)
    if (offer.kind === 'DELTA') this.guard.record(offer)
  }

  interrupted(_part: string, cause: GapCause): void {
    this.#resume ??= { cause, order: this.#order + 1 }
  }

  offerAgain(): void {
    this.#again([], false)
  }

  overlapped(): void {
    this.#resume = null
  }

  get oldestUs(): number {
    return Math.min(...[this.#flying[0], this.#pending.peek()].map((offer) => offer?.receivedTimeUs ?? Infinity))
  }

  get mergeable(): number {
    return this.#pending.unmerged
  }

  merge(): void {
    this.counts.merged += this.#pending.merge(this.#shared.queue)
  }

  ready(nowMs: number): boolean {
    if (this.#overlap.holds(nowMs)) return false
    if (this.#pending.length > 0) return true
    if (this.#snapshot !== null && (this.#state !== 'joined' || this.#snapshotDue(this.#snapshot, nowMs))) return true
    if (this.#state === 'joined' && this.guard.rolls(this.#have)) return true
    const head = this.#above.peek()
    if (head === undefined) return false
    if (this.#state !== 'unjoined') return judgeDelta(this.#have, head) !== 'gap' || this.#overdue(head, nowMs)
    return nowMs >= this.#askAtMs || (this.#have >= 0 && judgeDelta(this.#have, head) !== 'gap')
  }

  wakeMs(): number {
    if (this.#overlap.untilMs > 0) return this.#overlap.untilMs
    const { latenessToleranceMs, earlyToleranceMs } = this.#shared.limits
    const head = this.#above.peek()
    let deltaMs = Number.POSITIVE_INFINITY
    if (head !== undefined)
      deltaMs = this.#state === 'unjoined' ? this.#askAtMs : head.heldSinceMs + latenessToleranceMs
    const early = this.#snapshot
    return early === null ? deltaMs : Math.min(deltaMs, early.heldSinceMs + earlyToleranceMs)
  }

  take(room: CallRoom, nowMs: number): ChannelBatch | null {
    if (this.#overlap.holds(nowMs)) return null
    if (this.#shared.pressure.overloaded && this.mergeable > 1) this.merge()
    const offers: LineOffer[] = []
    if (this.#state === 'unjoined') this.#takeUnjoined(offers, room, nowMs)
    else this.#takeFlowing(offers, room, nowMs)
    if (offers.length === 0) return null
    this.#flying = offers
    return {
      market: this.key.market,
      instrument: this.key.instrument,
      channel: this.key.channel,
      tableVersion: this.tableVersion,
      numbering: '',
      quality: (offers[0] as LineOffer).quality,
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
    const before = this.#state
    const { unproven } = this
    let next = 0
    if (outcome !== null) {
      if (this.#epoch !== outcome.epoch && this.#epoch !== '') this.#ring.clear()
      this.#epoch = outcome.epoch
      this.#have = outcome.have === '' ? -1 : Number(outcome.have)
      // Set first, because it decides which bound the deltas that come back are counted in.
      if (outcome.joined) this.#enter('joined')
      else if (outcome.outcomes.some(isBookAnswer)) this.#enter('unjoined')
      for (const told of outcome.outcomes) {
        for (; next < told.index; next++) this.#appended(offers[next])
        const offer = offers[told.index]
        next = told.index + 1
        if (offer !== undefined) this.#exception(offer, told, nowMs, retried)
      }
    } else {
      this.#enter('joined')
    }
    for (; next < offers.length; next++) this.#appended(offers[next])
    if (this.#state === 'joined') {
      if (before === 'unjoined') this.counts.stale += this.#above.dropUpTo(this.#have)
      if (before !== 'joined' || (unproven && !this.unproven)) this.#shared.watch.joined(this.key)
      this.#dropPassedSnapshot()
    } else if (this.#state === 'unjoined' && this.#snapshot === null && !this.#stopped) {
      this.#askAtMs = nowMs + ASK_MS
      const outran = this.guard.outran(this.#have, this.#above.peek())
      if (outran !== null) this.#takeSnapshot(outran)
      else if (before !== 'unjoined' || !this.guard.wanting)
        this.guard.want(this.guard.shown.quality === 'GAPPED' ? 'gap' : 'start')
    }
    this.#ring.keep(offers, answer, index)
    if (this.#stopped) this.#letGo()
  }

  /** Nothing of it is wanted any more, nor what was remembered for another Redis. */
  #letGo(): void {
    const { queue } = this.#shared
    for (const offer of this.#pending.takeAll()) queue.leave(offer)
    this.#above.letGo()
    if (this.#snapshot !== null) queue.leave(this.#snapshot)
    this.#snapshot = null
    this.guard.letGo()
    this.#ring.clear()
  }

  /** What the other Redis may lack goes first, then what was under way, then what waits above a hole; the script sorts it out. */
  #again(flying: readonly LineOffer[], retried: boolean): void {
    const front = this.#ring.takeAll(true, this.#shared.trace())
    for (const offer of front) this.#shared.queue.enter(offer)
    if (retried) for (const offer of flying) if (offer.known === 'new') offer.known = 'unsure'
    this.#pending.putFront([...front, ...flying, ...this.#above.takeAll()])
    this.#state = 'unknown'
    this.#have = -1
    if (front.length > 0) this.#resume = { cause: GapCause.SinkDown, order: 0 }
  }

  /** A snapshot matters while the stream is not joined, or not proven to stand where the venue stands. */
  #takeSnapshot(offer: LineOffer): void {
    if (this.#state === 'joined' && this.#resume === null) return
    if (this.#snapshot !== null) this.#shared.queue.leave(this.#snapshot)
    this.#snapshot = offer
    this.#shared.queue.enter(offer)
  }

  #takeFlowing(offers: LineOffer[], room: CallRoom, nowMs: number): void {
    let have = this.#have
    if (this.#state === 'unknown' && this.#snapshot !== null && this.#pending.length === 0) {
      // A quiet symbol: no delta came yet, so the snapshot goes alone.
      const snapshot = this.#snapshot
      if (putOffer(offers, snapshot, room)) this.#snapshot = null
      return
    }
    const early = this.#snapshot
    if (early !== null && this.#state === 'joined' && this.#snapshotDue(early, nowMs)) {
      if (early.heldSinceMs !== 0) early.declare = this.#resume?.cause ?? GapCause.Lost
      if (!putOffer(offers, early, room)) return
      this.#snapshot = null
      have = Math.max(have, early.high)
    } else if (this.#state === 'joined' && this.guard.rolls(have, 'first')) {
      this.#refresh(offers, room, have)
    }
    for (;;) {
      const delta = this.#pending.peek()
      if (delta === undefined) break
      // A snapshot that is offered again keeps its place; whether it is early is for the script to say.
      const above = delta.kind === 'DELTA' && this.#above.length > 0 && judgeDelta(have, delta) === 'gap'
      if (!above && !putOffer(offers, delta, room)) return
      this.#pending.shift()
      if (above) this.#above.hold(delta, nowMs)
      else if (delta.kind !== 'LOST') have = Math.max(have, delta.high)
    }
    if (this.#state === 'joined' && this.guard.rolls(have, 'last')) this.#refresh(offers, room, have)
    for (;;) {
      const head = this.#above.peek()
      if (head === undefined) return
      if (judgeDelta(have, head) !== 'gap') {
        if (!putOffer(offers, head, room)) return
        this.#above.shift()
        have = Math.max(have, head.high)
      } else if (this.#overdue(head, nowMs)) {
        // What follows a declared hole would be refused, so the call of this line ends here.
        head.declare = this.#causeFor(head, nowMs)
        if (putOffer(offers, head, room)) this.#above.shift()
        return
      } else {
        return
      }
    }
  }

  #refresh(offers: LineOffer[], room: CallRoom, have: number): void {
    if (!this.guard.refresh(offers, room, have, this.#shared)) return
    // What waits came while the book was doubted; behind the snapshot it is no more.
    for (const offer of this.#pending.list()) offer.quality = this.guard.enteringWord
  }

  #takeUnjoined(offers: LineOffer[], room: CallRoom, nowMs: number): void {
    let have = this.#have
    for (;;) {
      const delta = this.#pending.peek()
      if (delta === undefined) break
      // Ids count for nothing while the stream never had any.
      const continues = delta.kind !== 'DELTA' || (have >= 0 && judgeDelta(have, delta) !== 'gap')
      if (continues && !putOffer(offers, delta, room)) return
      this.#pending.shift()
      if (continues) {
        if (delta.kind !== 'LOST') have = Math.max(have, delta.high)
      } else {
        this.#above.hold(delta, nowMs)
      }
    }
    const snapshot = this.#snapshot
    if (snapshot !== null && have === this.#have) {
      if (!isSnapshotUsable(snapshot.high, this.#above.peek())) {
        this.#snapshot = null
        this.#shared.queue.leave(snapshot)
        this.guard.want('start', true)
        return
      }
      // Alone: where another process's line made the stream join meanwhile the answer is `early`, and the deltas that the
      // snapshot holds are what continues the stream.
      if (putOffer(offers, snapshot, room)) this.#snapshot = null
      return
    }
    for (;;) {
      const head = this.#above.peek()
      if (head === undefined) return
      // Ids count for nothing while the stream never had any.
      const continues = have >= 0 && judgeDelta(have, head) !== 'gap'
      if (!continues && (offers.length > 0 || nowMs < this.#askAtMs)) return
      if (!putOffer(offers, head, room)) return
      this.#above.shift()
      // What it waited for a snapshot is no time in which another writer could have brought what is missing below it.
      head.heldSinceMs = 0
      if (!continues) return
      have = Math.max(have, head.high)
    }
  }

  #appended(offer: LineOffer | undefined): void {
    if (offer === undefined) return
    this.#shared.queue.leave(offer)
    if (offer.kind === 'LOST') return
    if (offer.known === 'acknowledged') this.counts.restored++
    else if (offer.kind === 'SNAPSHOT') this.counts.snapshots++
    else this.counts.appended++
    if (offer.high > this.#have) this.#have = offer.high
    this.#proven(offer)
    if (offer.kind === 'SNAPSHOT') {
      if (offer.refresh) this.guard.refreshed(offer.high)
      else this.guard.joinedBySnapshot(offer.high)
    }
    // A snapshot that waited for its place says nothing of how long events take.
    if (offer.known !== 'acknowledged' && !offer.refresh) this.#shared.watch.appended(offer)
  }

  #exception(offer: LineOffer, told: OfferOutcome, nowMs: number, retried: boolean): void {
    switch (told.verdict) {
      case 'duplicate':
        if (offer.known !== 'acknowledged' && (retried || offer.known === 'unsure')) {
          this.#appended(offer)
          return
        }
        this.#shared.queue.leave(offer)
        if (offer.kind === 'LOST') {
          // It has something, and less than was there: a quiet venue will not show it.
          if (this.#have < offer.high && this.#pending.length === 0) this.guard.want('quiet')
          return
        }
        if (offer.refresh && offer.known === 'new') this.guard.refreshMissed()
        else if (offer.known === 'new') this.counts.duplicates++
        if (offer.high >= this.#have) this.#proven(offer)
        return
      case 'gap':
        this.#above.hold(offer, nowMs)
        return
      case 'early':
        if (offer.refresh) {
          this.#shared.queue.leave(offer)
          this.guard.refreshMissed()
          return
        }
        if (offer.heldSinceMs === 0) offer.heldSinceMs = nowMs
        if (this.#snapshot === null) this.#snapshot = offer
        else this.#shared.queue.leave(offer)
        return
      case 'gapTold':
        this.counts.gaps++
        this.#appended(offer)
        this.#shared.watch.gapTold(this.key, 0, -1, offer)
        return
      case 'gapToldRefused':
        this.counts.gaps++
        this.guard.unjoined(true, this.#have < 0)
        this.#proven(offer)
        offer.declare = ''
        this.#shared.watch.gapTold(this.key, 0, -1, offer)
        this.#above.hold(offer, nowMs)
        return
      case 'refused':
        this.#refused(offer, told, nowMs)
    }
  }

  #refused(offer: LineOffer, told: OfferOutcome, nowMs: number): void {
    const reason = told.reason ?? 'error'
    this.counts.refusedByReason[reason] = (this.counts.refusedByReason[reason] ?? 0) + 1
    if (reason === 'unjoined' && offer.kind === 'DELTA') {
      // Declared, and refused because a try whose answer got lost had told the gap.
      if (offer.declare !== '') this.guard.unjoined(true, false)
      offer.declare = ''
      // It would continue what the stream has, and was refused all the same: after a reset ids count for nothing, and
      // offering it again and again would change nothing.
      if (this.#have >= 0 && judgeDelta(this.#have, offer) !== 'gap') this.#have = -1
      this.#above.hold(offer, nowMs)
      return
    }
    this.#shared.queue.leave(offer)
    if (offer.refresh) {
      this.guard.refreshMissed()
      return
    }
    if (reason === 'snapshot-too-old') {
      this.guard.want('start', true)
      return
    }
    if (reason !== 'table-version') this.counts.refused++
    this.#shared.watch.refused(this.key, offer, reason, told.error)
    if (reason === 'error' && offer.kind === 'SNAPSHOT') this.guard.want('start', true)
  }

  #dropPassedSnapshot(): void {
    const early = this.#snapshot
    if (early === null || early.high > this.#have) return
    this.#snapshot = null
    this.#shared.queue.leave(early)
  }

  #enter(state: 'joined' | 'unjoined'): void {
    if (state === this.#state) return
    this.#state = state
    this.#above.buffer(state === 'unjoined')
    if (state === 'joined') this.guard.joined()
    else this.guard.unjoined(this.guard.shown.quality === 'GAPPED', false)
  }

  #proven(offer: LineOffer): void {
    if (this.#resume !== null && offer.order >= this.#resume.order) this.#resume = null
  }

  #snapshotDue(early: LineOffer, nowMs: number): boolean {
    return early.heldSinceMs === 0 || nowMs - early.heldSinceMs >= this.#shared.limits.earlyToleranceMs
  }

  #overdue(head: LineOffer, nowMs: number): boolean {
    const { latenessToleranceMs, heldPerLineMax } = this.#shared.limits
    return nowMs - head.heldSinceMs >= latenessToleranceMs || this.#above.length >= heldPerLineMax
  }

  #causeFor(head: LineOffer, nowMs: number): GapCause {
    if (this.#resume !== null && head.order >= this.#resume.order) return this.#resume.cause
    const overdue = nowMs - head.heldSinceMs >= this.#shared.limits.latenessToleranceMs
    return overdue ? GapCause.Lost : GapCause.Overflow
  }
}

/** Answers that say something of the book; errors and refused versions leave the line as it is. */
function isBookAnswer(told: OfferOutcome): boolean {
  return told.verdict !== 'refused' || told.reason === 'unjoined' || told.reason === 'snapshot-too-old'
}
