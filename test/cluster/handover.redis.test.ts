import { expect } from 'chai'
import { parsePartitions } from '../../src/domain/partition-set.ts'
import { Fleet } from './fleet.ts'
import { chaosSetting } from './settings.ts'

/** The short forms of tests that may take as long as one likes; see `settings.ts`. */
const SEED = chaosSetting('SEED', Math.floor(Math.random() * 2 ** 31))
const ROLLING = { workers: chaosSetting('WORKERS', 2), rounds: chaosSetting('ROUNDS', 1) }
const INSTRUMENTS = chaosSetting('INSTRUMENTS', 20)
const KILLS = chaosSetting('KILLS', 1)
/** Beside a second line; the short form runs beside other tests on few cores. */
const SILENCE_MS_MAX = chaosSetting('SILENCE_MS_MAX', 1_000)
const RATE = chaosSetting('RATE', 1_000)
/** 5 s on a machine that lets it. */
const END_MS_MAX = chaosSetting('END_MS_MAX', 8_000)
const PARTITIONS = 64
const WORKERS = ['a', 'b', 'c']
const SETTLED_MS_MAX = 180_000
/** A stream without data for so long counts as quiet at its new owner. */
const QUICK = 'cluster.handoverMs=2000'
/** What books cost at the venue is bounded by its weight per minute: smaller snapshots, more of them. */
const LIGHT = 'venues.binance.depthLimit=100'

describe('several ingest processes', function () {
  this.timeout(400_000 + 60_000 * (ROLLING.rounds + KILLS))
  // Whole systems share the machine with other files here; what fails on it twice is no accident.
  this.retries(1)
  let fleet: Fleet

  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.log(`seed ${SEED}\n${fleet.log}`)
    return fleet.close()
  })

  it('are restarted one after the other, and nothing is lost, repeated or told as missing', async () => {
    const settings = [QUICK, LIGHT]
    const workers = Array.from({ length: ROLLING.workers }, (_, index) => `worker-${index}`)
    fleet = await Fleet.open({ instruments: INSTRUMENTS, rate: RATE, seed: SEED, partitions: PARTITIONS, settings })
    for (const id of workers) fleet.startWorker(id)
    await fleet.settled(workers, 1, SETTLED_MS_MAX)
    const [fromMs, before] = [await fleet.nowMs(), await fleet.entries()]
    const slowest = { ms: 0 }
    for (let round = 0; round < ROLLING.rounds; round++) {
      for (const id of workers) {
        const { code, ms } = await fleet.end(id, 'SIGTERM')
        if (!fleet.wasHeldUp) expect(code).to.equal(0)
        slowest.ms = Math.max(slowest.ms, ms)
        if (!fleet.wasHeldUp) expect((await fleet.members()).has(id), `${id} on the list`).to.equal(false)
        fleet.startWorker(id)
        await fleet.settled(workers, 1, SETTLED_MS_MAX)
      }
    }
    const perSecond = Math.round(((await fleet.entries()) - before) / (((await fleet.nowMs()) - fromMs) / 1_000))
    console.log(`      seed ${SEED}: ${perSecond} events/s, slowest end ${Math.round(slowest.ms)} ms`)
    expect(slowest.ms).to.be.below(END_MS_MAX)

    const rows = await fleet.show()
    expect(rows.map(({ worker, state }) => `${worker} ${state}`)).to.have.members(workers.map((id) => `${id} active`))
    // What is changing hands at the moment two of them own.
    const owned = [...new Set(rows.flatMap((row) => [...parsePartitions(row.owned)]))]
    expect(owned.sort((a, b) => a - b)).to.deep.equal([...Array(PARTITIONS).keys()])
    for (const row of rows) expect(Date.parse(row.flowsSince ?? '')).to.be.above(fromMs)

    if (!fleet.wasHeldUp) expect(await fleet.gaps(), 'gaps by restarts that were planned').to.deep.equal({})
    const result = await fleet.verify()
    expect(result.examples, `seed ${SEED}`).to.deep.equal([])
    expect(result.ok).to.equal(true)
  })

  it('with two lines into each stream, kills show in no stream', async () => {
    const settings = ['ingest.redundancy=2', QUICK]
    fleet = await Fleet.open({ instruments: 3, rate: 600, seed: SEED, partitions: PARTITIONS, settings })
    for (const id of WORKERS) fleet.startWorker(id)
    await fleet.settled(WORKERS, 2, SETTLED_MS_MAX)
    const stream = (await fleet.streams('QUOTE')).get('BINANCE-SPOT:BTC-USDT:QUOTE') ?? ''
    const partition = Number(/\{(\d+)\}/.exec(stream)?.[1])
    const longest = { ours: 0, venue: 0 }
    for (let kill = 0; kill < KILLS; kill++) {
      const owner = [...(await fleet.members())].find(([, { owns }]) => owns.has(partition))?.[0] ?? ''
      const killedMs = await fleet.nowMs()
      await fleet.end(owner, 'SIGKILL')
      const rest = WORKERS.filter((id) => id !== owner)
      await fleet.settled(rest, 2, SETTLED_MS_MAX)
      const endMs = await fleet.nowMs()
      const venueMs = await fleet.longestVenueSilenceMs('btcusdt@bookTicker', killedMs - 500, endMs)
      const silenceMs = await fleet.longestSilenceMs(stream, killedMs - 500, endMs)
      longest.venue = Math.max(longest.venue, venueMs)
      longest.ours = Math.max(longest.ours, silenceMs)
      expect(silenceMs).to.be.below(Math.max(SILENCE_MS_MAX, venueMs + 50))
      if (kill + 1 === KILLS) break
      fleet.startWorker(owner)
      await fleet.settled(WORKERS, 2, SETTLED_MS_MAX)
    }
    const { ours, venue } = longest
    console.log(`      ${KILLS} kills: longest silence ${Math.round(ours)} ms, the venue's own ${Math.round(venue)} ms`)
    if (!fleet.wasHeldUp) expect(await fleet.gaps()).to.deep.equal({})
    const result = await fleet.verify()
    expect(result.examples, `seed ${SEED}`).to.deep.equal([])
    expect(result.ok).to.equal(true)
  })
})
