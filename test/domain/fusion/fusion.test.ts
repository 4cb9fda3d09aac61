import { expect } from 'chai'
import fc from 'fast-check'
import { payloadSchemas } from '../../../src/bus/schema.ts'
import { addDecimal, trimDecimal } from '../../../src/domain/decimal.ts'
import type { Level } from '../../../src/domain/event.ts'
import { carriedText, parseCarried } from '../../../src/domain/fusion/carried.ts'
import {
  bookQuality,
  dueMs,
  type FusedChannel,
  type FusionLimits,
  type FusionState,
  fuse,
  newFusion,
  published,
  type SourceEvent,
  setStale,
  step,
} from '../../../src/domain/fusion/fusion.ts'
import { Ladder } from '../../../src/domain/fusion/ladder.ts'
import { LiveBook, restoredBook } from '../../../src/domain/fusion/live-book.ts'
import { NaiveLiveBook } from '../../support/naive-live-book.ts'

const limits: FusionLimits = { throttleMs: 100, eventsMax: 50, changesMax: 40 }
const LEVELS_MAX = 1_000

function event(channel: FusedChannel, seq: number, type: string, data: unknown, epoch = '1'): SourceEvent {
  return {
    ...{ channel, type, epoch, seq, id: `${seq}-0`, data, quality: type === 'ORDERBOOK.GAP' ? 'GAPPED' : '' },
    ...{ venueTime: '', receivedTime: String(seq), trace: 'a'.repeat(32) },
  }
}

const fresh = (): FusionState => newFusion(new LiveBook(new Ladder(LEVELS_MAX)), 0)

interface Payload {
  bids: Level[]
  asks: Level[]
  mid?: string
  spread?: string
  imbalance?: string
  microprice?: string
  lastTrade?: { id: string }
  window: { start: number; end: number; trades: number; volume: string; vwap?: string }
  ranges: Partial<Record<FusedChannel, [string, string]>>
  suppressed: number
}

function payloadOf(state: FusionState, nowUs = 0): Payload {
  const parsed: unknown = JSON.parse(fuse(state, nowUs).data)
  payloadSchemas['ANALYTICS.FUSED'].parse(parsed)
  return parsed as Payload
}

const level = fc.tuple(
  fc.integer({ min: 1, max: 60 }).map((ticks) => (ticks / 10).toFixed(2)),
  fc.constantFrom('0.0', '1.0', '2.5'),
)
const bookEvent = fc.record({
  kind: fc.constantFrom('delta', 'delta', 'delta', 'delta', 'late', 'skip', 'gap', 'reset', 'snapshot'),
  bids: fc.array(level, { maxLength: 4 }),
  asks: fc.array(level, { maxLength: 4 }),
})
const other = fc.constantFrom('trade', 'quote', 'hole', 'epoch', 'repeat', 'publish', 'restore', 'expire', 'stale')
const story = fc.array(fc.oneof(bookEvent, other), { maxLength: 120 })

