import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import fc from 'fast-check'
import { addDecimal, multiplyDecimal, trimDecimal } from '../../../src/domain/decimal.ts'
import { asMarket } from '../../../src/domain/instrument.ts'
import { BinanceStreams } from '../../../src/venues/binance/binance.ts'
import type { Frame, VenueEvent, VenueTrade } from '../../../src/venues/venue.ts'
import { binanceCaptures, capturePath, expectedPath, needRecording, readCapture } from '../../support/capture.ts'

const RECEIVED_US = 1_723_161_255_000_123

function streams(options: { timeUnit?: 'ms' | 'us'; frameBytesMax?: number } = {}): BinanceStreams {
  return new BinanceStreams({ market: asMarket('BINANCE-SPOT'), streamUrl: 'wss://stream.invalid:9443/', ...options })
}

function parse(frame: unknown, options: { timeUnit?: 'ms' | 'us'; frameBytesMax?: number } = {}): Frame {
  return streams(options).parseFrame(typeof frame === 'string' ? frame : JSON.stringify(frame), RECEIVED_US)
}

function eventOf(frame: Frame): VenueEvent {
  if (frame.type !== 'event') throw new Error(`event expected, found ${JSON.stringify(frame)}`)
  return frame.event
}

/** Frames in the venue's form to be damaged one field at a time. */
const valid: Record<string, { stream: string; data: Record<string, unknown> }> = {
  trade: {
    stream: 'btcusdt@trade',
    data: {
      e: 'trade',
      E: 1723161255343,
      s: 'BTCUSDT',
      t: 7,
      p: '61837.63000000',
      q: '0.02',
      T: 1723161255342,
      m: true,
    },
  },
  aggTrade: {
    stream: 'btcusdt@aggTrade',
    data: {
      e: 'aggTrade',
      E: 1723161255343,
      s: 'BTCUSDT',
      a: 7,
      p: '1.0',
      q: '2',
      f: 1,
      l: 2,
      T: 1723161255342,
      m: false,
    },
  },
  bookTicker: {
    stream: 'btcusdt@bookTicker',
    data: { u: 9, s: 'BTCUSDT', b: '1.10', B: '2', a: '1.20', A: '3' },
  },
  depth: {
    stream: 'btcusdt@depth@100ms',
    data: { e: 'depthUpdate', E: 1723161255208, s: 'BTCUSDT', U: 5, u: 9, b: [['1.10', '0.000']], a: [['1.20', '3']] },
  },
  ticker: {
    stream: 'btcusdt@ticker',
    data: {
      ...{
        e: '24hrTicker',
        E: 1723161255208,
        s: 'BTCUSDT',
        p: '-0.10',
        P: '-2.500',
        w: '1.1',
        x: '1.2',
        c: '1.1',
        Q: '1',
      },
      ...{ b: '1.0', B: '2', a: '1.2', A: '3', o: '1.2', h: '1.3', l: '1.0', v: '100', q: '110' },
      ...{ O: 1723074855208, C: 1723161255208, F: 1, L: 50, n: 50 },
    },
  },
  kline: {
    stream: 'btcusdt@kline_1m',
    data: {
      ...{ e: 'kline', E: 1723161255208, s: 'BTCUSDT' },
      k: {
        ...{ t: 1723161240000, T: 1723161299999, s: 'BTCUSDT', i: '1m', f: 1, L: 3, o: '1', c: '2', h: '3', l: '0.5' },
        ...{ v: '10', n: 3, x: false, q: '15', V: '5', Q: '7', B: '0' },
      },
    },
  },
}

function damaged(name: string, path: string, value: unknown): unknown {
  const frame = structuredClone(valid[name])
  if (frame === undefined) throw new Error(`no frame ${name}`)
  const steps = path.split('.')
  let target = frame as unknown as Record<string, unknown>
  for (const step of steps.slice(0, -1)) target = target[step] as Record<string, unknown>
  const last = steps.at(-1) ?? ''
  if (value === undefined) delete target[last]
  else target[last] = value
  return frame
}

