import { BoundedStream } from './bounded-stream.ts'
import type { RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'

/** Something an operator should know. */
export interface OpsEvent {
  /** A short word for the kind, for example `epoch-changed`. */
  readonly kind: string
  readonly severity: 'info' | 'warning' | 'error'
  /** One sentence. */
  readonly message: string
  /** Which process tells it. */
  readonly worker: string
  /** Us, ours. */
  readonly time: string
  /** Facts as JSON. */
  readonly facts: string
}

/** The ops stream: bounded, newest kept. */
export class OpsLog {
  readonly #stream: BoundedStream

  constructor(connection: RedisConnection, keys: Keys, maxLength: number) {
    this.#stream = new BoundedStream(connection, keys.ops, maxLength)
  }

  /** Throws: BusError. */
  append(event: OpsEvent): Promise<void> {
    return this.#stream.append({ ...event })
  }
}
