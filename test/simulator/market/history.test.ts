import { expect } from 'chai'
import fc from 'fast-check'
import { BarHistory, HOUR_BARS_KEPT_MAX, MINUTE_BARS_KEPT_MAX } from '../../../src/simulator/market/bars.ts'
import { digits, divideRounded, signedDigits } from '../../../src/simulator/market/digits.ts'
import {
  DAY_MS,
  HOUR_MS,
  INTERVALS,
  MINUTE_MS,
  nextOpen,
  openOf,
  previousOpen,
} from '../../../src/simulator/market/intervals.ts'
import { TradeHistory } from '../../../src/simulator/market/trade-history.ts'

describe('digits', () => {
  it('writes units with eight places as the venue does', () => {
    expect(digits(6_183_763, 2)).to.equal('61837.63000000')
    expect(digits(5, 8)).to.equal('0.00000005')
    expect(digits(0, 5)).to.equal('0.00000000')
    expect(digits(12, 0)).to.equal('12.00000000')
    expect(digits(123_456_789_012_345_678_901n, 7)).to.equal('12345678901234.56789010')
    expect(signedDigits(-1234, 3)).to.equal('-1.23400000')
    expect(divideRounded(7n, 2n)).to.equal(4n)
  })
})

describe('the trades kept for REST', () => {
  interface Naive {
    id: number
    aggregate: number
    timeMs: number
    ticks: number
    lots: number
    buyerIsMaker: boolean
  }
  const trade = fc.record({
    passedMs: fc.integer({ min: 0, max: 3 }),
    ticks: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    lots: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    buyerIsMaker: fc.boolean(),
    opens: fc.boolean(),
  })

  it('are the newest, whole, and found by id, aggregate and time', () => {
    fc.assert(
      fc.property(fc.array(trade, { maxLength: 400 }), fc.constantFrom(100, 150, 1000), (trades, keptMax) => {
        const history = new TradeHistory(5000, 900, keptMax)
        const naive: Naive[] = []
        let timeMs = 1_700_000_000_000
        let aggregate = 899
        for (const [index, { passedMs, opens, ticks, lots, buyerIsMaker }] of trades.entries()) {
          timeMs += passedMs
          if (opens || index === 0) aggregate += 1
          const id = history.add(timeMs, ticks, lots, buyerIsMaker, opens || index === 0)
          naive.push({ id, aggregate, timeMs, ticks, lots, buyerIsMaker })
        }
        const kept = naive.slice(-keptMax)
        expect(history.nextTradeId).to.equal(5000 + trades.length)
        expect(history.oldestTradeId).to.equal(kept[0]?.id ?? 5000)
        for (const { aggregate, ...one } of kept) expect(history.trade(one.id)).to.deep.equal(one)
        const wholeFrom = kept.find((one) => isFirst(naive, one))
        expect(history.oldestAggregateId).to.equal(wholeFrom?.aggregate ?? history.nextAggregateId)
        for (let id = history.oldestAggregateId; id < history.nextAggregateId; id += 1) {
          const merged = naive.filter((one) => one.aggregate === id)
          expect(history.aggregate(id)).to.deep.include({
            firstTradeId: merged[0]?.id,
            lastTradeId: merged.at(-1)?.id,
            lots: merged.reduce((sum, { lots }) => sum + lots, 0),
          })
        }
        for (const atMs of [0, timeMs - 5, timeMs, timeMs + 1]) {
          expect(history.tradeFrom(atMs)).to.equal(kept.find((one) => one.timeMs >= atMs)?.id ?? history.nextTradeId)
        }
      }),
    )
  })

  const isFirst = (naive: readonly Naive[], one: Naive): boolean =>
    naive.find(({ aggregate }) => aggregate === one.aggregate) === one
})

describe('kline intervals', () => {
  it('open where the venue opens them: weeks on Monday, months on the first', () => {
    const timeMs = Date.UTC(2025, 9, 9, 8, 54, 45)
    const opens = Object.fromEntries(
      INTERVALS.map((interval) => [interval, new Date(openOf(interval, timeMs)).toISOString()]),
    )
    expect(opens['15m']).to.equal('2025-10-09T08:45:00.000Z')
    expect(opens['6h']).to.equal('2025-10-09T06:00:00.000Z')
    expect(opens['1w']).to.equal('2025-10-06T00:00:00.000Z')
    expect(opens['1M']).to.equal('2025-10-01T00:00:00.000Z')
  })

  it('follow one another without a hole', () => {
    const time = fc.integer({ min: 0, max: 4e12 })
    fc.assert(
      fc.property(time, fc.constantFrom(...INTERVALS), (timeMs, interval) => {
        const openMs = openOf(interval, timeMs)
        const next = nextOpen(interval, openMs)
        expect(timeMs).to.be.within(openMs, next - 1)
        expect(openOf(interval, next)).to.equal(next)
        expect(previousOpen(interval, next)).to.equal(openMs)
      }),
    )
  })
})

