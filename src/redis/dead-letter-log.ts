import type { DeadLetter, DeadLetterLog } from '../dispatcher/dead-letters.ts'
import { BoundedStream } from './bounded-stream.ts'
import type { RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'

/** Dead letters as entries of a bounded stream, fields as in `DeadLetter`. */
export class RedisDeadLetterLog implements DeadLetterLog {
  readonly #stream: BoundedStream

  constructor(connection: RedisConnection, keys: Keys, maxLength: number) {
    this.#stream = new BoundedStream(connection, keys.deadLetters, maxLength)
  }

  append(letter: DeadLetter): Promise<void> {
    return this.#stream.append({ ...letter })
  }
}
