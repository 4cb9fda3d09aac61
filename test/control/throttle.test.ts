import { expect } from 'chai'
import type { ControlledChannel, Route, Subscription } from '../../src/control/contract.ts'
import { TableData } from '../../src/control/table-data.ts'
import { fusedThrottleMs } from '../../src/control/throttle.ts'

const GENERAL_MS = 100
const market = 'BINANCE-SPOT'

function table(
  routes: Partial<Record<ControlledChannel, number | null>>,
  subscriptions: readonly { instrument?: string; type?: ControlledChannel; throttleMs: number | null }[],
): TableData {
  const head = { version: 1, lineage: 'a', madeBy: '0-0' }
  const route = (type: ControlledChannel, throttleMs: number | null): Route => ({
    ...{ routeId: type, market, type, instruments: ['*'], filters: [], via: null, intervals: null },
    ...{ topics: [], rest: [], throttleMs, polls: [], sinceVersion: 1 },
  })
  const subscription = (at: number, wish: (typeof subscriptions)[number]): Subscription => ({
    ...{ subscriptionId: `s${at}`, consumer: 'c', market, instrument: 'BTC-USDT', type: 'TRADE', filters: [] },
    ...{ intervals: null, createdAtUs: 1, sinceVersion: 1, ...wish },
  })
  return new TableData(head, {
    routes: Object.entries(routes).map(([type, ms]) => [type, route(type as ControlledChannel, ms)] as const),
    subscriptions: subscriptions.map((wish, at) => [`s${at}`, subscription(at, wish)] as const),
    ...{ paused: [], channels: [], marks: [] },
  })
}

describe('the throttle of fused events', () => {
  const cases: readonly [string, number, TableData][] = [
    ['the general one where nobody names any', 100, table({ TRADE: null }, [{ throttleMs: null }])],
    ['what a route names', 500, table({ TRADE: null, ORDERBOOK: 500 }, [{ throttleMs: null }])],
    ['the shortest of several routes', 300, table({ TRADE: 300, ORDERBOOK: 500 }, [])],
    ['the shortest that a consumer wants', 20, table({}, [{ throttleMs: 20 }, { throttleMs: 40, type: 'QUOTE' }])],
    ['a longer one where all who are there want it', 900, table({}, [{ throttleMs: 900 }])],
    ['no longer than it is for who names none', 100, table({}, [{ throttleMs: 900 }, { throttleMs: null }])],
    ['none where a consumer wants every one', 0, table({ TRADE: 300 }, [{ throttleMs: 0 }])],
    ['untouched by those of other instruments', 100, table({}, [{ throttleMs: 20, instrument: 'ETH-USDT' }])],
    ['touched by the patterns that the configuration seeds', 20, table({}, [{ throttleMs: 20, instrument: '*-USDT' }])],
    ['untouched by channels that are not fused', 100, table({ TICKER: 5 }, [{ throttleMs: 20, type: 'TICKER' }])],
  ]
  for (const [name, expected, data] of cases) {
    it(`is ${name}`, () => expect(fusedThrottleMs(data, market, 'BTC-USDT', GENERAL_MS)).to.equal(expected))
  }
})
