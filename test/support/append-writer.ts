import { RedisConnection, redisAt } from '../../src/redis/connection.ts'
import { RedisEventBus } from '../../src/redis/event-bus.ts'
import { Keys } from '../../src/redis/keys.ts'
import { batch, trade } from './offers.ts'

/**
 * A writer to be killed: offers trades 1 to `last` in calls of seven, one call at a time. Arguments: url, prefix, last.
 * Run as a process of its own by the tests.
 */
export async function offerTrades(url: string, prefix: string, last: number): Promise<void> {
  const connection = new RedisConnection(redisAt(url), 'command')
  await connection.ready()
  const bus = new RedisEventBus({ connection, keys: new Keys(prefix, 16), retention: {} })
  for (let id = 1; id <= last; id += 7) {
    const ids = Array.from({ length: Math.min(7, last - id + 1) }, (_, index) => id + index)
    await bus.publish([batch(ids.map((one) => trade(one)))])
  }
  connection.close()
}

if (import.meta.main) {
  const [url = '', prefix = '', last = '0'] = process.argv.slice(2)
  await offerTrades(url, prefix, Number(last))
}
