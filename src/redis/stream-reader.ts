import type { RedisConnection } from './connection.ts'

/** One entry as it stands in its stream; all fields are text. */
export interface StreamRecord {
  readonly stream: string
  readonly id: string
  readonly fields: Readonly<Record<string, string>>
}

type RawEntry = [id: string, fields: string[]]

const PAGE_ENTRIES = 1_000
/** On a cluster one command cannot wait on streams of several nodes, so they are asked in turn. */
const CLUSTER_POLL_MS = 50

/** Reads streams without groups and without a place of its own. Throws: BusError. */
export class StreamReader {
  readonly #connection: RedisConnection

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
    const entries = (await this.#connection.send('xrevrange', [stream, '+', '-', 'COUNT', count])) as RawEntry[]
    return entries.map((entry) => toRecord(stream, entry))
  }

  /**
   * Waits at most `blockMs` for entries behind the cursors, at most `count` a stream, and moves the cursors.
   *
   * Shape:  `cursors` from stream to the last id read, `$` for what comes from now on (use it once: between two calls entries
   *         would be missed; `last` gives the id to start from).
   */
  async follow(cursors: Map<string, string>, blockMs: number, count = PAGE_ENTRIES): Promise<StreamRecord[]> {
    const records = this.#connection.isCluster
      ? await this.#followCluster(cursors, blockMs, count)
      : await this.#read([...cursors], count, blockMs)
    for (const record of records) cursors.set(record.stream, record.id)
    return records
  }

  async #followCluster(cursors: Map<string, string>, blockMs: number, count: number): Promise<StreamRecord[]> {
    const byTag = Map.groupBy(cursors, ([stream]) => stream.slice(stream.indexOf('{'), stream.indexOf('}') + 1))
    const deadlineMs = performance.now() + blockMs
    for (;;) {
      const found = await Promise.all([...byTag.values()].map((group) => this.#read(group, count, null)))
      const records = found.flat()
      if (records.length > 0 || performance.now() >= deadlineMs) return records
      await new Promise((resolve) => setTimeout(resolve, CLUSTER_POLL_MS))
    }
  }

  async #read(cursors: (readonly [string, string])[], count: number, blockMs: number | null): Promise<StreamRecord[]> {
    if (cursors.length === 0) return []
    const block = blockMs === null ? [] : ['BLOCK', Math.max(1, Math.round(blockMs))]
    const streams = cursors.map(([stream]) => stream)
    const ids = cursors.map(([, id]) => id)
    const reply = await this.#connection.send('xread', ['COUNT', count, ...block, 'STREAMS', ...streams, ...ids])
    if (reply === null) return []
    return (reply as [string, RawEntry[]][]).flatMap(([stream, entries]) =>
      entries.map((entry) => toRecord(stream, entry)),
    )
  }
}

function toRecord(stream: string, [id, flat]: RawEntry): StreamRecord {
  const fields: Record<string, string> = {}
  for (let at = 0; at + 1 < flat.length; at += 2) fields[flat[at] as string] = flat[at + 1] as string
  return { stream, id, fields }
}
