import { expect } from 'chai'
import type { CommandStory } from '../../src/control/contract.ts'
import { eventually, startRedis } from '../support/redis.ts'
import { ControlBench, MARKET, subscribe } from './world.ts'

describe('the control stream', function () {
  this.timeout(20_000)
  let bench: ControlBench

  beforeEach(async () => {
    const redis = await startRedis()
    bench = new ControlBench(redis.url, redis.uniquePrefix())
    await bench.list('BTC-USDT', 'ETH-USDT')
  })

  afterEach(() => bench.close())

  async function ended(id: string): Promise<CommandStory> {
    return eventually(async () => {
      const story = await bench.client.status(id)
      return story !== null && story.status !== 'pending' && story
    })
  }

  it('applies a command once, and answers who, what, before, after and the version', async () => {
    await bench.member('a')
    const first = subscribe('s1', 'BTC-USDT', 'TRADE')
    const accepted = await bench.client.submit(first)
    expect(accepted.status).to.equal('accepted')
    const story = await ended(first.id)
    expect(story).to.include({ status: 'applied', issuer: 'tester', consumer: 'strategy', version: 2, before: null })
    expect(story.after).to.include({ subscriptionId: 's1', instrument: 'BTC-USDT', sinceVersion: 2 })
    expect((await bench.client.submit(first)).status).to.equal('repeated')
    expect((await bench.client.submit({ ...first, consumer: 'other' })).status).to.equal('different')
    const table = await bench.reader.current()
    expect(table?.version).to.equal(2)
    expect(table?.channels).to.deep.equal([
      { market: MARKET, instrument: 'BTC-USDT', type: 'TRADE', open: true, version: 2 },
    ])
  })
})
