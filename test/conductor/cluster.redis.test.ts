import { expect } from 'chai'
import { asInstrument } from '../../src/domain/instrument.ts'
import { RedisConnection } from '../../src/redis/connection.ts'
import { RedisEventBus } from '../../src/redis/event-bus.ts'
import { Keys } from '../../src/redis/keys.ts'
import { openConductor, PARTITIONS } from '../support/conductor.ts'
import { batch, delta, quote, snapshot, trade } from '../support/offers.ts'
import { eventually } from '../support/redis.ts'
import { startCluster } from '../support/topologies.ts'
import { MARKET } from './fused.ts'

const NAMES = ['BTC-USDT', 'ETH-USDT', 'BNB-USDT', 'ADA-USDT'].map(asInstrument)

describe('the conductor on a cluster', () => {
  it('folds and commits partitions on every node, each under the run of its own node', async () => {
    const cluster = await startCluster()
    const connection = new RedisConnection(cluster.options, 'command')
    await connection.ready()
    const keys = new Keys('on-cluster', PARTITIONS)
    const bus = new RedisEventBus({ connection, keys, retention: {} })
    const running = await openConductor(cluster.options, keys.prefix)
    const publish = async (id: number) => {
      for (const instrument of NAMES) {
        const of = (offer: Parameters<typeof batch>[0][number]) => batch([offer], { instrument })
        await bus.publish([of(id === 1 ? snapshot(1) : delta(id, id))])
        await bus.publish([of(trade(id)), of(quote(id))])
      }
    }
    for (let id = 1; id <= 20; id++) await publish(id)
    for (const instrument of NAMES) {
      const fused = keys.stream(MARKET, instrument, 'ANALYTICS')
      const found = await eventually(async () => {
        const [newest] = (await connection.send('xrevrange', [fused, '+', '-', 'COUNT', 1])) as [string, string[]][]
        const ranges =
          newest && (JSON.parse(newest[1].at(-1) ?? '{}') as { ranges: Record<string, [string, string]> }).ranges
        return Object.values(ranges ?? {}).some(([, to]) => to === '20') && newest
      }, 15_000)
      expect(found?.[1][3]).to.equal('ANALYTICS.FUSED')
      const [seq, have] = (await connection.send('hmget', [
        keys.book(MARKET, instrument),
        'seq',
        'venueSeq',
      ])) as string[]
      expect({ seq, have }).to.deep.equal({ seq: '20', have: '20' })
    }
    expect(running.conductor.stats()).to.include({ conflicts: 0, failures: 0 })
    await running.close()
    connection.close()
    await cluster.stop()
  }).timeout(40_000)
})
