import { expect } from 'chai'
import fc from 'fast-check'
import { compileFilter, type FilteredEvent, type FilterRule } from '../../src/dispatcher/filters.ts'
import type { RouteRule } from '../../src/dispatcher/table.ts'
import { asInstrument } from '../../src/domain/instrument.ts'
import { UsageError } from '../../src/errors.ts'
import { info, market, tableOf, World } from './world.ts'

const rule = (type: RouteRule['type'], more: Partial<RouteRule> = {}): RouteRule => ({
  type,
  market,
  instruments: ['*'],
  ...more,
})

describe('the dispatch table', () => {
  it('subscribes with every book to the best prices that prove it, once, where the venue has them', () => {
    const one = [info('BTC-USDT')]
    const alone = tableOf([rule('ORDERBOOK')], one)
    expect([...alone.routes.keys()]).to.deep.equal(['btcusdt@depth@100ms'])
    expect([...alone.tickers.keys()]).to.deep.equal(['btcusdt@bookTicker'])
    expect(alone.topics).to.deep.equal(['btcusdt@depth@100ms', 'btcusdt@bookTicker'])
    const both = tableOf([rule('ORDERBOOK'), rule('QUOTE')], one)
    expect([both.tickers.size, both.topics]).to.deep.equal([0, ['btcusdt@depth@100ms', 'btcusdt@bookTicker']])
    const replayed = tableOf([rule('ORDERBOOK')], one, ['btcusdt@depth@100ms', 'btcusdt@bookTicker', 'btcusdt@trade'])
    expect([replayed.tickers.size, [...replayed.ignored]]).to.deep.equal([1, ['btcusdt@trade']])
    const without = tableOf([rule('ORDERBOOK')], one, ['btcusdt@depth@100ms'])
    expect([without.tickers.size, without.topics]).to.deep.equal([0, ['btcusdt@depth@100ms']])
  })

  it('leads from patterns to topics, and back from each topic to its channel', () => {
    const instruments = ['BTC-USDT', 'BTC-EUR', 'ETH-USDT'].map((name) => info(name))
    const table = tableOf(
      [rule('QUOTE', { instruments: ['BTC-*'] }), rule('TRADE', { instruments: ['*-EUR'] })],
      instruments,
    )
    expect(table.topics).to.deep.equal(['btcusdt@bookTicker', 'btceur@bookTicker', 'btceur@trade'])
    expect(table.routes.get('btceur@trade')).to.include({ channel: 'TRADE', instrument: 'BTC-EUR', numbering: 'trade' })
  })

  it('matches patterns from end to end', () => {
    const instruments = ['BTC-USDT', 'WBTC-USDT', 'BTC-USDTX', 'BTCUP-USDT'].map((name) => info(name))
    const matched = (pattern: string) =>
      [...tableOf([rule('QUOTE', { instruments: [pattern] })], instruments).routes.values()].map((r) => r.instrument)
    expect(matched('BTC-USDT')).to.deep.equal(['BTC-USDT'])
    expect(matched('BTC*-USDT')).to.deep.equal(['BTC-USDT', 'BTCUP-USDT'])
    expect(matched('*B*C*-*T')).to.deep.equal(['BTC-USDT', 'WBTC-USDT', 'BTCUP-USDT'])
  })

  it('makes trades from `trade` where it can be had, else from `aggTrade`, and leaves out what is over', () => {
    const available = ['btcusdt@trade', 'btcusdt@aggTrade', 'ethusdt@aggTrade', 'ethusdt@kline_5m', 'ethusdt@depth']
    const rules = [rule('TRADE'), rule('KLINE', { intervals: ['*'] }), rule('ORDERBOOK')]
    const table = tableOf(rules, undefined, available)
    expect(table.topics).to.deep.equal(['btcusdt@trade', 'ethusdt@aggTrade', 'ethusdt@kline_5m', 'ethusdt@depth'])
    expect([...table.ignored]).to.deep.equal(['btcusdt@aggTrade'])
    expect(table.routes.get('ethusdt@aggTrade')?.numbering).to.equal('aggTrade')
  })

  it('feeds a channel from one topic only', () => {
    const table = tableOf([rule('TRADE', { via: 'aggTrade' }), rule('TRADE')], [info('BTC-USDT')])
    expect(table.topics).to.deep.equal(['btcusdt@aggTrade'])
  })

  it('refuses what would make holes, and intervals that cannot be known', () => {
    const filters: FilterRule[] = [{ path: 'data.price', op: 'gt', value: '1' }]
    expect(() => tableOf([rule('TRADE', { filters })])).to.throw(UsageError, 'holes')
    expect(() => tableOf([rule('KLINE', { intervals: ['*'] })])).to.throw(UsageError, 'intervals')
  })

  it('gives what is sent from now on the new version', async () => {
    const world = new World()
    world.dispatcher.useTable({ ...tableOf(), version: 2 })
    world.dispatcher.event(world.trade(1))
    await world.dispatcher.whenIdle()
    expect(world.bus.calls[0]?.[0]?.tableVersion).to.equal(2)
  })

  it('lets through what its filters let through, and counts the rest', async () => {
    const filters: FilterRule[] = [{ path: 'data.askQuantity', op: 'lt', value: '3.00' }]
    const world = new World({ table: tableOf([rule('QUOTE', { filters })]) })
    world.dispatcher.event(world.quote(1))
    world.dispatcher.event({ ...world.quote(2), askQuantity: '2.999' })
    await world.dispatcher.whenIdle()
    expect(world.bus.ids('BTC-USDT', 'QUOTE')).to.deep.equal(['QUOTE 2'])
    expect(world.dispatcher.stats().filtered).to.equal(1)
  })
})

