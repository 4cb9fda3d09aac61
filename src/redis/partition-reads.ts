import type { RedisConnection } from './connection.ts'
import { BusError } from './errors.ts'

type RawEntry = [id: string, fields: string[]]
type Cursor = readonly [stream: string, afterId: string]
export type StreamEntry = readonly [stream: string, entry: RawEntry]

/** Entries behind the cursors, at most `count` a stream; waits at most `blockMs` for the first. Throws: BusError. */
export async function readStreams(
  connection: RedisConnection,
  cursors: readonly Cursor[],
  count: number,
  blockMs: number,
): Promise<StreamEntry[]> {
  if (cursors.length === 0) return []
  const streams = cursors.map(([stream]) => stream)
  const ids = cursors.map(([, id]) => id)
  const block = Math.max(1, Math.round(blockMs))
  const reply = await connection.send('xread', ['COUNT', count, 'BLOCK', block, 'STREAMS', ...streams, ...ids])
  if (reply === null) return []
  return (reply as [string, RawEntry[]][]).flatMap(([stream, entries]) =>
    entries.map((entry) => [stream, entry] as const),
  )
}

/** A partition's read under way, or answered and not yet fetched. */
interface Read {
  readonly connection: RedisConnection
  readonly cursors: ReadonlyMap<string, string>
  answer: Promise<void> | null
  found: StreamEntry[]
  failure: unknown
}

/**
 * Waiting on the streams of a cluster. One command cannot wait on streams of several slots, and two commands that wait on
 * one connection wait for each other, so every partition has a blocking read, and a connection, of its own. What one
 * finds ends the wait for all; the others go on waiting for the next call.
 */
export class PartitionReads {
  readonly #cluster: RedisConnection
  readonly #reads = new Map<string, Read>()
  readonly #connections = new Map<string, RedisConnection>()

  constructor(cluster: RedisConnection) {
    this.#cluster = cluster
  }

  /** Throws: BusError, after which the next call finds the partition's place anew. */
  async follow(cursors: ReadonlyMap<string, string>, blockMs: number, count: number): Promise<StreamEntry[]> {
    const byTag = Map.groupBy(cursors, ([stream]) => stream.slice(stream.indexOf('{'), stream.indexOf('}') + 1))
    for (const tag of this.#connections.keys()) if (!byTag.has(tag)) this.#drop(tag)
    const reads: Read[] = []
    for (const [tag, wanted] of byTag) {
      let read = this.#reads.get(tag)
      if (read === undefined) {
        read = await this.#begin(tag, wanted, blockMs, count)
        this.#reads.set(tag, read)
      }
      reads.push(read)
    }
    if (reads.every(({ answer }) => answer !== null)) await Promise.race(reads.map(({ answer }) => answer))
    const found: StreamEntry[] = []
    for (const [tag, read] of this.#reads) {
      if (read.answer !== null) continue
      this.#reads.delete(tag)
      if (read.failure !== null) {
        this.#drop(tag)
        await this.#cluster.relocate()
        // The slot lies elsewhere now, which the next call knows.
        if (read.failure instanceof BusError && read.failure.code === 'moved') continue
        throw read.failure
      }
      // A cursor that was moved meanwhile, or a stream that is not followed any more: the next read is for those.
      for (const entry of read.found) if (cursors.get(entry[0]) === read.cursors.get(entry[0])) found.push(entry)
    }
    return found
  }

  async #begin(tag: string, wanted: readonly Cursor[], blockMs: number, count: number): Promise<Read> {
    const connection = await this.#connectionOf(tag, wanted[0]?.[0] ?? tag)
    const read: Read = { connection, cursors: new Map(wanted), answer: null, found: [], failure: null }
    read.answer = readStreams(connection, wanted, count, blockMs)
      .then(
        (found) => {
          read.found = found
        },
        (failure: unknown) => {
          read.failure = failure
        },
      )
      .finally(() => {
        read.answer = null
      })
    return read
  }

  async #connectionOf(tag: string, stream: string): Promise<RedisConnection> {
    const known = this.#connections.get(tag)
    if (known !== undefined) return known
    const connection = this.#cluster.toNodeOf(stream)
    this.#connections.set(tag, connection)
    try {
      await connection.ready()
    } catch (cause) {
      this.#drop(tag)
      await this.#cluster.relocate()
      throw new BusError('unreachable', `the node of partition ${tag} cannot be reached`, { cause })
    }
    return connection
  }

  #drop(tag: string): void {
    this.#connections.get(tag)?.close()
    this.#connections.delete(tag)
    this.#reads.delete(tag)
  }
}
