import { expect } from 'chai'
import fc from 'fast-check'
import { decimalEnd, decimalKey, readDecimalKey } from '../../../src/domain/book/decimal-key.ts'
import { ShadowBook } from '../../../src/domain/book/shadow-book.ts'
import type { Level } from '../../../src/domain/event.ts'

const digits = (maxLength: number) => fc.string({ unit: fc.constantFrom(...'00123456789'), minLength: 1, maxLength })
const decimals = fc.oneof(
  digits(20),
  fc.tuple(digits(12), digits(18)).map(([whole, part]) => `${whole}.${part}`),
  fc.constantFrom('0', '0.00000000', '61837.63000000', '9007199254740993', '0.000000000000001'),
)
const level: fc.Arbitrary<Level> = fc.tuple(
  fc.oneof(
    fc.integer({ min: 100, max: 160 }).map((ticks) => (ticks / 10).toFixed(8)),
    decimals,
  ),
  fc.oneof(fc.constant('0.00000000'), decimals),
)

describe('a shadow book', () => {
  it('reads a key in the midst of a text as it reads it alone, and knows where it ended', () => {
    fc.assert(
      fc.property(decimals, fc.constantFrom('"', '",', '', ']'), (text, behind) => {
        expect(readDecimalKey(`["${text}${behind}`, 2)).to.equal(decimalKey(text))
        expect(decimalEnd).to.equal(2 + text.length)
      }),
    )
  })

  it('is the same by levels and by the text of them', () => {
    const levels = fc.array(level, { maxLength: 12 })
    fc.assert(
      fc.property(fc.array(fc.tuple(levels, levels), { maxLength: 8 }), (updates) => {
        const plain = new ShadowBook()
        const byText = new ShadowBook()
        for (const [bids, asks] of updates) {
          plain.apply({ bids, asks })
          byText.apply({ bids: [], asks: [], bidsText: JSON.stringify(bids), asksText: JSON.stringify(asks) })
        }
        for (const side of ['bids', 'asks'] as const) {
          expect(byText[side].count).to.equal(plain[side].count)
          expect(byText[side].best).to.deep.equal(plain[side].best)
          for (const [price] of updates.flatMap(([bids, asks]) => (side === 'bids' ? bids : asks))) {
            const key = plain[side].keyOf(price)
            expect(byText[side].quantityAt(key)).to.equal(plain[side].quantityAt(key))
          }
        }
      }),
    )
  })
})
