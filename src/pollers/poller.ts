import type { Clock } from '../lib/clock.ts'
import { metrics } from '../telemetry/metrics.ts'
import type { Claim, DuePoll, PollClaims, PollQueue, PollSource, WantedPoll } from './poll.ts'

/**
 * Why a due time has no entry in the stream.
 * - `late`: it was so late that the next one was nearer. `missed`: nobody was there to take it.
 * - `failed`: the venue did not answer, or the budget was spent. `lost`: the process that had it died, before or after it offered.
 */
export type SkipReason = 'late' | 'missed' | 'failed' | 'lost'

export interface PollerIncident {
  readonly kind: 'poll-skipped' | 'polls-unscheduled'
  readonly message: string
  readonly error?: unknown
  /** Due times left out since the last time this was told, by poll. */
  readonly skipped?: Readonly<Record<string, number>>
}

export interface PollerOptions {
  readonly queue: PollQueue
  readonly claims: PollClaims
  readonly source: PollSource
  /** What the table wants now; null while it cannot be said, then the schedule stays as it is. */
  readonly wanted: () => Promise<readonly WantedPoll[] | null>
  readonly clock: Clock
  readonly incident: (incident: PollerIncident) => void
}

/** How often the schedule is held against the table. */
const KEEP_EVERY_MS = 60_000
/** Longer than what keeps operators from being told the same too often. */
const TELL_EVERY_MS = 1_100
/** After a failure. */
const KEEP_RETRY_MS = 2_000
/** A due time that is late by more than this share of its interval is left out: the next one is nearer. */
const LATE_SHARE = 0.5

/**
 * Asks the venue on a schedule. The queue hands each due time to one process after the other until one was successful; the
 * claim sees to it that at most one of them offers its answer, so a due time never has two entries.
 */
export class Poller {
  readonly #options: PollerOptions
  #cancel: () => void = () => {}
  #closed = false
  #isKeeping = false
  #untold: Record<string, number> = {}
  #why = ''
  #cancelTell: (() => void) | null = null

  constructor(options: PollerOptions) {
    this.#options = options
  }

  async start(): Promise<void> {
    this.#options.queue.work((due) => this.#run(due))
    await this.keep()
  }

  /** Holds the schedule against the table, and again after a minute. */
  async keep(): Promise<void> {
    if (this.#closed || this.#isKeeping) return
    this.#isKeeping = true
    this.#cancel()
    const { queue, claims, wanted, clock, incident } = this.#options
    let againMs = KEEP_EVERY_MS
    try {
      const polls = await wanted()
      if (polls === null) againMs = KEEP_RETRY_MS
      else {
        const { removed } = await queue.keep(polls)
        if (removed.length > 0) await claims.forget(removed)
        metrics.pollsScheduled.set(polls.length)
      }
    } catch (error) {
      againMs = KEEP_RETRY_MS
      incident({ kind: 'polls-unscheduled', message: 'the schedule of polls could not be kept, trying again', error })
    }
    this.#isKeeping = false
    if (!this.#closed) this.#cancel = clock.after(againMs, () => void this.keep())
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#cancel()
    await this.#options.queue.close()
    this.#tell()
  }

  async #run(due: DuePoll): Promise<void> {
    const { clock, claims, source } = this.#options
    const { pollId, dueMs, everyMs, market, type } = due
    const lateMs = clock.nowUs() / 1_000 - dueMs
    metrics.pollLateSeconds.observe({ market, type }, Math.max(0, lateMs) / 1_000)
    if (lateMs > everyMs * LATE_SHARE) {
      this.#skipped(due, 'late', 1, `it came up ${Math.round(lateMs)} ms late`)
      return
    }
    let claim: Claim
    let entered = false
    try {
      const offer = await source.fetch(due)
      claim = await claims.claim(pollId, dueMs)
      if (claim.isOurs) entered = await offer()
    } catch (error) {
      if (due.isLastAttempt) this.#skipped(due, 'failed', 1, 'it could not be had', error)
      throw error
    }
    if (claim.isOurs) {
      await claims.done(pollId, dueMs)
      if (entered) metrics.polls.inc({ market, type })
      else metrics.pollsSkipped.inc({ market, type, reason: 'unneeded' })
      this.#tellBefore(due, claim)
    } else if (claim.lastDoneMs === null || claim.lastDoneMs < dueMs) {
      this.#skipped(due, 'lost', 1, 'the process that had it ended before it said that it was done')
    }
  }

  /** Due times between the one before and this one that nobody came to. */
  #tellBefore(due: DuePoll, { lastClaimedMs }: Claim): void {
    if (lastClaimedMs === null) return
    const missed = Math.round((due.dueMs - lastClaimedMs) / due.everyMs) - 1
    if (missed > 0) this.#skipped(due, 'missed', missed, 'nobody was there to take it')
  }

  /** Due times left out are told together, so that nothing is told too often and all are counted. */
  #skipped({ pollId, market, type }: DuePoll, reason: SkipReason, count: number, why: string, error?: unknown): void {
    metrics.pollsSkipped.inc({ market, type, reason }, count)
    this.#untold[pollId] = (this.#untold[pollId] ?? 0) + count
    this.#why = error instanceof Error ? `${why}: ${error.message}` : why
    this.#cancelTell ??= this.#options.clock.after(TELL_EVERY_MS, () => this.#tell())
  }

  #tell(): void {
    this.#cancelTell?.()
    this.#cancelTell = null
    const skipped = this.#untold
    this.#untold = {}
    const count = Object.values(skipped).reduce((sum, one) => sum + one, 0)
    if (count === 0) return
    const message = `${count} due times of ${Object.keys(skipped).length} polls left out, the last because ${this.#why}`
    this.#options.incident({ kind: 'poll-skipped', message, skipped })
  }
}
