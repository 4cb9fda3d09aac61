import type { Clock } from '../lib/clock.ts'
import { metrics } from '../telemetry/metrics.ts'
import { type BudgetReport, banMsOf, type Permit, type RequestBudget, RequestPriority } from './budget.ts'
import { VenueRateLimitError } from './errors.ts'
import type { LimitStore, TakeAnswer, WeightWanted } from './limit-store.ts'

export interface SharedRequestBudgetOptions {
  readonly store: LimitStore
  readonly clock: Clock
  /** For metrics. */
  readonly market: string
  /** Share of the venue's limit that is spent, 0 to 1; the rest is for what others on this address spend meanwhile. */
  readonly usableShare: number
  /** Requests of this process that may wait, of all priorities together; one more is refused. */
  readonly waitingMax: number
  /** The store could not be asked or told. */
  readonly failed: (error: unknown) => void
}

interface Waiting {
  readonly weight: number
  readonly resolve: (permit: Permit) => void
  readonly reject: (error: VenueRateLimitError) => void
}

/**
 * How much of what is usable may be spent by each kind of request, and all kinds of a higher priority. So polls never take
 * what a broken book needs, and a part is always left for orders, whichever process asks.
 */
const SHARE_OF_USABLE: Readonly<Record<RequestPriority, number>> = {
  [RequestPriority.Order]: 1,
  [RequestPriority.Reconcile]: 0.95,
  [RequestPriority.Resync]: 0.9,
  [RequestPriority.Backfill]: 0.75,
  [RequestPriority.Poll]: 0.5,
}
/** Requests asked for in one call. */
const TAKE_MAX = 32
/** What others give back is seen by asking again, so nobody sleeps for a whole minute. */
const ASK_AGAIN_MS_MAX = 1_000
const ASK_AGAIN_MS_MIN = 20
/** While the store cannot be reached the budget counts as spent. */
const STORE_RETRY_MS = 250
/** A grant that took longer to arrive may be older than an announced silence: the store is asked once more, so often at most. */
const GRANT_FRESH_MS = 50
const CONFIRMATIONS_MAX = 3

/**
 * The budget of this process as a part of the one that all processes share. The store grants; here requests wait in the
 * order of their priority, and an announced silence is kept in memory too, whatever the store says.
 */
export class SharedRequestBudget implements RequestBudget {
  readonly #options: SharedRequestBudgetOptions
  readonly #waiting: readonly Waiting[][] = Object.values(RequestPriority).map(() => [])
  #weightLearnt: number | null = null
  #quietUntilMs = Number.NEGATIVE_INFINITY
  #isAsking = false
  /** Somebody came while the store was asked. */
  #cameMeanwhile = false
  #cancelTimer: (() => void) | null = null
  #closed = false

  constructor(options: SharedRequestBudgetOptions) {
    this.#options = options
  }

