import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { RedisConnection, redisAt } from '../../src/redis/connection.ts'
import { RedisEventBus } from '../../src/redis/event-bus.ts'
import { Keys } from '../../src/redis/keys.ts'
import { RedisSnapshotStore } from '../../src/redis/snapshot-store.ts'
import { openConductor, PARTITIONS } from '../support/conductor.ts'
import { batch, delta, quote, snapshot, trade } from '../support/offers.ts'
import { eventually, startPrivateRedis, startRedis, type TestRedis } from '../support/redis.ts'
import { BTC, expectBookOfStream, expectWhole, foldedTo, MARKET, readFused } from './fused.ts'

async function open(redis: TestRedis, prefix = redis.uniquePrefix()) {
  const keys = new Keys(prefix, PARTITIONS)
  const connection = new RedisConnection(redisAt(redis.url), 'command')
  await connection.ready()
  const bus = new RedisEventBus({ connection, keys, retention: {} })
  let last = 10
  return {
    ...{
      keys,
      bookKey: keys.book(MARKET, BTC),
      client: redis.client,
      store: new RedisSnapshotStore(connection, keys, 60_000),
    },
    fused: () => readFused(redis.client, keys),
    begin: async () => {
      const data = '{"last":"10","bids":[["1.00","2"],["0.99","1"]],"asks":[["1.10","1"]],"depth":1000}'
      await bus.publish([batch([snapshot(10, 1, { data })])])
    },
    next: async () => {
      last++
      const data = `{"first":"${last}","last":"${last}","bids":[["0.${last + 10}","${last}.0"]],"asks":[]}`
      await bus.publish([batch([delta(last, last, last / 10, { data })]), batch([trade(last)]), batch([quote(last)])])
      return last
    },
    close: () => connection.close(),
  }
}

