import type { LimitReader, LimitReport } from '../gateway/readers.ts'
import type { RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'
import { RedisLimits } from './limits.ts'

/** Egresses that are kept; one more takes the place of the one that was named longest ago. */
const EGRESSES_MAX = 200

/** Which egresses there are, so that limits can be told without searching the keyspace. Throws: BusError. */
export class RedisEgresses implements LimitReader {
  readonly #connection: RedisConnection
  readonly #keys: Keys
  readonly #weightPerMinute: number

  /** `weightPerMinute` counts until a venue tells its own. */
  constructor(connection: RedisConnection, keys: Keys, weightPerMinute: number) {
    this.#connection = connection
    this.#keys = keys
    this.#weightPerMinute = weightPerMinute
  }

  /** Named by every process that asks a venue, when it begins to. */
  async name(venue: string, egress: string, nowUs: number): Promise<void> {
    await this.#connection.send('hset', [this.#keys.egresses, `${venue} ${egress}`, nowUs])
    const all = await this.#named()
    const surplus = all.sort((a, b) => b.namedUs - a.namedUs).slice(EGRESSES_MAX)
    if (surplus.length === 0) return
    await this.#connection.send('hdel', [this.#keys.egresses, ...surplus.map(({ field }) => field)])
  }

  async all(): Promise<readonly LimitReport[]> {
    const all = (await this.#named()).sort((a, b) => (a.field < b.field ? -1 : 1))
    return Promise.all(
      all.map(async ({ field }) => {
        const space = field.indexOf(' ')
        const [venue, egress] = [field.slice(0, space), field.slice(space + 1)]
        const limits = new RedisLimits(this.#connection, this.#keys, venue, egress, this.#weightPerMinute)
        return { venue, egress, ...(await limits.read()) }
      }),
    )
  }

  async #named(): Promise<{ readonly field: string; readonly namedUs: number }[]> {
    const found = (await this.#connection.send('hgetall', [this.#keys.egresses])) as Record<string, string>
    return Object.entries(found).map(([field, namedUs]) => ({ field, namedUs: Number(namedUs) }))
  }
}
