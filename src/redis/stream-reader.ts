import type { RedisConnection } from './connection.ts'
import { PartitionReads, readStreams } from './partition-reads.ts'

/** One entry as it stands in its stream; all fields are text. */
export interface StreamRecord {
  readonly stream: string
  readonly id: string
  readonly fields: Readonly<Record<string, string>>
}

type RawEntry = [id: string, fields: string[]]

const PAGE_ENTRIES = 1_000

/** Reads streams without groups and without a place of its own. Throws: BusError. */
export class StreamReader {
  readonly #connection: RedisConnection
  #partitions: PartitionReads | null = null

  /** `follow` needs a connection of kind `blocking` that nothing else uses; the other methods take either. */
  constructor(connection: RedisConnection) {
    this.#connection = connection
  }

  /** At most `count` entries with ids in `from..to`, both included; `(` before an id excludes it. */
  async range(stream: string, from = '-', to = '+', count = PAGE_ENTRIES): Promise<StreamRecord[]> {
    const entries = await this.#connection.send('xrange', [stream, from, to, 'COUNT', count])
    return (entries as RawEntry[]).map((entry) => toRecord(stream, entry))
  }

  /** Everything in `from..to`, page by page. */
  async *pages(stream: string, from = '-', to = '+'): AsyncGenerator<StreamRecord[]> {
    let start = from
    for (;;) {
      const records = await this.range(stream, start, to)
      if (records.length > 0) yield records
      if (records.length < PAGE_ENTRIES) return
      start = `(${records.at(-1)?.id}`
    }
  }

  async length(stream: string): Promise<number> {
    return Number(await this.#connection.send('xlen', [stream]))
  }

  /** The newest entry, null when the stream is empty. */
  async last(stream: string): Promise<StreamRecord | null> {
    return (await this.newest(stream, 1))[0] ?? null
  }

  /** The newest entries, the newest first, at most `count`. */
  async newest(stream: string, count: number): Promise<StreamRecord[]> {
    return this.backwards(stream, '+', '-', count)
  }

  /** At most `count` entries with ids from `to` down to `from`, the newest first. */
  async backwards(stream: string, to: string, from: string, count: number): Promise<StreamRecord[]> {
    const entries = (await this.#connection.send('xrevrange', [stream, to, from, 'COUNT', count])) as RawEntry[]
    return entries.map((entry) => toRecord(stream, entry))
  }

  /**
   * Waits at most `blockMs` for entries behind the cursors, at most `count` a stream, and moves the cursors.
   *
   * Shape:  `cursors` from stream to the last id read, `$` for what comes from now on (use it once: between two calls entries
   *         would be missed; `last` gives the id to start from).
   */
  async follow(cursors: Map<string, string>, blockMs: number, count = PAGE_ENTRIES): Promise<StreamRecord[]> {
    const entries = this.#connection.isCluster
      ? await this.#waiting().follow(cursors, blockMs, count)
      : await readStreams(this.#connection, [...cursors], count, blockMs)
    const records = entries.map(([stream, entry]) => toRecord(stream, entry))
    for (const record of records) cursors.set(record.stream, record.id)
    return records
  }

  #waiting(): PartitionReads {
    this.#partitions ??= new PartitionReads(this.#connection)
    return this.#partitions
  }
}

function toRecord(stream: string, [id, flat]: RawEntry): StreamRecord {
  const fields: Record<string, string> = {}
  for (let at = 0; at + 1 < flat.length; at += 2) fields[flat[at] as string] = flat[at + 1] as string
  return { stream, id, fields }
}
