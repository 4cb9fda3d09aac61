import type { Clock } from '../lib/clock.ts'
import { metrics } from '../telemetry/metrics.ts'
import { VenueRateLimitError } from './errors.ts'

/** What goes first when requests wait: orders and what became of them, mending what flows, what was missed, what is asked on a schedule. */
export const RequestPriority = { Order: 0, Reconcile: 1, Resync: 2, Backfill: 3, Poll: 4 } as const
export type RequestPriority = (typeof RequestPriority)[keyof typeof RequestPriority]

/** A request that may be sent. Whoever holds it reports exactly once, also when no answer came. */
export interface Permit {
  readonly weight: number
  /** The minute of the venue's clock the request is charged to. */
  readonly minute: number
}

/** What an answer said about the limits; `null` where it said nothing. */
export interface BudgetReport {
  /** HTTP status; null where no answer came. */
  readonly status: number | null
  /** The venue's own count for the minute, from `X-MBX-USED-WEIGHT-1M`. */
  readonly usedWeight: number | null
  readonly retryAfterMs: number | null
}

/**
 * The one purse from which every request to a venue is paid.
 *
 * `acquire` waits for its turn and rejects with `VenueRateLimitError` (with `retryAfterMs`) while the venue wants to be left
 * alone, or when too many wait already.
 */
export interface RequestBudget {
  acquire(weight: number, priority: RequestPriority): Promise<Permit>
  report(permit: Permit, report: BudgetReport): void
  /** The limit as the venue tells it, weight per minute. */
  learnLimit(weightPerMinute: number): void
  /** How far the venue's clock is ahead of ours, microseconds. */
  learnClock(offsetUs: number): void
}

export interface LocalRequestBudgetOptions {
  readonly clock: Clock
  /** For metrics. */
  readonly market: string
  /** Until the venue tells its own. */
  readonly weightPerMinute: number
  /** Share of the limit that is spent, 0 to 1; the rest is for what others on this address spend meanwhile. */
  readonly usableShare: number
  /** Requests that may wait, of all priorities together; one more is refused. */
  readonly waitingMax: number
}

/** How long everybody is silent after a 429 or 418, milliseconds. */
export function banMsOf(status: 429 | 418, retryAfterMs: number | null): number {
  const askedMs = retryAfterMs ?? (status === 418 ? BAN_MS_DEFAULT : MINUTE_MS)
  return Math.min(Math.max(askedMs, RETRY_AFTER_MS_MIN), RETRY_AFTER_MS_MAX)
}

interface Waiting {
  readonly weight: number
  readonly resolve: (permit: Permit) => void
  readonly reject: (error: VenueRateLimitError) => void
}

const MINUTE_MS = 60_000
/** A new minute begins this much later here than there, because the two clocks never agree wholly. */
const MINUTE_GUARD_MS = 100
/** Before anything is known of the present minute (a process before us may have spent it) this share is spent. */
const UNKNOWN_SHARE = 0.1
const RETRY_AFTER_MS_MIN = 1_000
/** The venue's longest ban is three days; a longer time is a mistake of somebody. */
const RETRY_AFTER_MS_MAX = 4 * 24 * 60 * MINUTE_MS
/** The shortest ban the venue documents, for a 418 that does not say how long. */
const BAN_MS_DEFAULT = 2 * MINUTE_MS

/**
 * A budget for one process. The venue counts in fixed minutes of its clock and so do we: what was granted in this minute,
 * or what the venue says, whichever is more. Strict by priority, first come first served within one.
 * Several processes on one address share a `SharedRequestBudget` instead.
 */
export class LocalRequestBudget implements RequestBudget {
  readonly #options: LocalRequestBudgetOptions
  #weightPerMinute: number
  #clockOffsetUs = 0
  #minute: number
  #spent = 0
  #inFlight = 0
  /** Whether an answer, or the begin of a minute that we saw, told what the present minute has spent. */
  #known = false
  #closed = false
  #quietUntilMs = Number.NEGATIVE_INFINITY
  #cancelTimer: (() => void) | null = null
  readonly #waiting: readonly Waiting[][] = Object.values(RequestPriority).map(() => [])

  constructor(options: LocalRequestBudgetOptions) {
    this.#options = options
    this.#weightPerMinute = options.weightPerMinute
    this.#minute = this.#venueMinute()
  }

