import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import type { Redis } from 'ioredis'
import { RedisConnection, redisAt } from '../../src/redis/connection.ts'
import { RedisEventBus } from '../../src/redis/event-bus.ts'
import { Keys } from '../../src/redis/keys.ts'
import { RedisSnapshotStore } from '../../src/redis/snapshot-store.ts'
import { openConductor, PARTITIONS } from '../support/conductor.ts'
import { batch, delta, quote, snapshot, trade } from '../support/offers.ts'
import { eventually, startPrivateRedis, type TestRedis } from '../support/redis.ts'
import { randomOf } from '../support/variants.ts'
import { BTC, expectBookOfStream, expectWhole, foldedTo, MARKET, readFused } from './fused.ts'

/** `CONDUCTOR_LIVES=200` for the long form. */
const LIVES = Number(process.env.CONDUCTOR_LIVES ?? 4)
const SEED = Number(process.env.CONDUCTOR_SEED ?? Date.now() % 1_000_000)
const KILL_AFTER_MS_MAX = 600

const conductorFile = fileURLToPath(new URL('../support/conductor.ts', import.meta.url))

/** Market data that goes on and on: trades, quotes, and a book whose deltas move about its top. */
class Market {
  readonly #bus: RedisEventBus
  readonly #random: (below: number) => number
  #stopped = false
  #running: Promise<void> = Promise.resolve()
  id = 0

  constructor(bus: RedisEventBus, random: (below: number) => number) {
    this.#bus = bus
    this.#random = random
  }

  async open(): Promise<void> {
    const side = (sign: number) =>
      Array.from({ length: 300 }, (_, at) => [(100 + sign * (at + 1) * 0.01).toFixed(2), '1.0'])
    const data = JSON.stringify({ last: '1000', bids: side(-1), asks: side(1), depth: 1000 })
    await this.#bus.publish([batch([snapshot(1_000, 1, { data })])])
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const id = ++this.id
      const level = (sign: number) => [(100 + sign * (this.#random(300) + 1) * 0.01).toFixed(2), `${this.#random(4)}.0`]
      const last = String(1_000 + id)
      const data = JSON.stringify({ first: last, last, bids: [level(-1), level(-1)], asks: [level(1)] })
      const seconds = 2 + id / 1_000
      await this.#bus.publish([
        batch([trade(id, seconds)]),
        batch([quote(id, seconds)]),
        batch([delta(1_000 + id, 1_000 + id, seconds, { data })]),
      ])
      await new Promise((resolve) => setTimeout(resolve, 4))
    }
  }
}

async function open(redis: TestRedis) {
  const keys = new Keys(redis.uniquePrefix(), PARTITIONS)
  const connection = new RedisConnection(redisAt(redis.url), 'command')
  await connection.ready()
  const store = new RedisSnapshotStore(connection, keys, 60_000)
  const random = randomOf(SEED)
  const market = new Market(new RedisEventBus({ connection, keys, retention: {} }), random)
  return { keys, connection, store, random, market }
}

const newestSeq = async (client: Redis, stream: string): Promise<number> => {
  const [newest] = await client.xrevrange(stream, '+', '-', 'COUNT', 1)
  return newest === undefined ? 0 : Number(newest[1][11])
}

describe(`a conductor that is killed (seed ${SEED}, CONDUCTOR_SEED)`, function () {
  this.timeout(LIVES * 4_000 + 20_000)
  // Whole systems share the machine with other files here; what fails on it twice is no accident.
  this.retries(1)

  it(`neither loses nor repeats anything in ${LIVES} lives, each ended up to ${KILL_AFTER_MS_MAX} ms after its first commit`, async () => {
    const redis = await startPrivateRedis()
    const { keys, connection, store, random, market } = await open(redis)
    const stream = keys.stream(MARKET, BTC, 'ANALYTICS')
    await market.open()
    for (let life = 0; life < LIVES; life++) {
      const before = await newestSeq(redis.client, stream)
      const child: ChildProcess = spawn(process.execPath, [conductorFile, redis.url, keys.prefix], { stdio: 'inherit' })
      await eventually(async () => (await newestSeq(redis.client, stream)) > before, 15_000)
      await new Promise((resolve) => setTimeout(resolve, random(KILL_AFTER_MS_MAX)))
      child.kill('SIGKILL')
      await once(child, 'exit')
      if (life % 20 === 0) await expectBookOfStream(redis.client, keys, store)
    }
    await market.stop()
    const last = await openConductor(redis.url, keys.prefix)
    await last.conductor.catchUp()
    await last.close()
    const entries = await readFused(redis.client, keys)
    expectWhole(entries)
    expect(foldedTo(entries, 'TRADE')).to.equal(market.id)
    expect(foldedTo(entries, 'QUOTE')).to.equal(market.id)
    expect(foldedTo(entries, 'ORDERBOOK')).to.equal(market.id + 1)
    expect(entries.reduce((sum, { data }) => sum + data.window.trades, 0)).to.equal(market.id)
    expect(last.conductor.stats()).to.include({ rebuilt: 0, conflicts: 0 })
    await expectBookOfStream(redis.client, keys, store)
    connection.close()
    await redis.stop()
  })

  it('beside another one on the same partition has its conflicts counted, and the output is as of one', async () => {
    const redis = await startPrivateRedis()
    const { keys, connection, store, market } = await open(redis)
    const pair = [await openConductor(redis.url, keys.prefix), await openConductor(redis.url, keys.prefix)]
    await market.open()
    await eventually(async () => {
      const conflicts = pair.map(({ conductor }) => conductor.stats().conflicts)
      return conflicts.reduce((sum, count) => sum + count) >= 5 && market.id > 300
    }, 15_000)
    await market.stop()
    for (const { conductor } of pair) await conductor.catchUp()
    for (const running of pair) await running.close()
    const entries = await readFused(redis.client, keys)
    expectWhole(entries)
    expect(foldedTo(entries, 'TRADE')).to.equal(market.id)
    expect(entries.reduce((sum, { data }) => sum + data.window.trades, 0)).to.equal(market.id)
    const commits = pair.map(({ conductor }) => conductor.stats().commits)
    expect(commits.reduce((sum, count) => sum + count)).to.equal(entries.length)
    expect(pair.flatMap(({ incidents }) => incidents)).to.deep.equal([])
    await expectBookOfStream(redis.client, keys, store)
    connection.close()
    await redis.stop()
  })
})
