import { expect } from 'chai'
import { SystemClock } from '../../src/lib/clock.ts'
import type { Told } from '../../src/processes/ops-teller.ts'
import { RedisWatch } from '../../src/processes/redis-watch.ts'
import { checkRedis } from '../../src/redis/check.ts'
import { RedisConnection, redisAt } from '../../src/redis/connection.ts'
import { Keys } from '../../src/redis/keys.ts'
import { openKeyspace } from '../../src/redis/keyspace.ts'
import { createLogger } from '../../src/telemetry/logger.ts'
import { eventually, startPrivateRedis } from '../support/redis.ts'

describe('a Redis that is watched', () => {
  it('is an obstacle and an alarm while its policy evicts, and refuses one of another keyspace', async () => {
    const redis = await startPrivateRedis()
    const keys = new Keys('watched', 16)
    const clock = new SystemClock()
    const told: Told[] = []
    let watch: RedisWatch | null = null
    const connection = new RedisConnection(redisAt(redis.url), 'command', {
      failed: () => undefined,
      ready: (_, again) => {
        if (again) watch?.back()
      },
    })
    await connection.ready()
    const open = () => openKeyspace(connection, keys, { binance: 'simulated' })
    await open()
    watch = new RedisWatch({
      clock,
      logger: createLogger({ level: 'silent', format: 'json', clock, base: {}, write: () => undefined }),
      tellOps: (incident) => told.push(incident),
      openKeyspace: open,
      check: () => checkRedis(connection, keys, () => clock.nowUs() / 1_000),
    })
    await redis.client.config('SET', 'maxmemory-policy', 'allkeys-lru')
    await redis.client.client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    await eventually(() =>
      /maxmemory-policy: expected noeviction.*found allkeys-lru/.test(watch?.obstacles().join() ?? ''),
    )
    await redis.client.config('SET', 'maxmemory-policy', 'noeviction')
    await eventually(() => watch?.obstacles().length === 0)
    expect(told.map(({ kind, severity }) => `${kind} ${severity}`)).to.deep.equal([
      'redis-unfit error',
      'redis-fit info',
    ])
    const lost = watch.lost.catch((error: unknown) => error)
    await redis.client.hset(keys.meta, 'partitions', '32')
    await redis.client.client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    expect(await lost).to.match(/partitions: expected 16, found 32/)
    watch.close()
    connection.close()
    await redis.stop()
  })
})
