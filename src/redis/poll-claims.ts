import type { Claim, PollClaims } from '../pollers/poll.ts'
import type { RedisConnection } from './connection.ts'
import { BusError } from './errors.ts'
import type { Keys } from './keys.ts'
import { Script } from './script.ts'

const claimScript = new Script('poll-claim.lua')

/** Which due times were taken, one field or two for each poll; beside the queue, so that both are lost or kept together. */
export class RedisPollClaims implements PollClaims {
  readonly #connection: RedisConnection
  readonly #key: string

  constructor(connection: RedisConnection, keys: Keys) {
    this.#connection = connection
    this.#key = keys.queue('due')
  }

  async claim(pollId: string, dueMs: number): Promise<Claim> {
    const reply = await claimScript.run(this.#connection, [1, this.#key, pollId, dueMs])
    if (!Array.isArray(reply) || reply.length !== 3)
      throw new BusError('other', `expected three values from the claim script, found ${JSON.stringify(reply)}`)
    const [granted, claimed, done] = reply as [number, string, string]
    return { isOurs: granted === 1, lastClaimedMs: timeOf(claimed), lastDoneMs: timeOf(done) }
  }

  async done(pollId: string, dueMs: number): Promise<void> {
    await this.#connection.send('hset', [this.#key, `${pollId}|done`, dueMs])
  }

  async forget(pollIds: readonly string[]): Promise<void> {
    await this.#connection.send('hdel', [this.#key, ...pollIds, ...pollIds.map((pollId) => `${pollId}|done`)])
  }
}

const timeOf = (text: string): number | null => (text === '' ? null : Number(text))
