import { expect } from 'chai'
import fc from 'fast-check'
import { defaultConnectionsOptions } from '../../../src/venues/connections/options.ts'
import { SlidingWindow } from '../../../src/venues/connections/outbound.ts'

describe('a sliding window', () => {
  it('keeps its reserve for those who may use it', () => {
    const window = new SlidingWindow(5, 1_000)
    expect([1, 2, 3, 4, 5].map(() => window.take(0, 1))).to.deep.equal([true, true, true, true, false])
    expect([1, 2].map(() => window.take(0))).to.deep.equal([true, false])
    expect(window.waitMs(400, 1)).to.equal(600)
    expect(window.take(1_000, 1)).to.equal(true)
  })

  it('still lets something through when the reserve is all there is', () => {
    const window = new SlidingWindow(1, 1_000)
    expect(window.take(0, 1)).to.equal(true)
    expect(window.take(999, 1)).to.equal(false)
    expect(window.take(1_000, 1)).to.equal(true)
  })

  it('never exceeds its maximum in any window and never refuses without need', () => {
    const steps = fc.array(fc.tuple(fc.nat(300), fc.nat(2)), { maxLength: 200 })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), steps, (max, moves) => {
        const window = new SlidingWindow(max, 1_000)
        const taken: number[] = []
        let nowMs = 0
        for (const [stepMs, reserve] of moves) {
          nowMs += stepMs
          const inWindow = taken.filter((atMs) => atMs > nowMs - 1_000).length
          const expected = inWindow < max - Math.min(reserve, max - 1)
          expect(window.waitMs(nowMs, reserve) === 0).to.equal(expected)
          expect(window.take(nowMs, reserve)).to.equal(expected)
          if (expected) taken.push(nowMs)
        }
      }),
    )
  })

  it("keeps a venue's limit of 5 messages in a second although each arrives up to half a second late", () => {
    const max = 5
    const latenesses = fc.array(fc.nat(499), { minLength: 20, maxLength: 100 })
    fc.assert(
      fc.property(latenesses, (latesMs) => {
        const window = new SlidingWindow(max, defaultConnectionsOptions.outboundWindowMs)
        const arrivals: number[] = []
        let nowMs = 0
        for (const lateMs of latesMs) {
          nowMs += window.waitMs(nowMs)
          expect(window.take(nowMs)).to.equal(true)
          // One connection keeps the order: nothing arrives before what was sent before it.
          arrivals.push(Math.max(nowMs + lateMs, arrivals.at(-1) ?? 0))
        }
        for (const [index, atMs] of arrivals.entries()) {
          const inWindow = arrivals.slice(index).filter((otherMs) => otherMs < atMs + 1_000).length
          expect(inWindow).to.be.at.most(max)
        }
      }),
    )
  })
})
