import { RedisConnection, redisAt } from '../../src/redis/connection.ts'
import { Keys } from '../../src/redis/keys.ts'
import { startRedis, type TestRedis } from './redis.ts'

export interface TestKeyspace {
  readonly redis: TestRedis
  readonly connection: RedisConnection
  /** Others for every test. */
  readonly keys: Keys
}

/** For the `describe` that calls it: the server that all share, a connection to it, and keys that no other test has. */
export function useKeyspace(): TestKeyspace {
  const space = {} as { -readonly [Part in keyof TestKeyspace]: TestKeyspace[Part] }
  before(async () => {
    space.redis = await startRedis()
    space.connection = new RedisConnection(redisAt(space.redis.url), 'command')
    await space.connection.ready()
  })
  after(() => space.connection.close())
  beforeEach(() => {
    space.keys = new Keys(space.redis.uniquePrefix(), 16)
  })
  return space
}
