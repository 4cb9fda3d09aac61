import { expect } from 'chai'
import { loadConfig } from '../../src/config/load.ts'
import { FILTER_OPERATORS } from '../../src/config/schema.ts'
import { defaultDispatcherLimits } from '../../src/dispatcher/dispatcher.ts'
import { compileFilter, type FilterRule } from '../../src/dispatcher/filters.ts'
import type { RouteRule } from '../../src/dispatcher/table.ts'
import { bookLimits } from '../../src/processes/book-limits.ts'
import { defaultConnectionsOptions } from '../../src/venues/connections/options.ts'

/** What Binance allows. */
const WEIGHT_PER_MINUTE = 6_000

/** The parts carry bounds for their own tests; what runs is config/meltica.yaml. The two must not drift apart. */
describe('config/meltica.yaml and the parts it steers', () => {
  const { config } = loadConfig({})

  it('agree on the bounds of the dispatcher', () => {
    const limits: Record<string, unknown> = { ...defaultDispatcherLimits }
    const steered = {
      ...config.ingest,
      books: bookLimits(config, { weightPerMinute: () => WEIGHT_PER_MINUTE, processes: () => 1 }),
    }
    const shared = Object.entries(steered).filter(([name]) => name in limits)
    expect(shared).to.have.length.above(8)
    for (const [name, value] of shared) expect(value, name).to.deep.equal(limits[name])
  })

  it('divide the requests for book snapshots among the processes, by the weight that the venue allows', () => {
    let weightPerMinute = WEIGHT_PER_MINUTE
    let processes = 1
    const limits = bookLimits(config, { weightPerMinute: () => weightPerMinute, processes: () => processes })
    const paces = () => [limits.refreshesPerMinuteMax, limits.blindPerMinuteMax]
    expect(paces()).to.deep.equal([4.8, 24])
    processes = 4
    expect(paces()).to.deep.equal([1.2, 6])
    weightPerMinute = 1_200
    expect(paces()).to.deep.equal([0.24, 1.2])
  })

  it('agree on the numbers of the connections', () => {
    expect(defaultConnectionsOptions).to.deep.include(config.ingest.connections)
  })

  it('agree on what a route and a filter are', () => {
    const rules: readonly RouteRule[] = config.routes
    expect(rules).to.have.length(5)
    for (const op of FILTER_OPERATORS) {
      const value: FilterRule['value'] = op === 'in' ? ['1'] : op === 'exists' ? true : '1'
      expect(compileFilter([{ path: 'data.price', op, value }]), op).to.be.a('function')
    }
  })
})
