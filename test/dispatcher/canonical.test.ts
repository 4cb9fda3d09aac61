import { expect } from 'chai'
import { klineEndTimeUs, offerOf, payloadOf } from '../../src/dispatcher/canonical.ts'
import type { VenueEvent } from '../../src/venues/venue.ts'
import { World } from './world.ts'

const world = new World()
const TRACE = '0'.repeat(31).concat('1')
const OPEN_US = 1_699_999_980_000_000

describe('the canonical event', () => {
  const fields: [string, VenueEvent, readonly string[]][] = [
    ['TRADE', world.trade(7), ['id', 'price', 'quantity', 'side']],
    ['QUOTE', world.quote(7), ['bidPrice', 'bidQuantity', 'askPrice', 'askQuantity']],
    [
      'TICKER',
      world.ticker(OPEN_US),
      (
        'open high low last lastQuantity change changePercent vwap volume quoteVolume bidPrice bidQuantity ' +
        'askPrice askQuantity openTime closeTime firstTradeId lastTradeId trades'
      ).split(' '),
    ],
    [
      'KLINE',
      world.kline(OPEN_US, 3, true),
      (
        'interval openTime closeTime open high low close volume quoteVolume trades takerBuyVolume ' +
        'takerBuyQuoteVolume closed'
      ).split(' '),
    ],
    ['DELTA', world.delta(3, 5), ['first', 'last', 'bids', 'asks']],
    ['SNAPSHOT', world.snapshot(5), ['last', 'bids', 'asks', 'depth']],
  ]
  for (const [kind, event, names] of fields) {
    it(`has the fields of a ${kind} in the order of the contract`, () => {
      const offer = offerOf(event, payloadOf(event), TRACE)
      expect(offer.kind).to.equal(kind)
      expect(Object.keys(JSON.parse(offer.data) as object)).to.deep.equal(names)
    })
  }

  it('keeps digits as text, ids as text and times as numbers', () => {
    const data = JSON.parse(payloadOf(world.ticker(OPEN_US))) as Record<string, unknown>
    expect(data).to.include({ change: '-1', firstTradeId: '1', closeTime: OPEN_US, trades: 9 })
    expect(payloadOf(world.trade(9_007_199_254_740_991))).to.contain('"id":"9007199254740991"')
    expect(payloadOf(world.delta(3, 5))).to.equal('{"first":"3","last":"5","bids":[["1.0","5"]],"asks":[["2.0","1"]]}')
  })

  it('names a bar by interval, open time and trades, and its end exclusively on either clock', () => {
    const open = offerOf(world.kline(OPEN_US, 3, false), '{}', TRACE)
    const closed = offerOf(world.kline(OPEN_US, 3, true), '{}', TRACE)
    expect(open.id).to.equal(`1m@${OPEN_US}@3`)
    expect(closed.id).to.equal(`1m@${OPEN_US}@3@closed`)
    expect(closed.first).to.equal(`${OPEN_US}@${OPEN_US + 60_000_000}`)
    expect(klineEndTimeUs(OPEN_US + 60_000_000 - 1)).to.equal(OPEN_US + 60_000_000)
  })

  it('has no venue time where the venue tells none', () => {
    expect(offerOf(world.quote(1), '{}', TRACE).venueTimeUs).to.equal(null)
  })
})
