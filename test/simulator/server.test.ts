import { expect } from 'chai'
import { UnavailableError } from '../../src/errors.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { requestWeight, WeightAccount } from '../../src/simulator/request-weight.ts'
import { startSimulator } from '../../src/simulator/simulator.ts'
import { attempt, closeAll, get, range, ToldSource, turns, until, VenueClient, venue } from './venue-client.ts'

describe('the stream server', () => {
  afterEach(closeAll)

  async function open(rules = {}, clock = new ManualClock()) {
    const source = new ToldSource()
    const simulator = await venue(source, { rules, clock })
    return { source, clock, ...simulator }
  }
  const violations = async (simulator: {
    state(): Promise<Record<string, unknown>>
  }): Promise<Record<string, number>> => (await simulator.state()).violations as Record<string, number>

  it('wraps on /stream, sends raw on /ws, and lets SET_PROPERTY change it', async () => {
    const { source, ws } = await open()
    const combined = await VenueClient.open(`${ws}/stream?streams=a@trade/b@trade`)
    const raw = await VenueClient.open(`${ws}/ws/a@trade`)
    await until(() => source.subscribedStreams.size === 2)
    source.emit('a@trade', '{"t":1}')
    source.emit('b@trade', '{"t":2}')
    source.emit('c@trade', '{"t":3}')
    await until(() => combined.frames.length === 2 && raw.frames.length === 1)
    expect(combined.frames).to.deep.equal([
      '{"stream":"a@trade","data":{"t":1}}',
      '{"stream":"b@trade","data":{"t":2}}',
    ])
    expect(raw.frames).to.deep.equal(['{"t":1}'])
    expect(await raw.ask({ method: 'GET_PROPERTY', params: ['combined'], id: 1 })).to.deep.equal({
      result: false,
      id: 1,
    })
    await raw.ask({ method: 'SET_PROPERTY', params: ['combined', true], id: 2 })
    source.emit('a@trade', '{"t":4}')
    await until(() => raw.frames.at(-1) === '{"stream":"a@trade","data":{"t":4}}')
  })

  it('carries frames of every length class whole, in one burst and over several', async () => {
    const { source, ws } = await open()
    const client = await VenueClient.open(`${ws}/ws/a@trade`)
    await until(() => source.subscribedStreams.size === 1)
    const texts = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000, 400_000].map(
      (length) => 'ü'.repeat(length % 7) + 'x'.repeat(length),
    )
    for (const text of texts) source.emit('a@trade', text)
    await turns()
    for (const text of texts) {
      source.emit('a@trade', text)
      await turns(1)
    }
    await until(() => client.frames.length === 2 * texts.length)
    expect(client.frames).to.deep.equal([...texts, ...texts])
  })

  it('subscribes, lists and unsubscribes, acknowledges unknown symbols, and tells the source what is wanted', async () => {
    const { source, ws } = await open()
    const client = await VenueClient.open(`${ws}/ws`)
    expect(
      await client.ask('{"method":"SUBSCRIBE","params":["a@trade","none@trade","币安@trade"],"id":9007199254740993}'),
    ).to.have.property('result', null)
    expect(client.frames[0]).to.equal('{"result":null,"id":9007199254740993}')
    expect([...source.subscribedStreams]).to.deep.equal(['a@trade', 'none@trade', '币安@trade'])
    await client.ask({ method: 'UNSUBSCRIBE', params: ['none@trade', 'never@trade'], id: 'x' })
    expect(await client.ask({ method: 'LIST_SUBSCRIPTIONS', id: 3 })).to.deep.equal({
      result: ['a@trade', '币安@trade'],
      id: 3,
    })
    expect([...source.subscribedStreams]).to.deep.equal(['a@trade', '币安@trade'])
    client.socket.terminate()
    await until(() => source.subscribedStreams.size === 0)
  })

  it('decodes symbols that are not ASCII in addresses', async () => {
    const { source, ws } = await open()
    await VenueClient.open(`${ws}/ws/${encodeURIComponent('币安usdt@trade')}`)
    await VenueClient.open(`${ws}/stream?streams=${encodeURIComponent('a@trade/b@trade')}`)
    await until(() => source.subscribedStreams.size === 3)
    expect([...source.subscribedStreams]).to.deep.equal(['币安usdt@trade', 'a@trade', 'b@trade'])
    expect(await attempt(`${ws}/ws/%E5%B8`)).to.equal(400)
    expect(await attempt(`${ws}/other`)).to.equal(404)
    expect(await attempt(`${ws}/ws?timeUnit=MICROSECOND`)).to.equal(400)
  })

  it('cuts the line of who sends more than five messages within a second, pongs counted', async () => {
    const simulator = await open()
    const calm = await VenueClient.open(`${simulator.ws}/ws`)
    for (let second = 0; second < 3; second++) {
      for (const id of range(1, 4)) await calm.ask({ method: 'LIST_SUBSCRIPTIONS', id })
      calm.socket.pong()
      await turns()
      simulator.clock.advance(1000)
    }
    expect(calm.closed).to.equal(null)
    const hasty = await VenueClient.open(`${simulator.ws}/ws`)
    for (const id of range(1, 4)) hasty.send({ method: 'LIST_SUBSCRIPTIONS', id })
    hasty.socket.ping()
    await until(() => hasty.replies.length === 4)
    expect(hasty.closed).to.equal(null)
    hasty.socket.pong()
    await until(() => hasty.closed !== null)
    expect(calm.closed).to.equal(null)
    expect((await violations(simulator)).inboundRate).to.equal(1)
  })

  it('refuses more streams than a connection may have, by address and by message', async () => {
    const simulator = await open({ streamsMax: 3 })
    expect(await attempt(`${simulator.ws}/stream?streams=a/b/c/d`)).to.equal(400)
    const client = await VenueClient.open(`${simulator.ws}/stream?streams=a/b`)
    expect(await client.ask({ method: 'SUBSCRIBE', params: ['b', 'c', 'd'], id: 1 })).to.have.property('code', 4)
    expect(await client.ask({ method: 'SUBSCRIBE', params: ['b', 'c'], id: 2 })).to.have.property('result', null)
    expect((await violations(simulator)).streams).to.equal(2)
  })

  it('refuses connection attempts above the limit until their window has passed', async () => {
    const simulator = await open({ connectsMax: 2, connectsWindowMs: 1000 })
    expect([
      await attempt(`${simulator.ws}/ws`),
      await attempt(`${simulator.ws}/ws`),
      await attempt(`${simulator.ws}/ws`),
    ]).to.deep.equal(['open', 'open', 429])
    simulator.clock.advance(1000)
    expect(await attempt(`${simulator.ws}/ws`)).to.equal('open')
  })

  it('pings with a payload and ends who does not return it', async () => {
    const simulator = await open()
    const good = await VenueClient.open(`${simulator.ws}/ws`)
    const mute = await VenueClient.open(`${simulator.ws}/ws`, false)
    const wrong = await VenueClient.open(`${simulator.ws}/ws`, false)
    wrong.socket.on('ping', () => wrong.socket.pong('something else'))
    for (let seconds = 0; seconds < 79; seconds++) {
      simulator.clock.advance(1000)
      await turns(2)
    }
    await until(() => good.pings.length === 3)
    expect([mute.closed, wrong.closed]).to.deep.equal([null, null])
    expect(new Set(good.pings).size).to.equal(3)
    simulator.clock.advance(2000)
    await until(() => mute.closed !== null && wrong.closed !== null)
    expect(good.closed).to.equal(null)
    expect((await violations(simulator)).pong).to.equal(2)
  })

  it('ends a connection at its lifetime', async () => {
    const simulator = await open({ lifetimeMs: 5000 })
    const old = await VenueClient.open(`${simulator.ws}/ws`)
    simulator.clock.advance(3000)
    const young = await VenueClient.open(`${simulator.ws}/ws`)
    simulator.clock.advance(2500)
    await until(() => old.closed !== null)
    expect(young.closed).to.equal(null)
  })

  it('asks the source to wait for a slow reader, and drops one that is far too slow', async () => {
    const simulator = await open({ bufferedBytesHigh: 1_000_000, bufferedBytesMax: 40_000_000 })
    const client = await VenueClient.open(`${simulator.ws}/ws/a@trade`)
    await until(() => simulator.source.subscribedStreams.size === 1)
    client.socket.pause()
    const text = 'x'.repeat(100_000)
    let sent = 0
    while (simulator.source.emit('a@trade', text)) {
      sent++
      await turns(1)
    }
    expect(sent).to.be.greaterThan(5)
    let ready = false
    const waiting = simulator.source.ready().then(() => {
      ready = true
    })
    await turns()
    expect(ready).to.equal(false)
    client.socket.resume()
    await waiting
    expect(simulator.source.emit('a@trade', text)).to.equal(true)
    await until(() => client.frames.length === sent + 2)
    client.socket.pause()
    while ((await violations(simulator)).slowReader === 0) {
      for (let times = 0; times < 50; times++) simulator.source.emit('a@trade', text)
      await turns(1)
    }
  })

  it('says that its port is taken', async () => {
    const simulator = await open()
    const port = Number(new URL(simulator.rest).port)
    const error = await startSimulator({ source: new ToldSource(), port }).catch((cause: Error) => cause)
    expect(error).to.be.instanceOf(UnavailableError)
    expect((error as Error).message).to.equal(`expected to listen on 127.0.0.1:${port}, but the port is taken`)
  })
})