interface Oracle {
  readonly messages: Record<string, number>
  readonly trades?: Record<string, TradeTotals>
  readonly aggTrades?: Record<string, TradeTotals>
}

interface TradeTotals {
  readonly count: number
  readonly sum_qty: string
  readonly sum_notional: string
  readonly taker_buy: number
  readonly first_id: number
  readonly last_id: number
}

function totalsOf(trades: readonly VenueTrade[]): TradeTotals {
  let sumQuantity = '0'
  let sumNotional = '0'
  for (const trade of trades) {
    sumQuantity = addDecimal(sumQuantity, trade.quantity)
    sumNotional = addDecimal(sumNotional, multiplyDecimal(trade.price, trade.quantity))
  }
  return {
    count: trades.length,
    sum_qty: sumQuantity,
    sum_notional: sumNotional,
    taker_buy: trades.filter((trade) => trade.side === 'buy').length,
    first_id: trades[0]?.id ?? -1,
    last_id: trades.at(-1)?.id ?? -1,
  }
}

describe('Binance frames', () => {
  for (const name of binanceCaptures) {
    it(`admits every frame of ${name} and loses no digit`, function () {
      needRecording(this, name)
      const oracle = JSON.parse(readFileSync(expectedPath(name), 'utf8')) as Oracle
      const adapter = streams()
      const counts = { trade: 0, quote: 0, delta: 0, kline: 0, ticker: 0, snapshot: 0 }
      const trades = new Map<string, VenueTrade[]>()
      for (const line of readCapture(capturePath(name))) {
        if (line.kind !== 'ws') continue
        const event = eventOf(adapter.parseFrame(line.msg, RECEIVED_US))
        counts[event.kind]++
        for (const text of decimalsOf(event)) {
          if (!line.msg.includes(`"${text}"`)) expect.fail(`"${text}" is not in the frame ${line.msg}`)
        }
        if (event.kind !== 'trade') continue
        const known = trades.get(event.symbol)
        if (known === undefined) trades.set(event.symbol, [event])
        else known.push(event)
      }
      const { messages } = oracle
      expect(counts).to.include({
        trade: (messages['ws trade'] ?? 0) + (messages['ws aggTrade'] ?? 0),
        quote: messages['ws bookTicker'] ?? 0,
        delta: messages['ws depth'] ?? 0,
        kline: messages['ws kline_1m'] ?? 0,
      })
      const expectedTrades = oracle.trades ?? oracle.aggTrades ?? {}
      expect([...trades.keys()]).to.have.members(Object.keys(expectedTrades))
      for (const [symbol, totals] of Object.entries(expectedTrades)) {
        const found = totalsOf(trades.get(symbol) ?? [])
        for (const field of ['count', 'taker_buy', 'first_id', 'last_id'] as const) {
          expect(found[field], `${field} of ${symbol}`).to.equal(totals[field])
        }
        expect(found.sum_qty).to.equal(trimDecimal(totals.sum_qty))
        expect(found.sum_notional).to.equal(trimDecimal(totals.sum_notional))
      }
    })
  }

  it('says the taker side, the numbering and both times of a trade', () => {
    expect(eventOf(parse(valid.trade))).to.deep.equal({
      kind: 'trade',
      topic: 'btcusdt@trade',
      symbol: 'BTCUSDT',
      venueTimeUs: 1_723_161_255_342_000,
      receivedTimeUs: RECEIVED_US,
      source: 'binance.ws.trade',
      numbering: 'trade',
      id: 7,
      price: '61837.63000000',
      quantity: '0.02',
      side: 'sell',
    })
    const aggregate = eventOf(parse(valid.aggTrade))
    expect(aggregate).to.include({ numbering: 'aggTrade', id: 7, side: 'buy', source: 'binance.ws.aggTrade' })
  })

  it('takes each field of a ticker and of a kline from its place', () => {
    expect(eventOf(parse(valid.ticker))).to.deep.include({
      ...{
        kind: 'ticker',
        change: '-0.10',
        changePercent: '-2.500',
        open: '1.2',
        high: '1.3',
        low: '1.0',
        last: '1.1',
      },
      ...{ lastQuantity: '1', vwap: '1.1', volume: '100', quoteVolume: '110', bidPrice: '1.0', bidQuantity: '2' },
      ...{ askPrice: '1.2', askQuantity: '3', openTimeUs: 1_723_074_855_208_000, closeTimeUs: 1_723_161_255_208_000 },
      ...{ firstTradeId: 1, lastTradeId: 50, trades: 50 },
    })
    expect(eventOf(parse(valid.kline))).to.deep.include({
      ...{ kind: 'kline', interval: '1m', openTimeUs: 1_723_161_240_000_000, closeTimeUs: 1_723_161_299_999_000 },
      ...{ open: '1', high: '3', low: '0.5', close: '2', volume: '10', quoteVolume: '15', trades: 3 },
      ...{ takerBuyVolume: '5', takerBuyQuoteVolume: '7', closed: false, firstTradeId: 1, lastTradeId: 3 },
    })
  })

  it('gives a quote no venue time, because the venue tells none', () => {
    expect(eventOf(parse(valid.bookTicker))).to.include({ kind: 'quote', venueTimeUs: null, updateId: 9 })
  })

  it('takes microseconds as they are on a connection that asked for them, and refuses milliseconds there', () => {
    const microseconds = damaged('trade', 'data.T', 1_723_161_255_342_001)
    expect(eventOf(parse(microseconds, { timeUnit: 'us' })).venueTimeUs).to.equal(1_723_161_255_342_001)
    expect(parse(valid.trade, { timeUnit: 'us' }).type).to.equal('rejected')
    expect(parse(microseconds).type).to.equal('rejected')
  })

  it('admits a day without trades and fields that nobody knows yet', () => {
    expect(eventOf(parse(damaged('ticker', 'data.F', -1)))).to.include({ firstTradeId: null, lastTradeId: 50 })
    expect(parse(damaged('trade', 'data.somethingNew', { a: [1] })).type).to.equal('event')
  })

  it('understands payloads without an envelope', () => {
    const topics = Object.values(valid).map(({ stream, data }) => [stream, eventOf(parse(data)).topic])
    for (const [combined, raw] of topics) expect(raw).to.equal(combined)
  })

  it('understands symbols outside ASCII, escaped or not, and changes the case of ASCII letters only', () => {
    const text = JSON.stringify({ ...valid.trade, stream: '币安人生é1usdt@trade' }).replace('BTCUSDT', '币安人生é1USDT')
    const escaped = text.replace(/[^ -~]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`)
    for (const frame of [text, escaped]) expect(eventOf(parse(frame)).symbol).to.equal('币安人生é1USDT')
  })

  describe('answers to control messages', () => {
    const cases: [string, unknown, unknown][] = [
      ['an acknowledgement', { result: null, id: 1 }, { id: 1, error: null, topics: null }],
      ['a list', { result: ['btcusdt@trade'], id: 3 }, { id: 3, error: null, topics: ['btcusdt@trade'] }],
      ['a property', { result: true, id: 5 }, { id: 5, error: null, topics: null }],
      ['a flat error', { code: 2, msg: 'Invalid request', id: 4 }, { id: 4, error: '2 Invalid request', topics: null }],
      ['an error without id', { code: 3, msg: 'Invalid JSON' }, { id: -1, error: '3 Invalid JSON', topics: null }],
      ['a nested error', { error: { code: 4, msg: 'Too many' }, id: 9 }, { id: 9, error: '4 Too many', topics: null }],
      ['a null id', { result: null, id: null }, { id: -1, error: null, topics: null }],
    ]
    for (const [name, frame, reply] of cases) {
      it(`reads ${name}`, () => {
        expect(parse(frame)).to.deep.equal({ type: 'reply', ...(reply as object) })
      })
    }
  })

  it('knows serverShutdown in both forms', () => {
    const data = { e: 'serverShutdown', E: 1770123456789 }
    expect(parse(data)).to.deep.equal({ type: 'shutdown' })
    expect(parse({ stream: '!serverShutdown', data })).to.deep.equal({ type: 'shutdown' })
  })

  describe('what is not admitted', () => {
    const absurdId = 'a safe integer >= 0'
    const absurdAmount = 'a decimal string'
    const table: [name: string, path: string, value: unknown, detail: string][] = [
      ['trade', 'data.t', -1, absurdId],
      ['trade', 'data.t', 1.5, absurdId],
      ['trade', 'data.t', 2 ** 53, absurdId],
      ['trade', 'data.t', '7', absurdId],
      ['trade', 'data.t', undefined, 'found nothing'],
      ['trade', 'data.p', '1e5', absurdAmount],
      ['trade', 'data.p', 61837.63, absurdAmount],
      ['trade', 'data.p', '-1', absurdAmount],
      ['trade', 'data.p', 'NaN', absurdAmount],
      ['trade', 'data.q', '', absurdAmount],
      ['trade', 'data.q', '9'.repeat(41), absurdAmount],
      ['trade', 'data.q', null, absurdAmount],
      ['trade', 'data.T', 0, 'Unix time'],
      ['trade', 'data.T', -1723161255342, 'Unix time'],
      ['trade', 'data.T', 9e15, 'Unix time'],
      ['trade', 'data.m', 'true', 'true or false'],
      ['trade', 'data.s', 'ETHUSDT', '"BTCUSDT" as in the topic'],
      ['trade', 'data.s', undefined, '"BTCUSDT" as in the topic'],
      ['trade', 'data.e', undefined, '"trade" as in the topic'],
      ['trade', 'data.e', 5, '"trade" as in the topic'],
      ['trade', 'data', null, 'an object'],
      ['trade', 'data', [], 'an object'],
      ['trade', 'data', undefined, 'an object'],
      ['trade', 'stream', 5, 'a text'],
      ['aggTrade', 'data.a', null, absurdId],
      ['bookTicker', 'data.u', -3, absurdId],
      ['bookTicker', 'data.b', '.5', absurdAmount],
      ['bookTicker', 'data.A', '5.', absurdAmount],
      ['bookTicker', 'data.B', ['2'], absurdAmount],
      ['depth', 'data.E', '1723161255208', 'Unix time'],
      ['depth', 'data.U', 10, 'U <= u expected, found U 10 and u 9'],
      ['depth', 'data.u', null, absurdId],
      ['depth', 'data.b', null, 'pairs'],
      ['depth', 'data.b', [['1', '2'], ['3']], 'b[1]'],
      ['depth', 'data.a', [['1', 2]], 'a[0]'],
      ['depth', 'data.a', [['1', '2', '3']], 'a[0]'],
      ['depth', 'data.a', { length: 1 }, 'pairs'],
      ['ticker', 'data.p', 'minus', 'a decimal string without exponent'],
      ['ticker', 'data.w', '-1', absurdAmount],
      ['ticker', 'data.C', null, 'Unix time'],
      ['ticker', 'data.F', -2, absurdId],
      ['ticker', 'data.n', '50', absurdId],
      ['kline', 'data.k', null, 'an object'],
      ['kline', 'data.k.i', '5m', '"1m" as in the topic'],
      ['kline', 'data.k.t', 'x', 'Unix time'],
      ['kline', 'data.k.T', 1723161230000, 'k.t <= k.T'],
      ['kline', 'data.k.x', 1, 'true or false'],
      ['kline', 'data.k.V', undefined, absurdAmount],
    ]
    for (const [name, path, value, detail] of table) {
      const shown = JSON.stringify(value)?.slice(0, 40) ?? 'nothing'
      it(`rejects a ${name} with ${path} = ${shown} as malformed`, () => {
        const frame = parse(damaged(name, path, value))
        if (frame.type !== 'rejected') throw new Error(`rejected expected, found ${JSON.stringify(frame)}`)
        expect(frame.frame.reason).to.equal('malformed')
        expect(frame.frame.detail).to.contain(detail)
        expect(frame.frame.detail)
          .to.match(/expected/)
          .and.match(/found/)
      })
    }

    const unmapped: [string, unknown][] = [
      ['a partial book', { stream: 'btcusdt@depth20@100ms', data: { lastUpdateId: 1, bids: [], asks: [] } }],
      ['all mini tickers', { stream: '!miniTicker@arr', data: [] }],
      ['a kline of a shifted day', { stream: 'btcusdt@kline_1d@+08:00', data: {} }],
      ['an interval nobody knows', { stream: 'btcusdt@kline_7m', data: {} }],
      ['a topic of endless length', { stream: `${'x'.repeat(5_000)}@trade`, data: {} }],
      ['an event type nobody knows', damaged('trade', 'data.e', 'blockTrade')],
      ['a raw event type nobody knows', { e: 'avgPrice', E: 1693907033000, s: 'BTCUSDT', i: '5m', w: '1' }],
      ['an object that says nothing', {}],
    ]
    for (const [name, given] of unmapped) {
      it(`rejects ${name} as unmapped`, () => {
        const frame = parse(given)
        if (frame.type !== 'rejected') throw new Error(`rejected expected, found ${JSON.stringify(frame)}`)
        expect(frame.frame.reason).to.equal('unmapped')
        expect(frame.frame.topic?.length ?? 0).to.be.at.most(120)
      })
    }

    it('rejects truncated JSON as malformed and still says which topic it came by', () => {
      const whole = JSON.stringify(valid.depth)
      const named = whole.indexOf('",')
      for (let length = 0; length < whole.length; length++) {
        const frame = parse(whole.slice(0, length))
        if (frame.type !== 'rejected') throw new Error(`rejected expected at ${length}`)
        expect(frame.frame.reason).to.equal('malformed')
        expect(frame.frame.topic).to.equal(length > named ? 'btcusdt@depth@100ms' : null)
      }
    })

    it('does not read a frame above the bound, and keeps only a sample of it', () => {
      const frame = parse(`{"stream":"btcusdt@trade","data":"${'x'.repeat(50 * 1_024 * 1_024)}"}`)
      if (frame.type !== 'rejected') throw new Error('rejected expected')
      expect(frame.frame).to.include({ reason: 'oversized', topic: 'btcusdt@trade', receivedTimeUs: RECEIVED_US })
      expect(frame.frame.sample).to.have.length(1_000)
      expect(parse(valid.trade, { frameBytesMax: 50 })).to.have.nested.property('frame.reason', 'oversized')
    })

    it('never throws, whatever arrives', () => {
      const adapter = streams()
      const names = Object.keys(valid)
      const mutation = fc.tuple(fc.constantFrom(...names), fc.nat(400), fc.nat(400), fc.string({ maxLength: 5 }))
      const mutated = mutation.map(([name, from, count, text]) => {
        const whole = JSON.stringify(valid[name])
        return whole.slice(0, from) + text + whole.slice(from + count)
      })
      const enveloped = fc.tuple(fc.constantFrom('btcusdt@trade', 'btcusdt@depth', 'btcusdt@kline_1m'), fc.jsonValue())
      const any = fc.oneof(
        fc.string(),
        fc.json(),
        mutated,
        enveloped.map(([stream, data]) => JSON.stringify({ stream, data })),
      )
      fc.assert(
        fc.property(any, (text) => {
          expect(adapter.parseFrame(text, 1).type).to.be.oneOf(['event', 'reply', 'rejected', 'shutdown'])
        }),
        { numRuns: 3_000 },
      )
    })
  })
})

function decimalsOf(event: VenueEvent): string[] {
  switch (event.kind) {
    case 'trade':
      return [event.price, event.quantity]
    case 'quote':
      return [event.bidPrice, event.bidQuantity, event.askPrice, event.askQuantity]
    case 'delta':
    case 'snapshot':
      return [...event.bids, ...event.asks].flat()
    case 'kline':
      return [event.open, event.high, event.low, event.close, event.volume, event.quoteVolume]
    case 'ticker':
      return [event.open, event.last, event.volume]
  }
}
