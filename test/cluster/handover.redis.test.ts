import { expect } from 'chai'
import { Fleet, quantile } from './fleet.ts'

const SEED = Number(process.env.MELTICA_CHAOS_SEED ?? Math.floor(Math.random() * 2 ** 31))
const PARTITIONS = 64

/** Trades a second from which on a stream's first trade after a kill says something. */
const TRADES_PER_SECOND_MIN = 2

describe('several ingest processes', function () {
  this.timeout(90_000)
  let fleet: Fleet

  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.log(`seed ${SEED}\n${fleet.log}`)
    return fleet.close()
  })

  it('share the instruments, and lose and repeat nothing when one is killed, stands still, ends or starts', async () => {
    fleet = await Fleet.open({ instruments: 40, rate: 1_500, seed: SEED, partitions: PARTITIONS })
    fleet.startWorker('a')
    await fleet.settled(['a'])
    fleet.startWorker('b')
    fleet.startWorker('c')
    await fleet.settled(['a', 'b', 'c'])
    expect(await fleet.gaps(), 'gaps by handovers that were planned').to.deep.equal({})

    const partitions = (await fleet.members()).get('b')?.owns ?? new Set()
    const killedMs = await fleet.nowMs()
    await fleet.end('b', 'SIGKILL')
    await fleet.settled(['a', 'c'])
    const delays = await fleet.tradesAgainMs(killedMs, partitions, TRADES_PER_SECOND_MIN)
    console.log(`      trades again after a kill: ${delays.length} streams, p95 ${quantile(delays, 0.95)} ms`)
    expect(delays).to.have.length.above(2)
    expect(quantile(delays, 0.95)).to.be.below(3_000)

    fleet.startWorker('b')
    await fleet.settled(['a', 'b', 'c'])
    const afterKill = await fleet.gaps()
    fleet.signal('c', 'SIGSTOP')
    await fleet.settled(['a', 'b'])
    fleet.signal('c', 'SIGCONT')
    await fleet.settled(['a', 'b', 'c'], 1, 20_000)

    const beforeEnd = await fleet.gaps()
    const { code, ms } = await fleet.end('a', 'SIGTERM')
    expect(code).to.equal(0)
    expect(ms).to.be.below(5_000)
    expect((await fleet.members()).has('a')).to.equal(false)
    await fleet.settled(['b', 'c'])
    expect(await fleet.gaps(), 'gaps by an end that was planned').to.deep.equal(beforeEnd)
    expect(Object.keys(afterKill)).to.include('TRADE')

    const result = await fleet.verify()
    expect(result.examples, `seed ${SEED}`).to.deep.equal([])
    expect(result.ok).to.equal(true)
  })

  it('with two lines into each stream, a kill shows in no stream', async () => {
    const settings = ['ingest.redundancy=2']
    fleet = await Fleet.open({ instruments: 3, rate: 600, seed: SEED, partitions: PARTITIONS, settings })
    for (const id of ['a', 'b', 'c']) fleet.startWorker(id)
    await fleet.settled(['a', 'b', 'c'], 2)
    const stream = (await fleet.streams('QUOTE')).get('BINANCE-SPOT:BTC-USDT:QUOTE') ?? ''
    const partition = Number(/\{(\d+)\}/.exec(stream)?.[1])
    const owner = [...(await fleet.members())].find(([, { owns }]) => owns.has(partition))?.[0] ?? ''
    const killedMs = await fleet.nowMs()
    await fleet.end(owner, 'SIGKILL')
    const rest = ['a', 'b', 'c'].filter((id) => id !== owner)
    await fleet.settled(rest, 2)
    const endMs = await fleet.nowMs()
    const silenceMs = await fleet.longestSilenceMs(stream, killedMs - 500, endMs)
    const venueMs = await fleet.longestVenueSilenceMs('btcusdt@bookTicker', killedMs - 500, endMs)
    console.log(`      longest silence ${Math.round(silenceMs)} ms, the venue's own ${Math.round(venueMs)} ms`)
    expect(silenceMs).to.be.below(Math.max(200, venueMs + 50))
    expect(await fleet.gaps()).to.deep.equal({})
    const result = await fleet.verify()
    expect(result.examples, `seed ${SEED}`).to.deep.equal([])
    expect(result.ok).to.equal(true)
  })
})
