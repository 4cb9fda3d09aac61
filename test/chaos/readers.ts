import { Redis } from 'ioredis'

const GROUP = 'chaos'
const BLOCK_MS = 200
const COUNT = 500
const FAILURE_PAUSE_MS = 100
/** What a reader that died held is taken by another after so long. */
const IDLE_MS = 2_000

/**
 * Readers in one consumer group over streams, as users run them: read, use, acknowledge; what one did not acknowledge
 * another claims. An event counts as used once, by its `key` (DESIGN 4), however often it is delivered.
 */
export class Readers {
  readonly #url: string
  readonly #streams: readonly string[]
  /** Keys used, by stream. */
  readonly used = new Map<string, Set<string>>()
  delivered = 0
  failures = 0
  readonly #loops: Promise<void>[] = []
  #closed = false

  constructor(url: string, streams: readonly string[], count: number) {
    this.#url = url
    this.#streams = streams
    for (const stream of streams) this.used.set(stream, new Set())
    for (let index = 0; index < count; index++) this.#loops.push(this.#read(`reader-${index}`))
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#loops)
  }

  async #read(name: string): Promise<void> {
    const client = new Redis(this.#url, {
      maxRetriesPerRequest: 0,
      retryStrategy: () => FAILURE_PAUSE_MS,
      commandTimeout: 5_000,
    })
    client.on('error', () => undefined)
    while (!this.#closed) {
      try {
        await this.#turn(client, name)
      } catch (error) {
        this.failures += 1
        if (/NOGROUP/.test(String(error))) await this.#createGroups(client).catch(() => undefined)
        await new Promise((resolve) => setTimeout(resolve, FAILURE_PAUSE_MS))
      }
    }
    client.disconnect()
  }

  async #turn(client: Redis, name: string): Promise<void> {
    const ids = this.#streams.map(() => '>')
    const found = (await client.xreadgroup(
      'GROUP',
      GROUP,
      name,
      'COUNT',
      COUNT,
      'BLOCK',
      BLOCK_MS,
      'STREAMS',
      ...this.#streams,
      ...ids,
    )) as [string, [string, string[]][]][] | null
    for (const [stream, entries] of found ?? []) await this.#use(client, stream, entries)
    for (const stream of found === null ? this.#streams : []) {
      const [, claimed] = (await client.xautoclaim(stream, GROUP, name, IDLE_MS, '0', 'COUNT', COUNT)) as [
        string,
        [string, string[]][],
      ]
      await this.#use(client, stream, claimed)
    }
  }

  async #use(client: Redis, stream: string, entries: readonly [string, string[]][]): Promise<void> {
    if (entries.length === 0) return
    const used = this.used.get(stream)
    for (const [, fields] of entries) {
      this.delivered += 1
      used?.add(fields[13] ?? '')
    }
    await client.xack(stream, GROUP, ...entries.map(([id]) => id))
  }

  async #createGroups(client: Redis): Promise<void> {
    for (const stream of this.#streams) {
      await client.xgroup('CREATE', stream, GROUP, '0', 'MKSTREAM').catch((error: unknown) => {
        if (!/BUSYGROUP/.test(String(error))) throw error
      })
    }
  }
}
