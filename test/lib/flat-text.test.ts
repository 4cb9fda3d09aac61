import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect } from 'chai'

const MODULE = new URL('../../src/lib/flat-text.ts', import.meta.url).href
const LEVELS = 40
/** What payloads of so many levels weigh in the heap of a process of their own, put together as the dispatcher does it. */
const PROGRAM = `
  const { flatten } = await import(${JSON.stringify(MODULE)})
  const payload = (seed) => {
    let text = '['
    for (let level = 0; level < ${LEVELS}; level++) text += '["' + (seed + level) + '.25","1.' + level + '"],'
    return text + ']'
  }
  const weigh = (make) => {
    const kept = []
    gc()
    const before = process.memoryUsage().heapUsed
    for (let seed = 0; seed < 2_000; seed++) kept.push(make(seed))
    gc()
    return (process.memoryUsage().heapUsed - before) / kept.length
  }
  const tree = weigh(payload)
  const flat = weigh((seed) => {
    const text = payload(seed)
    flatten(text)
    return text
  })
  console.log(JSON.stringify({ tree, flat, letters: payload(1_000).length }))
`

describe('a text that was laid out flat', () => {
  it('takes one byte a letter, where it took several before', async function () {
    this.timeout(30_000)
    const args = ['--expose-gc', '--input-type=module', '-e', PROGRAM]
    const { stdout } = await promisify(execFile)(process.execPath, args)
    const { tree, flat, letters } = JSON.parse(stdout) as { tree: number; flat: number; letters: number }
    expect(tree).to.be.greaterThan(4 * letters)
    expect(flat).to.be.lessThan(letters + 100)
  })
})
