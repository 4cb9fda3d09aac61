import {
  type BookName,
  levelFields,
  type Snapshot,
  type SnapshotChange,
  type SnapshotFound,
  type SnapshotMark,
  type SnapshotStore,
  type SnapshotSwapped,
  type SnapshotUnavailable,
} from '../conductor/snapshot-store.ts'
import { type Level, Quality } from '../domain/event.ts'
import { type CommitArguments, runCommit } from './commit-script.ts'
import type { RedisConnection } from './connection.ts'
import { BusError } from './errors.ts'
import type { Keys } from './keys.ts'

const NO_EVENT = { quality: '', venueTime: '', receivedTime: '', trace: '', data: '' }

/** Snapshot records as hashes in Redis (DESIGN 5, layout of `book`). */
export class RedisSnapshotStore implements SnapshotStore {
  readonly #connection: RedisConnection
  readonly #keys: Keys
  readonly #ttlMs: number

  constructor(connection: RedisConnection, keys: Keys, ttlMs: number) {
    this.#connection = connection
    this.#keys = keys
    this.#ttlMs = ttlMs
  }

  async get(name: BookName): Promise<SnapshotFound> {
    try {
      const fields = await this.#connection.send('hgetall', [this.#keys.book(name.market, name.instrument)])
      const snapshot = parseSnapshot(fields as Record<string, string>)
      return snapshot === null ? { outcome: 'not-found' } : { outcome: 'found', snapshot }
    } catch (error) {
      return unavailable(error)
    }
  }

  async put(name: BookName, snapshot: Omit<Snapshot, 'version'>) {
    const { bids, asks, ...head } = snapshot
    const outcome = await this.#swap(name, '', '*', { head, set: levelFields(bids, asks), removed: [] })
    if (outcome.outcome === 'conflict')
      return { outcome: 'unavailable', reason: 'the script refused a plain put' } as const
    return outcome
  }

  compareAndSwap(name: BookName, expected: SnapshotMark | null, change: SnapshotChange): Promise<SnapshotSwapped> {
    if (expected === null) return this.#swap(name, '', '-', change)
    return this.#swap(name, String(expected.version), `${expected.epoch} ${expected.streamId}`, change)
  }

  async #swap(name: BookName, version: string, record: string, change: SnapshotChange): Promise<SnapshotSwapped> {
    const swap: CommitArguments = {
      ...{ name, version, record, change, versionFloor: 0, carried: '', event: NO_EVENT, maxLength: null },
      ttlMs: this.#ttlMs,
    }
    try {
      const { answers } = await runCommit(this.#connection, this.#keys, { run: '', floorMs: 0, commits: [swap] })
      const answer = answers[0]
      if (answer?.outcome === 'committed') return { outcome: 'swapped', version: answer.version }
      if (answer?.outcome === 'conflict') return { outcome: 'conflict' }
      return { outcome: 'unavailable', reason: answer?.error ?? 'no answer' }
    } catch (error) {
      return unavailable(error)
    }
  }
}

function unavailable(error: unknown): SnapshotUnavailable {
  if (!(error instanceof BusError)) throw error
  return { outcome: 'unavailable', reason: error.message }
}

const qualities = new Set<string>(Object.values(Quality))

/** Reads what HGETALL answers, which the client has made an object of; null when there is no whole record. */
export function parseSnapshot(fields: Readonly<Record<string, string>>): Snapshot | null {
  const bids: Level[] = []
  const asks: Level[] = []
  for (const field in fields) {
    if (field.startsWith('b:')) bids.push([field.slice(2), fields[field] as string])
    else if (field.startsWith('a:')) asks.push([field.slice(2), fields[field] as string])
  }
  const { version, epoch, seq, streamId, venueSeq, updatedAt, quality } = fields
  if (version === undefined || epoch === undefined || seq === undefined || streamId === undefined) return null
  if (venueSeq === undefined || updatedAt === undefined || quality === undefined || !qualities.has(quality)) return null
  const texts = { epoch, seq, streamId, venueSeq, updatedAt, quality: quality as Quality }
  return { ...texts, version: Number(version), bids, asks }
}
