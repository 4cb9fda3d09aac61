import { expect } from 'chai'
import { redisAt } from '../../src/redis/connection.ts'
import { TcpProxy } from '../support/proxy.ts'
import { eventually, startPrivateRedis } from '../support/redis.ts'
import { Market } from './market.ts'

/** How long each state of Redis lasts; from a minute on the bounds are those of config/meltica.yaml. */
const SECONDS = Number(process.env.MELTICA_OUTAGE_SECONDS ?? 3)
const RATE = Number(process.env.MELTICA_OUTAGE_RATE ?? 600)
const SEED = Number(process.env.MELTICA_OUTAGE_SEED ?? 7)
const SHORT = ['ingest.queueEventsMax=600', 'ingest.connections.pausedMsMax=1000', 'redis.commandTimeoutMs=1000']
const MEBIBYTE = 1024 * 1024

describe(`Redis that is slow, then silent, for ${SECONDS} s each (${RATE} orders/s, seed ${SEED})`, function () {
  this.timeout(60_000 + SECONDS * 4_000)
  // Whole systems share the machine with other files here; what fails on it twice is no accident.
  this.retries(1)

  it('costs a bounded memory; what could not be kept is merged or told, and the books are right', async () => {
    const [market, redis] = await Promise.all([
      Market.open({ instruments: 8, seed: SEED, rate: RATE }),
      startPrivateRedis(),
    ])
    const proxy = await TcpProxy.open(redis.port)
    const near = redisAt(redis.url)
    const worker = await market.worker(
      { ...near, url: `redis://127.0.0.1:${proxy.port}` },
      SECONDS < 60 ? SHORT : [],
      near,
    )
    await worker.flowing(Date.now())
    const before = await worker.residentBytes()
    const peaks: Record<string, number> = {}
    for (const [state, mood] of [
      ['slow', { delayMs: 100 }],
      ['silent', { blackhole: true }],
    ] as const) {
      proxy.set(mood)
      const endMs = Date.now() + SECONDS * 1_000
      await eventually(
        async () => {
          peaks[state] = Math.max(peaks[state] ?? 0, await worker.residentBytes())
          return Date.now() >= endMs
        },
        SECONDS * 1_000 + 5_000,
      )
    }
    proxy.set({})
    const backMs = Date.now()
    await worker.flowing(backMs, 60_000)
    const flowedMs = Date.now() - backMs
    await worker.healed(60_000)
    const gaps = await worker.gaps()
    const { wrong, examples, notes, entries } = await worker.verify()
    const inMebibytes = (bytes = 0) => Math.round(bytes / MEBIBYTE)
    console.log(
      `      resident ${inMebibytes(before)} MiB before, ${inMebibytes(peaks.slow)} slow, ${inMebibytes(peaks.silent)} silent; ` +
        `all flow ${flowedMs} ms after; ${entries} entries, gaps ${JSON.stringify(gaps)}, notes ${JSON.stringify(notes)}, ` +
        `${worker.told('overloaded').length} times overloaded`,
    )
    expect(wrong, JSON.stringify(examples, null, 1)).to.deep.equal({})
    if (SECONDS < 60) expect(notes.merged, 'deltas that a merged one stands for').to.be.greaterThan(0)
    // Twice the bounds of queue, ring and heap slack together.
    expect(Math.max(peaks.slow ?? 0, peaks.silent ?? 0) - before).to.be.lessThan(400 * MEBIBYTE)
    await market.close()
    await proxy.close()
    await redis.stop()
  })
})
