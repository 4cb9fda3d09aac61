import { expect } from 'chai'
import { FakeVenue } from './fake-venue.ts'
import { type Bench, bench, until } from './support.ts'

describe('connections', () => {
  let venue: FakeVenue
  let open: Bench[]

  beforeEach(async () => {
    venue = await FakeVenue.start()
    open = []
  })

  afterEach(async () => {
    for (const { connections } of open) await connections.close()
    await venue.close()
  })

  const start = (...args: Parameters<typeof bench> extends [unknown, ...infer Rest] ? Rest : never): Bench => {
    const started = bench(venue, ...args)
    open.push(started)
    return started
  }

  it('subscribes the wanted topics and delivers their events', async () => {
    const { connections, sink, acked, flowing } = start()
    connections.setTopics(new Set(['aaa@trade', 'aaa@depth', 'bbb@trade']))
    await until(() => acked.length === 3)
    venue.feed('aaa@trade')
    venue.feed('bbb@trade')
    await until(() => sink.count('aaa@trade') === 1 && sink.count('bbb@trade') === 1)
    expect(flowing).to.have.members(['aaa@trade', 'bbb@trade'])
    expect(venue.clients).to.have.length(1)
    expect(venue.clients[0]?.received).to.have.length(1)
    const states = connections.status().topics.map(({ topic, state }) => `${topic} ${state}`)
    expect(states).to.have.members(['aaa@trade flowing', 'aaa@depth acked', 'bbb@trade flowing'])
  })

  it('adds and removes topics natively, without a new connection', async () => {
    const { connections, acked, stopped } = start()
    connections.setTopics(new Set(['aaa@trade', 'aaa@depth']))
    await until(() => acked.length === 2)
    connections.setTopics(new Set(['aaa@trade', 'bbb@trade', 'ccc@trade']))
    connections.setTopics(new Set(['aaa@trade', 'bbb@trade', 'ccc@trade']))
    await until(() => acked.length === 4 && stopped.length === 1)
    expect(stopped).to.deep.equal(['aaa@depth'])
    expect([...(venue.clients[0]?.topics ?? [])]).to.have.members(['aaa@trade', 'bbb@trade', 'ccc@trade'])
    const methods = venue.clients[0]?.received.map(({ method }) => method)
    expect(methods).to.deep.equal(['SUBSCRIBE', 'UNSUBSCRIBE', 'SUBSCRIBE'])
    expect(venue.clients).to.have.length(1)
    expect(connections.status().stopped.map(({ topic }) => topic)).to.deep.equal(['aaa@depth'])
  })

  it('tells the interruption once, reconnects and flows again', async () => {
    const { connections, sink, acked } = start()
    connections.setTopics(new Set(['aaa@trade', 'bbb@trade', 'quiet@trade']))
    await until(() => acked.length === 3)
    venue.feedEvery(5, ['aaa@trade', 'bbb@trade'])
    await until(() => sink.count('aaa@trade') > 3 && sink.count('bbb@trade') > 3)
    venue.clients[0]?.socket.terminate()
    await until(() => acked.length === 6)
    const before = sink.count('aaa@trade')
    await until(() => sink.count('aaa@trade') > before)
    expect(sink.interruptions).to.deep.equal([{ topics: ['aaa@trade', 'bbb@trade'], cause: 'disconnect' }])
  })
})
