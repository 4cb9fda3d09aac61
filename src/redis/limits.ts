import { randomUUID } from 'node:crypto'
import type { LimitState, LimitStore, Settlement, TakeAnswer, WeightWanted } from '../venues/limit-store.ts'
import type { RedisConnection } from './connection.ts'
import { BusError } from './errors.ts'
import type { Keys } from './keys.ts'
import { Script } from './script.ts'

const limitsScript = new Script('limits.lua')
const leaseScript = new Script('lease.lua')

/** The limits of one venue for one address that it sees (`egress`), on one slot. */
export class RedisLimits implements LimitStore {
  readonly #connection: RedisConnection
  readonly #purse: string
  readonly #weightPerMinute: number

  /** `weightPerMinute` counts until the venue tells its own. */
  constructor(connection: RedisConnection, keys: Keys, venue: string, egress: string, weightPerMinute: number) {
    this.#connection = connection
    this.#purse = keys.limit(venue, egress)
    this.#weightPerMinute = weightPerMinute
  }

  async take(wanted: readonly WeightWanted[]): Promise<TakeAnswer> {
    const args = wanted.flatMap(({ weight, share }) => [weight, share])
    const [granted, minute, waitMs, bannedMs, spent] = await this.#numbers(['take', ...args], 5)
    return { granted, minute, waitMs, bannedMs, spent }
  }

  async settle({ minute, weight, status, usedWeight, bannedMs }: Settlement): Promise<void> {
    await this.#run(['settle', minute, weight, status ?? '', usedWeight ?? '', bannedMs ?? ''])
  }

  async learn({ weightPerMinute, venueNowMs }: { weightPerMinute?: number; venueNowMs?: number }): Promise<void> {
    await this.#run(['learn', weightPerMinute ?? '', venueNowMs ?? ''])
  }

  async read(): Promise<LimitState> {
    const [weightPerMinute, spent, inFlight, known, minuteEndsInMs, bannedForMs, connectsInWindow, max, held] =
      await this.#numbers(['read'], 9)
    const connects = { connectsInWindow, connectsMax: max === 0 ? null : max, connectsHeldForMs: held }
    return { weightPerMinute, spent, inFlight, known: known === 1, minuteEndsInMs, bannedForMs, ...connects }
  }

  async lease(name: string, owner: string, forMs: number): Promise<boolean> {
    return (await leaseScript.run(this.#connection, [1, `${this.#purse}:${name}`, owner, forMs])) === 1
  }

  async release(name: string, owner: string): Promise<void> {
    await leaseScript.run(this.#connection, [1, `${this.#purse}:${name}`, owner, 0])
  }

  async takeConnect(max: number, windowMs: number): Promise<number> {
    const reply = await this.#run(['connect', max, windowMs, randomUUID()])
    return Number(reply)
  }

  async holdConnects(forMs: number): Promise<void> {
    await this.#run(['hold', Math.ceil(forMs)])
  }

  #run([operation, ...args]: readonly [string, ...(string | number)[]]): Promise<unknown> {
    const keys = [2, this.#purse, `${this.#purse}:connects`]
    return limitsScript.run(this.#connection, [...keys, operation, this.#weightPerMinute, ...args])
  }

  async #numbers<const Length extends number>(
    args: readonly [string, ...(string | number)[]],
    length: Length,
  ): Promise<NumbersOf<Length>> {
    const reply = await this.#run(args)
    if (!Array.isArray(reply) || reply.length !== length)
      throw new BusError('other', `expected ${length} numbers from the limits script, found ${JSON.stringify(reply)}`)
    return reply.map(Number) as unknown as NumbersOf<Length>
  }
}

type NumbersOf<Length extends number, Numbers extends number[] = []> = Numbers['length'] extends Length
  ? Numbers
  : NumbersOf<Length, [...Numbers, number]>