describe('the REST desk', () => {
  afterEach(closeAll)

  it('weighs requests as the venue does', () => {
    const weights = [
      'depth',
      'depth?limit=100',
      'depth?limit=101',
      'depth?limit=1000',
      'depth?limit=5000',
      'exchangeInfo',
      'historicalTrades',
      'aggTrades',
      'klines',
      'time',
    ]
    expect(
      weights.map((request) => {
        const url = new URL(`http://x/api/v3/${request}`)
        return requestWeight(url.pathname, url.searchParams)
      }),
    ).to.deep.equal([5, 5, 25, 50, 250, 20, 25, 4, 2, 1])
  })

  it('refuses above the limit until the minute is over, then bans who goes on, longer each time', () => {
    const account = new WeightAccount(100)
    const minuteMs = 60_000
    expect(account.charge(100, minuteMs)).to.equal(null)
    const refusal = account.charge(1, minuteMs + 15_000)
    expect(refusal).to.include({ status: 429 })
    expect(refusal?.headers).to.deep.equal({ 'Retry-After': '45' })
    expect(JSON.parse(refusal?.body ?? '')).to.have.property('code', -1003)
    expect(account.charge(1, 2 * minuteMs)).to.equal(null)
    let banned = null
    for (let times = 0; times < 12; times++) banned = account.charge(100, 2 * minuteMs + 1000)
    expect(banned).to.include({ status: 418 })
    expect(banned?.headers).to.deep.equal({ 'Retry-After': '120' })
    expect(account.charge(1, 3 * minuteMs)).to.include({ status: 418 })
    expect(account.charge(1, 4 * minuteMs + 1000)).to.equal(null)
    for (let times = 0; times < 12; times++) banned = account.charge(100, 4 * minuteMs + 1000)
    expect(banned?.headers).to.deep.equal({ 'Retry-After': '240' })
  })

  it('tells the weight used in its headers and shows requests in its state', async () => {
    const simulator = await venue(new ToldSource())
    await get(`${simulator.rest}/api/v3/exchangeInfo`)
    const answer = await get(`${simulator.rest}/api/v3/depth?symbol=A&limit=1000`)
    expect(answer.headers.get('x-mbx-used-weight-1m')).to.be.oneOf(['70', '50'])
    const state = (await get(`${simulator.rest}/simulator/state`)).body as Record<string, unknown>
    expect(state.requests).to.deep.equal({
      '/api/v3/exchangeInfo': { count: 1, weight: 20 },
      '/api/v3/depth': { count: 1, weight: 50 },
    })
    expect(state.weight).to.have.property('max', 6000)
  })

  it('answers 404 to what the venue does not have and 500 when the source fails', async () => {
    const source = new ToldSource()
    const simulator = await venue(source)
    source.answer = null
    expect((await get(`${simulator.rest}/api/v3/nothing`)).status).to.equal(404)
    source.rest = () => Promise.reject(new Error('broken'))
    const answer = await get(`${simulator.rest}/api/v3/time`)
    expect(answer.status).to.equal(500)
    expect(answer.body).to.have.property('code', -1000)
  })
})
