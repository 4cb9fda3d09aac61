import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { RedisConnection } from './connection.ts'
import { BusError } from './errors.ts'

/**
 * A Lua script of `scripts/`, run by its hash; sent whole only where Redis does not know it. A line `-- @include FILE` stands
 * for the lines of that file.
 */
export class Script {
  readonly #source: string
  readonly #sha: string

  /** `file` as it lies in `scripts/`. */
  constructor(file: string) {
    this.#source = readScript(file)
    this.#sha = createHash('sha1').update(this.#source).digest('hex')
  }

  /** `args`: number of keys, keys, arguments. Throws: BusError. */
  async run(connection: RedisConnection, args: readonly (string | number)[]): Promise<unknown> {
    try {
      return await connection.send('evalsha', [this.#sha, ...args])
    } catch (error) {
      if (!(error instanceof BusError) || error.code !== 'noscript') throw error
      return connection.send('eval', [this.#source, ...args])
    }
  }

  /** The same with arguments that stand as bytes: `encode` writes the whole command for a name and its first argument. */
  async runEncoded(
    connection: RedisConnection,
    key: string,
    encode: (name: string, script: string) => Buffer,
  ): Promise<unknown> {
    try {
      return await connection.sendEncoded('evalsha', key, encode('evalsha', this.#sha))
    } catch (error) {
      if (!(error instanceof BusError) || error.code !== 'noscript') throw error
      return connection.sendEncoded('eval', key, encode('eval', this.#source))
    }
  }
}

function readScript(file: string): string {
  const text = readFileSync(new URL(`./scripts/${file}`, import.meta.url), 'utf8')
  return text.replace(/^ *-- @include (\S+)$/gm, (_, included: string) => readScript(included))
}
