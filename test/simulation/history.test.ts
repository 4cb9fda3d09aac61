import { expect } from 'chai'
import { playHistory, type Told } from './history.ts'

/**
 * `MELTICA_SIM_SEED=n` plays that one history and prints it; `MELTICA_SIM_RUNS=n` plays so many however long it takes. Without
 * either a few hundred are played, or fewer where the machine is too busy for them.
 */
const SEED = process.env.MELTICA_SIM_SEED
const RUNS = Number(process.env.MELTICA_SIM_RUNS ?? 300)
const BUSY_MS = process.env.MELTICA_SIM_RUNS === undefined ? 8_000 : Number.POSITIVE_INFINITY
const RUNS_MIN = 25

describe('histories under one scheduler', function () {
  this.timeout(3_600_000)

  it(`lose, repeat and disorder nothing (${SEED === undefined ? `up to ${RUNS} of them` : `seed ${SEED}`})`, async () => {
    const from = SEED === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(SEED)
    const most = SEED === undefined ? RUNS : 1
    const begunMs = performance.now()
    const begunCpu = process.cpuUsage()
    const sum = { entries: 0, commits: 0, steps: 0, faults: 0, simulatedMs: 0 }
    let runs = 0
    while (runs < most && (runs < RUNS_MIN || performance.now() - begunMs < BUSY_MS)) {
      const told = await playHistory(from + runs++, SEED !== undefined)
      if (SEED !== undefined) console.log(told.lines.join('\n'))
      for (const figure of ['entries', 'commits', 'steps', 'faults', 'simulatedMs'] as const)
        sum[figure] += told[figure]
      if (told.failure !== null) expect.fail(await report(told, runs))
    }
    const seconds = (performance.now() - begunMs) / 1_000
    const { user, system } = process.cpuUsage(begunCpu)
    console.log(
      `    ${runs} histories from seed ${from}: ${sum.faults} faults, ${sum.entries} entries, ${sum.commits} commits,`,
      `${sum.steps} steps, ${Math.round(sum.simulatedMs / 1_000)} simulated s in ${seconds.toFixed(1)} s,`,
      `${Math.round((runs * 60) / seconds)} a minute, ${Math.round((runs * 6e7) / (user + system))} a minute of processor time`,
    )
  })

  it('are the same for the same seed', async () => {
    const [one, other] = [await playHistory(1, true), await playHistory(1, true)]
    expect(one.lines).to.have.length.above(100)
    expect(one).to.deep.equal(other)
  })
})

/** The failing history again, with what happened before the end. */
async function report({ seed, failure }: Told, tried: number): Promise<string> {
  const { lines } = await playHistory(seed, true)
  return [`${failure} (history ${tried}; MELTICA_SIM_SEED=${seed} replays it)`, ...lines.slice(-40)].join('\n')
}
