import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { heapBounds, heapGrowthAt, youngGrowthAt } from '../../src/processes/heap-growth.ts'

const MODULE = new URL('../../src/processes/heap-growth.ts', import.meta.url).href
/** Half of what it makes lives for a while, so that V8 wants more room for new objects. */
const PROGRAM = `
  const { watchHeapGrowth } = await import(${JSON.stringify(MODULE)})
  const { getHeapSpaceStatistics } = await import('node:v8')
  const end = watchHeapGrowth()
  let kept = []
  let most = 0
  for (let turn = 0; turn < 300; turn++) {
    for (let count = 0; count < 10_000; count++) kept.push({ count, text: 'x' + count, list: [count] })
    if (kept.length > 60_000) kept = kept.slice(30_000)
    await new Promise((resolve) => setImmediate(resolve))
    most = Math.max(most, getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size)
  }
  end()
  console.log(most)
`

describe('the growth of the heap', () => {
  it('is slow above a bound, and free again only well below it', () => {
    const { highBytes, lowBytes } = heapBounds
    expect(heapGrowthAt(highBytes, 'free')).to.equal('free')
    expect(heapGrowthAt(highBytes + 1, 'free')).to.equal('slow')
    expect(heapGrowthAt(lowBytes, 'slow')).to.equal('slow')
    expect(heapGrowthAt(lowBytes - 1, 'slow')).to.equal('free')
  })

  it('lets the space of new objects grow no further once it is large enough', () => {
    expect(youngGrowthAt(heapBounds.youngBytes - 1)).to.equal(2)
    expect(youngGrowthAt(heapBounds.youngBytes)).to.equal(1)
  })

  it('holds that space at its bound in a process that makes many objects', async function () {
    this.timeout(30_000)
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', PROGRAM])
    expect(Number(stdout)).to.be.within(heapBounds.youngBytes / 2, heapBounds.youngBytes * 2)
  })
})
