import { expect } from 'chai'
import fc from 'fast-check'
import type { Subscription } from '../../src/control/contract.ts'
import { seedOf } from '../../src/control/seed.ts'
import { type Change, channelKey, TableData } from '../../src/control/table-data.ts'
import { buildControlledTable, ControlledRoutes } from '../../src/dispatcher/controlled-table.ts'
import type { DispatchTable } from '../../src/dispatcher/table.ts'
import { parseTopic, topicFor } from '../../src/venues/binance/binance.ts'
import { info, market } from './world.ts'

const instruments = [info('BTC-USDT'), info('ETH-USDT')]
const fixed = { market, names: { topicFor, parseTopic }, available: null }
const every = { TRADE: ['t'], QUOTE: ['t'], TICKER: ['t'], KLINE: ['t'], ORDERBOOK: ['t'] }

function wish(subscriptionId: string, more: Partial<Subscription>): Subscription {
  return {
    ...{ subscriptionId, consumer: 'c', market, instrument: 'BTC-USDT', type: 'TRADE', filters: [], throttleMs: null },
    ...{ intervals: null, createdAtUs: 0, sinceVersion: 1, ...more },
  }
}

function tableWith(...wishes: Subscription[]): TableData {
  const { routes } = seedOf([], [{ market, topics: every, rest: every }], 1, 0)
  return new TableData(
    { version: 7, lineage: 'l', madeBy: '0-0' },
    {
      routes: routes.map((route) => [route.routeId, route]),
      subscriptions: wishes.map((one) => [one.subscriptionId, one]),
      ...{ paused: [], channels: [], marks: [] },
    },
  )
}

const shown = ({ routes }: DispatchTable) =>
  [...routes.values()].map(({ topic, version }) => `${topic} ${version}`).sort()

describe('the dispatch table that commands have made', () => {
  it('holds what somebody wants, and nothing of an instrument that is paused', () => {
    const table = tableWith(wish('a', {}), wish('b', { instrument: 'ETH-*', type: 'QUOTE' }))
    expect(shown(buildControlledTable({ ...fixed, table, instruments }))).to.deep.equal([
      'btcusdt@trade 1',
      'ethusdt@bookTicker 1',
    ])
    const value = { market, instrument: 'BTC-USDT', issuer: 'i', atUs: 0, sinceVersion: 2 }
    table.apply([{ part: 'paused', field: `${market}:BTC-USDT`, value }])
    expect(shown(buildControlledTable({ ...fixed, table, instruments }))).to.deep.equal(['ethusdt@bookTicker 1'])
  })

  it('carries the bars of all, and lets through what at least one consumer lets through', () => {
    const above = (value: string): Subscription['filters'] => [{ path: 'data.askPrice', op: 'gt', value }]
    const table = tableWith(
      wish('a', { type: 'KLINE', intervals: ['1m'] }),
      wish('b', { type: 'KLINE', intervals: ['1h', '1m'] }),
      wish('c', { type: 'QUOTE', filters: above('10') }),
      wish('d', { type: 'QUOTE', filters: above('5') }),
    )
    const { routes } = buildControlledTable({ ...fixed, table, instruments })
    expect([...routes.keys()]).to.have.members(['btcusdt@kline_1m', 'btcusdt@kline_1h', 'btcusdt@bookTicker'])
    const filter = routes.get('btcusdt@bookTicker')?.filter
    const lets = (askPrice: string) =>
      filter?.({ type: 'QUOTE', market, instrument: info('BTC-USDT').instrument, data: { askPrice } })
    expect([lets('4'), lets('6'), lets('11')]).to.deep.equal([false, true, true])
    table.apply([{ part: 'subscriptions', field: 'e', value: wish('e', { type: 'QUOTE' }) }])
    const all = buildControlledTable({ ...fixed, table, instruments })
    expect(all.routes.get('btcusdt@bookTicker')?.filter).to.equal(null)
  })

  it('remembers what it stopped, until it is wanted again', () => {
    const table = tableWith(wish('a', {}))
    const routes = new ControlledRoutes(fixed)
    routes.rebuild(table, instruments)
    table.apply([{ part: 'subscriptions', field: 'a', value: null }])
    expect([...(routes.update(table, [wish('a', {})]).former ?? [])]).to.deep.equal(['btcusdt@trade'])
    expect([...(routes.rebuild(table, instruments).former ?? [])]).to.deep.equal(['btcusdt@trade'])
    table.apply([{ part: 'subscriptions', field: 'a', value: wish('a', {}) }])
    expect([...(routes.update(table, [wish('a', {})]).former ?? [])]).to.deep.equal([])
  })

  it('is the same when only what a change is about is worked out again', () => {
    const change = fc.record({
      id: fc.constantFrom('a', 'b', 'c', 'd'),
      instrument: fc.constantFrom('BTC-USDT', 'ETH-USDT'),
      type: fc.constantFrom('TRADE' as const, 'KLINE' as const),
      intervals: fc.constantFrom(['1m'], ['5m'], ['1m', '5m']),
      removes: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
        const table = tableWith()
        const routes = new ControlledRoutes(fixed)
        routes.rebuild(table, instruments)
        for (const { id, instrument, type, intervals, removes } of changes) {
          const was = table.subscriptions.get(id)
          table.version++
          const value = removes
            ? null
            : wish(id, { instrument, type, intervals: type === 'KLINE' ? [...intervals] : null })
          const about = [was, value].filter((one) => one !== null && one !== undefined)
          const made: Change[] = [{ part: 'subscriptions', field: id, value }]
          for (const one of about) {
            const state = { market, instrument: one.instrument, type: one.type, version: table.version }
            made.push({
              part: 'channels',
              field: channelKey(market, one.instrument, one.type),
              value: { ...state, open: true },
            })
          }
          table.apply(made)
          expect(shown(routes.update(table, about))).to.deep.equal(
            shown(buildControlledTable({ ...fixed, table, instruments })),
          )
        }
      }),
    )
  })
})
