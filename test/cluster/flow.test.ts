import { expect } from 'chai'
import { type TopicFlow, unheardMs } from '../../src/cluster/flow.ts'

const topic = (lastSeenAgoMs: number | null, ...connections: number[]): TopicFlow => ({
  ...{ topic: 'x', state: 'flowing', ackedAtUs: 1, lastSeenAgoMs, missingMs: 0, connections },
})

describe('how long the venue was not heard', () => {
  it('is the longest silence of a connection, which data of any of its topics ends', () => {
    expect(unheardMs([topic(5_000, 1), topic(20, 1), topic(700, 2), topic(900, 2)])).to.equal(700)
  })

  it('is nothing where no connection has shown data yet, or none is there', () => {
    expect(unheardMs([topic(null, 1), topic(300)])).to.equal(0)
  })

  it('counts what two connections carry as heard on both', () => {
    expect(unheardMs([topic(5_000, 1), topic(10, 1, 2)])).to.equal(10)
  })
})
