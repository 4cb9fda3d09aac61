import { expect } from 'chai'
import { type ChaosReport, harmAtRandom } from './chaos.ts'
import { Fleet, quantile } from './fleet.ts'
import { chaosSetting } from './settings.ts'

/** The short form of a test that may take as long as one likes; see `settings.ts`. */
const SEED = chaosSetting('SEED', Math.floor(Math.random() * 2 ** 31))
const SECONDS = chaosSetting('SECONDS', 4)
const RATE = chaosSetting('RATE', 1_000)
const INSTRUMENTS = chaosSetting('INSTRUMENTS', 20)
const STOP_MS = chaosSetting('STOP_MS', 3_000)
const PAUSE_MS_MAX = chaosSetting('PAUSE_MS_MAX', 1_500)
const AT_ONCE_MAX = chaosSetting('AT_ONCE_MAX', 2)
/** Expiry, subscribing and the venue's next trade; the short form runs beside others on few cores. */
const AGAIN_MS_MAX = chaosSetting('AGAIN_MS_MAX', 5_000)
/** A process that is asked to end does so within 5 s, on a machine that lets it. */
const END_MS_MAX = chaosSetting('END_MS_MAX', 8_000)
const PARTITIONS = 64
const WORKERS = ['a', 'b', 'c']

/**
 * Trades a second from which on a stream's first trade after a kill says something, and for how long is looked. A market that
 * trades twice a second makes one in twenty wait for 1.5 s by itself.
 */
const TRADES_PER_SECOND_MIN = 5
const LOOK_MS = 8_000
/** After many kills the venue's weight per minute decides how long the last holes take. */
const HEAL_MS = 120_000 + 1_200 * SECONDS

describe('three ingest processes under harm at random', function () {
  this.timeout(SECONDS * 1_000 + HEAL_MS + 300_000)
  // Whole systems share the machine with other files here; what fails on it twice is no accident.
  this.retries(1)
  let fleet: Fleet

  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.log(`seed ${SEED}\n${fleet.log}`)
    return fleet.close()
  })

  it('lose, repeat and misplace nothing', async () => {
    // What books and trades cost at the venue is bounded by its weight per minute: smaller snapshots, more of them.
    const settings = ['cluster.handoverMs=2000', 'venues.binance.depthLimit=100']
    fleet = await Fleet.open({ instruments: INSTRUMENTS, rate: RATE, seed: SEED, partitions: PARTITIONS, settings })
    for (const id of WORKERS) fleet.startWorker(id)
    await fleet.settled(WORKERS, 1, 180_000)
    const [fromMs, before] = [await fleet.nowMs(), await fleet.entries()]
    const report = await harmAtRandom(fleet, {
      ...{ seconds: SECONDS, seed: SEED, stopMs: STOP_MS, pauseMsMax: PAUSE_MS_MAX, atOnceMax: AT_ONCE_MAX },
    })
    const seconds = ((await fleet.nowMs()) - fromMs) / 1_000
    const perSecond = Math.round(((await fleet.entries()) - before) / seconds)
    console.log(`      seed ${SEED}: ${Math.round(seconds)} s, ${perSecond} events/s, ${JSON.stringify(report.harms)}`)
    const endsMs = report.ends.map(({ ms }) => Math.round(ms)).sort((a, b) => a - b)
    console.log(`      ends that were asked for: ${endsMs.join(' ')} ms`)
    const againMs = await tradesAgainMs(fleet, report)
    const result = await fleet.verify(HEAL_MS)
    console.log(`      ${result.entries} entries, ${JSON.stringify({ ...result.wrong, ...result.notes })}`)
    expect(result.examples, `seed ${SEED}`).to.deep.equal([])
    expect(result.ok).to.equal(true)
    for (const { code, ms } of report.ends) {
      if (!fleet.wasHeldUp) expect(code).to.equal(0)
      expect(ms, 'an end that was asked for, ms').to.be.below(END_MS_MAX)
    }
    if (againMs.length > 0) expect(quantile(againMs, 0.95), 'p95, ms').to.be.below(AGAIN_MS_MAX)
  })
})

/** For each stream of a worker that was killed while nobody else was harmed: ms until trades flow again, ascending. */
async function tradesAgainMs(fleet: Fleet, { kills }: ChaosReport): Promise<number[]> {
  const [all, alone]: [number[], number[]] = [[], []]
  for (const { atMs, partitions, alone: isAlone } of kills) {
    const span = { fromMs: atMs, toMs: Math.min(atMs + LOOK_MS, await fleet.nowMs()) }
    const delays = await fleet.tradesAgainMs(span, partitions, TRADES_PER_SECOND_MIN)
    all.push(...delays)
    if (isAlone) alone.push(...delays)
  }
  for (const [name, delays] of Object.entries({ 'any kill': all, 'a kill alone': alone })) {
    delays.sort((a, b) => a - b)
    const [p50, p95] = [quantile(delays, 0.5), quantile(delays, 0.95)].map(Math.round)
    console.log(`      trades again after ${name}: ${delays.length} streams, p50 ${p50} ms, p95 ${p95} ms`)
  }
  return alone
}
