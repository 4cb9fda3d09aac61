import { expect } from 'chai'
import { Traces } from '../../src/dispatcher/traces.ts'

describe('trace ids', () => {
  it('are 32 hex digits, of one start and counted, also where a block of them ends', () => {
    const traces = new Traces()
    const first = traces.next()
    for (let count = 1; count <= 1_000; count++) {
      const trace = traces.next()
      expect(trace).to.match(/^[0-9a-f]{32}$/)
      expect(trace.slice(0, 16)).to.equal(first.slice(0, 16))
      expect(Number.parseInt(trace.slice(16), 16)).to.equal(count)
    }
  })

  it('differ from one start to another', () => {
    expect(new Traces().next().slice(0, 16)).not.to.equal(new Traces().next().slice(0, 16))
  })
})