  acquire(weight: number, priority: RequestPriority): Promise<Permit> {
    if (this.#closed) return Promise.reject(this.#refusal('the budget was closed', STORE_RETRY_MS))
    const quietForMs = this.#quietForMs()
    if (quietForMs > 0) return Promise.reject(this.#refusal('the venue asked to be left alone', quietForMs))
    const { waitingMax, market } = this.#options
    if (this.#waitingCount() >= waitingMax)
      return Promise.reject(this.#refusal(`${waitingMax} requests wait for weight already`, ASK_AGAIN_MS_MAX))
    return new Promise((resolve, reject) => {
      this.#waiting[priority]?.push({ weight, resolve, reject })
      // Somebody of a higher priority need not wait until the timer of the others is over.
      this.#cancelTimer?.()
      this.#cancelTimer = null
      if (this.#waitingCount() > 1) metrics.venueRequestWaits.inc({ market })
      void this.#ask()
    })
  }

  report(permit: Permit, { status, usedWeight, retryAfterMs }: BudgetReport): void {
    const bannedMs = status === 429 || status === 418 ? banMsOf(status, retryAfterMs) : null
    if (bannedMs !== null) {
      metrics.venueBans.inc({ market: this.#options.market, status: String(status) })
      this.#fallSilent(bannedMs, `the venue answered ${status}`)
    }
    this.#options.store
      .settle({ minute: permit.minute, weight: permit.weight, status, usedWeight, bannedMs })
      .catch((error: unknown) => this.#options.failed(error))
  }

  learnLimit(weightPerMinute: number): void {
    this.#weightLearnt = weightPerMinute
    this.#options.store.learn({ weightPerMinute }).catch((error: unknown) => this.#options.failed(error))
  }

  /** The limit as the venue told it here; null until it did. */
  get weightLearnt(): number | null {
    return this.#weightLearnt
  }

  learnClock(offsetUs: number): void {
    const venueNowMs = Math.floor((this.#options.clock.nowUs() + offsetUs) / 1_000)
    this.#options.store.learn({ venueNowMs }).catch((error: unknown) => this.#options.failed(error))
  }

  /** Refuses whoever waits, and everybody from now on. */
  close(): void {
    this.#closed = true
    this.#cancelTimer?.()
    this.#cancelTimer = null
    this.#refuseWaiting('the budget was closed', STORE_RETRY_MS)
  }

  async #ask(): Promise<void> {
    this.#cameMeanwhile = true
    if (this.#isAsking) return
    this.#isAsking = true
    let againMs = 0
    while ((againMs === 0 || this.#cameMeanwhile) && this.#waitingCount() > 0 && !this.#closed) {
      this.#cameMeanwhile = false
      againMs = await this.#take()
    }
    this.#isAsking = false
    if (this.#closed || this.#waitingCount() === 0 || this.#cancelTimer !== null) return
    this.#cancelTimer = this.#options.clock.after(againMs, () => {
      this.#cancelTimer = null
      void this.#ask()
    })
  }

  /** One call to the store; answers after how long it is worth another, 0: at once. */
  async #take(): Promise<number> {
    const { usableShare, market, failed } = this.#options
    const wanted = []
    for (const [priority, queue] of this.#waiting.entries()) {
      const share = usableShare * SHARE_OF_USABLE[priority as RequestPriority]
      for (const { weight } of queue) {
        if (wanted.length < TAKE_MAX) wanted.push({ queue, weight, share })
      }
    }
    let answer: TakeAnswer
    try {
      answer = await this.#freshTake(wanted)
    } catch (error) {
      failed(error)
      return STORE_RETRY_MS
    }
    metrics.venueWeightUsed.set({ market }, answer.spent)
    if (answer.bannedMs > 0) {
      this.#fallSilent(answer.bannedMs, 'the venue asked to be left alone')
      return STORE_RETRY_MS
    }
    // In this process an announcement may have come while the store was asked.
    const quietForMs = this.#quietForMs()
    for (const { queue, weight } of wanted.slice(0, answer.granted)) {
      const next = queue.shift()
      const permit = { weight, minute: answer.minute }
      if (next !== undefined && quietForMs === 0) next.resolve(permit)
      else {
        next?.reject(this.#refusal('the venue asked to be left alone', quietForMs))
        this.report(permit, { status: null, usedWeight: null, retryAfterMs: null })
      }
    }
    if (answer.granted === wanted.length) return 0
    return Math.min(Math.max(answer.waitMs, ASK_AGAIN_MS_MIN), ASK_AGAIN_MS_MAX)
  }

  /**
   * A process that stands still for a moment between the grant and its use would ask a venue that has meanwhile told
   * another process to be silent. So a late grant is only used when the store still knows of no silence.
   */
  async #freshTake(wanted: readonly WeightWanted[]): Promise<TakeAnswer> {
    const { store, clock } = this.#options
    let askedMs = clock.monotonicMs()
    const answer = await store.take(wanted)
    for (let tries = 0; answer.granted > 0 && tries < CONFIRMATIONS_MAX; tries++) {
      if (clock.monotonicMs() - askedMs <= GRANT_FRESH_MS) break
      askedMs = clock.monotonicMs()
      const { bannedMs } = await store.take([])
      if (bannedMs > 0) {
        this.#giveBack(answer, wanted)
        return { ...answer, granted: 0, bannedMs }
      }
    }
    return answer
  }

  #giveBack({ granted, minute }: TakeAnswer, wanted: readonly WeightWanted[]): void {
    const weight = wanted.slice(0, granted).reduce((sum, one) => sum + one.weight, 0)
    this.report({ weight, minute }, { status: null, usedWeight: null, retryAfterMs: null })
  }

  #fallSilent(forMs: number, reason: string): void {
    this.#quietUntilMs = Math.max(this.#quietUntilMs, this.#options.clock.monotonicMs() + forMs)
    this.#refuseWaiting(reason, this.#quietForMs())
  }

  #refuseWaiting(reason: string, retryAfterMs: number): void {
    for (const queue of this.#waiting) {
      for (const waiting of queue.splice(0)) waiting.reject(this.#refusal(reason, retryAfterMs))
    }
  }

  #refusal(reason: string, retryAfterMs: number): VenueRateLimitError {
    const { market } = this.#options
    metrics.venueRequestRefusals.inc({ market })
    return new VenueRateLimitError(
      `${market}: a request was not sent, because ${reason}; ask again in ${Math.ceil(retryAfterMs)} ms`,
      { retryAfterMs },
    )
  }

  #quietForMs(): number {
    return Math.max(0, this.#quietUntilMs - this.#options.clock.monotonicMs())
  }

  #waitingCount(): number {
    let count = 0
    for (const queue of this.#waiting) count += queue.length
    return count
  }
}
