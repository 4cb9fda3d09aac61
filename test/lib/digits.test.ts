import { expect } from 'chai'
import fc from 'fast-check'
import { digitsOf } from '../../src/lib/digits.ts'

describe('the digits of an integer', () => {
  it('are those of its text, at every length', () => {
    for (let digits = 0; digits <= 15; digits++) {
      for (const value of [10 ** digits - 1, 10 ** digits, 10 ** digits + 1])
        expect(digitsOf(value)).to.equal(`${value}`)
    }
    fc.assert(
      fc.property(
        fc.oneof(
          fc.maxSafeNat(),
          fc.nat(),
          fc.maxSafeNat().map((value) => value % 10 ** 12),
        ),
        (value) => {
          expect(digitsOf(value)).to.equal(String(value))
        },
      ),
      { numRuns: 10_000 },
    )
  })
})
