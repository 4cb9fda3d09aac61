import type { BookEntry, BookTail } from '../bus/book-tail.ts'
import { CanonicalType, Channel, type Level } from '../domain/event.ts'
import type { Instrument, Market } from '../domain/instrument.ts'
import type { RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'
import { StreamReader, type StreamRecord } from './stream-reader.ts'

/** The end of a book's stream as the append script wrote it. */
export class RedisBookTail implements BookTail {
  readonly #reader: StreamReader
  readonly #keys: Keys

  constructor(connection: RedisConnection, keys: Keys) {
    this.#reader = new StreamReader(connection)
    this.#keys = keys
  }

  async newest(market: Market, instrument: Instrument, count: number): Promise<readonly BookEntry[]> {
    const records = await this.#reader.newest(this.#keys.stream(market, instrument, Channel.OrderBook), count)
    return records.map(entryOf)
  }
}

function entryOf({ fields }: StreamRecord): BookEntry {
  if (fields.type === CanonicalType.BookSnapshot) return { kind: 'snapshot', last: Number(fields.venueSeq) }
  if (fields.type !== CanonicalType.BookDelta) return { kind: 'gap' }
  const { first, last, bids, asks } = JSON.parse(fields.data ?? '') as Record<string, unknown>
  return {
    ...{ kind: 'delta', first: Number(first), last: Number(last) },
    ...{ bids: bids as readonly Level[], asks: asks as readonly Level[] },
  }
}
