import { expect } from 'chai'
import { eventually } from '../support/redis.ts'
import { startCluster, startSentinel, type Topology } from '../support/topologies.ts'
import { ControlBench, command, MARKET, subscribe } from './world.ts'

describe('the control plane', function () {
  this.timeout(120_000)
  // Whole systems share the machine with other files here; what fails on it twice is no accident.
  this.retries(1)
  let topology: Topology
  let bench: ControlBench

  afterEach(async () => {
    await bench.close()
    await topology.stop()
  })

  it('works on a cluster, where all of it lies on one slot', async () => {
    topology = await startCluster()
    bench = new ControlBench(topology.options, 'meltica')
    await bench.list('BTC-USDT')
    const members = [await bench.member('a'), await bench.member('b')]
    const start = subscribe('s1', 'BTC-USDT', 'TRADE')
    await bench.client.submit(start)
    await eventually(async () => (await bench.client.status(start.id))?.status === 'applied')
    const stop = command('unsubscribe', { subscriptionId: 's1' })
    await bench.client.submit(stop)
    await eventually(() => members.every(({ table }) => table?.version === 3))
    expect((await bench.reader.subscriptions({ cursor: null, limit: 10 })).items).to.deep.equal([])
    // Closed where the append script reads it, on the instrument's own slot.
    const state = `meltica:{7}:${MARKET}:BTC-USDT:state`
    await eventually(async () => {
      const packed = (await bench.connection.send('hget', [state, 'TRADE'])) as string | null
      return packed?.split(' ')[5] === '3'
    })
  })

  it('keeps the commands that a fail-over lost, because a member holds what they made', async () => {
    const sentinel = await startSentinel()
    topology = sentinel
    bench = new ControlBench(sentinel.options, 'meltica')
    await bench.list('BTC-USDT')
    const member = await bench.member('a')
    const apply = async (id: string): Promise<void> => {
      const version = member.table?.version ?? 0
      await bench.client.submit(subscribe(id, 'BTC-USDT', 'TRADE'))
      await eventually(() => (member.table?.version ?? 0) > version)
    }
    await apply('kept')
    const master = await sentinel.master()
    await eventually(async () => /slave0:.*lag=[01]/.test(await master.client.info('replication')))
    await sentinel.stopReplication()
    await apply('lost')
    await master.kill()
    await sentinel.failedOver(master)
    const table = await eventually(async () => {
      const found = await bench.reader.current().catch(() => null)
      return found?.version === 3 && found
    }, 45_000)
    expect(table.subscriptions.map(({ subscriptionId }) => subscriptionId)).to.deep.equal(['kept', 'lost'])
  })
})