describe('the bars kept for REST', () => {
  const START = Date.UTC(2025, 8, 29, 22, 58)

  /** A trade every so often, closing minutes as the market does; `naive` sums by interval. */
  function fill(stepMs: number, count: number): { bars: BarHistory; times: number[] } {
    const trades = new TradeHistory(1, 1, 100_000)
    const bars = new BarHistory(trades)
    const times: number[] = []
    let minuteMs = openOf('1m', START)
    for (let index = 0; index < count; index += 1) {
      const timeMs = START + index * stepMs
      if (openOf('1m', timeMs) !== minuteMs) bars.closeMinute()
      minuteMs = openOf('1m', timeMs)
      const ticks = 1000 + ((index * 37) % 100)
      const id = trades.add(timeMs, ticks, index + 1, index % 3 === 0, true)
      bars.add(timeMs, id, ticks, index + 1, BigInt(ticks * (index + 1)), index % 3 !== 0)
      times.push(timeMs)
    }
    return { bars, times }
  }

  it('add up for every interval what traded in it', () => {
    const { bars, times } = fill(17_000, 6000)
    const numberOf = (timeMs: number): number => (timeMs - START) / 17_000 + 1
    for (const interval of INTERVALS.filter((one) => one !== '1s')) {
      const told = bars.bars(interval, 0, Infinity)
      expect(told.reduce((sum, bar) => sum + bar.trades, 0)).to.be.at.least(interval.endsWith('m') ? 5000 : 6000)
      for (const bar of told) {
        const within = times.filter((timeMs) => openOf(interval, timeMs) === bar.openMs)
        if (bar === told[0]) continue
        expect(bar.trades).to.equal(within.length)
        expect(bar.firstTradeId).to.equal(numberOf(within[0] as number))
        expect(bar.lots).to.equal(within.reduce((sum, timeMs) => sum + numberOf(timeMs), 0))
      }
    }
    expect(bars.bars('1M', 0, Infinity).map((bar) => new Date(bar.openMs).getUTCDate())).to.deep.equal([1, 1])
  }).timeout(10_000)

  it('are bounded: the oldest give way, and what is left is told from there', () => {
    const { bars } = fill(30 * MINUTE_MS, 2 * (HOUR_BARS_KEPT_MAX + 100))
    expect(bars.bars('1m', 0, Infinity)).to.have.length(MINUTE_BARS_KEPT_MAX + 1)
    expect(bars.oldestMs('1m')).to.equal(bars.bars('1m', 0, Infinity)[0]?.openMs)
    const hours = bars.bars('1h', 0, Infinity)
    expect(hours.length).to.be.within(HOUR_BARS_KEPT_MAX, HOUR_BARS_KEPT_MAX + 2)
    expect(bars.oldestMs('1h')).to.equal(hours[0]?.openMs)
    // The day in which the oldest hour lies is not whole any more.
    expect(bars.oldestMs('1d')).to.equal(nextOpen('1d', openOf('1d', hours[0]?.openMs as number)))
    expect((hours.at(-1)?.openMs as number) - (hours[0]?.openMs as number)).to.equal((hours.length - 1) * HOUR_MS)
  })

  it('know the close before a time, also where only hours are left', () => {
    const { bars } = fill(MINUTE_MS, 3 * MINUTE_BARS_KEPT_MAX)
    const last = START + (3 * MINUTE_BARS_KEPT_MAX - 1) * MINUTE_MS
    expect(bars.closeBefore(last)).to.equal(1000 + (((3 * MINUTE_BARS_KEPT_MAX - 2) * 37) % 100))
    expect(bars.closeBefore(last + MINUTE_MS)).to.equal(1000 + (((3 * MINUTE_BARS_KEPT_MAX - 1) * 37) % 100))
    expect(bars.closeBefore(START + HOUR_MS)).to.be.a('number')
    expect(bars.closeBefore(START - DAY_MS)).to.equal(null)
  })
})
