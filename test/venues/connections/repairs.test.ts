import { expect } from 'chai'
import type { FakeVenue } from './fake-venue.ts'
import { until, useVenue } from './support.ts'

describe('topics acknowledged and silent', () => {
  const { start, venue: venueNow } = useVenue()
  let venue: FakeVenue
  beforeEach(() => {
    venue = venueNow()
  })

  const topics = ['aaa@trade', 'aaa@quote', 'aaa@depth', 'bbb@trade']
  const resubscribed = (topic: string): number =>
    venue.clients
      .flatMap(({ received }) => received)
      .filter(({ method, params }) => method === 'UNSUBSCRIBE' && params.includes(topic)).length

  it('are mended by subscribing them again, and what was lost is told', async () => {
    const { connections, sink } = start()
    connections.setTopics(new Set(topics))
    venue.feedEvery(5, topics)
    await until(() => topics.every((topic) => sink.count(topic) > 50))
    venue.faults.mendedByResubscribe = true
    venue.faults.silent.add('aaa@trade')
    const count = sink.count('aaa@trade')
    await until(() => sink.count('aaa@trade') > count + 5)
    expect(sink.interruptions).to.deep.equal([{ topics: ['aaa@trade'], cause: 'lost' }])
    expect(resubscribed('aaa@trade')).to.equal(1)
    expect(venue.clients).to.have.length(1)
    expect(connections.status().topics.every(({ state }) => state === 'flowing')).to.equal(true)
    for (const topic of ['aaa@quote', 'aaa@depth', 'bbb@trade']) expect(sink.missing(topic), topic).to.deep.equal([])
  })

  it('move to another connection with their instrument when that does not help', async () => {
    const { connections, sink } = start()
    connections.setTopics(new Set(topics))
    venue.feedEvery(5, topics)
    await until(() => topics.every((topic) => sink.count(topic) > 50))
    venue.faults.silentBelow = 1
    venue.faults.silent.add('aaa@depth')
    const count = sink.count('aaa@depth')
    await until(() => sink.count('aaa@depth') > count + 5)
    await until(() => venue.clients[0]?.topics.size === 1)
    expect([...(venue.clients[1]?.topics ?? [])]).to.have.members(['aaa@trade', 'aaa@quote', 'aaa@depth'])
    expect(sink.interruptions).to.deep.equal([{ topics: ['aaa@depth'], cause: 'lost' }])
    for (const topic of ['aaa@trade', 'aaa@quote', 'bbb@trade']) expect(sink.missing(topic), topic).to.deep.equal([])
  })

  it('are found by a sibling that proves they should move, however slow they were', async () => {
    const { connections, sink, logs, acked } = start({
      staleFactor: 1_000_000,
      neverFlowedSiblingSamplesMin: 1_000_000,
    })
    connections.setTopics(new Set(topics))
    await until(() => acked.length === 4)
    venue.faults.mendedByResubscribe = true
    venue.faults.silent.add('aaa@depth')
    venue.feedEvery(5, topics)
    await until(() => sink.count('aaa@depth') > 5)
    expect(logs.some((line) => line.includes('"topic":"aaa@depth","reason":"sibling"'))).to.equal(true)
  })

  it('are found although they never flowed', async () => {
    const { connections, sink, logs, acked } = start()
    connections.setTopics(new Set(topics))
    await until(() => acked.length === 4)
    venue.faults.mendedByResubscribe = true
    venue.faults.silent.add('aaa@trade')
    venue.feedEvery(5, topics)
    await until(() => sink.count('aaa@trade') > 5)
    expect(logs.some((line) => line.includes('"topic":"aaa@trade","reason":"never-flowed"'))).to.equal(true)
    expect(sink.interruptions).to.deep.equal([])
  })

  it('are left alone while nothing moves, and their connection is renewed ever more rarely', async () => {
    const { connections, sink, acked } = start({ repairBaseMs: 300 })
    connections.setTopics(new Set(topics))
    await until(() => acked.length === 4)
    venue.feedEvery(5, topics)
    await until(() => topics.every((topic) => sink.count(topic) > 50))
    venue.feedEvery(1_000_000, [])
    await until(() => venue.clients.length === 4)
    // Half of the second back-off, which is twice the first, is fixed.
    const [, , third = 0, fourth = 0] = venue.handshakeTimesMs
    expect(fourth - third).to.be.greaterThan(290)
    for (const { received } of venue.clients) expect(received.length).to.be.at.most(1)
    expect(connections.status().staleTopicsCount).to.equal(0)
    await until(() => venue.open.length === 1)
    venue.feedEvery(5, topics)
    const counts = topics.map((topic) => sink.count(topic))
    await until(() => topics.every((topic, index) => sink.count(topic) > (counts[index] ?? 0) + 5))
    expect(sink.interruptions).to.deep.equal([])
    for (const topic of topics) expect(sink.missing(topic), topic).to.deep.equal([])
  })

  it('are mended by another connection when nothing comes at all, and what each of them missed is told', async () => {
    const { connections, sink, acked } = start()
    connections.setTopics(new Set([...topics, 'slow@quote']))
    await until(() => acked.length === 5)
    venue.feedEvery(5, topics)
    venue.feed('slow@quote')
    await until(() => topics.every((topic) => sink.count(topic) > 50) && sink.count('slow@quote') > 0)
    venue.faults.silentBelow = 1
    for (const topic of [...topics, 'slow@quote']) venue.faults.silent.add(topic)
    venue.feed('slow@quote')
    await until(() => venue.clients.length === 2 && venue.open.length === 1)
    venue.feed('slow@quote')
    await until(() => sink.count('slow@quote') === 2)
    expect(sink.interruptions.flatMap(({ topics: lost }) => lost)).to.have.members([...topics, 'slow@quote'])
    expect(sink.untold()).to.deep.equal([])
  })

  it('are mended by another connection when nothing came from the beginning', async () => {
    const { connections, sink, acked } = start()
    venue.faults.silentBelow = 1
    for (const topic of topics) venue.faults.silent.add(topic)
    connections.setTopics(new Set(topics))
    await until(() => acked.length === 4)
    venue.feedEvery(5, topics)
    await until(() => topics.every((topic) => sink.count(topic) > 5))
    expect(sink.interruptions).to.deep.equal([])
  })

  it('are mended while their connection is renewed, where they are silent on both', async () => {
    const { connections, sink } = start({ overlapMs: 20_000 })
    connections.setTopics(new Set(topics))
    venue.feedEvery(5, topics)
    await until(() => topics.every((topic) => sink.count(topic) > 50))
    venue.faults.mendedByResubscribe = true
    venue.faults.silentFrom = 1
    venue.faults.silent.add('aaa@depth')
    const [old] = venue.clients
    if (old) venue.shutdown(old)
    await until(() => venue.clients[1]?.topics.size === topics.length)
    const count = sink.count('aaa@depth')
    await until(() => sink.count('aaa@depth') > count + 5)
    venue.faults.silentFrom = 0
    const both = sink.count('aaa@depth')
    await until(() => sink.count('aaa@depth') > both + 5 && venue.open.length === 1)
    expect(sink.interruptions).to.deep.equal([{ topics: ['aaa@depth'], cause: 'lost' }])
    expect(sink.untold()).to.deep.equal([])
    for (const topic of ['aaa@trade', 'aaa@quote', 'bbb@trade']) expect(sink.missing(topic), topic).to.deep.equal([])
  })

  it('are told each time, also while the next step of their mending has to wait', async () => {
    const { connections, sink } = start({ repairBaseMs: 60_000, repairMsMax: 60_000 })
    connections.setTopics(new Set(topics))
    venue.feedEvery(5, topics)
    await until(() => topics.every((topic) => sink.count(topic) > 50))
    venue.faults.silentBelow = 1
    venue.faults.silent.add('aaa@depth')
    const count = sink.count('aaa@depth')
    await until(() => sink.count('aaa@depth') > count + 50)
    venue.faults.silentBelow = 2
    await until(() => sink.interruptions.length === 2)
    expect(sink.interruptions[1]).to.deep.equal({ topics: ['aaa@depth'], cause: 'lost' })
    expect(resubscribed('aaa@depth')).to.be.at.most(2)
  })

  it('are tried again ever more rarely while they stay silent', async () => {
    const { connections, sink } = start({ movesPerMinuteMax: 3, repairBaseMs: 100, repairMsMax: 400 })
    connections.setTopics(new Set(topics))
    venue.feedEvery(5, topics)
    await until(() => topics.every((topic) => sink.count(topic) > 50))
    venue.faults.silent.add('bbb@trade')
    await until(() => resubscribed('bbb@trade') >= 4)
    expect(connections.status().topics.find(({ topic }) => topic === 'bbb@trade')?.state).to.equal('stale')
    expect(sink.interruptions).to.deep.equal([{ topics: ['bbb@trade'], cause: 'lost' }])
    for (const topic of ['aaa@trade', 'aaa@quote', 'aaa@depth']) expect(sink.missing(topic), topic).to.deep.equal([])
  })

  it('renew the whole connection without interrupting the others when most of it is silent', async () => {
    const { connections, sink, acked } = start({ staleTopicsReconnectMin: 3 })
    const many = ['a@trade', 'b@trade', 'c@trade', 'd@trade']
    connections.setTopics(new Set(many))
    await until(() => acked.length === 4)
    venue.feedEvery(5, many)
    await until(() => many.every((topic) => sink.count(topic) > 50))
    venue.faults.silentBelow = 1
    for (const topic of ['a@trade', 'b@trade', 'c@trade']) venue.faults.silent.add(topic)
    await until(() => venue.clients.length === 2 && venue.open.length === 1)
    const count = sink.count('a@trade')
    await until(() => sink.count('a@trade') > count)
    expect(sink.interruptions.flatMap(({ topics: lost }) => lost)).to.have.members(['a@trade', 'b@trade', 'c@trade'])
    expect(sink.missing('d@trade')).to.deep.equal([])
  })

  it('are handed over before the connection they leave is renewed', async () => {
    const { connections, sink, logs } = start({ overlapMs: 400 })
    connections.setTopics(new Set(topics))
    venue.feedEvery(5, topics)
    await until(() => topics.every((topic) => sink.count(topic) > 50))
    venue.faults.silentBelow = 1
    venue.faults.silent.add('aaa@depth')
    await until(() => logs.some((line) => line.startsWith('moving an instrument')))
    const [old] = venue.clients
    if (old) venue.shutdown(old)
    await until(() => venue.open.length === 2 && old !== undefined && !venue.open.includes(old))
    expect(sink.untold()).to.deep.equal([])
    expect(sink.interruptions).to.deep.equal([{ topics: ['aaa@depth'], cause: 'lost' }])
  })

  it('are told once when their connection turns out to be half-open', async () => {
    const { connections, sink, acked } = start({
      topicsPerConnection: 4,
      staleTopicsReconnectMin: 2,
      probeAfterMs: 600,
    })
    const both = [...topics, 'ccc@trade', 'ddd@trade']
    connections.setTopics(new Set(both))
    await until(() => acked.length === both.length)
    venue.feedEvery(5, both)
    await until(() => both.every((topic) => sink.count(topic) > 50))
    const victim = venue.open.find((client) => client.topics.has('aaa@trade'))
    if (victim) venue.freeze(victim)
    await until(
      () =>
        victim !== undefined &&
        venue.open.length === 2 &&
        !connections.status().connections.some(({ role }) => role === 'successor'),
    )
    const count = sink.count('aaa@trade')
    await until(() => sink.count('aaa@trade') > count)
    expect(sink.untold()).to.deep.equal([])
    const told = sink.interruptions.flatMap(({ topics: lost }) => lost)
    expect(told.length).to.equal(new Set(told).size)
  })

  it('are told to have a hole when the connection they moved to is lost, also while the old one still has them', async () => {
    const { connections, sink } = start({ lingerMs: 60_000 })
    connections.setTopics(new Set(topics))
    venue.feedEvery(5, topics)
    await until(() => topics.every((topic) => sink.count(topic) > 50))
    venue.faults.silentBelow = 1
    venue.faults.silent.add('aaa@quote')
    await until(() => venue.clients[1]?.topics.has('aaa@quote') === true)
    const count = sink.count('aaa@quote')
    await until(() => sink.count('aaa@quote') > count + 50)
    venue.clients[1]?.socket.close(1001)
    await until(() => venue.clients[2]?.topics.has('aaa@quote') === true)
    const again = sink.count('aaa@quote')
    await until(() => sink.count('aaa@quote') > again + 5)
    expect(sink.missing('aaa@quote').length).to.be.greaterThan(0)
    expect(sink.untold()).to.deep.equal([])
    const told = sink.interruptions.filter(({ topics: lost }) => lost.includes('aaa@quote'))
    expect(told).to.have.length(2)
    for (const topic of ['aaa@trade', 'aaa@depth', 'bbb@trade']) expect(sink.missing(topic), topic).to.deep.equal([])
  })

  it('take a quiet one along, and its hole is told when it turns out to be silent where they went', async () => {
    const { connections, sink, acked } = start({ lingerMs: 300 })
    connections.setTopics(new Set(['aaa@depth', 'aaa@quote', 'bbb@trade']))
    await until(() => acked.length === 3)
    venue.feed('aaa@quote')
    venue.feedEvery(5, ['aaa@depth', 'bbb@trade'])
    await until(() => sink.count('aaa@depth') > 50 && sink.count('aaa@quote') === 1)
    const [old] = venue.clients
    venue.faults.silentBelow = 1
    venue.faults.silent.add('aaa@depth')
    await until(() => venue.clients.length === 2 && old?.topics.size === 1)
    const second = venue.clients[1]
    if (!second) throw new Error('expected a second connection')
    second.topics.delete('aaa@quote')
    venue.feed('aaa@quote')
    venue.shutdown(second)
    await until(() => venue.clients[2]?.topics.has('aaa@quote') === true)
    venue.feedEvery(5, ['aaa@depth', 'aaa@quote', 'bbb@trade'])
    await until(() => sink.count('aaa@quote') > 5)
    expect(sink.missing('aaa@quote').length).to.be.greaterThan(0)
    expect(sink.untold()).to.deep.equal([])
    expect(sink.interruptions.filter(({ topics: lost }) => lost.includes('aaa@quote'))).to.have.length(1)
  })
})
