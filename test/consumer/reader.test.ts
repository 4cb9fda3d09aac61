import { expect } from 'chai'
import fc from 'fast-check'
import type { Entry } from '../../src/bus/contract.ts'
import type { BookRecord } from '../../src/consumer/book-source.ts'
import { BookReader, StreamCursor } from '../../src/consumer/reader.ts'
import { NaiveBook } from '../support/oracle.ts'

const at = (epoch: string, seq: number, key = `k${seq}`) => ({ epoch, seq: `${seq}`, key })

describe('the place in a stream', () => {
  it('begins anywhere, then expects seq + 1 and drops what is not greater', () => {
    const cursor = new StreamCursor()
    expect(cursor.step(at('1', 40))).to.deep.equal({ step: 'use' })
    expect(cursor.step(at('1', 41))).to.deep.equal({ step: 'use' })
    expect(cursor.step(at('1', 41))).to.deep.equal({ step: 'duplicate' })
    expect(cursor.step(at('1', 12))).to.deep.equal({ step: 'duplicate' })
    expect(cursor.step(at('1', 42))).to.deep.equal({ step: 'use' })
  })

  it('tells how many entries were trimmed away before it could read them', () => {
    const cursor = new StreamCursor()
    cursor.step(at('1', 1))
    expect(cursor.step(at('1', 11))).to.deep.equal({ step: 'lost', count: 9, repeated: false })
    expect(cursor.step(at('1', 12))).to.deep.equal({ step: 'use' })
  })

  it('takes another epoch as it comes: what it used comes again and is dropped by key', () => {
    const cursor = new StreamCursor()
    for (let seq = 1; seq <= 5; seq += 1) cursor.step(at('9', seq))
    expect(cursor.step(at('8', 4, 'other'))).to.deep.equal({ step: 'epoch', lost: 0, repeated: false })
    expect(cursor.step(at('8', 5, 'k5'))).to.deep.equal({ step: 'duplicate' })
    expect(cursor.step(at('8', 6, 'k6'))).to.deep.equal({ step: 'use' })
  })

  it('tells what an epoch began without', () => {
    const cursor = new StreamCursor()
    cursor.step(at('9', 5))
    expect(cursor.step(at('10', 9))).to.deep.equal({ step: 'epoch', lost: 3, repeated: false })
  })

  it('remembers a bounded number of keys', () => {
    const cursor = new StreamCursor(2)
    for (let seq = 1; seq <= 3; seq += 1) cursor.step(at('1', seq))
    expect(cursor.step(at('2', 1, 'k1')).step).to.equal('epoch')
    expect(cursor.step(at('2', 2, 'k3')).step).to.equal('duplicate')
    expect(cursor.step(at('2', 3, 'k2')).step).to.equal('use')
  })
})

const snapshot = (last: number, bids: [string, string][], asks: [string, string][]) =>
  ({ type: 'ORDERBOOK.SNAPSHOT', data: { last: `${last}`, bids, asks, depth: 1000 } }) as unknown as Entry
const delta = (first: number, last: number, bids: [string, string][] = [], asks: [string, string][] = []) =>
  ({ type: 'ORDERBOOK.DELTA', data: { first: `${first}`, last: `${last}`, bids, asks } }) as unknown as Entry
const gap = (range?: [number, number]) =>
  ({
    type: 'ORDERBOOK.GAP',
    data: range ? { from: `${range[0]}`, to: `${range[1]}`, cause: 'lost' } : { cause: 'venue-reset' },
  }) as unknown as Entry

describe('the book of a stream', () => {
  it('is joined at once from a record that is LIVE or STALE, and from any other by the next delta that continues it', () => {
    const record = { bids: [['1.0', '2']], asks: [['2.0', '2']], venueSeq: '7' }
    const joined = ['LIVE', 'STALE', 'CROSSED', 'GAPPED', 'SYNCING', 'HALTED', 'QUARANTINED'].map((quality) => {
      const book = BookReader.from({ ...record, quality } as unknown as BookRecord)
      const before = book.joined
      expect(book.step(delta(8, 9, [['1.1', '1']])), quality).to.equal('applied')
      return [quality, before, book.joined]
    })
    expect(joined.filter(([, before]) => before).map(([quality]) => quality)).to.deep.equal(['LIVE', 'STALE'])
    expect(joined.every(([, , after]) => after)).to.equal(true)
  })

  it('applies deltas that continue it or overlap it, and leaves out what it has', () => {
    const book = new BookReader()
    expect(book.step(delta(1, 2))).to.equal('unjoined')
    expect(book.step(snapshot(10, [['1.50', '2.0']], [['1.60', '3.0']]))).to.equal('snapshot')
    expect(book.step(delta(5, 10))).to.equal('old')
    expect(book.step(delta(8, 12, [['1.5', '0.000']], [['1.6000', '4']]))).to.equal('applied')
    expect(book.top(5)).to.deep.equal({ bids: [], asks: [['1.6000', '4']] })
    expect(book.have).to.equal(12n)
  })

  it('is broken by a gap until a delta continues it or a snapshot replaces it', () => {
    const book = new BookReader()
    book.step(snapshot(10, [], []))
    expect([book.step(gap([11, 14])), book.joined]).to.deep.equal(['gap', false])
    expect([book.step(delta(11, 13)), book.joined]).to.deep.equal(['applied', true])
    book.step(gap([14, 20]))
    expect(book.step(delta(21, 22))).to.equal('unjoined')
    expect([book.step(snapshot(25, [], [])), book.joined]).to.deep.equal(['snapshot', true])
  })

  it('is broken by a delta that does not continue it although no gap was told', () => {
    const book = new BookReader()
    book.step(snapshot(10, [], []))
    expect([book.step(delta(12, 13)), book.joined]).to.deep.equal(['unjoined', false])
  })

  it('forgets its place when the numbering was reset, so that only a snapshot joins it', () => {
    const book = new BookReader()
    book.step(snapshot(10, [], []))
    book.step(gap())
    expect(book.step(delta(1, 11))).to.equal('unjoined')
    expect(book.step(snapshot(3, [], []))).to.equal('snapshot')
  })

  it('agrees with a naive book under any deltas', () => {
    const digits = fc.tuple(
      fc.integer({ min: 1, max: 30 }),
      fc.integer({ min: 0, max: 3 }),
      fc.integer({ min: 0, max: 2 }),
    )
    const level = digits.map(([price, quantity, zeros]): [string, string] => [
      `${price}.0${'0'.repeat(zeros)}`,
      quantity === 0 ? `0.${'0'.repeat(zeros + 1)}` : `${quantity}.5`,
    ])
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.array(level), fc.array(level))), (changes) => {
        const book = new BookReader()
        const naive = new NaiveBook()
        book.step(snapshot(0, [], []))
        for (const [at, [bids, asks]] of changes.entries()) {
          book.step(delta(at + 1, at + 1, bids, asks))
          naive.set(bids, asks)
        }
        const { bids, asks } = book.top(100)
        const other = naive.top(100)
        expect([bids, asks].map((side) => side.map(([price]) => Number(price)))).to.deep.equal(
          [other.bids, other.asks].map((side) => side.map(([price]) => Number(price))),
        )
        expect(book.levelsCount).to.deep.equal({ bids: naive.bids.size, asks: naive.asks.size })
      }),
    )
  })
})
