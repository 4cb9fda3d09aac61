import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { type LaunchedRedis, type LaunchOptions, launchRedis } from '../../src/redis/launcher.ts'
import { launchContainerRedis } from './container-redis.ts'

/** A real Redis for tests, with clients that are closed before it ends. */
export interface TestRedis extends LaunchedRedis {
  /** A plain client; every call answers the same one. */
  readonly client: Redis
  /** A key prefix that no other test has. */
  uniquePrefix(): string
  /** Empties the whole server. Only on a private one: on the shared one take a unique prefix. */
  flush(): Promise<void>
  /** Ends the server as `kill -9` does and waits until it is gone. */
  kill(): Promise<void>
}

/** The image that all servers come from, for example `redis:8-alpine`; else the redis-server of this machine. */
const image = process.env.MELTICA_TEST_IMAGE ?? ''

const started: TestRedis[] = []
const endings: (() => Promise<void> | void)[] = []
let shared: Promise<TestRedis> | null = null

/** The server that all tests of this process share; tests keep apart by `uniquePrefix`. */
export function startRedis(): Promise<TestRedis> {
  shared ??= startPrivateRedis()
  return shared
}

/** A server of one's own, for tests that stop, kill, fill or configure it. */
export async function startPrivateRedis(options: LaunchOptions = {}): Promise<TestRedis> {
  const launched = await (image === '' ? launchRedis(options) : launchContainerRedis(image, options))
  let client: Redis | null = null
  const close = (): void => {
    client?.disconnect()
    client = null
  }
  const redis: TestRedis = {
    ...launched,
    get client() {
      client ??= connect(launched.url)
      return client
    },
    uniquePrefix: () => `test-${randomBytes(6).toString('hex')}`,
    async flush() {
      await this.client.flushall()
    },
    async kill() {
      close()
      process.kill(launched.pid, 'SIGKILL')
      await launched.ended
    },
    async stop() {
      close()
      await launched.stop()
    },
  }
  started.push(redis)
  return redis
}

function connect(url: string): Redis {
  const client = new Redis(url, { maxRetriesPerRequest: 0, connectTimeout: 2_000, commandTimeout: 10_000 })
  // A test that kills the server sees the failure in its own calls.
  client.on('error', () => undefined)
  return client
}

/** Waits until `condition` answers something other than false, null or undefined; fails after `timeoutMs`. */
export async function eventually<T>(
  condition: () => Promise<T | null | undefined | false> | T | null | undefined | false,
  timeoutMs = 5_000,
): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs
  for (;;) {
    const found = await condition()
    if (found !== false && found !== null && found !== undefined) return found
    if (performance.now() > deadlineMs) throw new Error(`the condition did not hold within ${timeoutMs} ms`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/**
 * What has to be done behind the servers at the end of the file of tests that runs now, failed or not. (A module that several
 * files import is loaded once in a process, so a hook of its own would run behind the first of them alone.)
 */
export function atEndOfFile(ending: () => Promise<void> | void): void {
  endings.push(ending)
}

/** Called behind every file of tests; outside mocha (a bench) the servers end with the process. */
export async function stopStartedRedis(): Promise<void> {
  shared = null
  await Promise.all(started.splice(0).map((redis) => redis.stop()))
  await Promise.all(endings.splice(0).map((ending) => ending()))
}
