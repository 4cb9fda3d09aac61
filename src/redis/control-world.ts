import type { ControlWorld } from '../control/store.ts'
import { asInstrument, asMarket } from '../domain/instrument.ts'
import { patternTest } from '../lib/pattern.ts'
import { readCatalog } from './catalog.ts'
import type { RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'
import { RedisMembers } from './members.ts'

/** What commands need to know beside the table, where the other parts keep it. Throws: BusError. */
export class RedisControlWorld implements ControlWorld {
  readonly #connection: RedisConnection
  readonly #keys: Keys
  readonly #members: RedisMembers
  readonly #expiryMs: number

  constructor(connection: RedisConnection, keys: Keys, expiryMs: number) {
    this.#connection = connection
    this.#keys = keys
    this.#members = new RedisMembers(connection, keys)
    this.#expiryMs = expiryMs
  }

  async isListed(market: string, instrument: string): Promise<boolean> {
    const key = this.#keys.instrument(asMarket(market), asInstrument(instrument))
    return Number(await this.#connection.send('exists', [key])) > 0
  }

  async instrumentsOf(market: string, type: string, pattern: string): Promise<readonly string[]> {
    const matches = patternTest(pattern)
    const found = await readCatalog(this.#connection, this.#keys)
    return found
      .filter((entry) => entry.market === market && entry.channel === type && matches(entry.instrument))
      .map(({ instrument }) => instrument)
  }

  async workers(): Promise<readonly string[]> {
    const members = await this.#members.list('ingest')
    return members.filter(({ ageMs }) => ageMs < this.#expiryMs).map(({ id }) => id)
  }
}
