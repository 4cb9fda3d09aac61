import { expect } from 'chai'
import { OfferGauge } from '../../src/dispatcher/line-offer.ts'
import { Saturation } from '../../src/dispatcher/saturation.ts'
import { ManualClock } from '../../src/lib/clock.ts'

const limits = { queueEventsMax: 100, queueBytesMax: 10_000, readAheadEventsMax: 20, restMsMax: 50 }

function setUp() {
  const queue = new OfferGauge()
  const clock = new ManualClock()
  const told: string[] = []
  const saturation = new Saturation({ limits, queue, clock, tell: (kind) => told.push(kind) })
  let drained = 0
  saturation.onDrained(() => drained++)
  const set = (events: number, bytes = events) => {
    const grew = events > queue.events
    queue.events = events
    queue.bytes = bytes
    if (grew) saturation.grown()
    else saturation.shrunk()
  }
  return { saturation, clock, told, set, drained: () => drained }
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

  it('goes on reading up to its bound when a rest was in vain', () => {
    const { saturation, clock, told, set, drained } = setUp()
    set(20)
    clock.advance(50)
    expect([saturation.saturated, drained()]).to.deep.equal([false, 1])
    set(30)
    set(60)
    expect(saturation.saturated).to.equal(false)
    set(100)
    expect([saturation.full, told]).to.deep.equal([true, ['saturated']])
    set(50)
    expect([saturation.saturated, drained(), told]).to.deep.equal([false, 2, ['saturated', 'drained']])
  })

  it('rests again once the queue was short', () => {
    const { saturation, clock, set } = setUp()
    set(20)
    clock.advance(50)
    set(10)
    set(20)
    expect(saturation.saturated).to.equal(true)
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
