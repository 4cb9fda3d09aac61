import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { type RedisConnectionOptions, redisAt } from '../../src/redis/connection.ts'
import { TcpProxy } from '../support/proxy.ts'
import { eventually, startPrivateRedis, type TestRedis } from '../support/redis.ts'
import { startCluster } from '../support/topologies.ts'
import { Flow } from './flow.ts'

const near = (redis: TestRedis, more: Partial<RedisConnectionOptions> = {}) => ({ ...redisAt(redis.url), ...more })

/** Every row of docs/redis-failures.md: what Redis says or does, and that nothing is lost, repeated or unsaid. */
describe('a Redis that will not', function () {
  this.timeout(90_000)
  // Whole systems share the machine with other files here; what fails on it twice is no accident.
  this.retries(1)

  it('hold the script (NOSCRIPT) is given it again', async () => {
    const redis = await startPrivateRedis()
    const flow = await Flow.open(near(redis))
    for (let round = 0; round < 3; round++) {
      flow.feed(50)
      expect(await flow.arrived()).to.equal('whole')
      await redis.client.script('FLUSH')
    }
    expect(flow.incidents).to.deep.equal([])
    flow.close()
    await redis.stop()
  })

  for (const { words, reason, kind, forbid, allow } of [
    {
      words: 'is full (OOM)',
      reason: 'oom',
      kind: 'publish-refused',
      forbid: ['CONFIG', 'SET', 'maxmemory', '1'],
      allow: ['CONFIG', 'SET', 'maxmemory', '0'],
    },
    {
      words: 'has too few replicas (NOREPLICAS)',
      reason: 'misconfigured',
      kind: 'publish-refused',
      forbid: ['CONFIG', 'SET', 'min-replicas-to-write', '1'],
      allow: ['CONFIG', 'SET', 'min-replicas-to-write', '0'],
    },
    {
      words: 'is a replica (READONLY)',
      reason: 'readonly|unreachable',
      kind: 'publish-failed',
      forbid: ['REPLICAOF', '127.0.0.1', '1'],
      allow: ['REPLICAOF', 'NO', 'ONE'],
    },
    {
      words: 'takes the rights (NOPERM)',
      reason: 'noperm',
      kind: 'publish-refused',
      forbid: ['ACL', 'SETUSER', 'worker', '-@scripting'],
      allow: ['ACL', 'SETUSER', 'worker', '+@all'],
    },
    {
      words: 'takes the right to a command inside the script (NOPERM)',
      reason: 'noperm',
      kind: 'publish-refused',
      forbid: ['ACL', 'SETUSER', 'worker', '-xadd'],
      allow: ['ACL', 'SETUSER', 'worker', '+@all'],
    },
  ] as const)
    it(`take more because it ${words} makes the sockets stand still, and loses nothing`, async () => {
      const redis = await startPrivateRedis()
      await redis.client.call('ACL', 'SETUSER', 'worker', 'on', '>word', '~*', '+@all')
      const options = near(redis, { username: 'worker', password: 'word' })
      const flow = await Flow.open(options, near(redis), { queueEventsMax: 200 })
      flow.feed(100)
      expect(await flow.arrived()).to.equal('whole')
      await redis.client.call(...(forbid as unknown as [string, ...string[]]))
      for (let fed = 0; fed < 300; fed += 10) {
        if (flow.dispatcher.saturated) break
        flow.feed(10)
      }
      expect(flow.dispatcher.saturated, 'back-pressure').to.equal(true)
      await flow.told(kind, new RegExp(`\\((${reason})\\)`))
      await redis.client.call(...(allow as unknown as [string, ...string[]]))
      expect(await flow.arrived()).to.equal('whole')
      expect(flow.dispatcher.saturated).to.equal(false)
      flow.close()
      await redis.stop()
    })

  it('let us in any more (WRONGPASS) is asked again until it does', async () => {
    const redis = await startPrivateRedis()
    await redis.client.call('ACL', 'SETUSER', 'worker', 'on', '>word', '~*', '+@all')
    const flow = await Flow.open(near(redis, { username: 'worker', password: 'word' }), near(redis))
    flow.feed(10)
    expect(await flow.arrived()).to.equal('whole')
    await redis.client.call('ACL', 'SETUSER', 'worker', 'resetpass', '>other')
    await redis.client.call('CLIENT', 'KILL', 'USER', 'worker')
    flow.feed(10)
    await flow.told('publish-failed', /unreachable/)
    await redis.client.call('ACL', 'SETUSER', 'worker', 'resetpass', '>word')
    expect(await flow.arrived()).to.equal('whole')
    flow.close()
    await redis.stop()
  })

  it('answer before it has read its file (LOADING) is waited for', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'meltica-test-'))
    const slowly = ['--key-load-delay', '2000', '--loading-process-events-interval-bytes', '1024']
    const first = await startPrivateRedis({ directory, appendOnly: true, extraArguments: ['--appendfsync', 'always'] })
    const flow = await Flow.open(near(first))
    flow.feed(10)
    expect(await flow.arrived()).to.equal('whole')
    const filling = first.client.pipeline()
    for (let index = 0; index < 600; index++) filling.set(`filler:${index}`, 'x'.repeat(100))
    await filling.exec()
    await first.client.call('BGREWRITEAOF')
    await eventually(async () => /aof_rewrite_in_progress:0/.test(await first.client.info('persistence')))
    await first.kill()
    flow.feed(10)
    const second = await startPrivateRedis({ directory, appendOnly: true, port: first.port, extraArguments: slowly })
    expect(await flow.arrived()).to.equal('whole')
    flow.close()
    await second.stop()
    rmSync(directory, { recursive: true })
  })

  it('own a slot for a while (CLUSTERDOWN, MOVED) is asked again, and the right node is found', async () => {
    const cluster = await startCluster()
    const flow = await Flow.open(cluster.options)
    flow.feed(10)
    expect(await flow.arrived()).to.equal('whole')
    const key = 'flow:{7}:BINANCE-SPOT:BTC-USDT:TRADE'
    const slot = await cluster.slotOf(key)
    const owner = await cluster.ownerOf(key)
    const masters = cluster.nodes.slice(0, 3)
    for (const { client } of masters) await client.call('CLUSTER', 'DELSLOTS', slot)
    flow.feed(10)
    await flow.told('publish-failed', /\((moved|unreachable)\)/)
    const id = String(await owner.client.call('CLUSTER', 'MYID'))
    await owner.client.call('CLUSTER', 'ADDSLOTS', slot)
    for (const { client } of masters) {
      if (client !== owner.client) await client.call('CLUSTER', 'SETSLOT', slot, 'NODE', id)
    }
    expect(await flow.arrived()).to.equal('whole')
    // Key by key to another node, while events come: ASK and TRYAGAIN.
    const target = masters.find((node) => node !== owner) as TestRedis
    const feeding = setInterval(() => flow.feed(5), 1)
    await cluster.moveSlot(slot, target)
    clearInterval(feeding)
    expect(await flow.arrived()).to.equal('whole')
    flow.close()
    await cluster.stop()
  })

  it('let its answers through is sent the same again, and says duplicate', async () => {
    const redis = await startPrivateRedis()
    const proxy = await TcpProxy.open(redis.port)
    const flow = await Flow.open({ ...near(redis), url: `redis://127.0.0.1:${proxy.port}` }, near(redis))
    for (let round = 0; round < 5; round++) {
      flow.feed(20)
      expect(await flow.arrived()).to.equal('whole')
      proxy.set({ mute: true })
      flow.feed(20)
      const { client } = redis
      const length = (round + 1) * 40
      await eventually(async () => (await client.xlen('flow:{7}:BINANCE-SPOT:BTC-USDT:TRADE')) === length)
      expect(flow.dispatcher.idle, 'appended, and nobody knows it').to.equal(false)
      proxy.cut()
      proxy.set({})
      expect(await flow.arrived()).to.equal('whole')
    }
    expect(flow.dispatcher.stats()).to.include({ appended: 200, duplicates: 0, gaps: 0 })
    flow.close()
    await proxy.close()
    await redis.stop()
  })

  it('answer soon is not asked twice, and one that answers nothing is left for a new connection', async () => {
    const redis = await startPrivateRedis()
    const proxy = await TcpProxy.open(redis.port)
    const options = { ...near(redis), url: `redis://127.0.0.1:${proxy.port}`, commandTimeoutMs: 500 }
    const flow = await Flow.open(options, near(redis))
    proxy.set({ delayMs: 100 })
    for (let round = 0; round < 5; round++) {
      flow.feed(20)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(await flow.arrived()).to.equal('whole')
    expect(flow.incidents).to.deep.equal([])
    expect(proxy.accepted).to.equal(1)
    proxy.set({ blackhole: true })
    flow.feed(20)
    await flow.told('publish-failed', /\((timeout|unreachable)\)/)
    await eventually(() => proxy.accepted > 1)
    proxy.set({})
    expect(await flow.arrived()).to.equal('whole')
    flow.close()
    await proxy.close()
    await redis.stop()
  })
})
