import { expect } from 'chai'
import fc from 'fast-check'
import { formatPartitions, parsePartitions } from '../../src/domain/partition-set.ts'

describe('a set of partitions as text', () => {
  it('comes back as it was', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 16_383 })), (partitions) => {
        const set = new Set(partitions)
        expect(parsePartitions(formatPartitions(set))).to.deep.equal(new Set([...set].sort((a, b) => a - b)))
      }),
    )
  })

  it('is ascending ranges', () => {
    expect(formatPartitions([9, 1, 2, 0, 7])).to.equal('0-2,7,9')
    expect(formatPartitions([])).to.equal('')
  })

  it('leaves out what it does not understand, and is bounded', () => {
    expect([...parsePartitions('x,3,-,5-,4-6,1e3,9-8')]).to.deep.equal([3, 4, 5, 6])
    expect(parsePartitions('0-99999').size).to.equal(16_384)
  })
})
