import type { RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'
import { Script } from './script.ts'

const opsScript = new Script('ops-1.lua')

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

/** The ops stream: bounded, newest kept. It is written by a script because a plain XADD is refused at `maxmemory`. */
export class OpsLog {
  readonly #connection: RedisConnection
  readonly #key: string
  readonly #maxLength: number

  constructor(connection: RedisConnection, keys: Keys, maxLength: number) {
    this.#connection = connection
    this.#key = keys.ops
    this.#maxLength = maxLength
  }

  /** Throws: BusError. */
  async append(event: OpsEvent): Promise<void> {
    await opsScript.run(this.#connection, [1, this.#key, this.#maxLength, ...Object.entries(event).flat()])
  }
}
