import { expect } from 'chai'
import { rollForward } from '../../../src/domain/book/roll.ts'
import { asVenueSymbol } from '../../../src/domain/instrument.ts'
import type { VenueBookSnapshot } from '../../../src/venues/venue.ts'

const snapshot: VenueBookSnapshot = {
  ...{ kind: 'snapshot', topic: '', symbol: asVenueSymbol('AAABBB'), venueTimeUs: null, receivedTimeUs: 1 },
  ...{ source: 'test', last: 10, depth: 2 },
  bids: [
    ['9', '1'],
    ['8', '1'],
  ],
  asks: [
    ['11', '1'],
    ['12', '1'],
  ],
}

describe('a snapshot rolled forward', () => {
  it('says a smaller depth when it has lost levels, so that nobody takes a side for whole', () => {
    const updates = [{ first: 11, last: 12, bids: [['9', '0']] as [string, string][], asks: [] }]
    const rolled = rollForward(snapshot, updates, 12)
    expect(rolled).to.deep.include({ last: 12, depth: 1, bids: [['8', '1']], asks: [['11', '1']] })
  })

  it('keeps its depth when levels came within its reach, and leaves those beyond it unknown', () => {
    const bids: [string, string][] = [
      ['8.5', '2'],
      ['7', '3'],
    ]
    const rolled = rollForward(snapshot, [{ first: 11, last: 11, bids, asks: [] }], 11)
    expect(rolled?.bids).to.deep.equal([
      ['9', '1'],
      ['8.5', '2'],
    ])
    expect(rolled?.depth).to.equal(2)
  })

  it('is none when updates are missing, or nothing of a side is left', () => {
    expect(rollForward(snapshot, [{ first: 12, last: 12, bids: [], asks: [] }], 12)).to.equal(null)
    const none: [string, string][] = [
      ['9', '0'],
      ['8', '0'],
    ]
    expect(rollForward(snapshot, [{ first: 11, last: 11, bids: none, asks: [] }], 11)).to.equal(null)
  })
})
