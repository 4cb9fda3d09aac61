import { decodeEntry } from '../bus/contract.ts'
import type { BookEntry, BookRecord, BookSource, BookSources } from '../consumer/book-source.ts'
import { Channel } from '../domain/event.ts'
import type { Instrument, Market } from '../domain/instrument.ts'
import type { RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'
import { parseSnapshot } from './snapshot-store.ts'
import { StreamReader } from './stream-reader.ts'

const ENTRIES_PER_READ = 500

/** Books in Redis: the records and the streams they are places in. */
export class RedisBookSources implements BookSources {
  readonly #connection: RedisConnection
  readonly #waiting: RedisConnection
  readonly #keys: Keys

  /** `waiting` is a connection of kind `blocking`: one book at a time waits on it. */
  constructor(connection: RedisConnection, waiting: RedisConnection, keys: Keys) {
    this.#connection = connection
    this.#waiting = waiting
    this.#keys = keys
  }

  /** Its methods throw BusError. */
  of(market: Market, instrument: Instrument): BookSource {
    const stream = this.#keys.stream(market, instrument, Channel.OrderBook)
    const follower = new StreamReader(this.#waiting)
    return {
      record: () => this.#record(market, instrument),
      after: async (streamId, blockMs) => {
        const records = await follower.follow(new Map([[stream, streamId]]), blockMs, ENTRIES_PER_READ)
        return records.map(({ id, fields }): BookEntry => {
          const decoded = decodeEntry(fields)
          return { id, entry: decoded.ok ? decoded.entry : null }
        })
      },
    }
  }

  async #record(market: Market, instrument: Instrument): Promise<BookRecord | null> {
    const fields = await this.#connection.send('hgetall', [this.#keys.book(market, instrument)])
    return parseSnapshot(fields as Record<string, string>)
  }
}
