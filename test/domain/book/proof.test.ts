import { expect } from 'chai'
import fc from 'fast-check'
import { BookProof, type BookUpdate, isSoundSnapshot, type WholeBook } from '../../../src/domain/book/proof.ts'
import type { Level } from '../../../src/domain/event.ts'

const levels = (price: number, step: number, count = 40): Level[] =>
  Array.from({ length: count }, (_, at) => [`${(price + at * step).toFixed(2)}`, '1.000'])
const snapshot = (last: number): WholeBook => ({
  ...{ last, bids: levels(100, -0.01), asks: levels(100.01, 0.01), depth: 1000 },
})
const ticker = (updateId: number, bidQuantity = '1.000', askQuantity = '1.000') => ({
  ...{ updateId, bidPrice: '100.00', bidQuantity, askPrice: '100.01', askQuantity },
})
const update = (first: number, last: number, bids: Level[] = [], asks: Level[] = []): BookUpdate => ({
  ...{ first, last, bids, asks },
})

/** At update 10, with the ticker of its top seen. */
function begun(): BookProof {
  const proof = new BookProof()
  proof.ticker(ticker(9), 1)
  expect(proof.join(snapshot(10), [])).to.equal(true)
  return proof
}

describe('the proof of a book', () => {
  it('finds every update right whose top is what the newest ticker up to it says', () => {
    const proof = begun()
    proof.ticker(ticker(12, '2.5'), 1)
    expect(proof.update(update(11, 13, [['100.00', '2.50']]), 1, 0)).to.equal(null)
    proof.ticker(ticker(16, '7'), 1)
    expect(proof.update(update(14, 15, [['99.98', '4']]), 1, 0)).to.equal(null)
    expect(proof.counts).to.deep.equal({ right: 2, wrong: 0, doubtful: 0, unchecked: 0 })
  })

  it('calls a wrong quantity at the top a mismatch behind the second update that shows it', () => {
    const proof = begun()
    proof.ticker(ticker(12, '2.5'), 1)
    expect(proof.update(update(11, 13, [['100.00', '25.0']]), 1, 0)).to.equal(null)
    for (const id of [14, 15]) expect(proof.ticker(ticker(id, '2.5', '3'), 1)).to.equal(null)
    expect(proof.update(update(14, 17, [], [['100.01', '3']]), 1, 100_000)).to.equal(null)
    expect(proof.ticker(ticker(18, '2.5', '3'), 1)).to.equal(null)
    expect(proof.ticker(ticker(19, '2.5', '4'), 1)).to.equal('ticker')
    expect(proof.wrongSince).to.equal(13)
    expect(proof.update(update(18, 19), 1, 200_000), 'told once').to.equal(null)
  })

  it('counts how often more updates wait for a missing one than it can hold', () => {
    const proof = begun()
    for (let id = 12; id < 12 + 64; id++) proof.update(update(id, id), 1, 0)
    expect([proof.blind, proof.overflows]).to.deep.equal([false, 0])
    proof.update(update(99, 99), 1, 0)
    expect([proof.blind, proof.overflows]).to.deep.equal([true, 1])
  })

  it('ends the wait for a newer ticker after 50 ms', () => {
    const proof = begun()
    proof.ticker(ticker(12, '2.5'), 1)
    proof.update(update(11, 13, [['100.00', '25.0']]), 1, 1_000)
    proof.update(update(14, 15), 1, 2_000)
    expect(proof.waiting).to.equal(true)
    expect(proof.sweep(50_999)).to.equal(null)
    expect(proof.sweep(51_000)).to.equal(null)
    expect(proof.sweep(52_000)).to.equal('ticker')
  })

  it('lets a ticker come late, overtaken by a newer one', () => {
    const proof = begun()
    proof.update(update(11, 13, [['100.00', '2.5']]), 1, 0)
    for (const [id, quantity] of [
      [15, '3'],
      [12, '2.5'],
      [16, '4'],
    ] as const) {
      expect(proof.ticker(ticker(id, quantity), 1)).to.equal(null)
    }
    expect(proof.counts).to.include({ right: 1, wrong: 0 })
  })

  it('does not call an update wrong because the ticker of its change went missing', () => {
    const proof = begun()
    for (let id = 11; id < 25; id++) {
      expect(proof.update(update(id, id, [['100.00', `2.${id}`]]), 1, id * 100_000)).to.equal(null)
      expect(proof.sweep(id * 100_000 + 60_000)).to.equal(null)
    }
    expect(proof.counts).to.include({ wrong: 0, doubtful: 14 })
  })

  it('judges by what the connection showed that brought the update, and by no other', () => {
    const proof = begun()
    proof.ticker(ticker(20, '9'), 2)
    // The second connection began behind the change that this update tells.
    expect(proof.update(update(11, 15, [['100.00', '2.5']]), 2, 0)).to.equal(null)
    expect(proof.counts).to.include({ unchecked: 1 })
    // The first one has shown all there is up to an update when it has shown a newer ticker.
    for (const [id, quantity] of [
      [14, '2.5'],
      [17, '2.5'],
    ] as const)
      proof.ticker(ticker(id, quantity), 1)
    expect(proof.update(update(16, 16, [['98.00', '1']]), 2, 0)).to.equal(null)
    expect(proof.counts).to.include({ right: 1, wrong: 0 })
    expect(proof.update(update(17, 18, [['99.00', '1']]), 1, 0)).to.equal(null)
    expect(proof.counts).to.include({ right: 2, wrong: 0 })
  })

  it('counts what is odd (off the tick, off the step, back in time) and calls none of it wrong', () => {
    const proof = begun()
    proof.judgeBy({ tick: '0.01000000', step: '0.00100000' })
    const tell = (first: number, bids: [string, string][], asks: [string, string][], venueTimeUs: number) =>
      proof.update({ ...update(first, first, bids, asks), venueTimeUs }, 1, 0)
    tell(11, [['99.95', '1.001']], [['100.07', '63123.456']], 5_000)
    expect(proof.oddities).to.deep.equal({ tick: 0, step: 0, time: 0 })
    tell(12, [['99.955', '1']], [['100.0700', '0.0005']], 5_000)
    expect(proof.oddities, 'a new price, a quantity').to.deep.equal({ tick: 1, step: 1, time: 0 })
    tell(13, [['99.955', '2']], [['100.071', '0']], 4_999)
    expect(proof.oddities, 'what stands already, what goes, and time').to.deep.equal({ tick: 1, step: 1, time: 1 })
    const [bids, asks] = [[['99.95', '1']], [['100.07', '1']]] as [Level[], Level[]]
    proof.join({ last: 13, bids, asks, depth: 1 }, [])
    tell(14, [['1.001', '1']], [], 5_000)
    expect(proof.oddities, 'beyond what is known').to.deep.equal({ tick: 1, step: 1, time: 1 })
    proof.judgeBy({ tick: '0.001', step: '' })
    tell(15, [['99.956', '1.00001']], [], 5_001)
    expect(proof.oddities, 'by the newest words').to.deep.equal({ tick: 1, step: 1, time: 1 })
    expect(proof.counts).to.include({ wrong: 0, doubtful: 0 })
  })

  it('finds no multiple of the tick or the step odd, however large it is', () => {
    for (const tick of ['0.00000001', '0.0001', '0.01', '0.05', '0.25', '0.5', '1', '5', '10', '1000']) {
      const proof = begun()
      proof.judgeBy({ tick, step: tick })
      const size = BigInt(Math.round(Number(tick) * 1e8))
      const counts = fc.sample(fc.maxSafeNat(), 3_000)
      for (let id = 11; id < 3_000; id++) {
        const units = size * BigInt(((counts[id] as number) % 10 ** (id % 14)) + 1)
        const text = units.toString().padStart(9, '0')
        const decimal = `${text.slice(0, -8)}.${text.slice(-8)}`
        if (units < 10_000_000_000n) proof.update(update(id, id, [[decimal, decimal]]), 1, 0)
        else proof.update(update(id, id, [], [[decimal, decimal]]), 1, 0)
        proof.update(update(id, id, [[decimal, '0']], [[decimal, '0']]), 1, 0)
      }
      expect([tick, proof.oddities.tick, proof.oddities.step]).to.deep.equal([tick, 0, 0])
    }
  })

  it('calls a crossed book a mismatch at once', () => {
    expect(begun().update(update(11, 12, [['100.05', '1']]), 1, 0)).to.equal('crossed')
  })

  it('calls a side that empties at once a mismatch', () => {
    const gone = levels(100, -0.01).map(([price]): Level => [price, '0'])
    expect(begun().update(update(11, 12, gone), 1, 0)).to.equal('emptied')
  })

  it('puts updates in order, and waits for a snapshot when too many wait', () => {
    const proof = begun()
    proof.update(update(13, 14, [['100.00', '3']]), 1, 0)
    expect(proof.holed).to.equal(true)
    proof.ticker(ticker(14, '3'), 1)
    proof.update(update(11, 12), 1, 0)
    expect([proof.have, proof.holed]).to.deep.equal([14, false])
    for (let id = 16; !proof.blind; id++) proof.update(update(id, id), 1, 0)
    expect(proof.update(update(15, 15), 1, 0)).to.equal(null)
    expect(proof.have).to.equal(-1)
  })

  it('does not begin where a hole lies between snapshot and updates', () => {
    const proof = new BookProof()
    expect(proof.join(snapshot(10), [update(12, 13)])).to.equal(false)
    expect(proof.blind).to.equal(true)
    expect(proof.join(snapshot(10), [update(14, 15), update(8, 11), update(12, 13)])).to.equal(true)
    expect(proof.have).to.equal(15)
  })

  it('does not judge a top that lies beyond the reach of its snapshot', () => {
    const proof = new BookProof()
    proof.ticker(ticker(9), 1)
    proof.join({ ...snapshot(10), depth: 40 }, [])
    expect(proof.reachBelow(41)).to.equal(true)
    proof.update(
      update(
        11,
        12,
        levels(100, -0.01)
          .slice(0, 39)
          .map(([price]): Level => [price, '0']),
      ),
      1,
      0,
    )
    proof.counts.unchecked = 0
    proof.update(
      update(13, 14, [
        ['99.61', '0'],
        ['99.60', '1'],
      ]),
      1,
      0,
    )
    expect(proof.counts).to.deep.include({ unchecked: 1 })
  })

  it('tells how many levels differ from a snapshot brought to the same update', () => {
    const proof = begun()
    const updates = [update(11, 12, [['99.99', '5']]), update(13, 14, [['99.98', '0']], [['100.03', '6']])]
    for (const one of updates) proof.update(one, 1, 0)
    expect(proof.differences(snapshot(10), updates)).to.equal(0)
    const other = { ...snapshot(10), bids: levels(100, -0.01).with(7, ['99.93', '1.001']) }
    expect(proof.differences(other, updates)).to.equal(1)
    expect(proof.differences(snapshot(10), updates.slice(1))).to.equal(1)
  })

  it('refuses a snapshot that is crossed, unsorted or holds nothing at a level', () => {
    const good = snapshot(1)
    expect(isSoundSnapshot(good)).to.equal(true)
    expect(isSoundSnapshot({ ...good, bids: [], asks: [] })).to.equal(true)
    expect(isSoundSnapshot({ ...good, bids: levels(100.01, -0.01) })).to.equal(false)
    expect(isSoundSnapshot({ ...good, bids: levels(90, 0.01) })).to.equal(false)
    expect(isSoundSnapshot({ ...good, asks: levels(110, -0.01) })).to.equal(false)
    expect(isSoundSnapshot({ ...good, asks: good.asks.with(3, ['100.04', '0.000']) })).to.equal(false)
  })

  it('takes at most 60 kB for a book of 1,000 levels a side', () => {
    const proof = new BookProof()
    proof.join({ last: 1, bids: levels(100, -0.01, 1000), asks: levels(100.01, 0.01, 1000), depth: 1000 }, [])
    for (let id = 2; id < 3_000; id++) {
      proof.update(
        update(id, id, [[`${(100 - id / 1_000).toFixed(4)}`, '1']], [[`${(100.01 + id / 1_000).toFixed(4)}`, '1']]),
        1,
        0,
      )
    }
    expect(proof.bytes).to.be.at.most(60_000)
  })

  it('agrees with a naive book about the top, whatever comes in whatever order', () => {
    const change = fc.tuple(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 0, max: 3 }), fc.boolean())
    const plan = fc.record({
      changes: fc.array(fc.array(change, { maxLength: 5 }), { minLength: 1, maxLength: 60 }),
      swaps: fc.array(fc.nat(59), { maxLength: 10 }),
    })
    fc.assert(
      fc.property(plan, ({ changes, swaps }) => {
        const proof = new BookProof()
        proof.join({ last: 0, bids: [], asks: [], depth: 1000 }, [])
        const sides = [new Map<number, number>(), new Map<number, number>()] as const
        const told: { update: BookUpdate; ticker: Parameters<BookProof['ticker']>[0] }[] = []
        for (const [at, all] of changes.entries()) {
          const bids: Level[] = []
          const asks: Level[] = []
          for (const [tick, quantity, isBid] of all) {
            // Bids below 50, asks above, so that nothing crosses.
            const price = isBid ? 50 - tick : 50 + tick
            sides[isBid ? 0 : 1].set(price, quantity)
            if (quantity === 0) sides[isBid ? 0 : 1].delete(price)
            ;(isBid ? bids : asks).push([`${price}.00`, `${quantity}.0`])
          }
          const bid = Math.max(0, ...sides[0].keys())
          const ask = sides[1].size === 0 ? 0 : Math.min(...sides[1].keys())
          const best = { bidPrice: `${bid}`, bidQuantity: `${sides[0].get(bid) ?? 0}` }
          const offer = { askPrice: `${ask}`, askQuantity: `${sides[1].get(ask) ?? 0}` }
          told.push({ update: update(at + 1, at + 1, bids, asks), ticker: { updateId: at + 1, ...best, ...offer } })
        }
        for (const one of told) {
          proof.ticker(one.ticker, 1)
        }
        const order = told.map((_, at) => at)
        for (const at of swaps) {
          if (at + 1 >= order.length) continue
          const kept = order[at] as number
          order[at] = order[at + 1] as number
          order[at + 1] = kept
        }
        for (const at of order) expect(proof.update((told[at] as (typeof told)[0]).update, 1, 0)).to.equal(null)
        expect(proof.have).to.equal(told.length)
        expect(proof.counts).to.include({ wrong: 0, doubtful: 0 })
        expect(proof.waiting).to.equal(false)
      }),
      { numRuns: 300 },
    )
  })
})
