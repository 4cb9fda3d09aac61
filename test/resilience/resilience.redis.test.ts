import { expect } from 'chai'
import { Random } from '../../src/simulator/market/random.ts'
import { faultMixture, type TimedFault } from '../support/fault-mixture.ts'
import { Scenario } from '../support/scenario.ts'
import {
  channelsOf,
  expectWell,
  firstSeed,
  isLong,
  killAgainAndAgain,
  SYMBOLS,
  silenceEachKind,
  spread,
  tell,
} from './trials.ts'

/** The fault so that it is over within two seconds or two frames. */
function brief(fault: TimedFault): TimedFault {
  const { count } = fault
  switch (fault.fault) {
    case 'half-open':
    case 'refuse':
      return { ...fault, for: 1 }
    case 'serverShutdown':
      return { ...fault, delay: 1 }
    case 'rest-429':
    case 'rest-418':
      return { ...fault, retryAfter: 1 }
    default:
      return typeof count === 'number' ? { ...fault, count: Math.min(count, 2) } : fault
  }
}

const describeShort = isLong ? describe.skip : describe
describeShort('one system through all that can go wrong', function () {
  this.timeout(90_000)
  // Whole systems share the machine with other files here; what fails on it twice is no accident.
  this.retries(1)
  const instruments = SYMBOLS.length
  let scenario: Scenario

  before(async () => {
    console.log(`  seed ${firstSeed} (repeat with MELTICA_RESILIENCE_SEED=${firstSeed})`)
    scenario = await Scenario.start({
      instruments,
      seed: firstSeed,
      rate: 500,
      // Silence is found after 2 instead of 5 s, so that a short test sees it.
      settings: ['roles=[ingest]', 'ingest.connections.staleFloorMs=2000'],
    })
    await scenario.flowingSince(Date.now(), channelsOf(instruments))
  })
  after(() => scenario.close())

  it('leaves no gap when the venue shuts connections down', async () => {
    const shutdowns = spread(new Random(firstSeed, 1), 2, 3)
    await tell(
      scenario,
      shutdowns.map((at) => ({ at, fault: 'serverShutdown', delay: 3 })),
      3,
    )
    for (const channel of ['TRADE', 'QUOTE', 'TICKER', 'KLINE', 'ORDERBOOK']) {
      expect(await scenario.gaps(channel), channel).to.deep.equal([])
    }
  })

  it('finds and mends a silent stream of each kind while its neighbours flow', async () => {
    for (const { channel, silentMs, neighbourMs } of await silenceEachKind(scenario)) {
      expect(silentMs, channel).to.be.lessThan(10_000)
      expect(neighbourMs, `neighbour of ${channel}`).to.be.lessThan(4_500)
    }
  })

  it('takes random faults', async () => {
    const symbols = SYMBOLS.slice(0, 4).map((base) => `${base.toLowerCase()}usdt`)
    // Which stream of a connection had fallen silent just before the connection was lost, nobody can see.
    const faults = faultMixture(firstSeed, 18, 3, symbols).filter(({ fault }) => fault !== 'silent')
    await tell(scenario, faults.map(brief), 3)
  })

  it('survives kill -9', async () => {
    await killAgainAndAgain(scenario, firstSeed, 2, 3)
  })

  it('has lost and repeated nothing in the end, and told every gap once with its range', async () => {
    await expectWell(scenario, instruments)
  })
})
