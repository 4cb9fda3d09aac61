import type { Channel } from '../domain/event.ts'
import { readCatalog } from './catalog.ts'
import type { RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'

/** Redis takes about 10,000 entries a call; a stream that is further beyond its bound than this is left to the next start. */
const CALLS_PER_STREAM_MAX = 1_000
const STREAMS_AT_ONCE = 100

/**
 * Takes from every stream of the keyspace what is beyond its bound; answers how many entries that were.
 *
 * The scripts trim what they append to. A stream to which nothing comes any more keeps what it had, and at `maxmemory` nothing
 * is appended at all, so a shorter retention would free nothing: this does, because XTRIM is taken there. Throws: BusError.
 */
export async function trimStreams(
  connection: RedisConnection,
  keys: Keys,
  maxLengths: Readonly<Partial<Record<Channel, number | null>>>,
): Promise<number> {
  const streams = await readCatalog(connection, keys)
  let trimmed = 0
  for (let at = 0; at < streams.length; at += STREAMS_AT_ONCE) {
    const counts = streams.slice(at, at + STREAMS_AT_ONCE).map(async ({ stream, channel }) => {
      const maxLength = maxLengths[channel] ?? null
      return maxLength === null ? 0 : trim(connection, stream, maxLength)
    })
    for (const count of await Promise.all(counts)) trimmed += count
  }
  return trimmed
}

async function trim(connection: RedisConnection, stream: string, maxLength: number): Promise<number> {
  let trimmed = 0
  for (let call = 0; call < CALLS_PER_STREAM_MAX; call++) {
    const taken = Number(await connection.send('xtrim', [stream, 'MAXLEN', '~', maxLength]))
    trimmed += taken
    if (taken === 0) break
  }
  return trimmed
}
