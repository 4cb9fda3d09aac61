import { expect } from 'chai'
import { OfferGauge } from '../../src/dispatcher/line-offer.ts'
import { Saturation } from '../../src/dispatcher/saturation.ts'
import { ManualClock } from '../../src/lib/clock.ts'

const limits = { queueEventsMax: 100, queueBytesMax: 10_000, readAheadEventsMax: 20, restMsMax: 50 }

function setUp() {
  const queue = new OfferGauge()
  const clock = new ManualClock()
  const told: string[] = []
  let mergeable = { events: 0, bytes: 0 }
  const relieve = (hasRoom: () => boolean) => {
    while (!hasRoom() && (mergeable.events > 0 || mergeable.bytes > 0)) {
      const [events, bytes] = [Math.min(1, mergeable.events), Math.min(100, mergeable.bytes)]
      queue.events -= events
      queue.bytes -= bytes
      mergeable = { events: mergeable.events - events, bytes: mergeable.bytes - bytes }
    }
  }
  const saturation = new Saturation({ limits, queue, clock, relieve, tell: (kind) => told.push(kind) })
  let drained = 0
  saturation.onDrained(() => drained++)
  const set = (events: number, bytes = events) => {
    const grew = events > queue.events
    queue.events = events
    queue.bytes = bytes
    if (grew) saturation.grown()
    else saturation.shrunk()
  }
  const canMerge = (events: number, bytes = 0) => {
    mergeable = { events, bytes }
  }
  return { saturation, queue, clock, told, set, canMerge, drained: () => drained }
}

describe('the sink', () => {
  it('rests while a few calls are behind, and says nothing of it', () => {
    const { saturation, told, set, drained } = setUp()
    set(19)
    expect(saturation.saturated).to.equal(false)
    set(20)
    expect(saturation.saturated).to.equal(true)
    set(11)
    expect(saturation.saturated).to.equal(true)
    set(10)
    expect([saturation.saturated, saturation.full, drained(), told]).to.deep.equal([false, false, 1, []])
  })

  it('goes on reading when a rest was in vain, and rests again after as many events', () => {
    const { saturation, clock, told, set, drained } = setUp()
    set(20)
    clock.advance(50)
    expect([saturation.saturated, drained()]).to.deep.equal([false, 1])
    set(39)
    expect(saturation.saturated).to.equal(false)
    set(40)
    expect(saturation.saturated).to.equal(true)
    set(20)
    expect([saturation.saturated, drained()]).to.deep.equal([false, 2])
    set(21)
    expect(saturation.saturated).to.equal(true)
    expect(told).to.deep.equal([])
  })

  it('is full at its bound of events until half are gone, and tells both', () => {
    const { saturation, clock, told, set } = setUp()
    set(20)
    clock.advance(50)
    set(100)
    expect([saturation.full, told]).to.deep.equal([true, ['overloaded', 'saturated']])
    set(51)
    expect(saturation.full).to.equal(true)
    set(50)
    expect([saturation.saturated, told]).to.deep.equal([false, ['overloaded', 'saturated', 'relieved', 'drained']])
  })

  it('merges at its bound to seven eighths before it is full, and says when the bus keeps up again', () => {
    const { saturation, queue, told, set, canMerge } = setUp()
    canMerge(1_000)
    set(100)
    expect([queue.events, saturation.overloaded, saturation.full, told]).to.deep.equal([
      87,
      true,
      false,
      ['overloaded'],
    ])
    set(100)
    expect([queue.events, saturation.full, told]).to.deep.equal([87, false, ['overloaded']])
    canMerge(5)
    set(100)
    expect([queue.events, saturation.full]).to.deep.equal([95, true])
    set(50)
    expect([saturation.overloaded, saturation.saturated, told.at(-1)]).to.deep.equal([false, false, 'drained'])
  })

  it('is full at its bound of bytes, however few the events', () => {
    const { saturation, set } = setUp()
    set(2, 10_000)
    expect(saturation.full).to.equal(true)
    set(1, 5_001)
    expect(saturation.full).to.equal(true)
    set(0, 0)
    expect(saturation.saturated).to.equal(false)
  })
})
