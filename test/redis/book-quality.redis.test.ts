import { expect } from 'chai'
import { asInstrument, asMarket } from '../../src/domain/instrument.ts'
import { BOOK_QUALITY_FIELD, RedisQualityLog } from '../../src/redis/book-quality.ts'
import { useKeyspace } from '../support/keyspace.ts'

const market = asMarket('BINANCE-SPOT')

describe('the quality of books in Redis', () => {
  const space = useKeyspace()

  it('is read as it was written, by whoever takes the books, in the order asked for', async () => {
    const { redis, connection, keys } = space
    const log = new RedisQualityLog(connection, keys)
    const bookOf = (name: string) => ({ market, instrument: asInstrument(name) })
    const [btc, eth, none] = [bookOf('BTC-USDT'), bookOf('ETH-USDT'), bookOf('BNB-USDT')]
    const [wordless, timeless] = [bookOf('XRP-USDT'), bookOf('SOL-USDT')]
    const crossed = { quality: 'CROSSED', reason: 'crossed', sinceUs: 1_700_000_000_000_001 } as const
    const live = { quality: 'LIVE', reason: '', sinceUs: 1_700_000_000_000_002 } as const
    await log.write([
      { ...eth, shown: crossed },
      { ...btc, shown: live },
    ])
    await redis.client.hset(keys.state(market, wordless.instrument), BOOK_QUALITY_FIELD, 'UNHEARD - 1700000000000003')
    await redis.client.hset(keys.state(market, timeless.instrument), BOOK_QUALITY_FIELD, 'LIVE - never')
    expect(await log.read([btc, eth, none, wordless, timeless])).to.deep.equal([live, crossed, null, null, null])
  })
})
