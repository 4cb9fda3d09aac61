import type { Clock } from '../../lib/clock.ts'
import { metrics } from '../../telemetry/metrics.ts'
import type { ConnectBudget } from '../limit-store.ts'
import type { ConnectionLimits } from '../venue.ts'
import { SlidingWindow } from './outbound.ts'

export interface ConnectAttemptsParts {
  readonly clock: Clock
  /** For metrics. */
  readonly market: string
  readonly limits: Pick<ConnectionLimits, 'connectsPerWindowMax' | 'connectsWindowMs'>
  /** What all processes of this address share; null: this process is alone. */
  readonly shared: ConnectBudget | null
  /** Processes that connect from this address now, this one included: while the budget is away each keeps to its part. */
  readonly processes: () => number
  /** A reason of our own to wait, ms. */
  readonly heldMs: () => number
  /** The shared budget could not be asked or told. */
  readonly failed: (error: unknown) => void
}

/** The answer of the shared budget is waited for no longer; a line that is down is worth more. */
const ASK_MS_MAX = 500
/** Who was told to wait for long asks again in between: the budget may be another one by then. */
const ASK_AGAIN_MS_MAX = 10_000
/** An attempt reaches the venue later than it was granted, so one counts for longer here than there. */
const WINDOW_GUARD_MS = 1_000

/**
 * When the next connection may be tried. This process never exceeds the venue's number by itself; where others share the
 * address each attempt is also taken from the budget of all. While that cannot be had, the attempts that this process made
 * decide, and of the venue's number it uses its equal part.
 */
export class ConnectAttempts {
  readonly #parts: ConnectAttemptsParts
  readonly #own: SlidingWindow
  #heldUntilMs = Number.NEGATIVE_INFINITY

  constructor(parts: ConnectAttemptsParts) {
    this.#parts = parts
    this.#own = new SlidingWindow(parts.limits.connectsPerWindowMax, parts.limits.connectsWindowMs)
  }

  /** Calls `open` once an attempt may be made, at once if nothing is to be waited for. Answers what takes the wish back. */
  when(delayMs: number, open: () => void): () => void {
    const wish = { isOver: false, open, cancelTimer: (): void => {} }
    this.#later(wish, delayMs)
    return () => {
      wish.isOver = true
      wish.cancelTimer()
    }
  }

  /** The venue refused: nobody tries for so long. */
  hold(forMs: number): void {
    const { clock, shared, failed } = this.#parts
    this.#heldUntilMs = Math.max(this.#heldUntilMs, clock.monotonicMs() + forMs)
    shared?.holdConnects(forMs).catch(failed)
  }

  #later(wish: Wish, delayMs: number): void {
    const { clock, heldMs } = this.#parts
    const nowMs = clock.monotonicMs()
    const waitMs = Math.max(delayMs, this.#heldUntilMs - nowMs, this.#own.waitMs(nowMs), heldMs())
    if (waitMs <= 0) this.#ask(wish)
    else wish.cancelTimer = clock.after(waitMs, () => this.#later(wish, 0))
  }

  #ask(wish: Wish): void {
    const { shared, market } = this.#parts
    if (shared === null) {
      this.#open(wish, 'process')
      return
    }
    void this.#waitFor(shared).then((waitMs) => {
      if (wish.isOver) return
      if (waitMs === null) this.#askAlone(wish)
      else if (waitMs === 0) this.#open(wish, 'shared')
      else {
        metrics.venueConnectWaits.inc({ market })
        this.#later(wish, Math.min(waitMs, ASK_AGAIN_MS_MAX))
      }
    })
  }

  /** Milliseconds to wait, 0: granted, null: the budget did not answer. */
  async #waitFor(shared: ConnectBudget): Promise<number | null> {
    const { clock, limits, failed } = this.#parts
    const { promise: late, resolve } = Promise.withResolvers<null>()
    const cancel = clock.after(ASK_MS_MAX, () => resolve(null))
    const asked = shared.takeConnect(limits.connectsPerWindowMax, limits.connectsWindowMs + WINDOW_GUARD_MS)
    const answer = asked.catch((error: unknown) => {
      failed(error)
      return null
    })
    const waitMs = await Promise.race([answer, late])
    cancel()
    return waitMs
  }

  #askAlone(wish: Wish): void {
    const { clock, limits, processes, market } = this.#parts
    const max = limits.connectsPerWindowMax
    const part = Math.max(1, Math.floor(max / Math.max(1, processes())))
    const waitMs = this.#own.waitMs(clock.monotonicMs(), max - part)
    if (waitMs === 0) this.#open(wish, 'process')
    else {
      metrics.venueConnectWaits.inc({ market })
      this.#later(wish, Math.min(waitMs, ASK_AGAIN_MS_MAX))
    }
  }

  #open(wish: Wish, budget: 'shared' | 'process'): void {
    const { clock, market } = this.#parts
    // Others of this process may have taken the last place while this one asked.
    if (!this.#own.take(clock.monotonicMs())) {
      this.#later(wish, 0)
      return
    }
    wish.isOver = true
    metrics.venueConnectAttempts.inc({ market, budget })
    wish.open()
  }
}

interface Wish {
  isOver: boolean
  readonly open: () => void
  cancelTimer: () => void
}
