import { expect } from 'chai'
import { Channel } from '../../src/domain/event.ts'
import { asInstrument, asMarket } from '../../src/domain/instrument.ts'
import { listStreams } from '../../src/redis/catalog.ts'
import { RedisConnection, redisAt } from '../../src/redis/connection.ts'
import { Keys, type StreamName } from '../../src/redis/keys.ts'
import { trimStreams } from '../../src/redis/retention.ts'
import { startPrivateRedis } from '../support/redis.ts'

const market = asMarket('BINANCE-SPOT')
const instruments = Array.from({ length: 3 }, (_, index) => asInstrument(`I${index}-USDT`))
const ENTRIES = 25_000
/** Whole nodes of a stream go, of 100 entries each. */
const NODE_ENTRIES = 100

describe('the trimming to the retention', function () {
  this.timeout(60_000)

  it('makes room in a Redis that is full, of every channel that has a bound', async () => {
    const redis = await startPrivateRedis()
    const connection = new RedisConnection(redisAt(redis.url), 'command')
    await connection.ready()
    const keys = new Keys('meltica', 16)
    const names: StreamName[] = instruments.flatMap((instrument) =>
      [Channel.Trade, Channel.Quote].map((channel) => ({ market, instrument, channel })),
    )
    await listStreams(connection, keys, names)
    for (const name of names) {
      const filling = redis.client.pipeline()
      const stream = keys.stream(name.market, name.instrument, name.channel)
      for (let entry = 0; entry < ENTRIES; entry++) filling.xadd(stream, '*', 'data', `${entry}`.repeat(10))
      await filling.exec()
    }
    const lengths = (channel: Channel): Promise<number[]> =>
      Promise.all(instruments.map((instrument) => redis.client.xlen(keys.stream(market, instrument, channel))))
    const used = Number(/used_memory:(\d+)/.exec(await redis.client.info('memory'))?.[1])
    await redis.client.config('SET', 'maxmemory', String(used - 1_000_000))
    const refused = await redis.client.set('more', 'x').catch((error: Error) => error.message)
    expect(refused).to.match(/^OOM/)

    const trimmed = await trimStreams(connection, keys, { TRADE: 1_000, QUOTE: null })
    for (const length of await lengths(Channel.Trade)) expect(length).to.be.within(1_000, 1_000 + NODE_ENTRIES)
    expect(await lengths(Channel.Quote)).to.deep.equal(instruments.map(() => ENTRIES))
    expect(trimmed).to.be.within(3 * (ENTRIES - 1_000 - NODE_ENTRIES), 3 * (ENTRIES - 1_000))
    expect(await redis.client.set('more', 'x')).to.equal('OK')
    expect(await trimStreams(connection, keys, { TRADE: 1_000 })).to.equal(0)
    connection.close()
    await redis.stop()
  })
})
