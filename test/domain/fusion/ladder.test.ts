import { expect } from 'chai'
import fc from 'fast-check'
import { compareDecimal, isZeroDecimal, trimDecimal } from '../../../src/domain/decimal.ts'
import type { Level } from '../../../src/domain/event.ts'
import { KEPT_FACTOR, Ladder } from '../../../src/domain/fusion/ladder.ts'

const LEVELS_MAX = 6
const KEPT = LEVELS_MAX * KEPT_FACTOR

/** One side as a map that is sorted whenever it is asked. */
class NaiveSide {
  readonly levels = new Map<string, string>()
  readonly #direction: 1 | -1
  /** What was cut is not known any more, nor is anything worse than what stayed. */
  #edge: string | null = null

  constructor(direction: 1 | -1) {
    this.#direction = direction
  }

  set(levels: readonly Level[]): void {
    for (const [price, quantity] of levels) {
      if (this.#edge !== null && this.#direction * compareDecimal(price, this.#edge) < 0) continue
      if (isZeroDecimal(quantity)) this.levels.delete(trimDecimal(price))
      else this.levels.set(trimDecimal(price), quantity)
    }
    const beyond = this.top(Number.POSITIVE_INFINITY).slice(KEPT)
    for (const [price] of beyond) this.levels.delete(price)
    if (beyond.length > 0) this.#edge = this.top(KEPT).at(-1)?.[0] ?? null
  }

  top(count: number): Level[] {
    const prices = [...this.levels.keys()].sort((one, other) => this.#direction * compareDecimal(other, one))
    return prices.slice(0, count).map((price) => [price, this.levels.get(price) as string])
  }
}

const price = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 1, max: 40 }).map((ticks) => (ticks / 4).toFixed(2)) },
  { weight: 2, arbitrary: fc.integer({ min: 990, max: 1_020 }).map((ticks) => (ticks / 100).toFixed(2)) },
  { weight: 1, arbitrary: fc.constantFrom('1', '01.50', '2.5', '2.500', '10.125', '0.0001') },
)
const quantity = fc.constantFrom('0', '0.00000000', '1.0', '2.50', '3')
const levels = fc.array(fc.tuple(price, quantity), { maxLength: 8 })
const change = fc.record({
  replaces: fc.nat(9).map((n) => n === 0),
  bids: levels,
  asks: levels,
  stores: fc.nat(3).map((n) => n === 0),
})

const trimmed = (found: readonly Level[]): Level[] => found.map(([at, much]) => [trimDecimal(at), much])

describe('ladder', () => {
  it('matches a sorted map, and its changes make a copy that equals it', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
        const ladder = new Ladder(LEVELS_MAX)
        let naive = { bids: new NaiveSide(1), asks: new NaiveSide(-1) }
        const copy = new Map<string, string>()
        for (const { replaces, bids, asks, stores } of changes) {
          if (replaces) {
            naive = { bids: new NaiveSide(1), asks: new NaiveSide(-1) }
            ladder.replace(bids, asks)
          } else ladder.apply(bids, asks)
          naive.bids.set(bids)
          naive.asks.set(asks)
          expect(trimmed(ladder.topBids(100))).to.deep.equal(naive.bids.top(100))
          expect(trimmed(ladder.topAsks(100))).to.deep.equal(naive.asks.top(100))
          expect(ladder.topBids(3)).to.deep.equal(ladder.topBids(100).slice(0, 3))
          if (!stores) continue
          const { set, removed } = ladder.changes()
          for (const field of removed) expect(copy.delete(field), `${field} is there to be removed`).to.equal(true)
          for (let at = 0; at + 1 < set.length; at += 2) copy.set(set[at] as string, set[at + 1] as string)
          ladder.settle()
          expect(ladder.changesCount).to.equal(0)
          const expected: string[][] = [
            ...naive.bids.top(LEVELS_MAX).map(([at, much]) => [`b:${at}`, much]),
            ...naive.asks.top(LEVELS_MAX).map(([at, much]) => [`a:${at}`, much]),
          ]
          expect([...copy].sort()).to.deep.equal(expected.sort())
        }
        ladder.unsettle()
        const { set, removed } = ladder.changes()
        expect(removed).to.deep.equal([])
        const shown = [ladder.bidsCount, ladder.asksCount].map((count) => Math.min(count, LEVELS_MAX))
        expect(set).to.have.length(2 * shown.reduce((sum, count) => sum + count))
      }),
      { numRuns: Number(process.env.LADDER_RUNS ?? 1_000) },
    )
  })

  it('writes a thousand levels again only where they differ', () => {
    const side = (first: number): Level[] =>
      Array.from({ length: 1_000 }, (_, index) => [(first - index).toFixed(8), '1.00000000'])
    const ladder = new Ladder(1_000)
    ladder.replace(side(5_000), [])
    ladder.settle()
    ladder.replace(side(4_999), [])
    expect(ladder.changes()).to.deep.equal({ set: ['b:4000', '1.00000000'], removed: ['b:5000'] })
  })

  it("keeps the venue's digits", () => {
    const ladder = new Ladder(10)
    ladder.apply([['100.10000000', '2.50000000']], [])
    ladder.apply([['100.20000000', '1.00000000']], [])
    expect(ladder.topBids(2)).to.deep.equal([
      ['100.20000000', '1.00000000'],
      ['100.10000000', '2.50000000'],
    ])
    expect(ladder.changes().set).to.deep.equal(['b:100.1', '2.50000000', 'b:100.2', '1.00000000'])
  })
})
