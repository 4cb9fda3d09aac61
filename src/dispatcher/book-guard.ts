import { isSnapshotUsable } from '../domain/book/join.ts'
import { BookProof } from '../domain/book/proof.ts'
import { rollForward } from '../domain/book/roll.ts'
import type { Grid } from '../domain/book/shadow-book.ts'
import { GapCause, type Quality } from '../domain/event.ts'
import {
  enteringWord,
  isDoubt,
  isSameWord,
  type Mismatch,
  newQuality,
  type QualityFact,
  type QualityState,
  type ShownQuality,
  stepQuality,
} from '../domain/quality.ts'
import type { VenueBookDelta, VenueBookSnapshot, VenueQuote } from '../venues/venue.ts'
import { snapshotOffer } from './canonical.ts'
import {
  type BookLimits,
  type GuardedLine,
  type GuardOwner,
  NO_LINE,
  type ResyncReason,
  UNHURRIED,
  updateOf,
} from './guard-parts.ts'
import { type CallRoom, type LineKey, type LineShared, putOffer } from './line.ts'
import type { LineOffer } from './line-offer.ts'

/** Wishes for one snapshot that wait for the same; whoever comes later is told nothing by it. */
const ASKED_MAX = 100
/** A snapshot this far ahead of a stream that does not move shows that deltas were lost, ms. */
const AHEAD_MS = 5_000
/** What a snapshot may weigh, so that it finds room: 1,000 levels a side and more. */
const REFRESH_BYTES = 128 * 1_024
/** A refresh that another writer was faster than is tried so often. */
const REFRESH_TRIES_MAX = 8
/** An oddity that a snapshot explained is not looked into again for so long. */
const ODD_REST_MS = 3_600_000

/**
 * What is known of one book beside its line: its proof, its quality, and which snapshot it needs why. While one is asked
 * for, the deltas are recorded, so that the answer can be brought to where the stream stands when it goes in.
 */
export class BookGuard {
  readonly key: LineKey
  line: GuardedLine = NO_LINE
  readonly proof: BookProof | null
  /** How much found no room. */
  readonly counts = { recordedDropped: 0, resyncsUnanswered: 0 }
  readonly #limits: BookLimits
  readonly #owner: GuardOwner
  #quality: QualityState
  /** Deltas since a snapshot was asked for; null while none is. */
  #recorded: LineOffer[] | null = null
  #reason: ResyncReason = 'start'
  readonly #asked: (() => void)[] = []
  /** An answer that waits for the stream to get there. */
  #snapshot: VenueBookSnapshot | null = null
  #snapshotMs = 0
  #tries = 0
  /** A snapshot that ends what is doubted is on its way into the stream. */
  #refreshing = false
  /** When the stream got its last snapshot, monotonic; of a book that never had one, when it was joined. */
  #refreshedMs: number
  #lastDeltaUs = 0
  #lastTickerUs = 0
  #lastDeltaId = 0
  #holedSweeps = 0
  /** Its deltas come here; another process keeps the book else. */
  #held = true
  /** The word that was told last. */
  #told: ShownQuality | null = null
  /** A word waits to be told until it is known what stands there. */
  #isDue = false
  #auditWanted = false
  /** Wrong verdicts that were told. */
  #wrong = 0
  /** Oddities that were looked at. */
  #odd = 0
  #oddAtRefresh = 0
  /** The last snapshot was compared with the proof, and was the same. */
  #agreed = false
  #oddRestUntilMs = Number.NEGATIVE_INFINITY

  constructor(key: LineKey, limits: BookLimits, owner: GuardOwner) {
    this.key = key
    this.#limits = limits
    this.#owner = owner
    this.proof = limits.proved ? new BookProof() : null
    this.#quality = newQuality(owner.nowUs())
    this.#refreshedMs = owner.nowMs()
  }

  /** A snapshot is asked for or waits for its place. */
  get wanting(): boolean {
    return this.#recorded !== null
  }

