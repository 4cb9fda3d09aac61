import { expect } from 'chai'
import { heapBounds, heapGrowthAt } from '../../src/processes/heap-growth.ts'

describe('the growth of the heap', () => {
  it('is slow above a bound, and free again only well below it', () => {
    const { highBytes, lowBytes } = heapBounds
    expect(heapGrowthAt(highBytes, 'free')).to.equal('free')
    expect(heapGrowthAt(highBytes + 1, 'free')).to.equal('slow')
    expect(heapGrowthAt(lowBytes, 'slow')).to.equal('slow')
    expect(heapGrowthAt(lowBytes - 1, 'slow')).to.equal('free')
  })
})
