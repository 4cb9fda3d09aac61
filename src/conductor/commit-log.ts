import type { Quality } from '../domain/event.ts'
import type { BookName, Snapshot, SnapshotChange, SnapshotMark } from './snapshot-store.ts'

/** What stands of an instrument, read at one moment. */
export interface Loaded {
  /** Version of the last commit, 0 before the first. */
  readonly version: number
  /** What the last commit carried, '' before the first. */
  readonly carried: string
  readonly record:
    | { readonly state: 'there'; readonly snapshot: Snapshot }
    /** Never written, or expired. */
    | { readonly state: 'absent' }
    | { readonly state: 'unavailable'; readonly reason: string }
}

/** Everything that moves together. */
export interface Commit {
  readonly name: BookName
  /** Version the caller built on. */
  readonly version: number
  /** Greatest version the caller was ever told: after a fail-over numbers do not come again. */
  readonly versionFloor: number
  /**
   * What the change is a difference to: the record with this mark; `replace`: to nothing, whatever is there goes;
   * `skip`: the record cannot be used and is left alone.
   */
  readonly base: Omit<SnapshotMark, 'version'> | 'replace' | 'skip'
  readonly change: SnapshotChange
  readonly carried: string
  /** The entry of the ANALYTICS stream. */
  readonly event: {
    readonly quality: string
    readonly venueTime: string
    readonly receivedTime: string
    readonly trace: string
    readonly data: string
  }
}

export type CommitOutcome =
  | { readonly outcome: 'committed'; readonly version: number; readonly epoch: string; readonly seq: string }
  /** Something else stands there than was built on: load and step again. */
  | { readonly outcome: 'conflict' }
  /** The record cannot be used; nothing was written. */
  | { readonly outcome: 'record-unavailable'; readonly error: string }
  /** Nothing was written. */
  | { readonly outcome: 'failed'; readonly error: string }

/**
 * Where state and output of the conductor change in one step. Rejects with `BusError` when the outcome is unknown or nothing
 * can be reached: load and step again.
 */
export interface CommitLog {
  /** `run` names the Redis process that was read; a commit built on it is a conflict once another one answers. */
  load(names: readonly BookName[]): Promise<{ readonly run: string; readonly instruments: readonly Loaded[] }>
  /** Bounded by the caller. */
  commit(run: string, commits: readonly Commit[]): Promise<CommitOutcome[]>
  /** What the owner of each book says of it now, null where nothing was ever said. */
  qualities(names: readonly BookName[]): Promise<(Quality | null)[]>
  /** Gives the records their whole time to live again; false where there is none. */
  renew(names: readonly BookName[]): Promise<boolean[]>
}
