import { type Claim, REMEMBER_MS, type RequestMemory } from '../gateway/idempotency.ts'
import type { Clock } from '../lib/clock.ts'
import type { RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'

/** Keys taken in one hour of the clock; what is beyond is refused until the next. */
const KEYS_PER_HOUR_MAX = 50_000
const HOUR_MS = 3_600_000

/** Requests by their Idempotency-Key, one text each: the fingerprint, a line feed, and the answer once it is known. */
export class RedisRequestMemory implements RequestMemory {
  readonly #connection: RedisConnection
  readonly #keys: Keys
  readonly #clock: Clock

  constructor(connection: RedisConnection, keys: Keys, clock: Clock) {
    this.#connection = connection
    this.#keys = keys
    this.#clock = clock
  }

  async claim(key: string, fingerprint: string): Promise<Claim> {
    const place = this.#keys.control(`request:${key}`)
    const before = await this.#connection.send('set', [place, `${fingerprint}\n`, 'NX', 'GET', 'PX', REMEMBER_MS])
    if (typeof before === 'string') {
      const end = before.indexOf('\n')
      if (before.slice(0, end) !== fingerprint) return { status: 'different' }
      return { status: 'same', answer: before.slice(end + 1) || null }
    }
    const nowMs = this.#clock.nowUs() / 1_000
    const counter = this.#keys.control(`requests:${Math.floor(nowMs / HOUR_MS)}`)
    const count = Number(await this.#connection.send('incr', [counter]))
    if (count === 1) await this.#connection.send('pexpire', [counter, 2 * HOUR_MS])
    if (count <= KEYS_PER_HOUR_MAX) return { status: 'new' }
    await this.#connection.send('del', [place])
    return { status: 'full', retryAfterMs: HOUR_MS - (nowMs % HOUR_MS) }
  }

  async keep(key: string, fingerprint: string, answer: string): Promise<void> {
    await this.#connection.send('set', [
      this.#keys.control(`request:${key}`),
      `${fingerprint}\n${answer}`,
      'XX',
      'KEEPTTL',
    ])
  }
}
