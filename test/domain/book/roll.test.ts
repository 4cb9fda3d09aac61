import { expect } from 'chai'
import fc from 'fast-check'
import { Book } from '../../../src/domain/book/book.ts'
import { type BookChange, rollForward } from '../../../src/domain/book/roll.ts'
import type { Level } from '../../../src/domain/event.ts'

const level: fc.Arbitrary<Level> = fc.tuple(
  fc.constantFrom('1.0', '1.00', '1.10', '2', '2.50', '3.00000000'),
  fc.constantFrom('0', '0.000', '1', '2.500'),
)
const levels = fc.uniqueArray(level, { selector: ([price]) => Number(price), maxLength: 4 })

describe('a book rolled forward', () => {
  it('equals the book that had every change applied one by one, and stays as it was without any', () => {
    const changes = fc.array(fc.record({ width: fc.nat(3), overlap: fc.nat(2), bids: levels, asks: levels }), {
      maxLength: 12,
    })
    fc.assert(
      fc.property(levels, levels, changes, (bids, asks, steps) => {
        const full = {
          last: 100,
          depth: 1_000,
          bids: bids.filter(([, much]) => Number(much) > 0),
          asks: asks.filter(([, much]) => Number(much) > 0),
        }
        const naive = new Book()
        naive.replace(full.bids, full.asks)
        let last = 98
        const list: BookChange[] = steps.map(({ width, overlap, ...sides }) => {
          const first = last + 1 - overlap
          last += 1 + width
          return { first, last, ...sides }
        })
        for (const change of list) if (change.last > 100) naive.apply(change.bids, change.asks)
        const rolled = rollForward(full, list)
        expect(rolled?.last).to.equal(Math.max(100, last))
        const book = new Book()
        book.replace(rolled?.bids ?? [], rolled?.asks ?? [])
        expect([...book.bids.levels].sort()).to.deep.equal([...naive.bids.levels].sort())
        expect([...book.asks.levels].sort()).to.deep.equal([...naive.asks.levels].sort())
        if (list.every((change) => change.last <= 100)) expect(rolled).to.equal(full)
      }),
      { numRuns: 500 },
    )
  })

  it('is none where changes are missing in between, or before it is where it is to be', () => {
    const change = { first: 12, last: 14, bids: [], asks: [] }
    expect(rollForward({ last: 10, bids: [], asks: [], depth: 5 }, [change])).to.equal(null)
    expect(rollForward({ last: 11, bids: [], asks: [], depth: 5 }, [change], 13)).to.equal(null)
    expect(rollForward({ last: 11, bids: [], asks: [], depth: 5 }, [change], 14)?.last).to.equal(14)
  })

  it('tells nothing behind the worst level of a side that had as many as were asked for', () => {
    const bids: Level[] = [
      ['10', '1'],
      ['9', '1'],
    ]
    const asks: Level[] = [['11', '1']]
    const change: BookChange = {
      ...{ first: 11, last: 12 },
      bids: [
        ['8', '5'],
        ['9.5', '2'],
        ['10', '0'],
      ],
      asks: [
        ['14', '5'],
        ['10.5', '1'],
      ],
    }
    const rolled = rollForward({ last: 10, bids, asks, depth: 2 }, [change])
    expect(rolled).to.deep.equal({
      ...{ last: 12, depth: 2 },
      bids: [
        ['9.5', '2'],
        ['9', '1'],
      ],
      asks: [
        ['10.5', '1'],
        ['11', '1'],
      ],
    })
    const gone: BookChange = { first: 11, last: 12, bids: [['10', '0']], asks: [] }
    expect(rollForward({ last: 10, bids, asks, depth: 2 }, [gone])).to.deep.include({ depth: 1, bids: [['9', '1']] })
  })
})
