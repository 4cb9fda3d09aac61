import { expect } from 'chai'
import { asVenueSymbol } from '../../../src/domain/instrument.ts'
import { overlaps } from '../../../src/venues/connections/coverage.ts'
import type { Line } from '../../../src/venues/connections/line.ts'
import { Carrier, Topic } from '../../../src/venues/connections/topic.ts'
import type { VenueEvent, VenueKline, VenueQuote, VenueTicker } from '../../../src/venues/venue.ts'

describe('what statistics and bars tell of other streams', () => {
  const base = { symbol: asVenueSymbol('AAA'), venueTimeUs: 1, receivedTimeUs: 1, source: 'fake.ws' }
  const amounts = { open: '1', high: '1', low: '1', volume: '1', quoteVolume: '1' }
  const ticker = (lastTradeId: number | null, bidQuantity = '1'): VenueTicker => ({
    ...{ ...base, ...amounts, kind: 'ticker', topic: 'aaa@ticker', last: '1', lastQuantity: '1', change: '0' },
    ...{ changePercent: '0', vwap: '1', bidPrice: '1', bidQuantity, askPrice: '2', askQuantity: '1', openTimeUs: 0 },
    ...{ closeTimeUs: 1, firstTradeId: null, lastTradeId, trades: 0 },
  })
  const bar = (openTimeUs: number, trades: number, closed = false): VenueKline => ({
    ...{ ...base, ...amounts, kind: 'kline', topic: 'aaa@kline_1m', interval: '1m', openTimeUs, closeTimeUs: 1 },
    ...{ close: '1', trades, takerBuyVolume: '1', takerBuyQuoteVolume: '1', closed },
    ...{ firstTradeId: null, lastTradeId: null },
  })
  const carrierOf = (name: string): Carrier => new Carrier(new Topic(name, 'aaa', 0), {} as Line)
  /** Shows the event at a time; answers since when it proves trades, and another best price. */
  const show = (carrier: Carrier, event: VenueTicker | VenueKline, nowMs: number): [number, number] => {
    carrier.note(event)
    carrier.lastSeenMs = nowMs
    return [carrier.tradesShownMs, carrier.bestShownMs]
  }

  it('is a trade when the last trade id is another, and it came after the statistics before', () => {
    const carrier = carrierOf('aaa@ticker')
    expect(show(carrier, ticker(7), 1_000)).to.deep.equal([0, 0])
    expect(show(carrier, ticker(7), 2_000)).to.deep.equal([0, 0])
    expect(show(carrier, ticker(9), 3_000)).to.deep.equal([2_000, 0])
    expect(show(carrier, ticker(null), 4_000)).to.deep.equal([2_000, 0])
  })

  it('is another best price or quantity', () => {
    const carrier = carrierOf('aaa@ticker')
    show(carrier, ticker(7), 1_000)
    expect(show(carrier, ticker(7, '3'), 2_000)).to.deep.equal([0, 1_000])
  })

  it('is a trade when a bar has more of them, or when a new bar has any', () => {
    const carrier = carrierOf('aaa@kline_1m')
    show(carrier, bar(60, 4), 1_000)
    expect(show(carrier, bar(60, 5), 2_000)).to.deep.equal([1_000, 0])
    expect(show(carrier, bar(60, 5, true), 3_000)).to.deep.equal([1_000, 0])
    expect(show(carrier, bar(120, 0), 4_000)).to.deep.equal([1_000, 0])
    expect(show(carrier, bar(120, 1), 5_000)).to.deep.equal([4_000, 0])
  })
})

describe('what a line holds back of a topic', () => {
  const quote = (updateId: number): VenueQuote => ({
    ...{
      kind: 'quote',
      topic: 'aaa@quote',
      symbol: asVenueSymbol('AAA'),
      updateId,
      venueTimeUs: null,
      receivedTimeUs: 1,
    },
    ...{ source: 'fake.ws', bidPrice: '1', bidQuantity: '1', askPrice: '2', askQuantity: '1' },
  })
  const holding = (from: number, to: number): { carrier: Carrier; other: Carrier } => {
    const topic = new Topic('aaa@quote', 'aaa', 0)
    const [other, carrier] = [new Carrier(topic, {} as Line), new Carrier(topic, {} as Line)]
    topic.carriers.push(other, carrier)
    for (let id = from; id <= to; id++) {
      carrier.reach(id)
      carrier.lastSeenMs = 5
      carrier.holdBack(quote(id), 5)
    }
    return { carrier, other }
  }
  const ids = (events: readonly VenueEvent[]): number[] => events.map((event) => (event as VenueQuote).updateId)

  it('is handed out without what the other line has brought', () => {
    const { carrier, other } = holding(7, 10)
    expect(overlaps(carrier)).to.equal(false)
    other.reach(8)
    expect(overlaps(carrier)).to.equal(true)
    expect(ids(carrier.release())).to.deep.equal([9, 10])
    expect(carrier.heldBackSinceMs).to.equal(0)
    expect(ids(carrier.release())).to.deep.equal([])
  })

  it('loses its oldest half at its bound, which the other line must have brought then', () => {
    const { carrier, other } = holding(1, 1_001)
    other.reach(500)
    expect(overlaps(carrier)).to.equal(false)
    other.reach(501)
    expect(overlaps(carrier)).to.equal(true)
    expect(ids(carrier.release())).to.have.length(500).and.to.include(502)
  })
})
