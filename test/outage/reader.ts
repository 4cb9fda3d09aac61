import { StreamCursor } from '../../src/consumer/reader.ts'
import { RedisConnection, type RedisConnectionOptions } from '../../src/redis/connection.ts'
import { BusError } from '../../src/redis/errors.ts'
import { StreamReader } from '../../src/redis/stream-reader.ts'
import { eventually } from '../support/redis.ts'

/**
 * A reader by the wire contract alone (DESIGN 4): it waits for entries behind its cursors, drops what a cursor calls read,
 * and when Redis is lost waits until it is back and goes on from where it was.
 */
export class ContractReader {
  readonly #connection: RedisConnection
  readonly #cursors = new Map<string, string>()
  readonly #places = new Map<string, StreamCursor>()
  /** How often each event was used, by stream and key. */
  readonly used = new Map<string, Map<string, number>>()
  /** Entries that a cursor called lost. */
  lost = 0
  epochs = 0
  repeated = 0
  #closed = false
  readonly #done: Promise<void>

  private constructor(connection: RedisConnection, streams: readonly string[]) {
    this.#connection = connection
    for (const stream of streams) {
      this.#cursors.set(stream, '0')
      this.#places.set(stream, new StreamCursor())
      this.used.set(stream, new Map())
    }
    this.#done = this.#run()
  }

  static async open(options: RedisConnectionOptions, streams: readonly string[]): Promise<ContractReader> {
    const connection = new RedisConnection(options, 'blocking')
    await connection.ready()
    return new ContractReader(connection, streams)
  }

  /** Events used so far, of all streams. */
  usedCount = 0

  /** Waits until it is at the end of what stands there, and answers how what it used differs from that; [] when in nothing. */
  async differences(look: StreamReader): Promise<string[]> {
    const problems: string[] = this.lost > 0 ? [`${this.lost} entries were called lost`] : []
    for (const [stream, used] of this.used) {
      const last = await look.last(stream)
      await eventually(() => this.#cursors.get(stream) === last?.id, 60_000)
      const stand = new Set<string>()
      for await (const page of look.pages(stream)) for (const { fields } of page) stand.add(fields.key ?? '')
      for (const key of stand) if (!used.has(key)) problems.push(`${key}: never used`)
      for (const [key, times] of used) {
        if (times > 1) problems.push(`${key}: used ${times} times`)
        // What the old master told of a hole, or a book of its own, need not come again; an event must.
        const mustStand = !/\.(GAP|SNAPSHOT):/.test(key)
        if (mustStand && !stand.has(key)) problems.push(`${key}: used, and not in the stream any more`)
      }
    }
    return problems
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#connection.close()
    await this.#done
  }

  async #run(): Promise<void> {
    const reader = new StreamReader(this.#connection)
    while (!this.#closed) {
      try {
        for (const { stream, fields } of await reader.follow(this.#cursors, 500)) this.#take(stream, fields)
      } catch (error) {
        if (!(error instanceof BusError)) throw error
        if (!this.#closed) await this.#connection.restored()
      }
    }
  }

  #take(stream: string, fields: Readonly<Record<string, string>>): void {
    const { epoch = '', seq = '', key = '' } = fields
    const told = (this.#places.get(stream) as StreamCursor).step({ epoch, seq, key })
    if (told.step === 'epoch') this.epochs++
    if (told.step === 'epoch' || told.step === 'lost') this.lost += told.step === 'epoch' ? told.lost : told.count
    if (told.step === 'duplicate' || ('repeated' in told && told.repeated)) {
      this.repeated++
      return
    }
    this.usedCount++
    const used = this.used.get(stream) as Map<string, number>
    used.set(key, (used.get(key) ?? 0) + 1)
  }
}
