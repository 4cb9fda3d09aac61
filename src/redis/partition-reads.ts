import { backoffMs } from '../lib/backoff.ts'
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

const RETRY = { baseMs: 50, maxMs: 1_000 }

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
  /** Partitions whose node could not be reached: when to try again, monotonic ms, and after how many tries. */
  readonly #away = new Map<string, { readonly untilMs: number; readonly tries: number }>()
  readonly #reads = new Map<string, Read>()
  readonly #connections = new Map<string, RedisConnection>()

  constructor(cluster: RedisConnection) {
    this.#cluster = cluster
  }

  /**
   * Throws: BusError when a partition's read is lost; it is begun again at the partition's new place, as soon as that can be
   * reached, while the others go on.
   */
  async follow(cursors: ReadonlyMap<string, string>, blockMs: number, count: number): Promise<StreamEntry[]> {
    const byTag = Map.groupBy(cursors, ([stream]) => stream.slice(stream.indexOf('{'), stream.indexOf('}') + 1))
    for (const tag of this.#connections.keys()) if (!byTag.has(tag)) this.#drop(tag)
    for (const tag of this.#away.keys()) if (!byTag.has(tag)) this.#away.delete(tag)
    const reads: Read[] = []
    for (const [tag, wanted] of byTag) {
      const read = this.#reads.get(tag) ?? (await this.#begin(tag, wanted, blockMs, count))
      if (read === null) continue
      this.#reads.set(tag, read)
      reads.push(read)
    }
    if (reads.every(({ answer }) => answer !== null)) {
      const waits = reads.map(({ answer }) => answer)
      const { promise, cancel } = this.#untilReturn(blockMs)
      if (reads.length < byTag.size) waits.push(promise)
      await Promise.race(waits)
      cancel()
    }
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

  /** Until the first partition that is away is to be tried again. */
  #untilReturn(blockMs: number): { promise: Promise<void>; cancel: () => void } {
    const nowMs = performance.now()
    const delayMs = Math.min(blockMs, ...[...this.#away.values()].map(({ untilMs }) => Math.max(1, untilMs - nowMs)))
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, delayMs)
    return { promise, cancel: () => clearTimeout(timer) }
  }

  /** `null` while the partition's node cannot be reached. */
  async #begin(tag: string, wanted: readonly Cursor[], blockMs: number, count: number): Promise<Read | null> {
    const connection = await this.#connectionOf(tag, wanted[0]?.[0] ?? tag)
    if (connection === null) return null
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

  async #connectionOf(tag: string, stream: string): Promise<RedisConnection | null> {
    const known = this.#connections.get(tag)
    if (known !== undefined) return known
    const away = this.#away.get(tag)
    if (away !== undefined && away.untilMs > performance.now()) return null
    try {
      const connection = this.#cluster.toNodeOf(stream)
      this.#connections.set(tag, connection)
      await connection.ready()
      this.#away.delete(tag)
      return connection
    } catch {
      // Told by the connection to its observer.
      this.#drop(tag)
      const tries = (away?.tries ?? 0) + 1
      this.#away.set(tag, { untilMs: performance.now() + backoffMs(tries, RETRY, Math.random), tries })
      await this.#cluster.relocate()
      return null
    }
  }

  #drop(tag: string): void {
    this.#connections.get(tag)?.close()
    this.#connections.delete(tag)
    this.#reads.delete(tag)
  }
}
