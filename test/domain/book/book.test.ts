import { expect } from 'chai'
import fc from 'fast-check'
import { Book } from '../../../src/domain/book/book.ts'
import { isSnapshotUsable, judgeDelta } from '../../../src/domain/book/join.ts'
import type { Level } from '../../../src/domain/event.ts'

describe('the book', () => {
  it('sets levels absolutely and removes at zero, however written', () => {
    const book = new Book()
    book.replace([['1.50', '2.00']], [['1.60', '3']])
    book.apply([['1.5', '4.10']], [['1.6000', '0.000']])
    expect(book.topBids(5)).to.deep.equal([['1.5', '4.10']])
    expect(book.bestAsk()).to.equal(null)
    book.apply([['9', '0']], [])
    expect(book.bids.levels.size).to.equal(1)
  })

  it('keeps nothing of the old book when it is replaced', () => {
    const book = new Book()
    book.replace([['1', '1']], [['2', '1']])
    book.replace([['0.5', '1']], [])
    expect(book.bestBid()).to.deep.equal(['0.5', '1'])
    expect(book.bestAsk()).to.equal(null)
  })

  it('knows when it is crossed', () => {
    const book = new Book()
    book.replace([['10', '1']], [['10.0', '1']])
    expect(book.isCrossed()).to.equal(true)
    book.apply([], [['10', '0']])
    expect(book.isCrossed()).to.equal(false)
  })

  it('matches a plain sorted list under any sequence of changes', () => {
    const price = fc.integer({ min: 1, max: 30 }).map((cents) => (cents / 10).toFixed(2))
    const quantity = fc.constantFrom('0', '0.000', '1', '2.50', '7')
    const change = fc.tuple(fc.constantFrom('bids', 'asks'), price, quantity)
    fc.assert(
      fc.property(fc.array(change, { maxLength: 80 }), (changes) => {
        const book = new Book()
        const naive = { bids: new Map<number, string>(), asks: new Map<number, string>() }
        for (const [side, at, amount] of changes) {
          const levels: Level[] = [[at, amount]]
          book.apply(side === 'bids' ? levels : [], side === 'asks' ? levels : [])
          if (Number(amount) === 0) naive[side as 'bids'].delete(Number(at))
          else naive[side as 'bids'].set(Number(at), amount)
          const bids = [...naive.bids].sort((left, right) => right[0] - left[0])
          const asks = [...naive.asks].sort((left, right) => left[0] - right[0])
          const asNumbers = (levels: Level[]) => levels.map(([p, q]) => [Number(p), q])
          expect(asNumbers(book.topBids(20))).to.deep.equal(bids.slice(0, 20))
          expect(asNumbers(book.topAsks(20))).to.deep.equal(asks.slice(0, 20))
          expect(book.bestBid()?.[1] ?? null).to.equal(bids[0]?.[1] ?? null)
          expect(book.bestAsk()?.[1] ?? null).to.equal(asks[0]?.[1] ?? null)
        }
      }),
    )
  })
})

describe('the rule that joins a snapshot to its deltas', () => {
  const usable: [string, number, [number, number] | undefined, boolean][] = [
    ['directly before the first delta', 99, [100, 105], true],
    ['inside the first delta', 103, [100, 105], true],
    ['at the end of the first delta', 105, [100, 105], true],
    ['beyond it', 200, [100, 105], true],
    ['with a hole before the first delta', 98, [100, 105], false],
    ['with no delta at all', 1, undefined, true],
  ]
  for (const [where, last, first, expected] of usable) {
    it(`${expected ? 'takes' : 'refuses'} a snapshot ${where}`, () => {
      expect(isSnapshotUsable(last, first && { low: first[0], high: first[1] })).to.equal(expected)
    })
  }

  const deltas: [number, number, 'apply' | 'stale' | 'gap'][] = [
    [101, 105, 'apply'],
    [90, 105, 'apply'],
    [90, 100, 'stale'],
    [100, 100, 'stale'],
    [102, 105, 'gap'],
  ]
  for (const [low, high, expected] of deltas) {
    it(`calls ${low}..${high} over a book at 100 ${expected}`, () => {
      expect(judgeDelta(100, { low, high })).to.equal(expected)
    })
  }
})
