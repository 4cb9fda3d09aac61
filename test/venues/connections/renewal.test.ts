import { expect } from 'chai'
import type { Client, FakeVenue } from './fake-venue.ts'
import { until, useVenue } from './support.ts'

describe('renewal of connections', () => {
  const { start, venue: venueNow } = useVenue()
  let venue: FakeVenue
  beforeEach(() => {
    venue = venueNow()
  })

  it('loses and interrupts nothing over 20 shutdowns told by the venue', async () => {
    const { connections, sink, acked } = start()
    const topics = ['aaa@trade', 'aaa@depth', 'bbb@trade']
    connections.setTopics(new Set([...topics, 'quiet@trade']))
    await until(() => acked.length === 4)
    venue.feedEvery(2, topics)
    await until(() => topics.every((topic) => sink.count(topic) > 0))
    for (let round = 1; round <= 20; round++) {
      const client = venue.open[0]
      if (!client) throw new Error('expected an open connection')
      venue.shutdown(client)
      await until(() => venue.clients.length === round + 1 && venue.open.length === 1 && !venue.open.includes(client))
    }
    expect(sink.interruptions).to.deep.equal([])
    for (const topic of topics) expect(sink.missing(topic), topic).to.deep.equal([])
  })

  it('comes by itself before the lifetime is over, one after the other', async () => {
    const { connections, sink, acked } = start({
      topicsPerConnection: 1,
      lifetimeMs: 600,
      renewMarginShareMin: 0.3,
      renewMarginShareMax: 0.6,
      renewalsConcurrentMax: 1,
    })
    const topics = ['aaa@trade', 'bbb@trade', 'ccc@trade']
    connections.setTopics(new Set(topics))
    await until(() => acked.length === 3)
    venue.feedEvery(2, topics)
    let openMost = 0
    await until(() => {
      openMost = Math.max(openMost, venue.open.length)
      return venue.clients.length >= 9
    })
    expect(openMost).to.be.within(4, 5)
    expect(sink.interruptions).to.deep.equal([])
    for (const topic of topics) expect(sink.missing(topic), topic).to.deep.equal([])
  })

  it('covers the topics that the new line had acknowledged when the old one died, and tells the others', async () => {
    const { connections, sink, acked } = start({ overlapMs: 5_000 }, { subscribeTopicsPerMessageMax: 1 })
    connections.setTopics(new Set(['aaa@trade', 'bbb@trade']))
    await until(() => acked.length === 2)
    venue.feedEvery(2, ['aaa@trade', 'bbb@trade'])
    await until(() => sink.count('aaa@trade') > 0 && sink.count('bbb@trade') > 0)
    const old = venue.first
    venue.faults.bad.add('bbb@trade')
    venue.shutdown(old)
    await until(() => venue.clients[1]?.topics.has('aaa@trade') === true && acked.length === 3)
    const together = sink.count('aaa@trade')
    await until(() => sink.count('aaa@trade') > together + 5)
    old.socket.close(1001)
    await until(() => sink.interruptions.length > 0)
    venue.faults.bad.clear()
    await until(() => acked.length === 4)
    expect(sink.interruptions).to.deep.equal([{ topics: ['bbb@trade'], cause: 'disconnect' }])
    expect(sink.missing('aaa@trade')).to.deep.equal([])
  })

  it('waits for data on a topic that flowed, and no longer than its bound', async () => {
    const { connections, sink, acked } = start({ overlapMs: 150 })
    connections.setTopics(new Set(['aaa@trade', 'bbb@trade']))
    await until(() => acked.length === 2)
    venue.feed('aaa@trade')
    venue.feed('bbb@trade')
    await until(() => sink.count('bbb@trade') === 1)
    const old = venue.first
    venue.shutdown(old)
    await until(() => acked.length === 4)
    const ackedAtMs = performance.now()
    venue.feedEvery(2, ['aaa@trade'])
    await until(() => venue.open.length === 1)
    expect(performance.now() - ackedAtMs).to.be.greaterThan(120)
    expect(sink.interruptions).to.deep.equal([])
    expect(connections.status().connections[0]?.generation).to.equal(2)
  })

  it('knows an event that came by the old line just before the new one was acknowledged', async () => {
    const { connections, sink, acked } = start({ probationMs: 20 })
    connections.setTopics(new Set(['slow@quote', 'aaa@trade']))
    await until(() => acked.length === 2)
    venue.feedEvery(2, ['aaa@trade'])
    venue.feed('slow@quote')
    await until(() => sink.count('slow@quote') === 1)
    const old = venue.first
    venue.faults.between = { topic: 'slow@quote', delayMs: 30 }
    venue.shutdown(old)
    await until(() => acked.length === 4)
    // Longer than the probation; then the new line is the first to bring what follows.
    const count = sink.count('aaa@trade')
    await until(() => sink.count('aaa@trade') > count + 40)
    old.topics.delete('slow@quote')
    venue.feed('slow@quote')
    await until(
      () => venue.open.length === 1 && !venue.open.includes(old) && (sink.numbers.get('slow@quote') ?? []).includes(3),
    )
    expect(sink.interruptions).to.deep.equal([])
    expect(sink.missing('slow@quote')).to.deep.equal([])
  })

  it('survives the death of the new line and of the line after it', async () => {
    const { connections, sink, acked } = start({ overlapMs: 10_000 })
    connections.setTopics(new Set(['aaa@trade', 'slow@trade']))
    await until(() => acked.length === 2)
    venue.feed('slow@trade')
    venue.feedEvery(2, ['aaa@trade'])
    await until(() => sink.count('aaa@trade') > 0 && sink.count('slow@trade') > 0)
    const old = venue.first
    venue.shutdown(old)
    for (const index of [1, 2]) {
      await until(() => venue.clients[index]?.topics.size === 2)
      venue.clients[index]?.socket.terminate()
    }
    await until(() => venue.clients[3]?.topics.size === 2)
    venue.feed('slow@trade')
    await until(() => venue.open.length === 1 && venue.open[0] === venue.clients[3])
    expect(sink.interruptions).to.deep.equal([])
    expect(sink.missing('aaa@trade')).to.deep.equal([])
  })

  it('tells the hole of a topic that had fallen silent on the old line before the new one began, once', async () => {
    const { connections, sink, acked } = start()
    connections.setTopics(new Set(['aaa@quote', 'bbb@quote']))
    await until(() => acked.length === 2)
    venue.feedEvery(2, ['aaa@quote', 'bbb@quote'])
    await until(() => sink.count('aaa@quote') > 0 && sink.count('bbb@quote') > 0)
    const old = venue.first
    venue.faults.silentBelow = 1
    venue.faults.silent.add('aaa@quote')
    venue.shutdown(old)
    await until(() => venue.open.length === 1 && !venue.open.includes(old))
    const before = sink.count('aaa@quote')
    await until(() => sink.count('aaa@quote') > before + 10)
    expect(sink.interruptions).to.deep.equal([{ topics: ['aaa@quote'], cause: 'lost' }])
    expect(sink.untold()).to.deep.equal([])
    expect(sink.missing('bbb@quote')).to.deep.equal([])
  })

  it('tells the hole of a topic that had fallen silent before the new line began, also when the old one is lost at once', async () => {
    const { connections, sink, acked } = start()
    connections.setTopics(new Set(['aaa@quote', 'bbb@trade']))
    await until(() => acked.length === 2)
    venue.feedEvery(5, ['aaa@quote', 'bbb@trade'])
    await until(() => sink.count('aaa@quote') > 20)
    const old = venue.first
    venue.feedEvery(5, ['bbb@trade'])
    venue.faults.silentBelow = 1
    venue.faults.silent.add('aaa@quote')
    venue.feed('aaa@quote')
    const count = sink.count('bbb@trade')
    await until(() => sink.count('bbb@trade') > count + 10)
    venue.shutdown(old)
    await until(() => acked.length === 4)
    // By both lines: then the new one covers this stream, and the loss of the old one interrupts nothing of it.
    await until(() => {
      const numbers = sink.numbers.get('bbb@trade') ?? []
      return new Set(numbers).size < numbers.length
    })
    old.socket.close(1001)
    await until(() => connections.status().connections.length === 1)
    venue.feed('aaa@quote')
    venue.feed('aaa@quote')
    await until(() => (sink.numbers.get('aaa@quote') ?? []).includes(venue.lastNumber('aaa@quote')))
    expect(sink.interruptions).to.deep.equal([{ topics: ['aaa@quote'], cause: 'lost' }])
    expect(sink.untold()).to.deep.equal([])
  })

  it('tells such a hole too where the data of the new line comes before its acknowledgement', async () => {
    const { connections, sink, acked } = start()
    connections.setTopics(new Set(['aaa@quote', 'bbb@quote']))
    await until(() => acked.length === 2)
    venue.feedEvery(2, ['aaa@quote', 'bbb@quote'])
    await until(() => sink.count('aaa@quote') > 0 && sink.count('bbb@quote') > 0)
    const old = venue.first
    venue.faults.silentBelow = 1
    venue.faults.silent.add('aaa@quote')
    venue.faults.replyDelayMs = 40
    venue.shutdown(old)
    await until(() => venue.open.length === 1 && !venue.open.includes(old))
    const before = sink.count('aaa@quote')
    await until(() => sink.count('aaa@quote') > before + 10)
    expect(sink.interruptions).to.deep.equal([{ topics: ['aaa@quote'], cause: 'lost' }])
    expect(sink.untold()).to.deep.equal([])
    expect(sink.missing('bbb@quote')).to.deep.equal([])
  })

  it('loses and interrupts nothing where data comes before the acknowledgement', async () => {
    const { connections, sink, acked } = start()
    venue.faults.replyDelayMs = 40
    const topics = ['aaa@quote', 'bbb@quote']
    connections.setTopics(new Set(topics))
    venue.feedEvery(2, topics)
    await until(() => topics.every((topic) => sink.count(topic) > 0))
    expect(acked).to.deep.equal([])
    for (let round = 1; round <= 5; round++) {
      const client = venue.open[0]
      if (!client) throw new Error('expected an open connection')
      venue.shutdown(client)
      await until(() => venue.clients.length === round + 1 && venue.open.length === 1 && !venue.open.includes(client))
    }
    expect(sink.interruptions).to.deep.equal([])
    for (const topic of topics) expect(sink.missing(topic), topic).to.deep.equal([])
  })

  it('tells the hole of a topic that the venue turns out to have dropped, although the new line is there by then', async () => {
    const { connections, sink, acked } = start({ reconcileMs: 50, overlapMs: 20_000, staleFloorMs: 20_000 })
    connections.setTopics(new Set(['slow@quote', 'aaa@quote']))
    await until(() => acked.length === 2)
    venue.feedEvery(5, ['aaa@quote'])
    venue.feed('slow@quote')
    await until(() => sink.count('slow@quote') === 1)
    const old = venue.first
    venue.faults.silentBelow = 1
    venue.faults.silent.add('slow@quote')
    venue.feed('slow@quote')
    venue.shutdown(old)
    await until(() => acked.length === 4)
    old.topics.delete('slow@quote')
    await until(() => old.topics.has('slow@quote'))
    venue.feed('slow@quote')
    await until(() => (sink.numbers.get('slow@quote') ?? []).includes(3))
    expect(sink.interruptions).to.deep.equal([{ topics: ['slow@quote'], cause: 'lost' }])
    expect(sink.untold()).to.deep.equal([])
    expect(sink.missing('aaa@quote')).to.deep.equal([])
  })

  it('tells the hole of a topic that the venue drops beside a new line that is silent', async () => {
    const { connections, sink, acked } = start({ reconcileMs: 50, overlapMs: 20_000, staleFloorMs: 20_000 })
    connections.setTopics(new Set(['aaa@quote', 'bbb@quote']))
    await until(() => acked.length === 2)
    venue.feedEvery(5, ['aaa@quote', 'bbb@quote'])
    await until(() => sink.count('aaa@quote') > 0)
    const old = venue.first
    venue.faults.silentFrom = 1
    venue.faults.silent.add('aaa@quote')
    venue.shutdown(old)
    await until(() => acked.length === 4)
    const count = sink.count('aaa@quote')
    await until(() => sink.count('aaa@quote') > count + 20)
    old.topics.delete('aaa@quote')
    const other = venue.lastNumber('bbb@quote')
    await until(() => old.topics.has('aaa@quote') && venue.lastNumber('bbb@quote') > other)
    const again = sink.count('aaa@quote')
    await until(() => sink.count('aaa@quote') > again + 5)
    expect(sink.missing('aaa@quote').length).to.be.greaterThan(0)
    expect(sink.interruptions).to.deep.equal([{ topics: ['aaa@quote'], cause: 'lost' }])
    expect(sink.untold()).to.deep.equal([])
    expect(sink.missing('bbb@quote')).to.deep.equal([])
  })

  /** A quiet stream has shown data on the first line alone, which is retired; answers the second one. */
  async function renewQuiet(topics: readonly string[], acked: readonly string[]): Promise<Client> {
    await until(() => acked.length === topics.length)
    venue.feed('slow@quote')
    const [first] = venue.clients
    if (!first) throw new Error('expected a connection')
    venue.shutdown(first)
    await until(() => acked.length === 2 * topics.length && venue.open.length === 1)
    const [second] = venue.open
    if (!second || second === first) throw new Error('expected another connection')
    return second
  }

  it('tells the hole of a quiet topic that was silent on the new line from the beginning, as the line after it shows', async () => {
    const { connections, sink, acked } = start({ lingerMs: 300 })
    const topics = ['slow@quote', 'aaa@quote']
    connections.setTopics(new Set(topics))
    venue.feedEvery(5, ['aaa@quote'])
    const second = await renewQuiet(topics, acked)
    second.topics.delete('slow@quote')
    venue.feed('slow@quote')
    venue.shutdown(second)
    await until(() => acked.length === 6)
    venue.feedEvery(5, topics)
    await until(() => sink.count('slow@quote') > 5)
    expect(sink.missing('slow@quote').length).to.be.greaterThan(0)
    expect(sink.interruptions).to.deep.equal([{ topics: ['slow@quote'], cause: 'lost' }])
    expect(sink.untold()).to.deep.equal([])
    expect(sink.missing('aaa@quote')).to.deep.equal([])
  })

  it('tells the hole of a quiet topic when the new line goes half-open before it has shown any', async () => {
    const { connections, sink, acked } = start({ lingerMs: 100, overlapMs: 50, probationMs: 5_000 })
    const topics = ['slow@quote', 'other@quote']
    connections.setTopics(new Set(topics))
    const second = await renewQuiet(topics, acked)
    venue.shutdown(second)
    venue.freeze(second)
    venue.feed('slow@quote')
    await until(() => acked.length === 6)
    venue.feed('slow@quote')
    await until(() => connections.status().connections.length === 1)
    venue.feed('slow@quote')
    await until(() => (sink.numbers.get('slow@quote') ?? []).includes(4))
    expect(sink.untold()).to.deep.equal([])
    expect(sink.interruptions).to.deep.equal([{ topics: ['slow@quote'], cause: 'disconnect' }])
  })

  it('loses nothing that was on its way on the old line when the new one showed more', async () => {
    const { connections, sink, acked } = start({ lingerMs: 1_000 })
    connections.setTopics(new Set(['aaa@quote', 'bbb@quote']))
    await until(() => acked.length === 2)
    venue.feedEvery(2, ['bbb@quote'])
    venue.feed('aaa@quote')
    await until(() => sink.count('aaa@quote') === 1)
    const old = venue.first
    const soon = async (): Promise<void> => {
      const count = sink.count('bbb@quote')
      await until(() => sink.count('bbb@quote') > count + 20)
    }
    // Published before the new subscription took effect, and slow on their way on the old line.
    const second = venue.feedLate('aaa@quote', old)
    const third = venue.feedLate('aaa@quote', old)
    venue.shutdown(old)
    await until(() => acked.length === 4)
    await soon()
    second()
    await until(() => sink.count('aaa@quote') === 2)
    const fourth = venue.feedLate('aaa@quote', old)
    await soon()
    third()
    fourth()
    await soon()
    expect(sink.untold()).to.deep.equal([])
    expect(sink.interruptions).to.deep.equal([])
  })

  it('sends on what a new line held back of a quiet topic, and tells the hole, when the old one never shows it', async () => {
    const { connections, sink, acked } = start({ lingerMs: 1_000, overlapMs: 5_000 })
    connections.setTopics(new Set(['aaa@quote', 'bbb@quote']))
    await until(() => acked.length === 2)
    venue.feedEvery(2, ['bbb@quote'])
    venue.feed('aaa@quote')
    await until(() => sink.count('aaa@quote') === 1)
    const old = venue.first
    venue.shutdown(old)
    await until(() => acked.length === 4)
    venue.feedLate('aaa@quote', old)
    await until(() => sink.count('aaa@quote') === 2)
    expect(sink.interruptions).to.deep.equal([{ topics: ['aaa@quote'], cause: 'lost' }])
  })

  it('tells what was missed between the old line saying goodbye and the new one being acknowledged', async () => {
    const { connections, sink, acked } = start()
    const topics = ['aaa@quote', 'bbb@quote']
    const feed = (): void => {
      for (const topic of topics) venue.feed(topic)
    }
    connections.setTopics(new Set(topics))
    await until(() => acked.length === 2)
    venue.feedEvery(20, topics)
    await until(() => sink.count('bbb@quote') > 30)
    venue.feedEvery(60_000, topics)
    const old = venue.first
    venue.shutdown(old)
    old.socket.close(1012)
    // The answer to the goodbye takes its time, and until then the connection is not closed.
    old.socket.pause()
    feed()
    await until(() => acked.length === 4)
    old.socket.resume()
    await until(() => connections.status().connections.length === 1)
    feed()
    await until(() => sink.numbers.get('bbb@quote')?.at(-1) === venue.lastNumber('bbb@quote'))
    expect(sink.untold()).to.deep.equal([])
    expect(sink.interruptions).to.deep.equal([{ topics, cause: 'disconnect' }])
  })

  it('interrupts no quiet topic, whichever line is the first to show what comes at last', async () => {
    const { connections, sink, acked } = start({ lingerMs: 200, probationMs: 5_000 })
    const topics = ['slow@quote', 'aaa@quote']
    connections.setTopics(new Set(topics))
    venue.feedEvery(5, ['aaa@quote'])
    let line = await renewQuiet(topics, acked)
    for (let round = 2; round <= 4; round++) {
      venue.shutdown(line)
      await until(() => acked.length === 2 * round + 2)
      // In the last overlap the newer line is the first.
      if (round === 4) {
        const late = venue.feedLate('slow@quote', line)
        const count = sink.count('aaa@quote')
        await until(() => sink.count('aaa@quote') > count + 20)
        expect(sink.count('slow@quote')).to.equal(1)
        late()
        await until(() => sink.count('slow@quote') === 2)
      }
      await until(() => venue.open.length === 1 && venue.open[0] !== line)
      const [next] = venue.open
      if (!next) throw new Error('expected a connection')
      line = next
    }
    venue.feed('slow@quote')
    await until(() => sink.count('slow@quote') === 3)
    expect(sink.interruptions).to.deep.equal([])
    expect(sink.missing('slow@quote')).to.deep.equal([])
  })

  it('interrupts no quiet topic that shows nothing over several lines', async () => {
    const { connections, sink, acked } = start()
    const topics = ['slow@quote', 'aaa@quote']
    connections.setTopics(new Set(topics))
    venue.feedEvery(5, ['aaa@quote'])
    let line = await renewQuiet(topics, acked)
    for (let round = 2; round <= 5; round++) {
      const last = line
      venue.shutdown(last)
      await until(() => acked.length === 2 * round + 2 && venue.open.length === 1 && venue.open[0] !== last)
      line = venue.open[0] ?? last
    }
    venue.feed('slow@quote')
    await until(() => sink.count('slow@quote') === 2)
    expect(sink.interruptions).to.deep.equal([])
  })

  it('tells what was missed when the old line goes half-open before the new one is there', async () => {
    const { connections, sink, acked } = start()
    connections.setTopics(new Set(['aaa@quote', 'bbb@quote']))
    await until(() => acked.length === 2)
    venue.feedEvery(2, ['aaa@quote', 'bbb@quote'])
    await until(() => sink.count('aaa@quote') > 0 && sink.count('bbb@quote') > 0)
    const old = venue.first
    venue.shutdown(old)
    venue.freeze(old)
    await until(() => venue.clients.length === 2)
    const before = sink.count('aaa@quote')
    await until(() => sink.count('aaa@quote') > before + 10 && connections.status().connections.length === 1)
    expect(sink.interruptions.flatMap(({ topics }) => topics).sort()).to.deep.equal(['aaa@quote', 'bbb@quote'])
    expect(sink.untold()).to.deep.equal([])
  })

  it('tells the hole that follows the first event after a hole', async () => {
    const { connections, sink, acked } = start({ probationMs: 20, lingerMs: 2_000 })
    connections.setTopics(new Set(['aaa@quote', 'bbb@trade']))
    await until(() => acked.length === 2)
    venue.feedEvery(2, ['bbb@trade'])
    venue.feed('aaa@quote')
    await until(() => sink.count('aaa@quote') === 1)
    const [old] = venue.clients
    venue.faults.silentBelow = 1
    venue.faults.silent.add('aaa@quote')
    if (old) venue.shutdown(old)
    await until(() => acked.length === 4)
    venue.feed('aaa@quote')
    const count = sink.count('bbb@trade')
    await until(() => sink.count('bbb@trade') > count + 100)
    venue.feed('aaa@quote')
    await until(() => sink.count('aaa@quote') === 2)
    for (const client of [...venue.open].reverse()) client.socket.terminate()
    await until(() => venue.open.length === 0)
    venue.feed('aaa@quote')
    await until(() => acked.length >= 6)
    venue.feed('aaa@quote')
    await until(() => sink.count('aaa@quote') === 3)
    expect(sink.untold()).to.deep.equal([])
  })
})
