import type { Level } from '../domain/event.ts'
import type { Clock } from '../lib/clock.ts'
import {
  type BookName,
  levelFields,
  type Snapshot,
  type SnapshotChange,
  type SnapshotFound,
  type SnapshotHead,
  type SnapshotMark,
  type SnapshotStore,
  type SnapshotSwapped,
} from './snapshot-store.ts'

interface Kept {
  readonly head: SnapshotHead
  readonly version: number
  readonly fields: Map<string, string>
  readonly expiresMs: number
}

/** The twin of the Redis version, for tests and tools: the same answers without a server. */
export class MemorySnapshotStore implements SnapshotStore {
  readonly #clock: Clock
  readonly #ttlMs: number
  readonly #kept = new Map<string, Kept>()
  readonly #versions = new Map<string, number>()
  /** Set to a reason to answer `unavailable`. */
  unavailable: string | null = null

  constructor(clock: Clock, ttlMs: number) {
    this.#clock = clock
    this.#ttlMs = ttlMs
  }

  async get(name: BookName): Promise<SnapshotFound> {
    if (this.unavailable !== null) return { outcome: 'unavailable', reason: this.unavailable }
    const kept = this.#find(name)
    return kept === null ? { outcome: 'not-found' } : { outcome: 'found', snapshot: parseSnapshotFields(kept) }
  }

  async put(name: BookName, snapshot: Omit<Snapshot, 'version'>) {
    if (this.unavailable !== null) return { outcome: 'unavailable', reason: this.unavailable } as const
    const { bids, asks, ...head } = snapshot
    return this.#write(name, head, pairs(levelFields(bids, asks)))
  }

  async compareAndSwap(
    name: BookName,
    expected: SnapshotMark | null,
    change: SnapshotChange,
  ): Promise<SnapshotSwapped> {
    if (this.unavailable !== null) return { outcome: 'unavailable', reason: this.unavailable }
    const kept = this.#find(name)
    const fits =
      kept === null || expected === null
        ? kept === expected
        : kept.version === expected.version &&
          kept.head.epoch === expected.epoch &&
          kept.head.streamId === expected.streamId
    if (!fits) return { outcome: 'conflict' }
    const fields = new Map(kept?.fields)
    for (const field of change.removed) fields.delete(field)
    for (const [field, value] of pairs(change.set)) fields.set(field, value)
    return this.#write(name, change.head, fields)
  }

  #find(name: BookName): Kept | null {
    const kept = this.#kept.get(keyOf(name))
    return kept === undefined || kept.expiresMs <= this.#clock.monotonicMs() ? null : kept
  }

  #write(name: BookName, head: SnapshotHead, fields: Map<string, string>) {
    const version = (this.#versions.get(keyOf(name)) ?? 0) + 1
    this.#versions.set(keyOf(name), version)
    this.#kept.set(keyOf(name), { head, version, fields, expiresMs: this.#clock.monotonicMs() + this.#ttlMs })
    return { outcome: 'swapped', version } as const
  }
}

const keyOf = ({ market, instrument }: BookName): string => `${market}:${instrument}`

function pairs(flat: readonly string[]): Map<string, string> {
  const map = new Map<string, string>()
  for (let at = 0; at + 1 < flat.length; at += 2) map.set(flat[at] as string, flat[at + 1] as string)
  return map
}

/** A whole record from its head and its fields of levels. */
export function parseSnapshotFields({ head, version, fields }: Omit<Kept, 'expiresMs'>): Snapshot {
  const side = (letter: string): Level[] =>
    [...fields].filter(([field]) => field.startsWith(letter)).map(([field, quantity]) => [field.slice(2), quantity])
  return { ...head, version, bids: side('b:'), asks: side('a:') }
}
