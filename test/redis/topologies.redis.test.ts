import { expect } from 'chai'
import { RedisConnection } from '../../src/redis/connection.ts'
import { StreamReader } from '../../src/redis/stream-reader.ts'
import { eventually } from '../support/redis.ts'
import { type ClusterTopology, startCluster, startSentinel } from '../support/topologies.ts'

const send = (connection: RedisConnection, ...command: string[]): Promise<unknown> =>
  connection.send(command[0] as string, command.slice(1))

describe('a connection by sentinels', function () {
  this.timeout(60_000)
  // Whole systems share the machine with other files here; what fails on it twice is no accident.
  this.retries(1)

  it('leads to the new master when the old one stands still without a word', async () => {
    const topology = await startSentinel()
    const connection = new RedisConnection({ ...topology.options, commandTimeoutMs: 60_000 }, 'command')
    await connection.ready()
    const master = await topology.master()
    await send(connection, 'set', 'a', '1')
    expect(await send(connection, 'wait', '2', '4000'), 'replicas that have it').to.equal(2)
    process.kill(master.pid, 'SIGSTOP')
    const stuck = connection.send('get', ['a']).catch((error: unknown) => error)
    await topology.failedOver(master)
    expect(await stuck).to.include({ code: 'unreachable', outcomeUnknown: true })
    await connection.restored()
    expect(await send(connection, 'get', 'a')).to.equal('1')
    expect(await send(connection, 'set', 'a', '2')).to.equal('OK')
    process.kill(master.pid, 'SIGCONT')
    connection.close()
    await topology.stop()
  })

  it('gives the sentinels the password that they ask for, and says when it is not theirs', async () => {
    const sentinelPassword = 'word'
    const topology = await startSentinel({ sentinelPassword })
    const failures: string[] = []
    const observer = { failed: (_: unknown, message: string) => void failures.push(message), ready: () => undefined }
    const connection = new RedisConnection({ ...topology.options, sentinelPassword }, 'command', observer)
    await connection.ready()
    const master = await topology.master()
    await send(connection, 'set', 'a', '1')
    expect(await send(connection, 'wait', '2', '4000'), 'replicas that have it').to.equal(2)
    // The watch has to be let in as well: it ends the connection to a master that stands still.
    process.kill(master.pid, 'SIGSTOP')
    await topology.failedOver(master)
    await eventually(() => !connection.isReady)
    await connection.restored()
    expect(await send(connection, 'get', 'a')).to.equal('1')
    expect(failures.join()).not.to.match(/NOAUTH|WRONGPASS/)
    connection.close()
    process.kill(master.pid, 'SIGCONT')
    const wrong = new RedisConnection({ ...topology.options, sentinelPassword: 'other' }, 'command', observer)
    const refused = await wrong.ready().catch((error: unknown) => String(error))
    expect(refused).to.match(/sentinels|WRONGPASS/i)
    await eventually(() => /WRONGPASS|NOAUTH/.test(failures.join()))
    wrong.close()
    await topology.stop()
  })

  it('leaves a master that has become a replica', async () => {
    const topology = await startSentinel()
    const connection = new RedisConnection(topology.options, 'command')
    await connection.ready()
    const master = await topology.master()
    // Without a word of the sentinels: as when their message got lost.
    await master.client.call('REPLICAOF', '127.0.0.1', '1')
    const refused = await send(connection, 'set', 'a', '1').catch((error: unknown) => error)
    expect(refused).to.include({ code: 'readonly', outcomeUnknown: false })
    await eventually(() => !connection.isReady)
    await master.client.call('REPLICAOF', 'NO', 'ONE')
    await eventually(async () => (await send(connection, 'set', 'a', '1').catch(() => '')) === 'OK', 10_000)
    connection.close()
    await topology.stop()
  })
})

describe('a connection to a cluster', function () {
  this.timeout(60_000)
  // Whole systems share the machine with other files here; what fails on it twice is no accident.
  this.retries(1)
  let cluster: ClusterTopology
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster.stop())

  it('waits on every partition at once, and follows a slot to its new node', async () => {
    const [writing, waiting] = [
      new RedisConnection(cluster.options, 'command'),
      new RedisConnection(cluster.options, 'blocking'),
    ]
    await Promise.all([writing.ready(), waiting.ready()])
    const streams = ['a', 'b', 'c', 'd'].map((tag) => `{${tag}}stream`)
    const reader = new StreamReader(waiting)
    const cursors = new Map(streams.map((stream) => [stream, '0']))
    for (const stream of streams) {
      const following = reader.follow(cursors, 30_000)
      await send(writing, 'xadd', stream, '1-0', 'n', stream)
      expect((await following).map(({ fields }) => fields.n)).to.deep.equal([stream])
    }
    const moved = streams[0] as string
    const owner = await cluster.ownerOf(moved)
    const target = cluster.nodes.slice(0, 3).find((node) => node !== owner)
    const following = reader.follow(cursors, 30_000)
    await cluster.moveSlot(await cluster.slotOf(moved), target as (typeof cluster.nodes)[number])
    await following
    const again = reader.follow(cursors, 30_000)
    await send(writing, 'xadd', moved, '2-0', 'n', 'moved')
    expect((await again).map(({ id }) => id)).to.deep.equal(['2-0'])
    for (const connection of [writing, waiting]) connection.close()
  })

  it('says that a command under way is unknown when its node dies, and finds the new master', async () => {
    const connection = new RedisConnection(cluster.options, 'command')
    await connection.ready()
    const key = '{a}key'
    await send(connection, 'set', key, '1')
    const owner = await cluster.ownerOf(key)
    await owner.client.wait(1, 1_000)
    await owner.client.client('PAUSE', 60_000, 'WRITE')
    const pending = send(connection, 'set', key, '2').catch((error: unknown) => error)
    await eventually(async () => /blocked_clients:[1-9]/.test(await owner.client.info('clients')))
    await owner.kill()
    expect(await pending).to.include({ code: 'unreachable', outcomeUnknown: true })
    await eventually(async () => (await send(connection, 'get', key).catch(() => '')) === '1', 10_000)
    connection.close()
  })
})
