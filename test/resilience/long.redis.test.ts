import { expect } from 'chai'
import { Random } from '../../src/simulator/market/random.ts'
import { faultMixture } from '../support/fault-mixture.ts'
import { Scenario } from '../support/scenario.ts'
import {
  channelsOf,
  expectWell,
  FEEDS,
  firstSeed,
  isLong,
  killAgainAndAgain,
  SYMBOLS,
  seedsCount,
  silenceEachKind,
  spread,
  streamOf,
  tell,
} from './trials.ts'

const instruments = SYMBOLS.length
const symbols = SYMBOLS.slice(0, 4).map((base) => `${base.toLowerCase()}usdt`)
const BOTH_CONNECTIONS = 'ingest.connections.topicsPerConnection=15'

/** Minutes each; run by MELTICA_RESILIENCE=long alone. */
const describeLong = isLong ? describe : describe.skip
describeLong('over a long time (only with MELTICA_RESILIENCE=long)', function () {
  this.timeout(600_000)
  let scenario: Scenario
  afterEach(() => scenario.close())

  const start = async (seed: number, rate: number, settings: readonly string[], faults: readonly object[] = []) => {
    scenario = await Scenario.start({ instruments, seed, rate, settings, faults })
    await scenario.flowingSince(Date.now(), channelsOf(instruments))
  }

  for (let seed = firstSeed; seed < firstSeed + seedsCount; seed++) {
    it(`random faults, half of them by file, seed ${seed}`, async () => {
      const faults = faultMixture(seed, 26, 20, symbols)
      await start(
        seed,
        400,
        [],
        faults.filter((_, index) => index % 2 === 0),
      )
      await tell(
        scenario,
        faults.filter((_, index) => index % 2 === 1),
        35,
      )
      await expectWell(scenario, instruments)
    })
  }

  it('20 renewals and 20 shutdowns in 5 minutes at 2,000 events/s leave no gap at all', async () => {
    await start(firstSeed, 2_000, [BOTH_CONNECTIONS, 'ingest.connections.lifetimeMs=30000'])
    const shutdowns = spread(new Random(firstSeed, 1), 20, 300)
    await tell(
      scenario,
      shutdowns.map((at) => ({ at, fault: 'serverShutdown' })),
      310,
    )
    for (const [, channel] of FEEDS) expect(await scenario.gaps(channel), channel).to.deep.equal([])
    await expectWell(scenario, instruments)
  })

  it('100 reconnects, 20 renewals and 20 shutdowns in 5 minutes at 2,000 events/s leave no gap of trades unfilled', async () => {
    // A line that is cut every few seconds lives long enough for a renewal only if that comes early.
    await start(firstSeed, 2_000, [BOTH_CONNECTIONS, 'ingest.connections.lifetimeMs=10000'])
    const random = new Random(firstSeed, 2)
    const cuts = spread(random, 100, 300).map((at, index) => ({
      ...{ at, fault: 'disconnect', how: index % 2 === 0 ? 'reset' : 'close', count: 1 },
      stream: streamOf(SYMBOLS[random.below(instruments)] as string, 'trade'),
    }))
    const shutdowns = spread(new Random(firstSeed, 1), 20, 300).map((at) => ({ at, fault: 'serverShutdown', count: 1 }))
    await tell(
      scenario,
      [...cuts, ...shutdowns].sort((before, after) => before.at - after.at),
      300,
    )
    expect(scenario.renewals('lifetime'), 'renewals by age').to.be.at.least(20)
    await expectWell(scenario, instruments)
  })

  it('a silent stream of each kind is found and mended within 10 s, again and again', async () => {
    await start(firstSeed, 500, [])
    for (let round = 0; round < 10; round++) {
      for (const { channel, silentMs, neighbourMs } of await silenceEachKind(scenario)) {
        expect(silentMs, channel).to.be.lessThan(10_000)
        expect(neighbourMs, `neighbour of ${channel}`).to.be.lessThan(4_500)
      }
    }
    await expectWell(scenario, instruments)
  })

  it('20 kills within 3 minutes', async () => {
    await start(firstSeed, 1_000, [])
    await killAgainAndAgain(scenario, firstSeed, 20, 180)
    await expectWell(scenario, instruments)
  })

  it('2,000 instruments stay inside the limits of the venue and below 600 MB', async () => {
    scenario = await Scenario.start({ instruments: 2_000, seed: firstSeed, rate: 2_000 })
    let bytesMax = 0
    for (const untilMs = Date.now() + 180_000; Date.now() < untilMs; ) {
      await scenario.flowingSince(Date.now() + 1_000, [['BTC-USDT', 'TRADE']])
      bytesMax = Math.max(bytesMax, await scenario.workerBytes())
    }
    const { connections, violations } = await scenario.state()
    console.log(`      at most ${Math.round(bytesMax / 1e6)} MB`)
    expect(bytesMax).to.be.lessThan(600e6)
    expect(connections.reduce((sum, { streams }) => sum + streams, 0)).to.be.at.least(10_000)
    for (const [name, count] of Object.entries(violations)) expect(count, name).to.equal(0)
  })
})
