import { expect } from 'chai'
import { BAR_MARGIN_US, isWhole } from '../../src/dispatcher/bar-answer.ts'
import { MissedBars } from '../../src/dispatcher/missed-bars.ts'
import { World } from './world.ts'

describe('missed bars', () => {
  const world = new World()
  const MINUTE_US = 60_000_000
  /** Trades `first`..`last`. */
  const bar = (minute: number, first: number, last: number, closed: boolean) => ({
    ...world.kline(minute * MINUTE_US, 1 + last - first, closed),
    firstTradeId: first,
    lastTradeId: last,
  })

  it('are told when the next bar shows them, with the most trades that any of two connections showed', () => {
    const bars = new MissedBars()
    for (const event of [bar(1, 10, 14, false), bar(1, 10, 12, false)]) expect(bars.see(event)).to.equal(null)
    expect(bars.see(bar(2, 18, 18, false))).to.deep.equal({
      fromOpenTimeUs: MINUTE_US,
      toOpenTimeUs: 2 * MINUTE_US - 1,
    })
    expect(bars.shownBefore('BTCUSDT', '1m', 2 * MINUTE_US)).to.deep.equal({
      unfinished: { openTimeUs: MINUTE_US, trades: 5 },
      counted: { fromOpenTimeUs: MINUTE_US, toOpenTimeUs: 2 * MINUTE_US - 1, trades: 8 },
    })
    expect(bars.shownBefore('BTCUSDT', '5m', 2 * MINUTE_US)).to.deep.equal({ unfinished: null, counted: null })
  })

  const late = 10 * MINUTE_US
  const shown = {
    unfinished: { openTimeUs: MINUTE_US, trades: 5 },
    counted: { fromOpenTimeUs: MINUTE_US, toOpenTimeUs: 3 * MINUTE_US - 1, trades: 8 },
  }
  const uncounted = { unfinished: shown.unfinished, counted: null }
  const rows = (...trades: number[]) => trades.map((count, at) => world.kline((at + 1) * MINUTE_US, count, false))
  const end = 3 * MINUTE_US
  const cases: [string, ReturnType<typeof rows>, Parameters<typeof isWhole>[2], number, boolean][] = [
    ['that hold every trade by its id, at once', rows(5, 3), shown, end, true],
    ['of which trades are missing, however late', rows(5, 2), shown, late, false],
    ['of which the stream showed more trades', rows(4, 3), uncounted, late, false],
    ['that are not in the answer', rows(), uncounted, late, false],
    ['that nothing proves, just when they end', rows(5, 3), uncounted, end + BAR_MARGIN_US - 2_000, false],
    ['that nothing proves, later', rows(5, 3), uncounted, end + BAR_MARGIN_US, true],
    ['that nothing proves, later, and after which one has begun', rows(5, 3, 1), uncounted, end + BAR_MARGIN_US, true],
    ['whose ids contradict the answer, just when they end', rows(5, 4), shown, end, false],
    ['whose ids contradict the answer, later', rows(5, 4), shown, late, true],
  ]
  for (const [what, bars, told, venueNowUs, whole] of cases) {
    it(`are ${whole ? 'whole' : 'not whole'}: those ${what}`, () => {
      expect(isWhole(bars, 3 * MINUTE_US - 1, told, venueNowUs)).to.equal(whole)
    })
  }
})
