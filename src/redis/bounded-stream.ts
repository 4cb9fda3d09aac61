import type { RedisConnection } from './connection.ts'

/** A stream kept at about `maxLength` entries: the oldest go. For what people read, not for market events. */
export class BoundedStream {
  readonly #connection: RedisConnection
  readonly #key: string
  readonly #maxLength: number

  constructor(connection: RedisConnection, key: string, maxLength: number) {
    this.#connection = connection
    this.#key = key
    this.#maxLength = maxLength
  }

  /** Throws: BusError. */
  async append(fields: Readonly<Record<string, string | number>>): Promise<void> {
    await this.#connection.send('xadd', [
      this.#key,
      'MAXLEN',
      '~',
      this.#maxLength,
      '*',
      ...Object.entries(fields).flat(),
    ])
  }
}
