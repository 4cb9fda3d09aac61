import type { BookOf, QualityLog, ToldQuality } from '../bus/book-quality.ts'
import { Quality } from '../domain/event.ts'
import type { QualityReason, ShownQuality } from '../domain/quality.ts'
import type { RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'

/** Field of the state hash of an instrument: word, reason (`-` for none) and since when in us, separated by blanks. */
export const BOOK_QUALITY_FIELD = 'quality:ORDERBOOK'

/** The quality of books in the state hashes of their instruments. */
export class RedisQualityLog implements QualityLog {
  readonly #connection: RedisConnection
  readonly #keys: Keys

  constructor(connection: RedisConnection, keys: Keys) {
    this.#connection = connection
    this.#keys = keys
  }

  async write(told: readonly ToldQuality[]): Promise<void> {
    await Promise.all(
      told.map(({ market, instrument, shown: { quality, reason, sinceUs } }) => {
        const text = `${quality} ${reason === '' ? '-' : reason} ${sinceUs}`
        return this.#connection.send('hset', [this.#keys.state(market, instrument), BOOK_QUALITY_FIELD, text])
      }),
    )
  }

  read(books: readonly BookOf[]): Promise<readonly (ShownQuality | null)[]> {
    return readBookQualities(this.#connection, this.#keys, books)
  }
}

/** What was said of each; null where nothing was. Throws: BusError. */
export async function readBookQualities(
  connection: RedisConnection,
  keys: Keys,
  books: readonly BookOf[],
): Promise<(ShownQuality | null)[]> {
  const texts = await Promise.all(
    books.map(({ market, instrument }) =>
      connection.send('hget', [keys.state(market, instrument), BOOK_QUALITY_FIELD]),
    ),
  )
  return texts.map((text) => parseBookQuality(text as string | null))
}

const words = new Set<string>(Object.values(Quality))

/** What stands in the field; null where nothing was ever said. */
export function parseBookQuality(text: string | null | undefined): ShownQuality | null {
  const [quality = '', reason = '', since = ''] = text?.split(' ') ?? []
  if (!words.has(quality) || !/^\d+$/.test(since)) return null
  return {
    quality: quality as Quality,
    reason: (reason === '-' ? '' : reason) as QualityReason,
    sinceUs: Number(since),
  }
}