describe('filters', () => {
  const event = (data: unknown): FilteredEvent => ({
    type: 'QUOTE',
    market,
    instrument: asInstrument('BTC-USDT'),
    data,
  })
  const cases: [FilterRule, unknown, boolean][] = [
    [{ path: 'data.p', op: 'eq', value: '1.50' }, { p: '1.5' }, true],
    [{ path: 'data.p', op: 'eq', value: 1.5 }, { p: '1.500' }, true],
    [{ path: 'data.p', op: 'neq', value: '1' }, { p: '1.0' }, false],
    [{ path: 'data.p', op: 'neq', value: '1' }, {}, true],
    [{ path: 'data.p', op: 'gt', value: '9' }, { p: '10' }, true],
    [{ path: 'data.p', op: 'gt', value: '100000000000000000000' }, { p: '100000000000000000000.01' }, true],
    [{ path: 'data.p', op: 'lt', value: '9' }, { p: '-10' }, true],
    [{ path: 'data.p', op: 'lt', value: '9' }, {}, false],
    [{ path: 'data.side', op: 'in', value: ['buy', 'hold'] }, { side: 'buy' }, true],
    [{ path: 'data.side', op: 'in', value: ['buy'] }, { side: 'sell' }, false],
    [{ path: 'instrument', op: 'prefix', value: 'BTC-' }, {}, true],
    [{ path: 'type', op: 'eq', value: 'TRADE' }, {}, false],
    [{ path: 'data.x', op: 'exists' }, { x: null }, true],
    [{ path: 'data.x', op: 'exists', value: false }, {}, true],
    [{ path: 'data.toString', op: 'exists' }, {}, false],
    [{ path: 'data.bids.0.0', op: 'eq', value: '7' }, { bids: [['7.0', '1']] }, true],
    [{ path: 'data.closed', op: 'eq', value: true }, { closed: true }, true],
  ]
  for (const [one, data, expected] of cases) {
    it(`${expected ? 'lets' : 'does not let'} ${JSON.stringify(data)} through ${JSON.stringify(one)}`, () => {
      expect(compileFilter([one])?.(event(data))).to.equal(expected)
    })
  }

  it('refuses rules whose value does not fit the operator', () => {
    expect(() => compileFilter([{ path: 'data.p', op: 'in', value: 'x' }])).to.throw(UsageError)
    expect(() => compileFilter([{ path: 'data.p', op: 'gt' }])).to.throw(UsageError)
    expect(() => compileFilter([{ path: 'data..p', op: 'exists' }])).to.throw(UsageError)
  })

  it('decides like a naive reading of the rules', () => {
    const number = fc.integer({ min: -3, max: 3 })
    const written = number.chain((value) => fc.constantFrom(`${value}`, `${value}.0`, `${value}.00`))
    const path = fc.constantFrom('data.a', 'data.b', 'data.c.d')
    const one = fc.oneof(
      fc.record({
        path,
        op: fc.constantFrom('eq' as const, 'neq' as const, 'gt' as const, 'lt' as const),
        value: written,
      }),
      fc.record({ path, op: fc.constant('in' as const), value: fc.array(written, { maxLength: 3 }) }),
      fc.record({ path, op: fc.constant('exists' as const), value: fc.boolean() }),
    )
    const data = fc.record({ a: written, b: written, c: fc.record({ d: written }) }, { requiredKeys: ['a'] })
    fc.assert(
      fc.property(fc.array(one, { minLength: 1, maxLength: 3 }), data, (rules, payload) => {
        const found = (path: string) => {
          const text = path === 'data.a' ? payload.a : path === 'data.b' ? payload.b : payload.c?.d
          return text === undefined ? undefined : Number(text)
        }
        const expected = rules.every((r) => {
          const value = found(r.path)
          if (r.op === 'exists') return (value !== undefined) === r.value
          if (r.op === 'neq') return value === undefined || value !== Number(r.value)
          if (value === undefined) return false
          if (r.op === 'in') return r.value.some((v) => Number(v) === value)
          return r.op === 'eq'
            ? value === Number(r.value)
            : r.op === 'gt'
              ? value > Number(r.value)
              : value < Number(r.value)
        })
        expect(compileFilter(rules)?.(event(payload))).to.equal(expected)
      }),
    )
  })
})
