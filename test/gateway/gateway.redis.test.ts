import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { RedisEgresses } from '../../src/redis/gateway-limits.ts'
import { metrics } from '../../src/telemetry/metrics.ts'
import { eventually } from '../support/redis.ts'
import { type Answer, GatewayBench } from './bench.ts'

const SUBSCRIPTION = { consumer: 'desk', market: 'BINANCE-SPOT', instrument: 'BTC-USDT', type: 'QUOTE' }

describe('the admin API', () => {
  let bench: GatewayBench
  before(async () => {
    bench = await GatewayBench.open()
    await bench.fill()
  })
  after(() => bench.close())

  const applied = (commandId: string): Promise<Answer> =>
    eventually(async () => {
      const found = await bench.ask('GET', `/v1/commands/${commandId}`)
      return found.body.status !== 'pending' && found
    })
  const subscribe = (more: object = {}, headers: Record<string, string> = {}, url = bench.url): Promise<Answer> =>
    bench.ask('POST', '/v1/subscriptions', { body: { ...SUBSCRIPTION, ...more }, headers, url })

  it('takes a subscription, tells what became of it, changes it and ends it', async () => {
    const made = await subscribe({ throttleMs: 100 })
    expect(made.status).to.equal(202)
    const { commandId, subscriptionId } = made.body
    expect(made.headers.get('location')).to.equal(`/v1/commands/${commandId}`)
    const story = await applied(commandId)
    expect(story.body).to.include({ status: 'applied', type: 'subscribe', issuer: 'local', consumer: 'desk' })
    const path = `/v1/subscriptions/${subscriptionId}`
    expect((await bench.ask('GET', path)).body).to.include({ throttleMs: 100, consumer: 'desk' })
    const changed = await bench.ask('PATCH', path, { body: { throttleMs: null } })
    expect((await applied(changed.body.commandId)).body.after).to.include({ throttleMs: null })
    const ended = await bench.ask('DELETE', path)
    expect(ended.status).to.equal(202)
    expect((await applied(ended.body.commandId)).body).to.include({ status: 'applied', after: null })
    expect((await bench.ask('GET', path)).status).to.equal(404)
    expect((await bench.ask('DELETE', path)).status).to.equal(404)
  })

  it('takes an unsubscribe that comes before its subscribe was applied', async () => {
    const { subscriptionId } = (await subscribe()).body
    const ended = await bench.ask('DELETE', `/v1/subscriptions/${subscriptionId}`)
    expect(ended.status).to.equal(202)
    expect((await applied(ended.body.commandId)).body).to.include({ status: 'applied', type: 'unsubscribe' })
  })

  it('says why a command failed, and answers a wait when its time is over', async () => {
    const { body } = await subscribe({ instrument: 'NO-SUCH' })
    expect((await applied(body.commandId)).body).to.include({ status: 'failed', code: 'unknown-instrument' })
    const made = await subscribe()
    const beganMs = performance.now()
    const { body: story } = await bench.ask('GET', `/v1/commands/${made.body.commandId}?wait=300ms`)
    // No worker of this test carries anything to a venue, so nothing becomes effective.
    expect(story.status).to.be.oneOf(['pending', 'applied'])
    expect(performance.now() - beganMs).to.be.within(290, 5_000)
  })

  it('does a request with an Idempotency-Key once, whichever gateway it comes through', async () => {
    const other = await bench.gateway()
    const key = { 'idempotency-key': randomUUID() }
    const before = await bench.written()
    const answers = await Promise.all([subscribe({}, key), subscribe({}, key, other), subscribe({}, key)])
    for (const { status, body } of answers) {
      expect([status, body]).to.deep.equal([202, answers[0]?.body])
    }
    expect(await bench.written()).to.equal(before + 1)
    const again = await subscribe({}, key, other)
    expect([again.body, again.headers.get('location')]).to.deep.equal([
      answers[0]?.body,
      `/v1/commands/${again.body.commandId}`,
    ])
    const reused = await subscribe({ instrument: 'ETH-USDT' }, key)
    expect([reused.status, reused.body.errors[0].field]).to.deep.equal([422, 'header.idempotency-key'])
    expect(await bench.written()).to.equal(before + 1)
  })

  it('does what was begun and never answered again, and only once', async () => {
    const key = { 'idempotency-key': randomUUID() }
    const first = await subscribe({}, key)
    await applied(first.body.commandId)
    await forgetAnswers()
    const before = await bench.written()
    const second = await subscribe({}, key)
    expect([second.status, second.body]).to.deep.equal([202, first.body])
    expect(await bench.written()).to.equal(before)
  })

  it('answers an unsubscribe that was done and never answered as the first time', async () => {
    const { body: made } = await subscribe()
    await applied(made.commandId)
    const path = `/v1/subscriptions/${made.subscriptionId}`
    const headers = { 'idempotency-key': randomUUID() }
    const first = await bench.ask('DELETE', path, { headers })
    await applied(first.body.commandId)
    await forgetAnswers()
    const before = await bench.written()
    const second = await bench.ask('DELETE', path, { headers })
    expect([second.status, second.body]).to.deep.equal([202, first.body])
    expect(await bench.written()).to.equal(before)
    expect((await bench.ask('DELETE', path)).status).to.equal(404)
  })

  /** As after a crash between the command and its answer: the key is known, the answer is not. */
  async function forgetAnswers(): Promise<void> {
    const { connection, keys } = bench.control
    const names = (await connection.send('keys', [`${keys.control('request:')}*`])) as string[]
    for (const name of names) {
      const text = (await connection.send('get', [name])) as string
      await connection.send('set', [name, `${text.split('\n')[0]}\n`, 'KEEPTTL'])
    }
  }

  it('lists page by page, everything once and in order', async () => {
    for (const consumer of ['a', 'b', 'c', 'd', 'e']) await applied((await subscribe({ consumer })).body.commandId)
    for (const [path, name] of [
      ['/v1/subscriptions', 'subscriptionId'],
      ['/v1/routes', 'routeId'],
      ['/v1/streams', 'name'],
    ] as const) {
      const whole = (await bench.ask('GET', `${path}?limit=500`)).body.items as Record<string, string>[]
      const found: Record<string, string>[] = []
      let cursor: string | null = null
      do {
        const { body } = await bench.ask(
          'GET',
          `${path}?limit=2${cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`}`,
        )
        expect(body.items.length).to.be.at.most(2)
        found.push(...body.items)
        cursor = body.cursor
      } while (cursor !== null)
      expect(found.map((one) => one[name])).to.deep.equal(whole.map((one) => one[name]).sort())
    }
    const mine = (await bench.ask('GET', '/v1/subscriptions?consumer=c')).body.items as { consumer: string }[]
    expect(mine.map(({ consumer }) => consumer)).to.deep.equal(['c'])
  })

  it('tells what is missing from a channel, and that nothing is missing from another', async () => {
    const of = async (channel: string, more = '') =>
      (await bench.ask('GET', `/v1/completeness?instrument=BTC-USDT&channel=${channel}${more}`)).body
    expect(await of('TRADE')).to.deep.include({
      complete: false,
      missing: 4,
      gaps: { open: 1 },
      firstVenueSeq: '1',
      lastVenueSeq: '20',
    })
    expect(await of('ORDERBOOK')).to.deep.include({ complete: true, missing: 0, gaps: {}, lastVenueSeq: '105' })
    expect(await of('TRADE', '&to=2020-01-01T00:00:00Z')).to.deep.include({ missing: 0, firstAt: null })
    const gaps = await bench.ask('GET', '/v1/instruments/BINANCE-SPOT/BTC-USDT/gaps?channel=TRADE&open=true')
    expect(gaps.body.items).to.have.lengthOf(1)
    expect(gaps.body.items[0]).to.include({ from: '6', to: '9', cause: 'lost', how: null })
    expect((await bench.ask('GET', '/v1/completeness?instrument=NO-SUCH&channel=TRADE')).status).to.equal(404)
  })

  it('shows an instrument whose owner is gone as stale, whatever its stream says', async () => {
    const { body } = await bench.ask('GET', '/v1/instruments/BINANCE-SPOT/BTC-USDT')
    expect(body).to.include({ partition: 7, openGaps: 1 })
    expect(body.quality).to.include({ state: 'STALE' })
    await bench.worker('owner', [7])
    expect((await bench.ask('GET', '/v1/instruments/BINANCE-SPOT/BTC-USDT')).body.quality).to.include({ state: 'LIVE' })
    const { items } = (await bench.ask('GET', '/v1/workers')).body
    expect(items[0]).to.include({ worker: 'owner', role: 'ingest', state: 'active', partitions: 1, flowing: 1 })
  })

  it('counts how far a consumer group is behind by seq', async () => {
    const { connection, keys } = bench.control
    const [stream] = (await bench.ask('GET', '/v1/streams?instrument=BTC-USDT&channel=TRADE')).body.items
    await connection.send('xgroup', ['CREATE', stream.key, 'desk', '0'])
    await connection.send('xreadgroup', ['GROUP', 'desk', 'me', 'COUNT', 5, 'STREAMS', stream.key, '>'])
    const [{ groups }] = (await bench.ask('GET', '/v1/streams?instrument=BTC-USDT&channel=TRADE')).body.items
    expect(groups).to.have.lengthOf(1)
    expect(groups[0]).to.include({ name: 'desk', pending: 5, lag: 12 })
    expect(stream.key).to.contain(keys.prefix)
  })

  it('requeues a dead command, drops a dead letter, and knows which cannot be requeued', async () => {
    await bench.letters(1)
    const [command, input] = (await bench.ask('GET', '/v1/dead-letters')).body.items
    expect([command.source, input.source]).to.deep.equal(['control', 'venue'])
    expect((await bench.ask('POST', `/v1/dead-letters/${command.id}/requeue`)).status).to.equal(202)
    expect((await bench.ask('POST', `/v1/dead-letters/${input.id}/requeue`)).status).to.equal(409)
    expect((await bench.ask('DELETE', `/v1/dead-letters/${input.id}`)).status).to.equal(204)
    expect((await bench.ask('DELETE', `/v1/dead-letters/${input.id}`)).status).to.equal(404)
  })

  it('tells what each egress was allowed and has spent', async () => {
    const { connection, keys } = bench.control
    await new RedisEgresses(connection, keys, 6_000).name('binance', 'host-a', 1)
    const { items } = (await bench.ask('GET', '/v1/limits')).body
    expect(items).to.have.lengthOf(1)
    expect(items[0]).to.include({
      venue: 'binance',
      egress: 'host-a',
      weightPerMinute: 6_000,
      spent: 0,
      bannedForMs: 0,
      connectsInWindow: 0,
      connectsMax: null,
      connectsHeldForMs: 0,
    })
  })

  it('answers 503 while Redis is away, is not ready, and is again when it is back', async () => {
    const away = await GatewayBench.open({ ownRedis: true })
    expect((await away.ask('GET', '/readyz')).status).to.equal(200)
    await away.stopRedis()
    await eventually(async () => (await away.ask('GET', '/readyz')).status === 503)
    const answer = await away.ask('POST', '/v1/subscriptions', { body: SUBSCRIPTION })
    expect([answer.status, answer.body.type]).to.deep.equal([503, '/docs#problem-unavailable'])
    expect((await away.ask('GET', '/livez')).status).to.equal(200)
    await away.close()
  })

  it('answers 503 in time when Redis does not answer, and at once when too many wait already', async () => {
    const settings = ['gateway.requestTimeoutMs=300', 'gateway.waitingMax=0']
    const slow = await GatewayBench.open({ ownRedis: true, settings })
    const made = await slow.ask('POST', '/v1/subscriptions', { body: SUBSCRIPTION })
    const beganMs = performance.now()
    const { status } = await slow.ask('GET', `/v1/commands/${made.body.commandId}?wait=30s`)
    expect([status, performance.now() - beganMs < 5_000]).to.deep.equal([200, true])
    await slow.control.connection.send('client', ['PAUSE', 2_000, 'ALL'])
    const answer = await slow.ask('GET', '/v1/routes')
    expect([answer.status, answer.body.detail]).to.deep.equal([
      503,
      'expected an answer within 300 ms, found none; its outcome is unknown',
    ])
    await slow.stopRedis()
    await slow.close()
  })

  it('ends within its grace: waits are answered, new connections are not taken', async () => {
    const closing = await GatewayBench.open()
    const made = await closing.ask('POST', '/v1/subscriptions', { body: SUBSCRIPTION })
    const waiting = closing.ask('GET', `/v1/commands/${made.body.commandId}?wait=20s`)
    await eventually(async () => (await metrics.gatewayWaiting.get()).values[0]?.value === 1)
    const beganMs = performance.now()
    const closed = closing.gateways[0]?.close(2_000)
    expect((await waiting).body.status).to.be.oneOf(['pending', 'applied'])
    await closed
    expect(performance.now() - beganMs).to.be.below(2_000)
    expect(await closing.ask('GET', '/livez').catch((error: Error) => error.message)).to.equal('fetch failed')
    await closing.close()
  })
})
