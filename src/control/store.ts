import type { Answer } from './contract.ts'
import type { ControlEntry } from './decode.ts'
import type { Effect } from './step.ts'
import type { Change, TableData } from './table-data.ts'

/** A command's answer as it is to be written with the table. */
export interface Verdict {
  readonly answer: Answer
  readonly effect: Effect
  readonly changes: readonly Change[]
  /** Why it can never be applied; null where it can. Such an entry is kept among the dead letters. */
  readonly deadReason: string | null
}

/**
 * - `applied`: table, version, answer and audit are written, the entry is acknowledged.
 * - `repeated`: its id was answered before; the entry is passed over. `done`: the table is at it or beyond.
 * - `next`: this one comes first. `stale`: the table has another version than the verdict was made for.
 * - `settling`: the table was written anew and newer copies may come for so long. `gone`: there is no table.
 */
export type ApplyResult =
  | { readonly status: 'applied' | 'repeated' | 'done' | 'stale' | 'gone' }
  | { readonly status: 'next'; readonly entry: ControlEntry }
  | { readonly status: 'settling'; readonly leftMs: number }

/** What a change entry says: the table went from `version - 1` to `version`. */
export interface TableChange {
  readonly version: number
  readonly lineage: string
  readonly madeBy: string
  readonly changes: readonly Change[]
}

export interface TableHead {
  readonly version: number
  readonly lineage: string
  readonly madeBy: string
  /** Written anew a moment ago; `copy` from what a process held, `seed` from the configuration. */
  readonly settling: boolean
  readonly origin: 'seed' | 'copy'
}

export type RestoreResult = 'written' | 'kept'

/**
 * Where table and control stream are kept. Every method has a time-out and throws where the store cannot be reached; doing
 * the same again is safe.
 */
export interface ControlStore {
  /** Takes entries that nobody has taken, waiting for at most `blockMs`; makes the group where it is missing. */
  take(consumer: string, blockMs: number): Promise<readonly ControlEntry[]>
  /** Takes over what others took and did not end within `idleMs`. */
  claim(consumer: string, idleMs: number): Promise<readonly ControlEntry[]>
  apply(entry: ControlEntry, table: { version: number; lineage: string }, verdict: Verdict): Promise<ApplyResult>
  /** The whole table at one moment, null: gone. Change entries behind it are read by `follow` from then on. */
  read(): Promise<TableData | null>
  head(): Promise<TableHead | null>
  /** Change entries since the last `read` or `follow`, waiting for at most `blockMs`. */
  follow(blockMs: number): Promise<readonly TableChange[]>
  /** Writes a table where there is none, or where there is an older or a merely seeded one that still settles. */
  restore(table: TableData, origin: 'seed' | 'copy'): Promise<RestoreResult>
  /** Whether anything was ever written to the keyspace's streams. */
  isUsed(): Promise<boolean>
  /** Closes channels for whatever is offered under older versions. Idempotent. */
  closeChannels(changes: readonly Change[]): Promise<void>
  /** Gives the consumer up, where nothing is left with it. */
  leave(consumer: string): Promise<void>
}

/** What the applier finds out before it decides. Throws where it cannot be found out. */
export interface ControlWorld {
  isListed(market: string, instrument: string): Promise<boolean>
  /** Instruments of a market with streams of the channel. */
  instrumentsOf(market: string, type: string, pattern: string): Promise<readonly string[]>
  workers(): Promise<readonly string[]>
}
