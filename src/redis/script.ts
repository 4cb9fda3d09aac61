import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { RedisConnection } from './connection.ts'
import { BusError } from './errors.ts'

/**
 * A Lua script of `scripts/`, run by its hash; sent whole only where Redis does not know it. A line `-- @include FILE` stands
 * for the lines of that file.
 *
 * The first line of a script says by `flags=` what it may at `maxmemory`, where Redis refuses every script by default:
 * - `no-writes`, what reads only: the table, the members, the run. It may there, on a replica, and where Redis cannot persist.
 * - `allow-oom`, what keeps the system seen and steered, and cannot grow: beats (a field a member, 1,000 members), limits (one
 *   purse and 300 attempts) and leases (one text), the ops stream (`MAXLEN`), what workers report (a bound a hash), the
 *   keyspace record (written once), and commands with their answers (so many may wait; each is bounded; answers expire, the logs
 *   have a `MAXLEN`): stopping channels is what an operator does about a Redis that is full.
 * - none: what carries market events (append, commit) and what can be as large as the table (restore). They are refused, which
 *   is the back-pressure, before they have changed anything. So are polls: what they fetch could not be appended.
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