  /** Weight counted in the present minute, and requests that wait. */
  get state(): { readonly usedWeight: number; readonly waiting: number; readonly quietForMs: number } {
    this.#turnMinute()
    return { usedWeight: this.#spent, waiting: this.#waitingCount(), quietForMs: this.#quietForMs() }
  }

  acquire(weight: number, priority: RequestPriority): Promise<Permit> {
    if (this.#closed) return Promise.reject(this.#refusal('the budget was closed', MINUTE_MS))
    const quietForMs = this.#quietForMs()
    if (quietForMs > 0) return Promise.reject(this.#refusal('the venue asked to be left alone', quietForMs))
    if (this.#waitingCount() === 0 && this.#fits(weight)) return Promise.resolve(this.#grant(weight))
    if (this.#waitingCount() >= this.#options.waitingMax) {
      const reason = `${this.#options.waitingMax} requests wait for weight already`
      return Promise.reject(this.#refusal(reason, this.#untilNextMinuteMs()))
    }
    metrics.venueRequestWaits.inc({ market: this.#options.market })
    return new Promise((resolve, reject) => {
      this.#waiting[priority]?.push({ weight, resolve, reject })
      this.#pump()
    })
  }

  report(permit: Permit, report: BudgetReport): void {
    this.#turnMinute()
    this.#inFlight -= permit.weight
    if (report.status === 429 || report.status === 418) this.#fallSilent(report.status, report.retryAfterMs)
    if (report.status !== null && permit.minute === this.#minute) {
      this.#known = true
      // Requests still under way may not be in the venue's count yet. An answer from the minute before says nothing of this one.
      if (report.usedWeight !== null) this.#spent = Math.max(this.#spent, report.usedWeight + this.#inFlight)
    }
    metrics.venueWeightUsed.set({ market: this.#options.market }, this.#spent)
    this.#pump()
  }

  learnLimit(weightPerMinute: number): void {
    this.#weightPerMinute = weightPerMinute
    this.#pump()
  }

  learnClock(offsetUs: number): void {
    this.#clockOffsetUs = offsetUs
    // Whoever waits was to be woken at a minute that comes at another time now.
    this.#cancelTimer?.()
    this.#cancelTimer = null
    this.#pump()
  }

  /** Refuses whoever waits, and everybody from now on. */
  close(): void {
    this.#closed = true
    this.#cancelTimer?.()
    this.#cancelTimer = null
    this.#refuseWaiting('the budget was closed', MINUTE_MS)
  }

  #fits(weight: number): boolean {
    this.#turnMinute()
    const usable = this.#weightPerMinute * this.#options.usableShare
    const limit = this.#known ? usable : usable * UNKNOWN_SHARE
    // A request heavier than the whole limit would wait for ever; a fresh minute is the best it can get.
    if (this.#spent === 0) return true
    return this.#spent + weight <= limit
  }

  #grant(weight: number): Permit {
    this.#spent += weight
    this.#inFlight += weight
    metrics.venueWeightUsed.set({ market: this.#options.market }, this.#spent)
    return { weight, minute: this.#minute }
  }

  /** Grants in order for as long as the next one fits; a lighter one behind it never overtakes, or heavy ones would starve. */
  #pump(): void {
    for (const queue of this.#waiting) {
      for (;;) {
        const next = queue[0]
        if (next === undefined) break
        if (!this.#fits(next.weight)) {
          this.#wakeAtNextMinute()
          return
        }
        queue.shift()
        next.resolve(this.#grant(next.weight))
      }
    }
  }

  #wakeAtNextMinute(): void {
    if (this.#cancelTimer !== null) return
    this.#cancelTimer = this.#options.clock.after(this.#untilNextMinuteMs(), () => {
      this.#cancelTimer = null
      this.#pump()
    })
  }

  #turnMinute(): void {
    const minute = this.#venueMinute()
    if (minute === this.#minute) return
    // The venue's clock may be learnt to be behind what we thought; what was spent stays spent then.
    if (minute > this.#minute) {
      this.#spent = 0
      this.#known = true
    }
    this.#minute = minute
  }

  #fallSilent(status: 429 | 418, retryAfterMs: number | null): void {
    const quietMs = banMsOf(status, retryAfterMs ?? (status === 429 ? this.#untilNextMinuteMs() : null))
    this.#quietUntilMs = Math.max(this.#quietUntilMs, this.#options.clock.monotonicMs() + quietMs)
    metrics.venueBans.inc({ market: this.#options.market, status })
    this.#refuseWaiting(`the venue answered ${status}`, this.#quietForMs())
  }

  #refuseWaiting(reason: string, retryAfterMs: number): void {
    for (const queue of this.#waiting) {
      for (const waiting of queue.splice(0)) waiting.reject(this.#refusal(reason, retryAfterMs))
    }
  }

  #refusal(reason: string, retryAfterMs: number): VenueRateLimitError {
    metrics.venueRequestRefusals.inc({ market: this.#options.market })
    return new VenueRateLimitError(
      `${this.#options.market}: a request was not sent, because ${reason}; ask again in ${Math.ceil(retryAfterMs)} ms`,
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

  #venueMs(): number {
    return (this.#options.clock.nowUs() + this.#clockOffsetUs) / 1_000 - MINUTE_GUARD_MS
  }

  #venueMinute(): number {
    return Math.floor(this.#venueMs() / MINUTE_MS)
  }

  #untilNextMinuteMs(): number {
    const venueMs = this.#venueMs()
    return (Math.floor(venueMs / MINUTE_MS) + 1) * MINUTE_MS - venueMs
  }
}
