import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { redisAt } from '../../src/redis/connection.ts'
import { StreamReader } from '../../src/redis/stream-reader.ts'
import { eventually, startPrivateRedis, type TestRedis } from '../support/redis.ts'
import { buildClockShim, startCluster, startSentinel } from '../support/topologies.ts'
import { Market, type Worker } from './market.ts'
import { ContractReader } from './reader.ts'

/** Kills in a row, orders a second, and how far the first master's clock is ahead: further than a fail-over takes. */
const ROUNDS = Number(process.env.MELTICA_OUTAGE_ROUNDS ?? 1)
const RATE = Number(process.env.MELTICA_OUTAGE_RATE ?? 600)
const SEED = Number(process.env.MELTICA_OUTAGE_SEED ?? 5)
const AHEAD_SECONDS = Number(process.env.MELTICA_OUTAGE_AHEAD ?? 15)
/** Entries that a reader gets and the new master never does. */
const UNSEEN = 100

describe(`Redis that goes away under load (${RATE} orders/s, seed ${SEED})`, function () {
  this.timeout(180_000 + ROUNDS * 20_000)
  // Whole systems share the machine with other files here; what fails on it twice is no accident.
  this.retries(1)
  let market: Market
  const directory = mkdtempSync(join(tmpdir(), 'meltica-test-'))
  before(async () => {
    market = await Market.open({ instruments: 6, seed: SEED, rate: RATE })
  })
  after(async () => {
    await market.close()
    rmSync(directory, { recursive: true, force: true })
  })

  /** The stream as it stands at the end, and a reader that was there all the time. */
  async function judge(worker: Worker, reader: ContractReader | null = null): Promise<void> {
    await worker.healed()
    const gaps = await worker.gaps()
    const { wrong, examples, notes, entries } = await worker.verify()
    console.log(`      ${entries} entries, gaps ${JSON.stringify(gaps)}, notes ${JSON.stringify(notes)}`)
    expect(wrong, JSON.stringify(examples, null, 1)).to.deep.equal({})
    if (reader !== null) {
      expect((await reader.differences(new StreamReader(worker.redis))).slice(0, 5)).to.deep.equal([])
      console.log(
        `      reader: ${reader.usedCount} used, ${reader.epochs} changes of epoch, ${reader.repeated} came again`,
      )
      expect(reader.epochs).to.be.greaterThan(0)
      await reader.close()
    }
    worker.redis.close()
  }

  /** Waits until the streams have grown, and the reader has read what they have grown by. */
  async function unseen(worker: Worker, reader: ContractReader): Promise<void> {
    const before = reader.usedCount
    await worker.grown(UNSEEN)
    await eventually(() => reader.usedCount > before + UNSEEN, 60_000)
  }

  /** A reader of all streams there are, that has read something of each. */
  async function openReader(
    worker: Worker,
    options: Parameters<typeof ContractReader.open>[0],
  ): Promise<ContractReader> {
    const reader = await ContractReader.open(options, [...(await worker.streams()).values()])
    await eventually(() => [...reader.used.values()].every((used) => used.size > 0), 60_000)
    return reader
  }

  it('killed with its data on disk, it loses and repeats nothing', async () => {
    const options = { directory, appendOnly: true }
    let redis = await startPrivateRedis(options)
    const worker = await market.worker(redisAt(redis.url))
    for (let round = 0; round < ROUNDS; round++) {
      await worker.grown(UNSEEN)
      await redis.kill()
      redis = await startPrivateRedis({ ...options, port: redis.port })
      await worker.flowing(Date.now())
    }
    await judge(worker)
    await redis.stop()
  })

  it('killed without persistence, a new epoch is told, and the ring and the venue give back what they have', async () => {
    let redis = await startPrivateRedis()
    const worker = await market.worker(redisAt(redis.url), ['ingest.ring.ageMsMax=500'])
    for (let round = 0; round < ROUNDS; round++) {
      await worker.flowing(Date.now() + 1_000)
      await redis.kill()
      redis = await startPrivateRedis({ port: redis.port })
      await worker.flowing(Date.now())
    }
    expect(Object.keys(await worker.gaps())).to.include('TRADE sink-reset')
    await judge(worker)
    await redis.stop()
  })

  it('failed over by sentinels from a master whose clock was ahead, with writes that only a reader saw', async () => {
    const clockShim = AHEAD_SECONDS > 0 ? await buildClockShim(directory) : null
    if (clockShim === null)
      console.log('      the clocks agree, because there is no C compiler to move one, or the server is in a container')
    const topology = await startSentinel(clockShim === null ? {} : { clockShim, masterAheadSeconds: AHEAD_SECONDS })
    const worker = await market.worker(topology.options)
    const master = await topology.master()
    const beforeMs = Date.now()
    const [seconds, micros] = await master.client.time()
    const masterMs = Number(seconds) * 1_000 + Number(micros) / 1_000
    if (clockShim !== null) expect(masterMs).to.be.at.least(beforeMs + AHEAD_SECONDS * 1_000 - 10)
    const reader = await openReader(worker, topology.options)
    await topology.stopReplication()
    await unseen(worker, reader)
    await master.kill()
    await topology.failedOver(master)
    await worker.grown(UNSEEN)
    await judge(worker, reader)
    expect(reader.repeated, 'what only the reader saw came again').to.be.greaterThan(0)
    await topology.stop()
  })

  it('a cluster that moves a slot and loses a master, with writes that only a reader saw', async () => {
    const topology = await startCluster()
    const worker = await market.worker(topology.options)
    const key = [...(await worker.streams()).values()].find((stream) => stream.endsWith(':TRADE')) as string
    const reader = await openReader(worker, topology.options)
    const owner = await topology.ownerOf(key)
    const dying = topology.nodes.slice(0, 3).find((node) => node !== owner) as TestRedis
    await topology.moveSlot(await topology.slotOf(key), dying)
    await worker.flowing(Date.now())
    topology.stopReplication(dying)
    await unseen(worker, reader)
    await dying.kill()
    await topology.failedOver(key, dying)
    await worker.flowing(Date.now())
    await judge(worker, reader)
    await topology.stop()
  })
})
