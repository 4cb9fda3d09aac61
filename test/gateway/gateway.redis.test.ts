import { expect } from 'chai'
import { eventually } from '../support/redis.ts'
import { GatewayBench } from './bench.ts'

describe('the admin API', () => {
  let bench: GatewayBench
  before(async () => {
    bench = await GatewayBench.open()
    await bench.fill()
  })
  after(() => bench.close())

  it('takes a subscription, tells what became of it, changes it and ends it', async () => {
    const made = await bench.ask('POST', '/v1/subscriptions', {
      body: { consumer: 'desk', market: 'BINANCE-SPOT', instrument: 'BTC-USDT', type: 'QUOTE', throttleMs: 100 },
    })
    expect(made.status).to.equal(202)
    const { commandId, subscriptionId } = made.body
    expect(made.headers.get('location')).to.equal(`/v1/commands/${commandId}`)
    const story = await eventually(async () => {
      const found = await bench.ask('GET', `/v1/commands/${commandId}?wait=100ms`)
      return found.body.status !== 'pending' && found
    })
    expect(story.body).to.include({
      status: 'applied',
      type: 'subscribe',
      issuer: 'local',
      consumer: 'desk',
      version: 2,
    })
    expect((await bench.ask('GET', `/v1/subscriptions/${subscriptionId}`)).body).to.include({
      throttleMs: 100,
      consumer: 'desk',
    })
  })
})
