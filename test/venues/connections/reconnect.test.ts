import { expect } from 'chai'
import type { FakeVenue } from './fake-venue.ts'
import { until, useVenue } from './support.ts'

describe('connections that are lost', () => {
  const { start, venue: venueNow } = useVenue()
  let venue: FakeVenue
  beforeEach(() => {
    venue = venueNow()
  })

  it('are told once, opened again and flow', async () => {
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

  it('never give up while the venue refuses, and stay within the connection limit', async () => {
    const { connections, acked } = start({}, { connectsPerWindowMax: 5, connectsWindowMs: 300 })
    venue.faults.refuseWith = 503
    connections.setTopics(new Set(['aaa@trade']))
    await until(() => venue.handshakes >= 12)
    const gaps = venue.handshakeTimesMs.map(
      (atMs, i) => atMs - (venue.handshakeTimesMs[i - 5] ?? Number.NEGATIVE_INFINITY),
    )
    expect(Math.min(...gaps)).to.be.greaterThan(250)
    venue.faults.refuseWith = 0
    await until(() => acked.length === 1)
  })

  it('wait as long as a 429 says, all of them', async () => {
    const { connections, acked } = start({ topicsPerConnection: 1 })
    venue.faults.refuseWith = 429
    venue.faults.retryAfterSeconds = 1
    connections.setTopics(new Set(['aaa@trade', 'bbb@trade']))
    await until(() => venue.handshakes >= 1)
    const refusedAtMs = performance.now()
    await until(() => venue.handshakes === 2)
    venue.faults.refuseWith = 0
    await until(() => acked.length === 2)
    expect(performance.now() - refusedAtMs).to.be.greaterThan(900)
    expect(venue.handshakes).to.equal(4)
  })

  it('are found half-open by a probe long before the venue would have pinged', async () => {
    const { connections, sink, acked, logs } = start()
    connections.setTopics(new Set(['aaa@trade']))
    await until(() => acked.length === 1)
    venue.feed('aaa@trade')
    await until(() => sink.count('aaa@trade') === 1)
    venue.clients[0]?.socket.pause()
    await until(() => acked.length === 2)
    expect(logs.some((line) => line.includes('"reason":"half-open"'))).to.equal(true)
    expect(sink.interruptions).to.deep.equal([{ topics: ['aaa@trade'], cause: 'disconnect' }])
  })

  it('are not suspected while a quiet line answers its probes', async () => {
    const { connections, acked } = start({ probeAfterMs: 30, probeTimeoutMs: 60 })
    connections.setTopics(new Set(['aaa@trade']))
    await until(() => acked.length === 1)
    await until(() => (venue.clients[0]?.pings ?? 0) >= 5)
    expect(venue.clients).to.have.length(1)
  })

  it('include those that do not answer a subscription', async () => {
    const { connections, acked } = start()
    venue.faults.noReply = true
    connections.setTopics(new Set(['aaa@trade']))
    await until(() => venue.clients.length >= 2)
    venue.faults.noReply = false
    await until(() => acked.length === 1)
  })

  it('disturb only their own topics', async () => {
    const { connections, sink, acked } = start({ topicsPerConnection: 1 })
    connections.setTopics(new Set(['aaa@trade', 'bbb@trade']))
    await until(() => acked.length === 2)
    venue.feedEvery(5, ['aaa@trade', 'bbb@trade'])
    await until(() => sink.count('aaa@trade') > 3 && sink.count('bbb@trade') > 3)
    const victim = venue.open.find((client) => client.topics.has('aaa@trade'))
    victim?.socket.close(1001)
    await until(() => acked.length === 3)
    expect(sink.interruptions).to.deep.equal([{ topics: ['aaa@trade'], cause: 'disconnect' }])
    expect(sink.missing('bbb@trade')).to.deep.equal([])
  })

  it('begin again at the first back-off step after they were stable', async () => {
    const { connections, acked } = start({ stableMs: 50 })
    venue.faults.refuseWith = 503
    connections.setTopics(new Set(['aaa@trade']))
    await until(() => venue.handshakes >= 3)
    venue.faults.refuseWith = 0
    await until(() => acked.length === 1)
    expect(connections.status().connections[0]?.attempt).to.be.greaterThan(1)
    await until(() => connections.status().connections[0]?.attempt === 0)
  })
})
