import { expect } from 'chai'
import type { Client, FakeVenue } from './fake-venue.ts'
import { until, useVenue } from './support.ts'

describe('what a new line holds back beside an old one', () => {
  const { start, venue: venueNow } = useVenue()
  let venue: FakeVenue
  beforeEach(() => {
    venue = venueNow()
  })

  const pass = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
  const first = (): Client => {
    const [client] = venue.clients
    if (!client) throw new Error('expected a connection')
    return client
  }

  it('is no hole where nothing was read because the sink was full', async () => {
    const { connections, sink, acked } = start({ lingerMs: 1_000, probationMs: 200, pausedMsMax: 10_000 })
    connections.setTopics(new Set(['aaa@quote', 'bbb@quote']))
    await until(() => acked.length === 2)
    venue.feed('aaa@quote')
    venue.feed('bbb@quote')
    await until(() => sink.count('aaa@quote') === 1 && sink.count('bbb@quote') === 1)
    venue.shutdown(first())
    await until(() => acked.length === 4)
    const late = venue.feedLate('aaa@quote', first())
    await pass(50)
    sink.saturated = true
    venue.feed('bbb@quote')
    await until(() => connections.status().connections.every(({ paused }) => paused))
    late()
    await pass(400)
    sink.saturated = false
    await until(() => sink.count('aaa@quote') > 1)
    await pass(50)
    expect(sink.interruptions).to.deep.equal([])
  })

  it('is not shown by a third line that holds back as well', async () => {
    const { connections, sink, acked } = start(
      { lingerMs: 3_000, overlapMs: 10_000, staleFloorMs: 20_000, topicsPerConnection: 3 },
      { topicsPerConnectionMax: 3 },
    )
    const topics = ['aaa@quote', 'bbb@quote', 'bbb@trade']
    connections.setTopics(new Set(topics))
    await until(() => acked.length === 3)
    connections.setTopics(new Set([...topics, 'ccc@quote']))
    await until(() => acked.length === 4)
    venue.feed('aaa@quote')
    await until(() => sink.count('aaa@quote') === 1)
    // The first connection falls silent.
    venue.faults.silentBelow = 1
    venue.faults.silent.add('aaa@quote')
    venue.feed('aaa@quote')
    const second = venue.clients[1]
    if (!second) throw new Error('expected a second connection')
    venue.shutdown(second)
    await until(() => acked.length === 5)
    // Beyond the first connection's bound, so its instrument moves to the second, which is being replaced.
    connections.setTopics(new Set([...topics, 'ccc@quote', 'aaa@trade']))
    await until(() => venue.open.filter(({ topics }) => topics.has('aaa@quote')).length === 3)
    await until(() => acked.length === 9)
    venue.feed('aaa@quote')
    await until(() => sink.count('aaa@quote') > 1)
    expect(sink.untold()).to.deep.equal([])
    expect(sink.interruptions).to.deep.equal([{ topics: ['aaa@quote'], cause: 'lost' }])
  })

  it('is sent on behind a hole that another topic showed', async () => {
    const { connections, sink, acked } = start({ lingerMs: 2_000, overlapMs: 5_000 })
    const topics = ['aaa@quote', 'bbb@quote']
    connections.setTopics(new Set(topics))
    await until(() => acked.length === 2)
    for (const topic of topics) venue.feed(topic)
    await until(() => topics.every((topic) => sink.count(topic) === 1))
    venue.shutdown(first())
    await until(() => acked.length === 4)
    for (const topic of topics) venue.feedLate(topic, first())
    await until(() => sink.interruptions.length > 0)
    await until(() => topics.every((topic) => sink.count(topic) === 2), 500)
    expect(sink.interruptions.flatMap((told) => told.topics).sort()).to.deep.equal(topics)
  })

  it('is sent on behind the hole where the old line is lost', async () => {
    const { connections, sink, acked } = start({ lingerMs: 2_000, overlapMs: 5_000, probationMs: 5_000 })
    connections.setTopics(new Set(['aaa@quote']))
    await until(() => acked.length === 1)
    venue.feed('aaa@quote')
    await until(() => sink.count('aaa@quote') === 1)
    venue.shutdown(first())
    await until(() => acked.length === 2)
    venue.feedLate('aaa@quote', first())
    await pass(50)
    first().socket.terminate()
    await until(() => sink.interruptions.length > 0)
    await until(() => sink.count('aaa@quote') === 2, 500)
    expect(sink.interruptions).to.deep.equal([{ topics: ['aaa@quote'], cause: 'disconnect' }])
  })
})
