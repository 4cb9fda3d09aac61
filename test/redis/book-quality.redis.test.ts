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
    const [btc, eth, bnb, xrp] = [bookOf('BTC-USDT'), bookOf('ETH-USDT'), bookOf('BNB-USDT'), bookOf('XRP-USDT')]
    const crossed = { quality: 'CROSSED', reason: 'crossed', sinceUs: 1_700_000_000_000_001 } as const
    const live = { quality: 'LIVE', reason: '', sinceUs: 1_700_000_000_000_002 } as const
    await log.write([
      { ...eth, shown: crossed },
      { ...btc, shown: live },
    ])
    await redis.client.hset(keys.state(market, xrp.instrument), BOOK_QUALITY_FIELD, 'nobody knows')
    expect(await log.read([btc, eth, bnb, xrp])).to.deep.equal([live, crossed, null, null])
  })
})
