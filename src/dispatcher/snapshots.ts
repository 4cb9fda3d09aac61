import { isSoundSnapshot } from '../domain/book/proof.ts'
import type { VenueSymbol } from '../domain/instrument.ts'
import type { Clock } from '../lib/clock.ts'
import type { VenueBookSnapshot } from '../venues/venue.ts'
import type { LineKey } from './line.ts'
import { retryDelayMs } from './retry.ts'

/** Wait before a snapshot is asked for again because the last one was too old; doubled each time up to the second. */
const TOO_OLD_DELAY_MS = 200
const TOO_OLD_DELAY_MS_MAX = 5_000
/** The same because it was no book at all: that is the venue's doing, and asking often changes nothing. */
const ODD_DELAY_MS = 200
const ODD_DELAY_MS_MAX = 60_000

export interface SnapshotRequestsOptions {
  readonly fetch: (symbol: VenueSymbol) => Promise<VenueBookSnapshot>
  readonly clock: Clock
  readonly random: () => number
  deliver(key: LineKey, snapshot: VenueBookSnapshot): void
  /** Whether answers are looked at closely. */
  readonly proved: boolean
  /** The answer was no book, as `message` says. */
  odd(key: LineKey, message: string): void
  /** False: it need not be asked again. */
  failed(key: LineKey, error: unknown, attempt: number, delayMs: number): boolean
  /** A request ended, whatever came of it. */
  ended(): void
}

interface Wish {
  readonly key: LineKey
  wanted: boolean
  inFlight: boolean
  failures: number
  tooOld: number
  /** Answers in a row that were no book. */
  odd: number
  cancelWait: (() => void) | null
}

/**
 * Asks the venue for book snapshots: one request at a time for an instrument, any number of instruments at once. How many
 * may really go out is decided by the request budget behind `fetch`, so nothing here queues.
 */
export class SnapshotRequests {
  readonly #options: SnapshotRequestsOptions
  readonly #wishes = new Map<string, Wish>()
  #closed = false
  inFlight = 0
  requests = 0
  failures = 0
  /** Answers that were no book. */
  odds = 0

  constructor(options: SnapshotRequestsOptions) {
    this.#options = options
  }

  want(key: LineKey, tooOld: boolean): void {
    let wish = this.#wishes.get(key.instrument)
    if (wish === undefined) {
      wish = { key, wanted: false, inFlight: false, failures: 0, tooOld: 0, odd: 0, cancelWait: null }
      this.#wishes.set(key.instrument, wish)
    }
    wish.wanted = true
    if (wish.inFlight || wish.cancelWait !== null || this.#closed) return
    if (tooOld) this.#wait(wish, Math.min(TOO_OLD_DELAY_MS_MAX, TOO_OLD_DELAY_MS * 2 ** Math.min(wish.tooOld++, 10)))
    else this.#request(wish)
  }

  /** The book stands without it. An answer under way is delivered all the same; the line judges it. */
  drop(key: LineKey): void {
    const wish = this.#wishes.get(key.instrument)
    if (wish === undefined) return
    wish.wanted = false
    wish.tooOld = 0
    wish.failures = 0
    wish.odd = 0
    wish.cancelWait?.()
    wish.cancelWait = null
  }

  close(): void {
    this.#closed = true
    for (const wish of this.#wishes.values()) wish.cancelWait?.()
  }

  #wait(wish: Wish, delayMs: number): void {
    wish.cancelWait = this.#options.clock.after(delayMs, () => {
      wish.cancelWait = null
      if (wish.wanted && !wish.inFlight && !this.#closed) this.#request(wish)
    })
  }

  #answered(wish: Wish, snapshot: VenueBookSnapshot): void {
    const { proved, deliver, odd } = this.#options
    let what = ''
    // A venue that has no book yet says -1.
    if (snapshot.last < 0) what = 'of update -1'
    else if (proved && !isSoundSnapshot(snapshot)) what = 'crossed, unsorted or with empty levels'
    if (what === '') {
      deliver(wish.key, snapshot)
      return
    }
    this.odds++
    wish.wanted = true
    const delayMs = Math.min(ODD_DELAY_MS_MAX, ODD_DELAY_MS * 2 ** Math.min(wish.odd++, 20))
    this.#wait(wish, delayMs)
    const found = `expected the book of ${wish.key.instrument}, found a snapshot that is none (${what})`
    odd(wish.key, `${found}, asking again in ${delayMs} ms`)
  }

  #request(wish: Wish): void {
    wish.inFlight = true
    wish.wanted = false
    this.inFlight++
    this.requests++
    this.#options
      .fetch(wish.key.symbol)
      .then(
        (snapshot) => {
          wish.inFlight = false
          wish.failures = 0
          if (!this.#closed) this.#answered(wish, snapshot)
        },
        (error: unknown) => {
          wish.inFlight = false
          wish.failures++
          this.failures++
          if (this.#closed) return
          const delayMs = retryDelayMs(error, wish.failures, this.#options.random)
          if (!this.#options.failed(wish.key, error, wish.failures, delayMs)) return
          wish.wanted = true
          this.#wait(wish, delayMs)
        },
      )
      .then(() => {
        this.inFlight--
        this.#options.ended()
      })
  }
}
