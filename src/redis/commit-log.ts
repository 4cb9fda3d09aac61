import type { Commit, CommitLog, CommitOutcome, Loaded } from '../conductor/commit-log.ts'
import type { BookName } from '../conductor/snapshot-store.ts'
import { Channel, Quality } from '../domain/event.ts'
import { readBookQualities } from './book-quality.ts'
import { listStreams } from './catalog.ts'
import { runCommit } from './commit-script.ts'
import type { RedisConnection } from './connection.ts'
import { BusError } from './errors.ts'
import type { Keys } from './keys.ts'
import { Script } from './script.ts'
import { parseSnapshot } from './snapshot-store.ts'

const readRunScript = new Script('readRun-1.lua')

export interface RedisCommitLogOptions {
  readonly connection: RedisConnection
  readonly keys: Keys
  /** Time to live of a snapshot record. */
  readonly ttlMs: number
  /** Entries kept an ANALYTICS stream, about; null keeps all. */
  readonly maxLength: number | null
  readonly onBellFailed?: (message: string) => void
}

/** State and output of the conductor in Redis: every commit is one run of `scripts/commit.lua`. */
export class RedisCommitLog implements CommitLog {
  readonly #options: RedisCommitLogOptions
  /** Streams listed in the catalog under the present Redis process. */
  readonly #listed = new Set<string>()
  #run = ''
  /** No entry of a new epoch may get an id that a reader has passed already. */
  #floorMs = 0

  constructor(options: RedisCommitLogOptions) {
    this.#options = options
  }

  async load(names: readonly BookName[]): Promise<{ run: string; instruments: Loaded[] }> {
    const { connection, keys } = this.#options
    const [first] = names
    if (first === undefined) return { run: this.#run, instruments: [] }
    // The run first, and all in one go: what another Redis process answers later is a conflict when it is built on.
    const [run, ...instruments] = await Promise.all([
      readRunScript.run(connection, [1, keys.state(first.market, first.instrument)]),
      ...names.map((name) => this.#loadOne(name)),
    ])
    if (typeof run !== 'string') throw new BusError('other', `expected the run_id, found ${typeof run}`)
    if (run !== this.#run) this.#listed.clear()
    this.#run = run
    return { run, instruments }
  }

  async #loadOne({ market, instrument }: BookName): Promise<Loaded> {
    const { connection, keys } = this.#options
    const [state, record] = await Promise.all([
      connection.send('hmget', [keys.state(market, instrument), 'ANALYTICS', 'conductor']),
      connection.send('hgetall', [keys.book(market, instrument)]).catch(refusalOf),
    ])
    const [analytics, carried] = state as [string | null, string | null]
    const snapshot = record instanceof BusError ? null : parseSnapshot(record as Record<string, string>)
    return {
      version: Number(analytics?.split(' ')[2] ?? 0),
      carried: carried ?? '',
      record:
        record instanceof BusError
          ? { state: 'unavailable', reason: record.message }
          : snapshot === null
            ? { state: 'absent' }
            : { state: 'there', snapshot },
    }
  }

  async commit(run: string, commits: readonly Commit[]): Promise<CommitOutcome[]> {
    const { connection, keys, ttlMs, maxLength, onBellFailed } = this.#options
    await this.#list(commits)
    const call = commits.map(({ name, version, versionFloor, base, change, carried, event }) => {
      const record = base === 'replace' ? '*' : base === 'skip' ? 'skip' : `${base.epoch} ${base.streamId}`
      const told = event.quality === Quality.Live ? { ...event, quality: '' } : event
      return { name, version: String(version), record, versionFloor, maxLength, carried, ttlMs, change, event: told }
    })
    const reply = await runCommit(connection, keys, { run, floorMs: this.#floorMs, commits: call })
    if (reply.greatestEntryMs >= this.#floorMs) this.#floorMs = reply.greatestEntryMs + 1
    if (reply.bellError !== null) onBellFailed?.(reply.bellError)
    return [...reply.answers]
  }

  async qualities(names: readonly BookName[]): Promise<(Quality | null)[]> {
    const { connection, keys } = this.#options
    const shown = await readBookQualities(connection, keys, names)
    return shown.map((word) => word?.quality ?? null)
  }

  async renew(names: readonly BookName[]): Promise<boolean[]> {
    const { connection, keys, ttlMs } = this.#options
    const replies = await Promise.all(
      names.map(({ market, instrument }) => connection.send('pexpire', [keys.book(market, instrument), ttlMs])),
    )
    return replies.map((reply) => reply === 1)
  }

  /** A stream stands in the catalog before its first entry. */
  async #list(commits: readonly Commit[]): Promise<void> {
    const { connection, keys } = this.#options
    const missing = commits.filter(({ name }) => !this.#listed.has(`${name.market}:${name.instrument}`))
    if (missing.length === 0) return
    await listStreams(
      connection,
      keys,
      missing.map(({ name }) => ({ ...name, channel: Channel.Analytics })),
    )
    for (const { name } of missing) this.#listed.add(`${name.market}:${name.instrument}`)
  }
}

/** A record that Redis refuses to read is something to know; a Redis that is away is for the caller. */
function refusalOf(error: unknown): BusError {
  if (error instanceof BusError && (error.code === 'other' || error.code === 'noperm')) return error
  throw error
}
