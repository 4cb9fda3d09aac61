import type { Page } from '../control/contract.ts'
import type { Clock } from '../lib/clock.ts'
import { type CatalogEntry, readCatalog } from './catalog.ts'
import type { RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'

/** So long a catalog that was read is good enough for lists; many callers then cost one reading. */
const FRESH_MS = 1_000

/** The catalog for whoever lists it page by page. Throws: BusError. */
export class CatalogView {
  readonly #connection: RedisConnection
  readonly #keys: Keys
  readonly #clock: Clock
  #entries: Promise<readonly CatalogEntry[]> | null = null
  #readMs = Number.NEGATIVE_INFINITY

  constructor(connection: RedisConnection, keys: Keys, clock: Clock) {
    this.#connection = connection
    this.#keys = keys
    this.#clock = clock
  }

  /** Sorted by name, at most a second old. */
  entries(): Promise<readonly CatalogEntry[]> {
    const nowMs = this.#clock.monotonicMs()
    if (this.#entries === null || nowMs - this.#readMs > FRESH_MS) {
      this.#readMs = nowMs
      const entries = readCatalog(this.#connection, this.#keys)
      entries.catch(() => {
        // Whoever asked is told; the next one asks Redis again.
        if (this.#entries === entries) this.#entries = null
      })
      this.#entries = entries
    }
    return this.#entries
  }
}

/** The part of a sorted list behind the cursor, which is the name of the last one seen, packed so that nobody reads it. */
export function pageBehind<Item>(
  items: readonly Item[],
  nameOf: (item: Item) => string,
  { cursor, limit }: { readonly cursor: string | null; readonly limit: number },
): Page<Item> {
  const seen = cursor === null ? null : unpackCursor(cursor)
  const rest = seen === null ? items : items.filter((item) => nameOf(item) > seen)
  const page = rest.slice(0, limit)
  const last = page.at(-1)
  return { items: page, cursor: last === undefined || rest.length <= limit ? null : packCursor(nameOf(last)) }
}

export const packCursor = (place: string): string => Buffer.from(place).toString('base64url')
export const unpackCursor = (cursor: string): string => Buffer.from(cursor, 'base64url').toString()
