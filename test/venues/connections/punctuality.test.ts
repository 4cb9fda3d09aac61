import { expect } from 'chai'
import { Punctuality } from '../../../src/venues/connections/punctuality.ts'

describe('what is read from a socket', () => {
  it('has arrived just now while the checks are on time', () => {
    const punctuality = new Punctuality(250)
    punctuality.begin(1_000)
    punctuality.check(1_260)
    expect(punctuality.arrivedMs(1_400)).to.equal(1_400)
  })

  it('may have waited since the last check on time after the process stood still, until the next one', () => {
    const punctuality = new Punctuality(250)
    punctuality.begin(1_000)
    expect(punctuality.arrivedMs(4_000), 'before the late check').to.equal(1_000)
    punctuality.check(4_000)
    expect(punctuality.arrivedMs(4_010), 'behind it').to.equal(1_000)
    punctuality.check(4_250)
    expect(punctuality.arrivedMs(4_260)).to.equal(4_260)
  })
})
