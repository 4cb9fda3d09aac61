import { expect } from 'chai'
import { ManualClock } from '../../../src/lib/clock.ts'
import {
  bequeath,
  besideHeir,
  coveredWithout,
  handedOver,
  hidesHole,
  overlaps,
} from '../../../src/venues/connections/coverage.ts'
import { Line } from '../../../src/venues/connections/line.ts'
import type { LineOwner } from '../../../src/venues/connections/line-parts.ts'
import { defaultConnectionsOptions as options } from '../../../src/venues/connections/options.ts'
import { Carrier, Topic } from '../../../src/venues/connections/topic.ts'
import { fakeProtocol, RecordingSink } from './support.ts'

describe('coverage', () => {
  const owner: LineOwner = {
    lineOpened: () => {},
    lineEnded: () => {},
    lineShutdown: () => {},
    topicAcked: () => {},
    topicFlowed: () => {},
    takesOver: () => [],
    topicRefused: () => {},
    topicsUnsubscribed: () => {},
    unsubscribeRefused: () => {},
    sinkSaturated: () => {},
    subscriptionsDiffer: () => {},
    connectsRefused: () => {},
  }

  function openLine(generation: number, lastReceivedMs: number): Line {
    const line = new Line(1, generation, {
      protocol: fakeProtocol({ url: 'ws://127.0.0.1:1' }),
      sink: new RecordingSink(),
      clock: new ManualClock(),
      options,
      owner,
      tick: { nowMs: 0, rebaseMs: 0, shown: [] },
      counts: { frames: 0, bytes: 0, messagesSent: 0, strayEvents: 0, repliesUnmatched: 0, heldBackEvents: 0 },
    })
    line.state = 'open'
    line.lastReceivedMs = lastReceivedMs
    return line
  }

  function carry(topic: Topic, line: Line, ackedMs: number, lastSeenMs: number): Carrier {
    const carrier = new Carrier(topic, line)
    carrier.phase = ackedMs > 0 ? 'acked' : 'sent'
    carrier.ackedMs = ackedMs
    carrier.lastSeenMs = lastSeenMs
    topic.carriers.push(carrier)
    return carrier
  }

  const lossCases: {
    name: string
    lost: { lastReceivedMs: number; lastSeenMs: number }
    other: { ackedMs: number; lastSeenMs: number } | null
    covered: boolean
  }[] = [
    {
      name: 'no other line',
      lost: { lastReceivedMs: 100, lastSeenMs: 100 },
      other: null,
      covered: false,
    },
    {
      name: 'the other acknowledged before its last byte',
      lost: { lastReceivedMs: 150, lastSeenMs: 100 },
      other: { ackedMs: 150, lastSeenMs: 0 },
      covered: true,
    },
    {
      name: 'the other not acknowledged yet',
      lost: { lastReceivedMs: 100, lastSeenMs: 100 },
      other: { ackedMs: 0, lastSeenMs: 0 },
      covered: false,
    },
    {
      name: 'the other acknowledged only after it had delivered its last',
      lost: { lastReceivedMs: 100, lastSeenMs: 100 },
      other: { ackedMs: 150, lastSeenMs: 200 },
      covered: false,
    },
    {
      name: 'the other acknowledged while it still delivered',
      lost: { lastReceivedMs: 100, lastSeenMs: 100 },
      other: { ackedMs: 90, lastSeenMs: 0 },
      covered: true,
    },
    {
      name: 'an interruption told before, and all data since then by the other',
      lost: { lastReceivedMs: 100, lastSeenMs: 0 },
      other: { ackedMs: 150, lastSeenMs: 200 },
      covered: true,
    },
  ]
  for (const { name, lost, other, covered } of lossCases) {
    it(`of a lost line, ${name}: ${covered ? 'covered' : 'interrupted'}`, () => {
      const topic = new Topic('aaa@trade', 'aaa', 0)
      const line = openLine(1, lost.lastReceivedMs)
      carry(topic, line, 10, lost.lastSeenMs)
      if (other) carry(topic, openLine(2, 200), other.ackedMs, other.lastSeenMs)
      expect(coveredWithout(topic, line)).to.equal(covered)
    })
  }

  it('by a line whose data was left out, because the old one had not shown that it delivers, does not count', () => {
    for (const [lastSeenMs, covered] of [
      [100, false],
      [130, true],
    ] as const) {
      const topic = new Topic('aaa@quote', 'aaa', 0)
      const line = openLine(1, 200)
      carry(topic, line, 10, lastSeenMs)
      carry(topic, openLine(2, 200), 120, 140)
      const [, carrier] = topic.carriers
      if (carrier) carrier.heldBackSinceMs = 140
      expect(coveredWithout(topic, line), `${lastSeenMs}`).to.equal(covered)
    }
  })

  it('is shown by the very event that the old line had brought before the acknowledgement', () => {
    for (const [place, covered] of [
      [6, false],
      [7, true],
    ] as const) {
      const topic = new Topic('aaa@kline_1m', 'aaa', 0)
      const line = openLine(1, 200)
      carry(topic, line, 10, 100)
      carry(topic, openLine(2, 200), 120, 0)
      const [old, next] = topic.carriers
      old?.reach(place)
      next?.reach(7)
      if (next) next.heldBackSinceMs = 140
      expect(coveredWithout(topic, line), `${place}`).to.equal(covered)
    }
  })

  it('is shown before the acknowledgement by the very same event alone', () => {
    for (const [lastSeenMs, place, shown] of [
      [0, 0, false],
      [130, 6, false],
      [130, 7, true],
    ] as const) {
      const topic = new Topic('aaa@quote', 'aaa', 0)
      const old = carry(topic, openLine(1, 200), 10, lastSeenMs)
      const next = carry(topic, openLine(2, 200), 0, 0)
      old.reach(place)
      next.reach(7)
      next.lastSeenMs = 120
      expect(overlaps(next), `${lastSeenMs} ${place}`).to.equal(shown)
    }
  })

  it('is asked for since the last data of a topic that its line goes on without', () => {
    for (const [lastSeenMs, covered] of [
      [0, false],
      [119, false],
      [120, true],
    ] as const) {
      const topic = new Topic('aaa@quote', 'aaa', 0)
      const line = openLine(1, 200)
      const lost = carry(topic, line, 10, lastSeenMs)
      const other = carry(topic, openLine(2, 200), 120, 0)
      expect(coveredWithout(topic, line, lastSeenMs), `${lastSeenMs}`).to.equal(covered)
      bequeath(lost, false, lastSeenMs)
      if (covered) expect(hidesHole(other, 200, options), 'not learnt').to.equal(true)
    }
  })

  it('by a line that is itself gone does not count', () => {
    const topic = new Topic('aaa@trade', 'aaa', 0)
    const line = openLine(1, 100)
    const other = openLine(2, 100)
    carry(topic, line, 10, 100)
    carry(topic, other, 20, 100)
    other.state = 'closed'
    expect(coveredWithout(topic, line)).to.equal(false)
  })

  const LOST_SEEN_MS = 9_950
  const LOST_MS = 10_000
  const USUAL_MS = 2_000
  const bequestCases: { name: string; ackedMs: number; firstMs: number; hole: boolean }[] = [
    { name: 'at once by the line that was to cover it', ackedMs: LOST_MS, firstMs: 10_010, hole: false },
    { name: 'in its usual time by that line', ackedMs: 5_000, firstMs: LOST_SEEN_MS + USUAL_MS, hole: false },
    { name: 'only long after by that line', ackedMs: 5_000, firstMs: LOST_SEEN_MS + 2 * USUAL_MS, hole: true },
    { name: 'by a line that came later', ackedMs: LOST_MS + 1, firstMs: 10_010, hole: true },
    { name: 'by a line whose subscription is not acknowledged', ackedMs: 0, firstMs: 10_010, hole: true },
  ]
  for (const { name, ackedMs, firstMs, hole } of bequestCases) {
    it(`since a line was lost, first data ${name}: ${hole ? 'behind a hole' : 'no hole'}`, () => {
      const topic = new Topic('aaa@quote', 'aaa', 0)
      topic.freshness.samples = 20
      topic.freshness.usualMs = USUAL_MS
      const lost = carry(topic, openLine(1, LOST_MS), 10, LOST_SEEN_MS)
      const other = carry(topic, openLine(2, LOST_MS), ackedMs, 0)
      expect(hidesHole(other, firstMs, options), 'before').to.equal(false)
      bequeath(lost)
      expect(hidesHole(other, firstMs, options)).to.equal(hole)
    })
  }

  it('is not in question when a line is lost beside one that has shown data, and is while that is left out', () => {
    const topic = new Topic('aaa@quote', 'aaa', 0)
    const lost = carry(topic, openLine(1, 100), 10, 100)
    const other = carry(topic, openLine(2, 100), 150, 160)
    bequeath(lost)
    expect(topic.inherited).to.equal(null)
    other.heldBackSinceMs = 160
    bequeath(lost)
    expect(topic.inherited).to.deep.equal({ lastSeenMs: 100, lastReceivedMs: 100, isPlanned: false })
  })

  it('stays in question when a line is lost that has shown nothing, and no longer than until it is told', () => {
    const topic = new Topic('aaa@quote', 'aaa', 0)
    const lost = carry(topic, openLine(1, 100), 10, 100)
    const heir = carry(topic, openLine(2, 200), 90, 0)
    bequeath(lost)
    bequeath(heir)
    expect(topic.inherited).to.deep.equal({ lastSeenMs: 100, lastReceivedMs: 100, isPlanned: false })
    topic.interrupt()
    expect(topic.inherited).to.equal(null)
  })

  it('is no question of time when the line went in a planned change', () => {
    const topic = new Topic('aaa@quote', 'aaa', 0)
    const lost = carry(topic, openLine(1, LOST_MS), 10, LOST_SEEN_MS)
    const heir = carry(topic, openLine(2, LOST_MS), 5_000, 0)
    bequeath(lost, true)
    topic.carriers.shift()
    expect(hidesHole(heir, 1_000_000, options)).to.equal(false)
    expect(besideHeir(heir)).to.equal(false)
  })

  it('depends on the heir of such a change for as long as there is one, when a later line is the first', () => {
    const topic = new Topic('aaa@quote', 'aaa', 0)
    const lost = carry(topic, openLine(1, LOST_MS), 10, LOST_SEEN_MS)
    const heir = carry(topic, openLine(2, LOST_MS), 5_000, 0)
    const later = carry(topic, openLine(3, LOST_MS), LOST_MS + 1, 0)
    bequeath(lost, true)
    topic.carriers.shift()
    expect(hidesHole(later, 10_010, options)).to.equal(false)
    expect(besideHeir(later)).to.equal(true)
    heir.phase = 'queued'
    expect(hidesHole(later, 10_010, options)).to.equal(true)
    expect(besideHeir(later)).to.equal(false)
  })

  it('passes on from heir to heir in planned changes, and counts as a loss from the first loss on', () => {
    const topic = new Topic('aaa@quote', 'aaa', 0)
    const lost = carry(topic, openLine(1, 100), 10, 100)
    const second = carry(topic, openLine(2, 200), 90, 0)
    bequeath(lost, true)
    topic.carriers.shift()
    bequeath(second, true)
    expect(topic.inherited).to.deep.equal({ lastSeenMs: 100, lastReceivedMs: 200, isPlanned: true })
    topic.carriers.shift()
    bequeath(carry(topic, openLine(3, 300), 201, 0), true)
    expect(topic.inherited?.lastReceivedMs, 'came later').to.equal(200)
    bequeath(carry(topic, openLine(4, 400), 150, 0))
    expect(topic.inherited).to.deep.equal({ lastSeenMs: 100, lastReceivedMs: 400, isPlanned: false })
  })

  const NOW_MS = 100_000
  it('in a planned change waits for a sign of life of the old line behind the acknowledgement', () => {
    const topic = new Topic('aaa@trade', 'aaa', 0)
    const previous = openLine(1, NOW_MS - 50)
    carry(topic, previous, 10, 50)
    const successor = openLine(2, NOW_MS)
    carry(topic, successor, NOW_MS - 40, NOW_MS)
    expect(handedOver(topic, previous, successor, NOW_MS, options)).to.equal(false)
    previous.lastReceivedMs = NOW_MS - 30
    expect(handedOver(topic, previous, successor, NOW_MS, options)).to.equal(true)
  })

  const handoverCases: { name: string; old: [number, number]; next: [number, number]; done: boolean }[] = [
    { name: 'data on both', old: [10, 50], next: [60, 70], done: true },
    { name: 'no acknowledgement on the new one', old: [10, 50], next: [0, 0], done: false },
    { name: 'no data on the new one, acknowledged just now', old: [10, 50], next: [NOW_MS - 10, 0], done: false },
    {
      name: 'no data on the new one for the whole overlap',
      old: [10, 50],
      next: [NOW_MS - options.overlapMs, 0],
      done: true,
    },
    { name: 'no data on either', old: [10, 0], next: [NOW_MS - 10, 0], done: true },
    { name: 'nothing acknowledged on the old one', old: [0, 0], next: [0, 0], done: true },
    { name: 'data before the acknowledgement on the old one', old: [0, 50], next: [0, 0], done: false },
    { name: 'such data, and data on the new one', old: [0, 50], next: [60, 70], done: true },
  ]
  for (const { name, old, next, done } of handoverCases) {
    it(`in a planned change, ${name}: ${done ? 'handed over' : 'waits'}`, () => {
      const topic = new Topic('aaa@trade', 'aaa', 0)
      const previous = openLine(1, NOW_MS)
      const successor = openLine(2, NOW_MS)
      carry(topic, previous, ...old)
      carry(topic, successor, ...next)
      expect(handedOver(topic, previous, successor, NOW_MS, options)).to.equal(done)
    })
  }
})
