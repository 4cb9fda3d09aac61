import type { RedisConnection } from './connection.ts'
import { Keys, type StreamName } from './keys.ts'

/** A stream that the catalog lists. */
export interface CatalogEntry extends StreamName {
  /** `MARKET:INSTRUMENT:CHANNEL`. */
  readonly name: string
  /** The key of the stream. */
  readonly stream: string
}

const FIELDS_PER_PAGE = 1_000

/** All streams of the keyspace, sorted by name. Fields that are no stream's are left out. Throws: BusError. */
export async function readCatalog(connection: RedisConnection, keys: Keys): Promise<CatalogEntry[]> {
  const entries = new Map<string, CatalogEntry>()
  let cursor = '0'
  do {
    const reply = await connection.send('hscan', [keys.catalog, cursor, 'COUNT', FIELDS_PER_PAGE])
    const [next, flat] = reply as [string, string[]]
    for (let at = 0; at + 1 < flat.length; at += 2) {
      const name = flat[at] as string
      const parsed = Keys.parseCatalogField(name)
      if (parsed) entries.set(name, { ...parsed, name, stream: flat[at + 1] as string })
    }
    cursor = next
  } while (cursor !== '0')
  return [...entries.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

/**
 * Lists the streams this process is about to write, whether they are listed or not: the repair at start. The keyspace is not
 * searched for streams nobody writes; that would take too long on a big one. Throws: BusError.
 */
export async function listStreams(
  connection: RedisConnection,
  keys: Keys,
  names: readonly StreamName[],
): Promise<void> {
  for (let start = 0; start < names.length; start += FIELDS_PER_PAGE) {
    const fields = names
      .slice(start, start + FIELDS_PER_PAGE)
      .flatMap((name) => [Keys.catalogField(name), keys.stream(name.market, name.instrument, name.channel)])
    await connection.send('hset', [keys.catalog, ...fields])
  }
}

/** Whether a name fits a pattern in which `*` stands for any characters. Linear in the length of the name. */
export function matchesPattern(name: string, pattern: string): boolean {
  const parts = pattern.split('*')
  const [head = '', ...rest] = parts
  if (rest.length === 0) return name === pattern
  const tail = rest.pop() as string
  if (!name.startsWith(head) || !name.endsWith(tail) || name.length < head.length + tail.length) return false
  let at = head.length
  for (const part of rest) {
    const found = name.indexOf(part, at)
    if (found === -1 || found + part.length > name.length - tail.length) return false
    at = found + part.length
  }
  return true
}
