import { expect } from 'chai'
import { RedisConnection, redisAt } from '../../src/redis/connection.ts'
import { RedisEventBus } from '../../src/redis/event-bus.ts'
import { Keys } from '../../src/redis/keys.ts'
import { RedisSnapshotStore } from '../../src/redis/snapshot-store.ts'
import { openConductor, PARTITIONS } from '../support/conductor.ts'
import { batch, delta, quote, snapshot, trade } from '../support/offers.ts'
import { eventually, startRedis } from '../support/redis.ts'
import { BTC, expectWhole, foldedTo, MARKET, readFused } from './fused.ts'

async function open(prefix?: string) {
  const redis = await startRedis()
  const keys = new Keys(prefix ?? redis.uniquePrefix(), PARTITIONS)
  const connection = new RedisConnection(redisAt(redis.url), 'command')
  await connection.ready()
  const bus = new RedisEventBus({ connection, keys, retention: {} })
  return { redis, keys, connection, bus, store: new RedisSnapshotStore(connection, keys, 60_000) }
}

describe('conductor', () => {
  it('fuses what flows into dense events whose ranges abut', async () => {
    const { redis, keys, bus, connection, store } = await open()
    await bus.publish([
      batch([snapshot(10, 1, { data: '{"last":"10","bids":[["1.00","2"]],"asks":[["1.10","1"]],"depth":1000}' })]),
    ])
    const running = await openConductor(redis.url, keys.prefix)
    for (let id = 1; id <= 200; id++) {
      await bus.publish([
        batch([trade(id)]),
        batch([quote(id)]),
        batch([
          delta(10 + id, 10 + id, 1, {
            data: `{"first":"${10 + id}","last":"${10 + id}","bids":[["0.${id + 100}","${id}.0"]],"asks":[]}`,
          }),
        ]),
      ])
    }
    await eventually(async () => {
      const entries = await readFused(redis.client, keys)
      return (
        foldedTo(entries, 'TRADE') === 200 &&
        foldedTo(entries, 'ORDERBOOK') === 201 &&
        foldedTo(entries, 'QUOTE') === 200
      )
    })
    await running.close()
    const entries = await readFused(redis.client, keys)
    expectWhole(entries)
    expect(running.incidents).to.deep.equal([])
    expect(entries.at(-1)?.data.lastTrade?.id).to.equal('200')
    expect(entries.reduce((sum, { data }) => sum + data.window.trades, 0)).to.equal(200)
    const found = await store.get({ market: MARKET, instrument: BTC })
    expect(found.outcome).to.equal('found')
    connection.close()
  })
})
