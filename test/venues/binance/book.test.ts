import { expect } from 'chai'
import fc from 'fast-check'
import { continuesBook, deltasAfter, isSnapshotUsable, type UpdateRange } from '../../../src/venues/binance/book.ts'

const range = (first: number, last: number): UpdateRange => ({ first, last })

/** A row of the venue's procedure: the buffer as ranges, the snapshot's id, and what must come of them. */
interface Row {
  readonly name: string
  readonly snapshot: number
  readonly buffer: readonly UpdateRange[]
  readonly expected: unknown
}

const joined = (deltas: UpdateRange[], dropped: number, last: number) => ({ result: 'joined', deltas, dropped, last })

const rows: Row[] = [
  {
    name: 'asks again when the snapshot is older than the oldest buffered update',
    snapshot: 98,
    buffer: [range(100, 105)],
    expected: { result: 'too-old' },
  },
  {
    name: 'accepts a snapshot at first - 1, which is contiguous although the documents ask again only below first',
    snapshot: 99,
    buffer: [range(100, 105)],
    expected: joined([range(100, 105)], 0, 105),
  },
  {
    name: 'applies an update whole when the snapshot lies inside it',
    snapshot: 218,
    buffer: [range(189, 202), range(203, 207), range(208, 224), range(225, 230)],
    expected: joined([range(208, 224), range(225, 230)], 2, 230),
  },
  {
    name: 'drops the update whose last id is the snapshot and goes on with the next',
    snapshot: 105,
    buffer: [range(100, 105), range(106, 106)],
    expected: joined([range(106, 106)], 1, 106),
  },
  {
    name: 'finds the hole inside the buffer',
    snapshot: 102,
    buffer: [range(100, 105), range(110, 112), range(113, 113)],
    expected: {
      result: 'gap',
      deltas: [range(100, 105)],
      from: 106,
      to: 109,
      rest: [range(110, 112), range(113, 113)],
    },
  },
  {
    name: 'does not see a hole that lies below the snapshot',
    snapshot: 111,
    buffer: [range(100, 105), range(110, 112)],
    expected: joined([range(110, 112)], 1, 112),
  },
  {
    name: 'ignores a second copy of an update',
    snapshot: 99,
    buffer: [range(100, 105), range(100, 105), range(106, 107)],
    expected: joined([range(100, 105), range(106, 107)], 1, 107),
  },
  {
    name: 'goes live on the snapshot alone when a quiet instrument sent nothing',
    snapshot: 105,
    buffer: [],
    expected: joined([], 0, 105),
  },
  {
    name: 'waits for the first update when the snapshot is ahead of everything buffered',
    snapshot: 500,
    buffer: [range(100, 105), range(106, 110)],
    expected: joined([], 2, 500),
  },
  {
    name: 'does not take the snapshot of an instrument that has no book yet',
    snapshot: -1,
    buffer: [range(0, 3)],
    expected: { result: 'too-old' },
  },
  { name: 'does not take it with an empty buffer either', snapshot: -1, buffer: [], expected: { result: 'too-old' } },
]

describe('joining a Binance snapshot to its updates', () => {
  for (const row of rows) {
    it(row.name, () => {
      expect(deltasAfter(row.snapshot, row.buffer)).to.deep.equal(row.expected)
    })
  }

  it('lets an update stand behind a position only when it is new and leaves no hole', () => {
    expect(continuesBook(10, range(11, 12))).to.equal(true)
    expect(continuesBook(10, range(8, 12))).to.equal(true)
    expect(continuesBook(10, range(12, 13))).to.equal(false)
    expect(continuesBook(10, range(9, 10))).to.equal(false)
    expect(continuesBook(10, range(5, 9))).to.equal(false)
  })

  it('covers every id above the snapshot exactly once, whatever was lost or doubled', () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(lengths, fc.nat(60), fc.nat(11), fc.nat(11), (sizes, snapshotAt, lost, doubled) => {
        let next = 100
        const whole = sizes.map((size) => {
          const update = range(next, next + size - 1)
          next += size
          return update
        })
        const buffer = whole.flatMap((update, index) => {
          if (index === lost) return []
          return index === doubled ? [update, update] : [update]
        })
        const snapshot = 95 + snapshotAt
        const join = deltasAfter(snapshot, buffer)
        expect(join.result === 'too-old').to.equal(!isSnapshotUsable(snapshot, buffer[0]?.first ?? null))
        if (join.result === 'too-old') return
        let have = snapshot
        for (const delta of join.deltas) {
          expect(continuesBook(have, delta)).to.equal(true)
          have = delta.last
        }
        if (join.result === 'gap') {
          const lostRange = whole[lost]
          expect([join.from, join.to]).to.deep.equal([Math.max(lostRange?.first ?? 0, have + 1), lostRange?.last])
        } else {
          expect(join.last).to.equal(have)
          expect(join.deltas.length + join.dropped).to.equal(buffer.length)
        }
      }),
      { numRuns: 1_000 },
    )
  })
})
