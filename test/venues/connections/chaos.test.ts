import { expect } from 'chai'
import type { FakeVenue } from './fake-venue.ts'
import { until, useVenue } from './support.ts'

describe('connections under random faults', () => {
  const { start, venue: venueNow } = useVenue()
  let venue: FakeVenue
  beforeEach(() => {
    venue = venueNow()
  })

  it('lose nothing that is not told, and always come back', async () => {
    const { connections, sink, logs } = start({ topicsPerConnection: 6, overlapMs: 80, lingerMs: 20 })
    const topics: string[] = []
    for (const symbol of ['aaa', 'bbb', 'ccc', 'ddd'])
      for (const what of ['trade', 'quote']) topics.push(`${symbol}@${what}`)
    connections.setTopics(new Set(topics))
    venue.feedEvery(3, topics)
    await until(() => topics.every((topic) => sink.count(topic) > 0))

    let state = 20_261_121
    const random = (below: number): number => {
      state = (state * 48_271) % 2_147_483_647
      return state % below
    }
    for (let round = 0; round < 60; round++) {
      const open = venue.open
      const client = open[random(Math.max(1, open.length))]
      switch (random(5)) {
        case 0:
          client?.socket.terminate()
          break
        case 1:
          client?.socket.close(1001)
          break
        case 2:
          if (client) venue.shutdown(client)
          break
        case 3:
          venue.faults.refuseWith = venue.faults.refuseWith === 0 ? 503 : 0
          break
        default:
          if (client) venue.shutdown(client)
          client?.socket.close(1012)
      }
      const nextMs = performance.now() + random(60)
      await until(() => performance.now() >= nextMs)
    }
    venue.faults.refuseWith = 0
    await until(() => connections.status().topics.every((topic) => topic.state === 'flowing'))
    expect(sink.untold(), logs.slice(-20).join('\n')).to.deep.equal([])
    expect(sink.interruptions.length).to.be.greaterThan(10)
    await until(() => connections.status().connections.every(({ role }) => role === 'line'))
    expect(connections.status().topics.every((topic) => topic.connections.length === 1)).to.equal(true)
  })
})
