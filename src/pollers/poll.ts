import type { Instrument, Market } from '../domain/instrument.ts'

export type PollType = 'ORDERBOOK.SNAPSHOT' | 'TICKER'

/** What is asked of the venue on a schedule. */
export interface WantedPoll {
  /** `MARKET|INSTRUMENT|TYPE`. */
  readonly pollId: string
  readonly market: Market
  readonly instrument: Instrument
  readonly type: PollType
  readonly everyMs: number
}

/** One due time of a poll. The same one may come again: after a failure, and after the death of the process that had it. */
export interface DuePoll extends WantedPoll {
  readonly dueMs: number
  /** No further attempt follows a failure of this one. */
  readonly isLastAttempt: boolean
}

/** The schedule that all pollers of a venue share. Rejects with what the queue says of Redis. */
export interface PollQueue {
  /** Makes these, and only these, be due from now on. Those that stand already keep their times. */
  keep(wanted: readonly WantedPoll[]): Promise<{ readonly added: number; readonly removed: readonly string[] }>
  /** Hands each due time to one process at a time; a rejection makes it come again, a bounded number of times. */
  work(handle: (due: DuePoll) => Promise<void>): void
  /** Takes nothing more and lets what is under way end. */
  close(): Promise<void>
}

export interface Claim {
  /** False: this due time, or a later one, was claimed before. */
  readonly isOurs: boolean
  /** The last due time claimed before this call, and the last whose answer was offered; null: none. */
  readonly lastClaimedMs: number | null
  readonly lastDoneMs: number | null
}

/** What keeps two processes from offering for the same due time. Throws BusError. */
export interface PollClaims {
  /** To be asked directly before the answer is offered: whoever is not granted offers nothing. */
  claim(pollId: string, dueMs: number): Promise<Claim>
  done(pollId: string, dueMs: number): Promise<void>
  forget(pollIds: readonly string[]): Promise<void>
}

/** Asks the venue and takes the answer to the stream, in two steps so that the claim stands between them. Throws venue errors, BusError. */
export interface PollSource {
  fetch(poll: WantedPoll): Promise<Answer>
}

/** Offers what was fetched; false: the stream has something newer, or does not want it any more. Throws BusError. */
export type Answer = () => Promise<boolean>
