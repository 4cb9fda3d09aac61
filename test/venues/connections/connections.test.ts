import { expect } from 'chai'
import type { FakeVenue } from './fake-venue.ts'
import { type Bench, until, useVenue } from './support.ts'

describe('connections', () => {
  const { start, venue: venueNow } = useVenue()
  let venue: FakeVenue
  beforeEach(() => {
    venue = venueNow()
  })

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

  it('subscribes again what is wanted again before its end was acknowledged', async () => {
    const { connections, acked } = start()
    connections.setTopics(new Set(['aaa@trade', 'bbb@trade']))
    await until(() => acked.length === 2)
    connections.setTopics(new Set(['bbb@trade']))
    connections.setTopics(new Set(['aaa@trade', 'bbb@trade']))
    await until(() => acked.length === 3)
    expect([...(venue.clients[0]?.topics ?? [])]).to.have.members(['aaa@trade', 'bbb@trade'])
  })

  it('leaves out what was on its way from a subscription that ended when its topic is wanted again', async () => {
    const { connections, sink, acked } = start()
    connections.setTopics(new Set(['aaa@quote', 'bbb@quote']))
    await until(() => acked.length === 2)
    venue.feed('aaa@quote')
    await until(() => sink.count('aaa@quote') === 1)
    connections.setTopics(new Set(['bbb@quote']))
    connections.setTopics(new Set(['aaa@quote', 'bbb@quote']))
    // Behind this one the venue ends the subscription and begins another: whoever takes it for the first of the new one
    // takes the hole between the two for none.
    venue.feed('aaa@quote')
    await until(() => acked.length === 3)
    venue.feed('aaa@quote')
    await until(() => (sink.numbers.get('aaa@quote')?.at(-1) ?? 0) === 3)
    expect(sink.numbers.get('aaa@quote')).to.deep.equal([1, 3])
  })

  it('closes a connection that has had nothing to carry for a while', async () => {
    const { connections, acked, stopped } = start({ idleMs: 100 })
    connections.setTopics(new Set(['aaa@trade']))
    await until(() => acked.length === 1)
    connections.setTopics(new Set())
    await until(() => venue.open.length === 0 && stopped.length === 1)
    expect(connections.status().connections).to.have.length(0)
  })

  it('unsubscribes on the open connection, and takes up what is wanted again without connecting anew', async () => {
    const { connections, acked, stopped } = start({ staleFloorMs: 20, neighbourMs: 10 })
    connections.setTopics(new Set(['aaa@trade']))
    await until(() => acked.length === 1)
    connections.setTopics(new Set())
    await until(() => stopped.length === 1)
    expect(venue.open[0]?.topics.size).to.equal(0)
    // Long enough for one that ought to show something to count as silent.
    const idleFromMs = performance.now()
    await until(() => performance.now() - idleFromMs > 100)
    connections.setTopics(new Set(['bbb@trade']))
    await until(() => acked.length === 2)
    expect(venue.clients).to.have.length(1)
  })

  it('asks the venue what it believes, ends what is a stranger there and takes up what is missing', async () => {
    const { connections, acked, sink } = start({ reconcileMs: 100 })
    connections.setTopics(new Set(['aaa@quote', 'bbb@quote']))
    await until(() => acked.length === 2)
    venue.feed('bbb@quote')
    await until(() => sink.count('bbb@quote') === 1)
    venue.open[0]?.topics.delete('bbb@quote')
    venue.open[0]?.topics.add('ccc@quote')
    await until(() => acked.length === 3)
    await until(() => venue.open[0]?.topics.has('ccc@quote') === false)
    expect([...(venue.open[0]?.topics ?? [])].sort()).to.deep.equal(['aaa@quote', 'bbb@quote'])
    expect(sink.interruptions).to.deep.equal([{ topics: ['bbb@quote'], cause: 'lost' }])
  })

  it('keeps the topics of an instrument on one connection and the connections below their bound', async () => {
    const { connections, acked } = start({ topicsPerConnection: 10 })
    const topics = new Set<string>()
    for (let i = 0; i < 20; i++) for (const what of ['trade', 'quote', 'depth']) topics.add(`s${i}@${what}`)
    connections.setTopics(topics)
    await until(() => acked.length === 60)
    expect(venue.open.every((client) => client.topics.size <= 10)).to.equal(true)
    for (let i = 0; i < 20; i++) {
      const holders = venue.open.filter((client) => client.topics.has(`s${i}@trade`))
      expect(holders).to.have.length(1)
      expect(holders[0]?.topics.has(`s${i}@quote`) && holders[0]?.topics.has(`s${i}@depth`)).to.equal(true)
    }
  })

  it('keeps its messages within the bounds of count, bytes and rate', async () => {
    const limits = {
      inboundMessagesPerSecondMax: 5,
      subscribeTopicsPerMessageMax: 20,
      subscribeBytesPerMessageMax: 300,
    }
    const { connections, acked } = start({ outboundWindowMs: 220 }, limits)
    connections.setTopics(new Set(Array.from({ length: 200 }, (_, i) => `symbol${i}@trade`)))
    await until(() => acked.length === 200)
    const received = venue.clients[0]?.received ?? []
    expect(received.every(({ params }) => params.length <= 20 && JSON.stringify(params).length <= 300)).to.equal(true)
    expect(received.length).to.be.greaterThan(8)
    // One of five is kept for a pong; the venue's own window is a little shorter than ours.
    for (let i = 4; i < received.length; i++) {
      expect((received[i]?.atMs ?? 0) - (received[i - 4]?.atMs ?? 0)).to.be.greaterThan(150)
    }
  })

  it('answers a ping with its payload', async () => {
    const { connections, acked } = start()
    connections.setTopics(new Set(['aaa@trade']))
    await until(() => acked.length === 1)
    venue.clients[0]?.socket.ping('1718000000000')
    await until(() => venue.clients[0]?.pongs.length === 1)
    expect(venue.clients[0]?.pongs).to.deep.equal(['1718000000000'])
  })

  it('outlives frames that are no JSON, no text, or absurdly long', async () => {
    const { connections, sink, acked } = start()
    connections.setTopics(new Set(['aaa@trade']))
    await until(() => acked.length === 1)
    const socket = venue.clients[0]?.socket
    socket?.send('{"topic":"aaa@trade","n":')
    socket?.send(Buffer.from([1, 2, 3]))
    socket?.send(Buffer.from([0x7b, 0xff, 0xfe]), { binary: false })
    socket?.send('x'.repeat(50 * 1024 * 1024))
    venue.feed('aaa@trade')
    await until(() => sink.count('aaa@trade') === 1)
    expect(sink.rejections).to.equal(4)
    expect(venue.clients).to.have.length(1)
  })

  it('finds the topic that spoils a message, subscribes the others and goes on trying it', async () => {
    const { connections, acked } = start()
    venue.faults.bad.add('s7@trade')
    connections.setTopics(new Set(Array.from({ length: 20 }, (_, i) => `s${i}@trade`)))
    await until(() => acked.length === 19)
    await until(() => connections.status().topics.some(({ topic, errors }) => topic === 's7@trade' && errors >= 3))
    venue.faults.bad.clear()
    await until(() => acked.length === 20)
    expect(connections.status().topics.every(({ errors }) => errors === 0)).to.equal(true)
  })

  it('pauses its sockets while the sink is full and goes on where it stopped', async () => {
    const { connections, sink, acked } = start({ pausedMsMax: 5_000 })
    connections.setTopics(new Set(['aaa@trade']))
    await until(() => acked.length === 1)
    venue.feedEvery(2, ['aaa@trade'])
    await until(() => sink.count('aaa@trade') > 5)
    sink.saturated = true
    await until(() => connections.status().connections[0]?.paused === true)
    const count = sink.count('aaa@trade')
    await until(() => venue.lastNumber('aaa@trade') > count + 20)
    expect(sink.count('aaa@trade')).to.be.lessThan(count + 10)
    sink.drain()
    await until(() => sink.count('aaa@trade') > count + 20)
    expect(sink.missing('aaa@trade')).to.deep.equal([])
    expect(sink.interruptions).to.deep.equal([])
    expect(venue.clients).to.have.length(1)
  })

  it('gives a socket up that was paused for too long, tells the overflow and comes back when there is room', async () => {
    const { connections, sink, acked } = start({ pausedMsMax: 100 })
    connections.setTopics(new Set(['aaa@trade']))
    await until(() => acked.length === 1)
    venue.feedEvery(2, ['aaa@trade'])
    await until(() => sink.count('aaa@trade') > 5)
    sink.saturated = true
    await until(() => sink.interruptions.length > 0)
    expect(sink.interruptions).to.deep.equal([{ topics: ['aaa@trade'], cause: 'overflow' }])
    expect(venue.clients).to.have.length(1)
    const count = sink.count('aaa@trade')
    sink.drain()
    await until(() => sink.count('aaa@trade') > count)
    expect(sink.interruptions).to.have.length(1)
  })

  it('closes within its bound although the other side does not answer, and twice is harmless', async () => {
    const { connections, acked }: Bench = start({ closeTimeoutMs: 50 })
    connections.setTopics(new Set(['aaa@trade']))
    await until(() => acked.length === 1)
    venue.clients[0]?.socket.pause()
    const startMs = performance.now()
    await Promise.all([connections.close(), connections.close()])
    expect(performance.now() - startMs).to.be.lessThan(1_000)
  })
})
