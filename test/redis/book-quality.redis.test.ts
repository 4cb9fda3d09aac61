import { expect } from 'chai'
import { asInstrument, asMarket } from '../../src/domain/instrument.ts'
import { BOOK_QUALITY_FIELD, RedisQualityLog } from '../../src/redis/book-quality.ts'
import { RedisConnection, redisAt } from '../../src/redis/connection.ts'
import { Keys } from '../../src/redis/keys.ts'
import { startRedis } from '../support/redis.ts'

const market = asMarket('BINANCE-SPOT')

describe('the quality of books in Redis', () => {
  it('is read as it was written, by whoever takes the books, in their order', async () => {
    const redis = await startRedis()
    const connection = new RedisConnection(redisAt(redis.url), 'command')
    await connection.ready()
    const keys = new Keys(redis.uniquePrefix(), 16)
    const log = new RedisQualityLog(connection, keys)
    const books = ['BTC-USDT', 'ETH-USDT', 'BNB-USDT', 'XRP-USDT'].map((name) => ({
      ...{ market, instrument: asInstrument(name) },
    }))
    const [btc, eth, , xrp] = books as [(typeof books)[0], (typeof books)[0], unknown, (typeof books)[0]]
    const crossed = { quality: 'CROSSED', reason: 'crossed', sinceUs: 1_700_000_000_000_001 } as const
    const live = { quality: 'LIVE', reason: '', sinceUs: 1_700_000_000_000_002 } as const
    await log.write([
      { ...eth, shown: crossed },
      { ...btc, shown: live },
    ])
    await redis.client.hset(keys.state(market, xrp.instrument), BOOK_QUALITY_FIELD, 'nobody knows')
    expect(await log.read(books)).to.deep.equal([live, crossed, null, null])
    connection.close()
  })
})
