import type { BookUpdate } from '../domain/book/proof.ts'
import type { GapCause, Level } from '../domain/event.ts'
import type { Doubt, Mismatch, QuarantineLimits } from '../domain/quality.ts'
import type { BookGuard } from './book-guard.ts'
import type { LineOffer } from './line-offer.ts'

/** Why the venue is asked for a snapshot. */
export type ResyncReason =
  | ('start' | 'gap' | 'quiet' | Doubt | 'silent' | 'asked')
  | ('suspect' | 'edge' | 'blind' | 'refresh')

/** With these the asking can wait for its turn and need not be repeated when it fails. */
export const UNHURRIED: ReadonlySet<ResyncReason> = new Set<ResyncReason>(['suspect', 'edge', 'blind', 'refresh'])

/** The bounds of the proof; every number has its default in `options.ts`. */
export interface BookLimits {
  /** Whether deltas are proved at all; without it books are joined and contiguous, and nothing else is known. */
  readonly proved: boolean
  /** A book is compared with a snapshot, and that put into its stream, this often, ms. */
  readonly refreshMs: number
  /** So many requests a minute for that, over all books; more books are compared less often. Below 1 it is one in a while. */
  readonly refreshesPerMinuteMax: number
  /** The same for books of which nothing can be proved until a snapshot comes, or that something speaks against. */
  readonly blindPerMinuteMax: number
  /** Without a delta for so long although the best prices moved a book is stale, ms. */
  readonly silentMs: number
  /** With fewer known levels on a side of which more exist it is asked for again. */
  readonly reachLevelsMin: number
  /** Deltas kept to bring a snapshot up to date; beyond, the older half goes. */
  readonly recordedMax: number
  readonly quarantine: QuarantineLimits
}

/** The line behind the guard. */
export interface GuardedLine {
  /** Deltas that are not in the stream yet. */
  waiting(): LineOffer[]
  /** Last update id known to be in the stream, -1 while unknown. */
  readonly have: number
  readonly joined: boolean
  /** Nothing showed since an interruption that the stream stands where the venue stands. */
  readonly unproven: boolean
  interrupted(part: string, cause: GapCause): void
  push(offer: LineOffer): void
}

export interface GuardOwner {
  nowMs(): number
  nowUs(): number
  want(guard: BookGuard, reason: ResyncReason, tooOld: boolean): void
  /** The word shown is another one. */
  changed(guard: BookGuard): void
  /** Whether another live process keeps this book too. */
  covered(guard: BookGuard): boolean
  suspected(guard: BookGuard): void
  /** It holds what a venue hardly tells; a snapshot will show whether it is so. */
  odd(guard: BookGuard): void
  mismatched(guard: BookGuard, mismatch: Mismatch): void
  quarantined(guard: BookGuard): void
  released(guard: BookGuard): void
  /** Verdicts wait for `sweepVerdicts`. */
  verdictsWait(guard: BookGuard): void
  /** The line has something to offer. */
  ready(guard: BookGuard): void
  trace(): string
}

export const NO_LINE: GuardedLine = {
  ...{ waiting: () => [], interrupted: () => {}, push: () => {}, have: -1 },
  ...{ joined: false, unproven: false },
}

/** A recorded delta in the words of the proof. */
export function updateOf(offer: LineOffer): BookUpdate {
  const { bids, asks } = JSON.parse(offer.data) as { bids: Level[]; asks: Level[] }
  return { first: offer.low, last: offer.high, bids, asks }
}
