import { expect } from 'chai'
import fc from 'fast-check'
import { BookSide, Level, ORDERS_PER_LEVEL_MAX } from '../../../src/simulator/market/book-side.ts'
import { MatchingEngine } from '../../../src/simulator/market/engine.ts'
import { chooseInstruments, type InstrumentSpec } from '../../../src/simulator/market/instruments.ts'

describe('a price level', () => {
  it('fills the oldest order first and forgets it when it is empty', () => {
    const level = new Level(100, 5)
    level.join(3)
    level.join(4)
    expect([level.lots, level.orderCount]).to.deep.equal([12, 3])
    expect(level.fill(2)).to.equal(2)
    expect(level.fill(10)).to.equal(3)
    expect(level.fill(10)).to.equal(3)
    expect(level.fill(10)).to.equal(4)
    expect(level.lots).to.equal(0)
  })

  it('matches a plain list of orders under joins, fills and cancels', () => {
    const command = fc.tuple(fc.constantFrom('join', 'fill', 'cancel'), fc.integer({ min: 1, max: 50 }))
    fc.assert(
      fc.property(fc.array(command, { maxLength: 100 }), (commands) => {
        const level = new Level(1, 7)
        const naive = [7]
        for (const [name, amount] of commands) {
          if (name === 'join') {
            level.join(amount)
            if (naive.length < ORDERS_PER_LEVEL_MAX) naive.push(amount)
            else naive[naive.length - 1] = (naive.at(-1) as number) + amount
          } else if (name === 'fill') {
            const filled = Math.min(amount, naive[0] as number)
            expect(level.fill(amount)).to.equal(filled)
            naive[0] = (naive[0] as number) - filled
            if (naive[0] === 0) naive.shift()
          } else {
            level.cancel(amount % naive.length)
            naive.splice(amount % naive.length, 1)
          }
          expect(level.lots).to.equal(naive.reduce((sum, lots) => sum + lots, 0))
          if (naive.length === 0) return
          expect(level.orderCount).to.equal(naive.length)
        }
      }),
    )
  })
})

describe('one side of a book', () => {
  it('finds the lots at a price and 0 where nothing rests', () => {
    for (const isBid of [true, false]) {
      const side = new BookSide(isBid)
      const prices = [3, 5, 8, 9, 20].sort((a, b) => (isBid ? b - a : a - b))
      for (const [depth, ticks] of prices.entries()) side.insert(depth, new Level(ticks, ticks * 10))
      expect(side.best.ticks).to.equal(prices[0])
      for (let ticks = 1; ticks < 25; ticks += 1) {
        expect(side.lotsAt(ticks)).to.equal(prices.includes(ticks) ? ticks * 10 : 0)
      }
      side.remove(2)
      expect(side.lotsAt(8)).to.equal(0)
      expect(side.at(2).ticks).to.equal(prices[3])
    }
  })
})

describe('the matching engine', () => {
  const spec = chooseInstruments({ instruments: ['ETHUSDT'], levelsMax: 50 })[0] as InstrumentSpec
  const levelsOf = (side: BookSide): Level[] => Array.from({ length: side.length }, (_, depth) => side.at(depth))

  it('keeps sides sorted, apart and sized, and every change within what it told', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const engine = new MatchingEngine(spec, seed)
        for (let batch = 0; batch < 20; batch += 1) {
          const before = new Map(
            [engine.bids, engine.asks].map((side) => [side, levelsOf(side).map((l) => [l.ticks, l.lots])]),
          )
          const idBefore = engine.updateId
          engine.beginBatch()
          for (let step = 0; step < 50; step += 1) engine.step()
          expect(engine.updateId).to.be.above(idBefore)
          expect(engine.asks.best.ticks).to.be.above(engine.bids.best.ticks)
          for (const side of [engine.bids, engine.asks]) {
            const levels = levelsOf(side)
            expect(levels.length).to.be.within(5, spec.levels * 1.4)
            for (const [depth, level] of levels.entries()) {
              expect(level.lots).to.be.above(0)
              if (depth > 0) expect(side.isBetter((levels[depth - 1] as Level).ticks, level.ticks)).to.equal(true)
            }
            const undone = new Map(levels.map(({ ticks, lots }) => [ticks, lots]))
            for (const [ticks, lots] of side.isBid ? engine.changedBids : engine.changedAsks) undone.set(ticks, lots)
            const rest = [...undone]
              .filter(([, lots]) => lots > 0)
              .sort((a, b) => (side.isBid ? b[0] - a[0] : a[0] - b[0]))
            expect(rest).to.deep.equal(before.get(side))
          }
        }
      }),
      { numRuns: 20 },
    )
  })

  it('trades by price, then by time, up to the limit, and lets the rest rest', () => {
    const engine = new MatchingEngine(spec, 1)
    const [first, second] = [engine.asks.at(0), engine.asks.at(1)]
    const { ticks: firstTicks, lots: firstLots } = first
    first.join(7)
    engine.place(true, firstTicks, firstLots + 7 + 5, true)
    expect(engine.fillCount).to.equal(2)
    expect(engine.fillLots.slice(0, 2)).to.deep.equal([firstLots, 7])
    expect(engine.bids.best).to.include({ ticks: firstTicks, lots: 5 })
    expect(engine.asks.best).to.equal(second)
  })

  it('never sells out: an order larger than the book leaves a few levels', () => {
    const engine = new MatchingEngine(spec, 2)
    engine.place(true, Infinity, 1e9, false)
    expect(engine.asks.length).to.equal(5)
    engine.fillCount = 0
    engine.place(true, engine.asks.best.ticks, 100, true)
    expect(engine.fillCount).to.equal(0)
    expect(engine.bids.best.ticks).to.be.below(engine.asks.best.ticks)
  })
})