  get shown(): ShownQuality {
    return this.#quality.shown
  }

  /** The word for the entry of what comes now. */
  get enteringWord(): Quality {
    return enteringWord(this.#quality, this.#refreshing)
  }

  get held(): boolean {
    return this.#held
  }

  fact(fact: QualityFact): void {
    const before = this.#quality
    const owner = this.#owner
    this.#quality = stepQuality(before, fact, owner.nowMs(), owner.nowUs(), this.#limits.quarantine)
    if (fact.kind === 'resynced' || fact.kind === 'joined') for (const done of this.#asked.splice(0)) done()
    // Whoever had the book before may have said another word.
    const begins = this.#told === null && (fact.kind === 'unjoined' || fact.kind === 'joined')
    if (this.#quality.shown !== before.shown || begins) this.tell()
  }

  /** Says the word anew. Not before it is known what was said of the book: a doubt would be covered by a word that knows less. */
  tell(): void {
    if (!this.#held) return
    this.#isDue = this.#quality.unheard
    if (this.#isDue) return
    this.#told = this.#quality.shown
    this.#owner.changed(this)
  }

  // Who keeps it

  /** Its deltas come here from now on. They came to another process before, so what is known here is old. */
  take(): void {
    this.#held = true
    this.letGo()
    this.proof?.goBlind()
    this.proof?.tickersInterrupted()
    this.#auditWanted = false
    this.#told = null
    this.fact({ kind: 'taken' })
  }

  leave(): void {
    if (!this.#held) return
    this.#held = false
    this.letGo()
  }

  /** What stands where the quality is said; when it was asked for, `asked` was shown here. */
  heard(standing: ShownQuality | null, asked: ShownQuality): void {
    if (!this.#held) return
    const { unheard, doubt, shown } = this.#quality
    if (!unheard) {
      // What was told meanwhile came behind it.
      if (shown !== asked || isSameWord(standing, this.#told)) return
      if (standing === null || !isDoubt(standing)) {
        // Of two that keep it, one may know less than the other; only a doubt has to be seen.
        if (this.#owner.covered(this) && !isDoubt(shown)) return
        if (standing?.quality !== shown.quality || standing.reason !== shown.reason) this.tell()
        return
      }
      if (doubt !== null) return
    }
    this.fact({ kind: 'heard', shown: standing })
    if (this.#isDue) this.tell()
    if (doubt === null && this.line.joined) this.#wantDoubted()
  }

  /** Another process that keeps this book too doubts it: there is one stream, and this one's deltas stand in it no better. */
  doubtedElsewhere(standing: ShownQuality): void {
    this.fact({ kind: 'heard', shown: standing })
    if (this.line.joined) this.#wantDoubted()
  }

  #wantDoubted(tooOld = false): void {
    const { doubt, inherited } = this.#quality
    if (doubt !== null) this.want(inherited ? 'inherited' : doubt, tooOld)
  }

  /** A new snapshot on somebody's wish; `done` when it, or one that came meanwhile, stands in the stream. */
  ask(byOperator: boolean, done: () => void): void {
    if (byOperator && this.#quality.quarantinedUntilMs > 0) {
      this.fact({ kind: 'retried' })
      this.#owner.released(this)
    }
    if (this.#asked.length < ASKED_MAX) this.#asked.push(done)
    else this.counts.resyncsUnanswered++
    this.want('asked')
  }

  // What the venue tells, before it is merged with anything

  delta(event: VenueBookDelta, line: number): void {
    this.#lastDeltaUs = event.receivedTimeUs
    this.#lastDeltaId = event.last
    if (this.#quality.silent) this.fact({ kind: 'silent', silent: false })
    if (this.proof === null) return
    const mismatch = this.proof.update(event, line, event.receivedTimeUs)
    if (mismatch === null && this.proof.waiting) this.#owner.verdictsWait(this)
    this.#judged(this.proof, mismatch)
    if (this.proof.oddCount !== this.#odd) this.#lookAtOdd(this.proof.oddCount)
  }

  /** The venue's newest words on what prices and quantities are multiples of. */
  judgeBy(grid: Grid): void {
    this.proof?.judgeBy(grid)
    this.#oddRestUntilMs = Number.NEGATIVE_INFINITY
  }

  ticker(event: VenueQuote, line: number): void {
    this.#lastTickerUs = event.receivedTimeUs
    if (this.proof === null) return
    this.#judged(this.proof, this.proof.ticker(event, line))
  }

  /** False when no verdict waits any more. */
  sweepVerdicts(): boolean {
    if (this.proof === null) return false
    this.#judged(this.proof, this.proof.sweep(this.#owner.nowUs()))
    return this.proof.waiting
  }

  tickersInterrupted(): void {
    this.proof?.tickersInterrupted()
  }

  // What the line tells

  /** Every delta on its way to the stream. */
  record(offer: LineOffer): void {
    const recorded = this.#recorded
    if (recorded === null) return
    recorded.push(offer)
    if (recorded.length <= this.#limits.recordedMax) return
    const dropped = Math.ceil(recorded.length / 2)
    recorded.splice(0, dropped)
    this.counts.recordedDropped += dropped
  }

  joined(): void {
    if (this.#quality.joined) return
    this.fact({ kind: 'joined' })
    this.#refreshedMs = this.#owner.nowMs()
    if (this.#snapshot === null) this.#recorded = null
    this.#wantDoubted()
  }

  /** `renumbered`: the venue's ids began anew. */
  unjoined(gapped: boolean, renumbered: boolean): void {
    this.fact({ kind: 'unjoined', gapped })
    if (!renumbered) return
    this.proof?.goBlind()
    this.proof?.tickersInterrupted()
  }

  want(reason: ResyncReason, tooOld = false): void {
    if (!this.#held || (this.#quality.quarantinedUntilMs > 0 && this.line.joined)) return
    this.#recorded ??= this.line.waiting()
    this.#reason = reason
    this.#owner.want(this, reason, tooOld)
  }

  /** The request failed. False: it is not to be repeated. */
  requestFailed(): boolean {
    if (!UNHURRIED.has(this.#reason) || !this.line.joined) return true
    this.letGo()
    return false
  }

  // Snapshots

  /** The venue's answer; true when the line shall take it, to be joined by it. */
  answered(snapshot: VenueBookSnapshot): boolean {
    if (this.line.joined && !this.line.unproven) {
      if (this.#recorded === null) return false
      if (this.#quality.doubt !== null && this.proof !== null && snapshot.last < this.proof.wrongSince) {
        this.want(this.#reason, true)
        return false
      }
      this.#snapshot = snapshot
      this.#snapshotMs = this.#owner.nowMs()
      this.#tries = 0
      this.#owner.ready(this)
      return false
    }
    const recorded = this.#recorded ?? this.line.waiting()
    this.proof?.join(snapshot, recorded.map(updateOf))
    if (this.#quality.suspect) this.#suspect(false)
    this.#recorded = null
    this.#snapshot = null
    return true
  }

  /**
   * The stream, which stands at `have` (-1: at no id), lost its book at a hole below `head`. The answer that waited for its
   * place is over; one that outran the hole joins the book anew, and the venue need not be asked again.
   */
  outran(have: number, head: LineOffer | undefined): LineOffer | null {
    const snapshot = this.#snapshot
    this.#snapshot = null
    const joins = snapshot !== null && have >= 0 && snapshot.last > have && isSnapshotUsable(snapshot.last, head)
    if (!joins || !this.answered(snapshot)) return null
    return { ...snapshotOffer(snapshot, this.#owner.trace(), false), quality: this.enteringWord }
  }

  /**
   * Whether a snapshot can be brought to `have`. It goes in first, where the last call ended; where another writer was
   * there before, it is tried behind the deltas of the call, and so on in turn.
   */
  rolls(have: number, place?: 'first' | 'last'): boolean {
    if (this.#snapshot === null || this.#snapshot.last > have || this.#refreshing) return false
    return place === undefined || (this.#tries % 2 === 0) === (place === 'first')
  }

  /**
   * The snapshot that waits, brought to `have` by the recorded deltas; null where one of them is missing. On the way the
   * book is compared with it.
   */
  roll(have: number): VenueBookSnapshot | null {
    const snapshot = this.#snapshot
    const recorded = this.#recorded
    if (snapshot === null || recorded === null) return null
    const updates = recorded.map(updateOf).sort((left, right) => left.first - right.first)
    const rolled = rollForward(snapshot, updates, have)
    if (rolled === null) {
      // The host that answered lags behind the stream's.
      this.#snapshot = null
      if (this.#tries++ < REFRESH_TRIES_MAX) this.want(this.#reason, true)
      else this.letGo()
      return null
    }
    const { proof } = this
    if (proof !== null) {
      const reached = snapshot.last === proof.have || updates.some(({ last }) => last === proof.have)
      const isCompared = reached && this.#quality.doubt === null
      const differing = isCompared ? proof.differences(snapshot, updates) : 0
      this.#agreed = isCompared && differing === 0
      if (differing > 0) this.#mismatchFound('audit')
      proof.join(snapshot, updates)
    }
    return { ...snapshot, ...rolled }
  }

  /** Puts the snapshot that waits into the call, directly behind the delta that it equals. */
  refresh(offers: LineOffer[], room: CallRoom, have: number, { queue, trace }: LineShared): boolean {
    // Made only when it goes in: it would be another one in the next call.
    if (!room.empty && (room.events < 1 || room.bytes < REFRESH_BYTES)) return false
    const snapshot = this.roll(have)
    if (snapshot === null) return false
    const offer = snapshotOffer(snapshot, trace(), true)
    this.#refreshing = true
    offer.quality = this.enteringWord
    for (const before of offers) before.quality = offer.quality
    queue.enter(offer)
    room.empty = true
    return putOffer(offers, offer, room)
  }

  /** It stands in the stream. */
  refreshed(last: number): void {
    this.#refreshing = false
    // Found wrong again meanwhile, behind this one.
    if (this.#quality.doubt !== null && (this.proof?.wrongSince ?? 0) > last) return
    this.#snapshot = null
    this.#recorded = null
    this.#auditWanted = false
    this.#refreshedMs = this.#owner.nowMs()
    // What is odd is true all the same: the venue's snapshot holds it too.
    if (this.#agreed && this.#odd > this.#oddAtRefresh) this.#oddRestUntilMs = this.#refreshedMs + ODD_REST_MS
    this.#oddAtRefresh = this.#odd
    this.fact({ kind: 'resynced' })
    if (this.proof !== null && this.proof.suspect !== this.#quality.suspect) this.#suspect(this.proof.suspect)
  }

  /** Another writer's deltas were there already. */
  refreshMissed(): void {
    this.#refreshing = false
    if (this.#snapshot !== null && this.#tries++ < REFRESH_TRIES_MAX) return
    this.letGo()
    this.#wantDoubted()
  }

  /** A snapshot joined the stream, or stood for it. */
  joinedBySnapshot(last: number): void {
    this.#refreshedMs = this.#owner.nowMs()
    if (this.#quality.doubt !== null && last >= (this.proof?.wrongSince ?? 0)) this.fact({ kind: 'resynced' })
  }

  /** Once a second; answers why this book wants a snapshot when its turn comes, null when it does not. */
  sweep(nowMs: number, nowUs: number): ResyncReason | null {
    if (!this.#held) return null
    if (this.#quality.quarantinedUntilMs > 0) {
      this.fact({ kind: 'time' })
      if (this.#quality.quarantinedUntilMs > 0) return null
      this.#owner.released(this)
      if (this.line.joined) this.#wantDoubted()
    }
    const { line, proof } = this
    if (!line.joined) return null
    const waiting = this.#snapshot
    if (waiting !== null) {
      if (waiting.last > line.have && nowMs - this.#snapshotMs > AHEAD_MS) {
        this.letGo()
        proof?.join(waiting, line.waiting().map(updateOf))
        // The venue is ahead, and what lies between does not come: the hole is told, and healed by this.
        line.interrupted('', GapCause.Lost)
        line.push(snapshotOffer(waiting, this.#owner.trace(), false))
        this.#owner.ready(this)
      }
      return null
    }
    if (this.#recorded !== null) return null
    if (this.#quality.doubt !== null) {
      // The answer that was to end it came to nothing.
      this.#wantDoubted(true)
      return null
    }
    if (proof?.holed && line.have > proof.have) {
      // The stream got from elsewhere what did not come here.
      if (++this.#holedSweeps > 2) proof.goBlind()
    } else {
      this.#holedSweeps = 0
    }
    if (this.#isSilent(nowUs)) {
      if (!this.#quality.silent || nowMs - this.#refreshedMs >= this.#limits.silentMs) {
        this.fact({ kind: 'silent', silent: true })
        this.#refreshedMs = nowMs
        this.want('silent')
      }
      return null
    }
    if (proof === null) return nowMs - this.#refreshedMs >= this.#limits.refreshMs ? 'refresh' : null
    if (proof.blind) return 'blind'
    if (this.#auditWanted) return 'suspect'
    if (proof.reachBelow(this.#limits.reachLevelsMin)) return 'edge'
    return nowMs - this.#refreshedMs >= this.#limits.refreshMs ? 'refresh' : null
  }

  /** How long ago the stream got a snapshot, ms. */
  ageMs(nowMs: number): number {
    return nowMs - this.#refreshedMs
  }

  #isSilent(nowUs: number): boolean {
    if (this.#lastDeltaUs === 0 || nowUs - this.#lastDeltaUs < this.#limits.silentMs * 1_000) return false
    if (this.#lastTickerUs <= this.#lastDeltaUs) return false
    return this.proof === null || this.proof.newestTickerId > this.#lastDeltaId
  }

  #judged(proof: BookProof, mismatch: Mismatch | null): void {
    if (mismatch !== null) this.#mismatch(mismatch)
    if (proof.suspect !== this.#quality.suspect) this.#suspect(proof.suspect)
    if (proof.counts.wrong !== this.#wrong) this.#tellWrong(proof.counts.wrong)
  }

  #suspect(suspect: boolean): void {
    this.fact({ kind: 'suspect', suspect })
  }

  /** Wrong verdicts are told, also those that the next delta took back at once. */
  #tellWrong(wrong: number): void {
    this.#wrong = wrong
    // A right verdict may follow because the top has moved on from what is wrong.
    this.#auditWanted = true
    this.#owner.suspected(this)
  }

  #lookAtOdd(odd: number): void {
    this.#odd = odd
    if (this.#auditWanted || this.#owner.nowMs() < this.#oddRestUntilMs) return
    this.#auditWanted = true
    this.#owner.odd(this)
  }

  /** Wants nothing any more. */
  letGo(): void {
    this.#refreshing = false
    this.#snapshot = null
    this.#recorded = null
    this.#refreshedMs = this.#owner.nowMs()
  }

  #mismatch(mismatch: Mismatch): void {
    this.#wrong = this.proof?.counts.wrong ?? 0
    this.#mismatchFound(mismatch)
    this.#snapshot = null
    this.#refreshing = false
    if (this.#quality.quarantinedUntilMs === 0) this.want(mismatch)
  }

  #mismatchFound(mismatch: Mismatch): void {
    const wasQuarantined = this.#quality.quarantinedUntilMs > 0
    this.fact({ kind: 'mismatch', mismatch })
    this.#owner.mismatched(this, mismatch)
    if (!wasQuarantined && this.#quality.quarantinedUntilMs > 0) this.#owner.quarantined(this)
  }
}
