import { once } from 'node:events'
import { Redis } from 'ioredis'
import { RedisConnection, redisAt } from '../src/redis/connection.ts'
import { toBusError } from '../src/redis/errors.ts'
import { EncodedCommand, PackedCommand } from '../src/redis/packed-command.ts'

/**
 * A connection whose commands of one turn of the loop leave in one write, so that Redis finds several calls in its socket,
 * as it does under load, and not one at a time with a read, a write and a wait of its own for each.
 */
export class BurstConnection extends RedisConnection {
  readonly #client: Redis
  #corked = false

  constructor(url: string) {
    super(redisAt(url), 'command')
    this.#client = new Redis(url)
  }

  override async ready(): Promise<void> {
    await super.ready()
    if (this.#client.status !== 'ready') await once(this.#client, 'ready')
  }

  override send(name: string, args: (string | number)[]): Promise<unknown> {
    return this.#inBurst(new PackedCommand(name, args))
  }

  override sendEncoded(name: 'evalsha' | 'eval', key: string, bytes: Buffer): Promise<unknown> {
    return this.#inBurst(new EncodedCommand(name, key, bytes))
  }

  override close(): void {
    super.close()
    this.#client.disconnect()
  }

  async #inBurst(command: PackedCommand | EncodedCommand): Promise<unknown> {
    const { stream } = this.#client
    if (!this.#corked) {
      this.#corked = true
      stream.cork()
      setImmediate(() => {
        this.#corked = false
        stream.uncork()
      })
    }
    try {
      return await command.askOf(this.#client)
    } catch (error) {
      throw toBusError(error)
    }
  }
}
