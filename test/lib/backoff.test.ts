import { expect } from 'chai'
import fc from 'fast-check'
import { backoffMs } from '../../src/lib/backoff.ts'

describe('backoff', () => {
  const options = { baseMs: 250, maxMs: 30_000 }

  it('doubles its upper bound with every attempt up to the cap', () => {
    const most = () => 1 - Number.EPSILON
    const bounds = [0, 1, 2, 6, 7, 8, 1_000, Number.MAX_SAFE_INTEGER].map((attempt) =>
      backoffMs(attempt, options, most),
    )
    expect(bounds).to.deep.equal([250, 500, 1_000, 16_000, 30_000, 30_000, 30_000, 30_000])
  })

  it('is a whole number of milliseconds between zero and the cap, whatever the attempt and the chance', () => {
    fc.assert(
      fc.property(fc.nat(), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (attempt, chance) => {
        const ms = backoffMs(attempt, options, () => chance)
        expect(Number.isInteger(ms)).to.equal(true)
        expect(ms).to.be.within(0, Math.min(30_000, 250 * 2 ** Math.min(attempt, 20)))
      }),
    )
  })

  it('spreads over the whole range', () => {
    expect(backoffMs(3, options, () => 0)).to.equal(0)
    expect(backoffMs(3, options, () => 0.5)).to.equal(1_000)
  })
})
