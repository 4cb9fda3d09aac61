import { expect } from 'chai'
import fc from 'fast-check'
import { placeGroup, takeBatch } from '../../../src/venues/connections/packing.ts'

describe('packing', () => {
  it('fills the first connection with room, and opens another when there is none', () => {
    const bounds = { preferredMax: 10, hardMax: 1_024 }
    const slots = [{ load: 9 }, { load: 8 }, { load: 0 }]
    expect(placeGroup(slots, 1, bounds)).to.equal(slots[0])
    expect(placeGroup(slots, 2, bounds)).to.equal(slots[1])
    expect(placeGroup(slots, 3, bounds)).to.equal(slots[2])
    expect(placeGroup(slots, 11, bounds)).to.equal(null)
    expect(placeGroup([{ load: 3 }], 2, { preferredMax: 200, hardMax: 4 })).to.equal(null)
  })

  it('cuts topics into messages that lose none, keep their order and stay within count, bytes and their own bounds', () => {
    const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 })
    const item = fc.record({ name, batchMax: fc.integer({ min: 1, max: 50 }) })
    fc.assert(
      fc.property(
        fc.array(item),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 150, max: 1_000 }),
        (items, count, bytes) => {
          let rest = items
          const batches: (typeof items)[] = []
          while (rest.length > 0) {
            const batch = takeBatch(rest, count, bytes)
            expect(batch).to.not.have.length(0)
            batches.push(batch)
            rest = rest.slice(batch.length)
          }
          expect(batches.flat()).to.deep.equal(items)
          for (const batch of batches) {
            expect(batch.length).to.be.at.most(Math.min(count, ...batch.map(({ batchMax }) => batchMax)))
            if (batch.length === 1) continue
            const text = `{"method":"UNSUBSCRIBE","params":[${batch.map((one) => `"${one.name}"`).join(',')}],"id":12345}`
            expect(Buffer.byteLength(text)).to.be.at.most(bytes)
          }
        },
      ),
    )
  })
})
