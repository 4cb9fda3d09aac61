import { expect } from 'chai'
import { meltica } from '../cli/run.ts'
import { TableFleet } from './table-fleet.ts'

describe('the command line over the API', function () {
  this.timeout(90_000)
  let fleet: TableFleet
  let api: string

  before(async () => {
    const routes = 'routes=[{ type: QUOTE, market: BINANCE-SPOT, instruments: ["*"] }]'
    fleet = await TableFleet.open({ instruments: 1, rate: 200, seed: 1, settings: [routes] })
    fleet.start('a', 'ingest')
    api = await fleet.startGateway('g')
    await fleet.settled('a')
  })

  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.log(fleet.log)
  })

  after(() => fleet.close())

  async function run(
    ...args: string[]
  ): Promise<{ code: number | null; lines: Record<string, unknown>[]; err: string }> {
    const { code, out, err } = await meltica([...args, '--api', api, '--json'])
    const lines = out.split('\n').filter((line) => line !== '')
    return { code, err, lines: lines.map((line) => JSON.parse(line) as Record<string, unknown>) }
  }

  it('subscribes and unsubscribes, shows who wants what, and what became of it', async () => {
    const subscribed = await run('subscribe', 'BTC-USDT', 'trade', '--consumer', 'desk')
    expect([subscribed.code, subscribed.err]).to.deep.equal([0, ''])
    expect(subscribed.lines[0]).to.include({ type: 'subscribe', status: 'effective', consumer: 'desk' })
    const { subscriptionId, commandId } = subscribed.lines[0] as { subscriptionId: string; commandId: string }
    const listed = await run('subscriptions', '--consumer', 'desk')
    expect(listed.lines).to.have.length(1)
    expect(listed.lines[0]).to.include({ subscriptionId, instrument: 'BTC-USDT', type: 'TRADE' })
    const people = await meltica(['commands', commandId, '--api', api])
    expect(people.out).to.match(/^subscribe effective, \d+ ms after it was issued\n/)
    expect(people.out).to.match(/btcusdt@trade +flowing/)
    const ended = await run('unsubscribe', subscriptionId)
    expect(ended.lines[0]).to.include({ type: 'unsubscribe', status: 'effective' })
    expect((await run('subscriptions', '--consumer', 'desk')).lines).to.deep.equal([])
  })

  it('ends also what the configuration had seeded, for every instrument that its pattern names', async () => {
    expect((await fleet.venueState()).streams).to.deep.equal(['btcusdt@bookTicker'])
    const [seeded] = (await run('subscriptions')).lines
    expect(seeded).to.include({ consumer: 'config', instrument: '*', type: 'QUOTE' })
    const ended = await run('unsubscribe', String(seeded?.subscriptionId))
    expect(ended.lines[0]).to.include({ status: 'effective' })
    const topics = (ended.lines[0]?.topics ?? []) as { topic: string; state: string }[]
    expect(topics.map(({ topic, state }) => [topic, state])).to.deep.equal([['btcusdt@bookTicker', 'stopped']])
    expect((await fleet.venueState()).streams).to.deep.equal([])
  })

  it('says what was refused and why, with exit codes that tell whose fault it is', async () => {
    const unknown = await run('subscribe', 'NO-SUCH', 'TRADE', '--consumer', 'desk')
    expect(unknown.code).to.equal(1)
    expect(unknown.lines[0]).to.include({ status: 'failed', code: 'unknown-instrument' })
    const wrong = await run('subscribe', 'BTC-USDT', 'DANCE', '--consumer', 'desk')
    expect([wrong.code, wrong.lines]).to.deep.equal([2, []])
    expect(wrong.err).to.match(/^meltica: body.type: expected one of TRADE, .*, found "DANCE"/)
    const gone = await meltica(['routes', '--api', 'http://127.0.0.1:9'])
    expect([gone.code, gone.out]).to.deep.equal([1, ''])
    expect((await run('dead-letters', 'drop')).code).to.equal(2)
  })

  it('shows routes, limits and dead letters', async () => {
    const routes = await run('routes')
    expect(routes.lines.map(({ type }) => type)).to.deep.equal(['QUOTE', 'TRADE', 'TICKER', 'KLINE', 'ORDERBOOK'])
    expect((await run('limits')).code).to.equal(0)
    await fleet.redis.client.xadd('meltica:{control}:commands', '*', 'id', 'nonsense')
    let letters = await run('dead-letters')
    for (let tries = 0; letters.lines.length === 0 && tries < 10; tries++) letters = await run('dead-letters')
    expect(letters.lines[0]).to.include({ source: 'control', reason: 'malformed' })
    const dropped = await run('dead-letters', 'drop', String(letters.lines[0]?.id))
    expect(dropped.lines).to.deep.equal([{ id: letters.lines[0]?.id, done: 'dropped' }])
    expect((await run('dead-letters')).lines).to.deep.equal([])
  })
})
