import { expect } from 'chai'
import { AnalyticsCheck } from '../../src/checker/analytics-check.ts'
import { type CheckResult, Report } from '../../src/checker/report.ts'
import type { CheckedEntry } from '../../src/checker/stream-check.ts'

interface Change {
  readonly version?: number
  readonly quality?: string
  readonly ranges?: object
  readonly window?: object
  readonly suppressed?: number
}

/** Three fused events as they should be, and what is wrong once the middle one is changed. */
function checked(change: Change): CheckResult {
  const report = new Report()
  const check = new AnalyticsCheck('BINANCE-SPOT:BTC-USDT:ANALYTICS', report)
  const first = { ranges: { ORDERBOOK: ['1', '4'], TRADE: ['1', '2'] }, window: { start: 0, end: 10 }, suppressed: 5 }
  const middle = { ranges: { ORDERBOOK: ['5', '5'] }, window: { start: 10, end: 20 }, suppressed: 0 }
  const last = { ranges: { ORDERBOOK: ['6', '7'], TRADE: ['3', '3'] }, window: { start: 20, end: 30 }, suppressed: 2 }
  for (const [at, data] of [first, middle, last].entries()) {
    const { version = at + 1, quality = '', ...more } = at === 1 ? change : {}
    const entry = { type: 'ANALYTICS.FUSED', venueSeq: String(version), quality, data: { ...data, ...more } }
    check.step({ id: `${at}-0`, entry, generation: 0 } as unknown as CheckedEntry)
  }
  return report.result()
}

describe('the checker on fused events', () => {
  it('finds nothing wrong where versions rise and ranges and windows abut', () => {
    expect(checked({}).examples).to.deep.equal([])
  })

  for (const [what, change, kind] of [
    ['a version that does not rise', { version: 1 }, 'outOfOrder'],
    [
      'a range that leaves something out',
      { ranges: { ORDERBOOK: ['5', '5'], TRADE: ['4', '4'] }, suppressed: 1 },
      'lost',
    ],
    ['a range that comes again', { ranges: { ORDERBOOK: ['4', '5'] }, suppressed: 1 }, 'repeated'],
    ['a range that ends before it begins', { ranges: { ORDERBOOK: ['5', '4'] } }, 'malformed'],
    ['a number of suppressed events that is not that of the ranges', { suppressed: 3 }, 'malformed'],
    ['a window that does not begin where the one before ended', { window: { start: 11, end: 20 } }, 'malformed'],
  ] as const)
    it(`finds ${what}`, () => {
      expect(checked(change).wrong).to.have.property(kind)
    })

  it('lets a range leave out what its event says is not whole', () => {
    const { wrong } = checked({
      quality: 'GAPPED',
      ranges: { ORDERBOOK: ['5', '5'], QUOTE: ['1', '1'] },
      suppressed: 1,
    })
    expect(wrong).to.deep.equal({})
  })
})