describe('fusion', () => {
  it('equals a naive book and naive sums under any sequence of events and faults', () => {
    fc.assert(
      fc.property(story, (events) => {
        let state = fresh()
        const naive = new NaiveLiveBook()
        const seq: Record<FusedChannel, number> = { ORDERBOOK: 0, TRADE: 0, QUOTE: 0 }
        const ends: Record<FusedChannel, number> = { ORDERBOOK: 0, TRADE: 0, QUOTE: 0 }
        const holes: Record<FusedChannel, number> = { ORDERBOOK: 0, TRADE: 0, QUOTE: 0 }
        let stored: { text: string; bids: Level[]; asks: Level[] } | null = null
        let epoch = 1
        let trades = 0
        let volume = '0'
        let toldTrades = 0
        let toldVolume = '0'
        let nowUs = 0
        let id = 100
        const publish = (): void => {
          nowUs += 1_000
          const payload = payloadOf(state, nowUs)
          expect(payload.bids.map(([price, much]) => [trimDecimal(price), much])).to.deep.equal(
            naive.joined ? naive.top('bids') : [],
          )
          expect(payload.asks.map(([price, much]) => [trimDecimal(price), much])).to.deep.equal(
            naive.joined ? naive.top('asks') : [],
          )
          toldTrades += payload.window.trades
          toldVolume = addDecimal(toldVolume, payload.window.volume)
          for (const channel of ['ORDERBOOK', 'TRADE', 'QUOTE'] as const) {
            const range = payload.ranges[channel]
            if (range === undefined) continue
            expect(Number(range[0])).to.equal(ends[channel] + 1 + holes[channel])
            holes[channel] = 0
            ends[channel] = Number(range[1])
          }
          stored = {
            text: carriedText(state, nowUs),
            bids: state.book.ladder.topBids(9e9),
            asks: state.book.ladder.topAsks(9e9),
          }
          state.book.ladder.settle()
          published(state, nowUs, 0)
        }
        const take = (one: SourceEvent): void => {
          let answer = step(state, one, limits)
          if (answer === 'publish-first') {
            publish()
            answer = step(state, one, limits)
          }
          expect(answer).to.equal('folded')
        }
        const next = (channel: FusedChannel, type: string, data: object): SourceEvent =>
          event(channel, ++seq[channel], type, data, String(epoch))
        for (const one of events) {
          if (typeof one === 'object') {
            const { kind, bids, asks } = one
            const first = kind === 'late' ? id - 3 : kind === 'skip' ? id + 5 : id + 1
            const last = kind === 'late' ? id - 1 : first + 1
            const [type, data] =
              kind === 'gap'
                ? ['ORDERBOOK.GAP', { from: String(id + 1), to: String(id + 5), cause: 'lost' }]
                : kind === 'reset'
                  ? ['ORDERBOOK.GAP', { cause: 'venue-reset' }]
                  : kind === 'snapshot'
                    ? ['ORDERBOOK.SNAPSHOT', { last: String(id), bids, asks, depth: 1000 }]
                    : ['ORDERBOOK.DELTA', { first: String(first), last: String(last), bids, asks }]
            if (kind === 'delta' || kind === 'skip') id = last
            take(next('ORDERBOOK', type as string, data as object))
            naive.take(type as string, data as Record<string, unknown>)
          } else if (one === 'trade') {
            trades++
            volume = addDecimal(volume, '0.50')
            take(next('TRADE', 'TRADE', { id: String(trades), price: '1.25', quantity: '0.50', side: 'buy' }))
          } else if (one === 'quote') {
            take(next('QUOTE', 'QUOTE', { bidPrice: '1.0', bidQuantity: '2', askPrice: '1.1', askQuantity: '3' }))
          } else if (one === 'hole') {
            if (seq.ORDERBOOK === 0 || state.positions.ORDERBOOK.epoch === '') continue
            publish()
            seq.ORDERBOOK += 3
            holes.ORDERBOOK += 3
            // Whether it can go on is for the next entry to say.
            naive.joined = false
            const data = { from: String(id + 1), to: String(id + 2), cause: 'lost' }
            take(next('ORDERBOOK', 'ORDERBOOK.GAP', data))
          } else if (one === 'epoch') epoch++
          else if (one === 'repeat') {
            if (seq.TRADE === 0 || state.positions.TRADE.epoch !== String(epoch)) continue
            const again = event(
              'TRADE',
              seq.TRADE,
              'TRADE',
              { id: '1', price: '9', quantity: '9', side: 'buy' },
              String(epoch),
            )
            expect(step(state, again, limits)).to.equal('repeated')
          } else if (one === 'publish') publish()
          else if (one === 'stale') setStale(state, !state.stale)
          else {
            // Another conductor goes on from what was stored, with its levels or with those rebuilt from the stream.
            publish()
            const { text, bids, asks } = stored as unknown as { text: string; bids: Level[]; asks: Level[] }
            const carried = parseCarried(text)
            if (carried === null) throw new Error('expected what was carried to be read again')
            const { positions, have, joined, digits, edges, ...rest } = carried
            const thin = (levels: Level[]): Level[] => levels.map(([price, much]) => [trimDecimal(price), much])
            const book = restoredBook({ bids: thin(bids), asks: thin(asks) }, have, joined, LEVELS_MAX, digits, edges)
            const before = fuse(state, nowUs)
            state = { ...newFusion(book, nowUs), ...rest, positions: { ...positions } }
            expect(fuse(state, nowUs).data).to.equal(before.data)
          }
        }
        publish()
        expect(toldTrades).to.equal(trades)
        expect(toldVolume).to.equal(volume)
        expect(ends).to.deep.equal(seq)
      }),
      { numRuns: Number(process.env.FUSION_RUNS ?? 500) },
    )
  }).timeout(600_000)

  it('computes what follows from the best prices exactly', () => {
    const state = fresh()
    const data = {
      last: '5',
      bids: [
        ['100.10', '3'],
        ['99', '1'],
      ],
      asks: [['100.20', '1']],
      depth: 1000,
    }
    step(state, event('ORDERBOOK', 1, 'ORDERBOOK.SNAPSHOT', data), limits)
    step(state, event('TRADE', 1, 'TRADE', { id: '7', price: '1.0', quantity: '3', side: 'sell' }), limits)
    step(state, event('TRADE', 2, 'TRADE', { id: '8', price: '2.0', quantity: '4', side: 'buy' }), limits)
    const payload = payloadOf(state, 50)
    expect(payload).to.include({ mid: '100.15', spread: '0.1', imbalance: '0.5', microprice: '100.175', suppressed: 2 })
    expect(payload.bids).to.deep.equal([
      ['100.10', '3'],
      ['99.00', '1'],
    ])
    expect(payload.window).to.deep.equal({ start: 0, end: 50, trades: 2, volume: '7', vwap: '1.571428571' })
    expect(payload.ranges).to.deep.equal({ ORDERBOOK: ['1', '1'], TRADE: ['1', '2'] })
    expect(payload.lastTrade?.id).to.equal('8')
  })

  it('shows no book while it is broken, and prices from the newest quote', () => {
    const state = fresh()
    expect(bookQuality(state)).to.equal('SYNCING')
    const data = { last: '5', bids: [['1.0', '3']], asks: [['1.2', '1']], depth: 1000 }
    step(state, event('ORDERBOOK', 1, 'ORDERBOOK.SNAPSHOT', data), limits)
    expect(bookQuality(state)).to.equal('LIVE')
    step(state, event('ORDERBOOK', 2, 'ORDERBOOK.GAP', { from: '6', to: '7', cause: 'lost' }), limits)
    const quote = { bidPrice: '1.4', bidQuantity: '1', askPrice: '1.6', askQuantity: '1' }
    step(state, event('QUOTE', 1, 'QUOTE', quote), limits)
    expect(payloadOf(state)).to.deep.include({ bids: [], asks: [], mid: '1.5' })
    expect(bookQuality(state)).to.equal('GAPPED')
    step(state, event('ORDERBOOK', 3, 'ORDERBOOK.DELTA', { first: '6', last: '8', bids: [], asks: [] }), limits)
    expect(bookQuality(state)).to.equal('LIVE')
    expect(payloadOf(state).mid).to.equal('1.1')
    step(
      state,
      event('ORDERBOOK', 4, 'ORDERBOOK.DELTA', { first: '9', last: '9', bids: [['1.2', '1']], asks: [] }),
      limits,
    )
    expect(bookQuality(state)).to.equal('CROSSED')
  })

  it('counts what was trimmed before it was read, and doubts the book', () => {
    const state = fresh()
    const data = { last: '5', bids: [['1.0', '3']], asks: [['1.2', '1']], depth: 1000 }
    step(state, event('ORDERBOOK', 1, 'ORDERBOOK.SNAPSHOT', data), limits)
    const delta = event('ORDERBOOK', 5, 'ORDERBOOK.DELTA', { first: '9', last: '9', bids: [], asks: [] })
    expect(step(state, delta, limits)).to.equal('publish-first')
    published(state, 1, 1)
    expect(step(state, delta, limits)).to.equal('folded')
    expect(state.notices).to.deep.equal([{ kind: 'lost', channel: 'ORDERBOOK', count: 3 }])
    expect(fuse(state, 2).quality).to.equal('GAPPED')
    expect(payloadOf(state).ranges.ORDERBOOK).to.deep.equal(['5', '5'])
  })

  it('tells an entry that cannot be folded, and goes on', () => {
    const state = fresh()
    step(state, event('ORDERBOOK', 1, 'ORDERBOOK.SNAPSHOT', null), limits)
    step(state, event('TRADE', 1, 'TRADE', { id: '1', price: 'x', quantity: '1', side: 'buy' }), limits)
    expect(state.notices.map(({ kind, channel }) => `${kind} ${channel}`)).to.deep.equal([
      'corrupt ORDERBOOK',
      'corrupt TRADE',
    ])
    expect(payloadOf(state)).to.deep.include({ ranges: { ORDERBOOK: ['1', '1'], TRADE: ['1', '1'] } })
  })

  it('leaves at once after a pause, then once in the throttle time, and early at a bound', () => {
    const state = fresh()
    expect(dueMs(state, limits)).to.equal(null)
    const trade = (seq: number) =>
      event('TRADE', seq, 'TRADE', { id: String(seq), price: '1', quantity: '1', side: 'buy' })
    step(state, trade(1), limits)
    expect(dueMs(state, limits)).to.equal(Number.NEGATIVE_INFINITY)
    published(state, 0, 1_000)
    expect(dueMs(state, limits)).to.equal(null)
    step(state, trade(2), limits)
    expect(dueMs(state, limits)).to.equal(1_100)
    for (let seq = 3; seq <= 51; seq++) step(state, trade(seq), limits)
    expect(dueMs(state, limits)).to.equal(Number.NEGATIVE_INFINITY)
    expect(step(state, trade(52), limits)).to.equal('publish-first')
  })

  it('does not take the filling of a gap for the last trade', () => {
    const state = fresh()
    const trade = (seq: number, id: string) =>
      event('TRADE', seq, 'TRADE', { id, price: '1', quantity: '1', side: 'buy' })
    step(state, trade(1, '9'), limits)
    step(state, trade(2, '4'), limits)
    expect(payloadOf(state).lastTrade?.id).to.equal('9')
    step(state, event('TRADE', 3, 'TRADE.GAP', { cause: 'venue-reset' }), limits)
    step(state, trade(4, '1'), limits)
    expect(payloadOf(state).lastTrade?.id).to.equal('1')
  })
})
