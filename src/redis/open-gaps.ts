import type { OpenGapReader, OpenTradeGap } from '../bus/open-gaps.ts'
import { Channel } from '../domain/event.ts'
import type { Instrument, Market } from '../domain/instrument.ts'
import type { RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'

const READS_AT_ONCE_MAX = 200

/** The open ranges as the append script keeps them in the state hashes, so that no ledger is searched. Throws: BusError. */
export class RedisOpenGaps implements OpenGapReader {
  readonly #connection: RedisConnection
  readonly #keys: Keys
  readonly #market: Market

  constructor(connection: RedisConnection, keys: Keys, market: Market) {
    this.#connection = connection
    this.#keys = keys
    this.#market = market
  }

  async openTradeGaps(instruments: readonly Instrument[]): Promise<readonly OpenTradeGap[]> {
    const gaps: OpenTradeGap[] = []
    for (let start = 0; start < instruments.length; start += READS_AT_ONCE_MAX) {
      const part = instruments.slice(start, start + READS_AT_ONCE_MAX)
      const found = await Promise.all(part.map((instrument) => this.#read(instrument)))
      gaps.push(...found.flat())
    }
    return gaps
  }

  async #read(instrument: Instrument): Promise<OpenTradeGap[]> {
    const state = this.#keys.state(this.#market, instrument)
    const text = await this.#connection.send('hget', [state, `open:${Channel.Trade}`])
    if (typeof text !== 'string') return []
    return [...text.matchAll(/(\d+) (\d+) \S+ (\d+);/g)].map(([, from, to, openedAt]) => ({
      ...{ instrument, from: Number(from), to: Number(to) },
      openedAtUs: Number(openedAt),
    }))
  }
}