describe('the conductor', () => {
  it('lets events leave flagged while its record cannot be used, and writes the record whole when it can', async () => {
    const redis = await startRedis()
    const world = await open(redis)
    const running = await openConductor(redis.url, world.keys.prefix)
    await world.begin()
    await eventually(async () => (await world.client.type(world.bookKey)) === 'hash')
    await world.client.set(world.bookKey, 'not a record')
    const spoiltFrom = await world.next()
    await eventually(async () => foldedTo(await world.fused(), 'TRADE') >= spoiltFrom - 10)
    expect((await world.fused()).at(-1)?.quality).to.equal('STALE')
    expect(await world.client.get(world.bookKey)).to.equal('not a record')
    expect(running.incidents.map(({ kind }) => kind)).to.include('record-unavailable')
    await world.client.del(world.bookKey)
    await eventually(async () => {
      await world.next()
      return (await world.fused()).at(-1)?.quality === ''
    })
    await running.close()
    expectWhole(await world.fused())
    await expectBookOfStream(world.client, world.keys, world.store)
    world.close()
  }).timeout(10_000)

  it('rebuilds an expired record from the snapshot in the stream, whether it was there or comes back', async () => {
    const redis = await startRedis()
    const world = await open(redis)
    await world.begin()
    for (const lives of [1, 2]) {
      const never = { ttlMs: 1_500, staleMs: Number.POSITIVE_INFINITY }
      const running = await openConductor(redis.url, world.keys.prefix, never)
      const until = await world.next()
      await eventually(async () => foldedTo(await world.fused(), 'TRADE') === until - 10)
      expect(running.conductor.stats().rebuilt).to.equal(lives - 1)
      await world.client.del(world.bookKey)
      if (lives === 1) await running.close()
      else {
        // Nothing comes, and the record is there again.
        await eventually(async () => (await world.client.type(world.bookKey)) === 'hash', 8_000)
        await running.close()
      }
    }
    expectWhole(await world.fused())
    await expectBookOfStream(world.client, world.keys, world.store)
    world.close()
  }).timeout(15_000)

  it('renews the time to live of a record of which nothing changes', async () => {
    const redis = await startRedis()
    const world = await open(redis)
    const running = await openConductor(redis.url, world.keys.prefix, { ttlMs: 2_400 })
    await world.begin()
    await eventually(async () => (await world.client.type(world.bookKey)) === 'hash')
    const version = await world.client.hget(world.bookKey, 'version')
    const leftMs: number[] = []
    await eventually(async () => {
      leftMs.push(await world.client.pttl(world.bookKey))
      return leftMs.some((ms, at) => at > 0 && ms > (leftMs[at - 1] ?? ms) + 500)
    })
    expect(await world.client.hget(world.bookKey, 'version')).to.equal(version)
    await running.close()
    world.close()
  }).timeout(10_000)

  it('says that a book is stale when nothing comes and no live owner flows, and only then', async () => {
    const redis = await startRedis()
    const world = await open(redis)
    await world.begin()
    let owned = true
    const all = new Set(Array.from({ length: PARTITIONS }, (_, at) => at))
    const flowing = async () => (owned ? all : new Set<number>())
    const running = await openConductor(redis.url, world.keys.prefix, { staleMs: 300, flowing })
    await eventually(async () => running.conductor.stats().commits === 1)
    // A sweep after the time is over finds an owner.
    await new Promise((resolve) => setTimeout(resolve, 1_400))
    expect((await world.fused()).map(({ quality }) => quality)).to.deep.equal([''])
    owned = false
    const stale = await eventually(async () => (await world.fused())[1])
    expect(stale).to.deep.include({ quality: 'STALE' })
    expect(stale.data).to.deep.include({ ranges: {}, suppressed: 0 })
    expect(await world.client.hget(world.bookKey, 'quality')).to.equal('STALE')
    await world.next()
    await eventually(async () => (await world.client.hget(world.bookKey, 'quality')) === 'LIVE')
    await running.close()
    world.close()
  }).timeout(10_000)

  it('moves its group along with its places, for tools', async () => {
    const redis = await startRedis()
    const world = await open(redis)
    const running = await openConductor(redis.url, world.keys.prefix)
    await world.begin()
    const until = await world.next()
    await eventually(async () => foldedTo(await world.fused(), 'TRADE') === until - 10)
    await running.close()
    const stream = world.keys.stream(MARKET, BTC, 'TRADE')
    const [group] = (await world.client.xinfo('GROUPS', stream)) as [unknown[]]
    const [newest] = await world.client.xrevrange(stream, '+', '-', 'COUNT', 1)
    expect(group.slice(0, 2)).to.deep.equal(['name', 'conductor'])
    expect(group[group.indexOf('last-delivered-id') + 1]).to.equal(newest?.[0])
    world.close()
  })

  it('goes on after Redis was killed and came back, in a new epoch, without loss or repeat', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'meltica-conductor-redis-'))
    const options = { directory, appendOnly: true, extraArguments: ['--appendfsync', 'always'] }
    const first = await startPrivateRedis(options)
    let world = await open(first, 'back')
    const running = await openConductor(first.url, 'back')
    await world.begin()
    let until = await world.next()
    await eventually(async () => foldedTo(await world.fused(), 'TRADE') === until - 10)
    world.close()
    await first.kill()
    const second = await startPrivateRedis({ ...options, port: first.port })
    world = await open(second, 'back')
    const data = `{"first":"${until + 1}","last":"${until + 1}","bids":[],"asks":[["1.20","5"]]}`
    const connection = await connected(second.url)
    const bus = new RedisEventBus({ connection, keys: world.keys, retention: {} })
    await bus.publish([batch([delta(until + 1, until + 1, 9, { data })]), batch([trade(until + 1, 9)])])
    until++
    await eventually(async () => foldedTo(await world.fused(), 'TRADE') === until - 10, 10_000)
    await running.close()
    const entries = await world.fused()
    expectWhole(entries)
    expect(new Set(entries.map(({ epoch }) => epoch)).size).to.equal(2)
    await expectBookOfStream(world.client, world.keys, world.store)
    connection.close()
    world.close()
    await second.stop()
    rmSync(directory, { recursive: true, force: true })
  }).timeout(20_000)
})

async function connected(url: string): Promise<RedisConnection> {
  const connection = new RedisConnection(redisAt(url), 'command')
  await connection.ready()
  return connection
}
