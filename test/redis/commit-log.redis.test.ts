import { expect } from 'chai'
import type { Commit, CommitOutcome } from '../../src/conductor/commit-log.ts'
import { Quality } from '../../src/domain/event.ts'
import { asInstrument, asMarket } from '../../src/domain/instrument.ts'
import { RedisCommitLog } from '../../src/redis/commit-log.ts'
import { RedisConnection, redisAt } from '../../src/redis/connection.ts'
import { Keys } from '../../src/redis/keys.ts'
import { eventually, startRedis, type TestRedis } from '../support/redis.ts'

const NAME = { market: asMarket('BINANCE-SPOT'), instrument: asInstrument('BTC-USDT') }
const AHEAD_MS = 60_000

/** A connection that does not know the process at its other end, as in a cluster. */
class UnknowingConnection extends RedisConnection {
  override get run(): string {
    return ''
  }
}

function commitOf(version: number): Commit {
  const head = { epoch: '1', seq: '1', streamId: '1-1', venueSeq: '1', updatedAt: '1', quality: Quality.Live }
  const event = { quality: Quality.Live, venueTime: '1', receivedTime: '1', trace: '0'.repeat(32), data: '{}' }
  const change = { set: ['b:1', '2'], removed: [], head }
  return { name: NAME, version, versionFloor: version, base: 'replace', change, carried: '', event }
}

function msOf(entryId: string | undefined): number {
  return Number.parseInt(entryId ?? '0', 10)
}

describe('the commit log in Redis', () => {
  let redis: TestRedis
  let keys: Keys
  const connections: RedisConnection[] = []

  before(async () => {
    redis = await startRedis()
  })

  beforeEach(() => {
    keys = new Keys(redis.uniquePrefix(), 16)
  })

  after(() => {
    for (const connection of connections) connection.close()
  })

  async function open(
    Connection: typeof RedisConnection,
  ): Promise<{ log: RedisCommitLog; connection: RedisConnection }> {
    const connection = new Connection(redisAt(redis.url), 'command')
    connections.push(connection)
    await connection.ready()
    return { connection, log: new RedisCommitLog({ connection, keys, ttlMs: 60_000, maxLength: null }) }
  }

  async function commit(log: RedisCommitLog): Promise<CommitOutcome | undefined> {
    const { run, instruments } = await log.load([NAME])
    return (await log.commit(run, [commitOf(instruments[0]?.version ?? 0)]))[0]
  }

  it('writes on in one epoch, whether the connection knows the process or the script asks', async () => {
    const knowing = await open(RedisConnection)
    await eventually(() => knowing.connection.run !== '')
    const unknowing = await open(UnknowingConnection)
    const outcomes = [await commit(knowing.log), await commit(unknowing.log), await commit(knowing.log)]
    const [first] = outcomes
    if (first?.outcome !== 'committed') throw new Error(`expected a commit, found ${JSON.stringify(first)}`)
    const { epoch } = first
    expect(outcomes).to.deep.equal(
      [1, 2, 3].map((number) => ({ outcome: 'committed', version: number, epoch, seq: String(number) })),
    )
  })

  for (const Connection of [RedisConnection, UnknowingConnection]) {
    it(`answers conflict to what was read under another process (${Connection.name})`, async () => {
      const { log, connection } = await open(Connection)
      if (Connection === RedisConnection) await eventually(() => connection.run !== '')
      expect(await log.commit('f'.repeat(40), [commitOf(0)])).to.deep.equal([{ outcome: 'conflict' }])
      expect(await redis.client.exists(keys.book(NAME.market, NAME.instrument))).to.equal(0)
    })
  }

  it('begins an epoch above every entry it was told of, and rings no bell below them', async () => {
    const { market, instrument } = NAME
    const [stream, bell] = [keys.stream(market, instrument, 'ANALYTICS'), keys.bell(keys.partition(market, instrument))]
    const idsOf = async (key: string) => (await redis.client.xrange(key, '-', '+')).map(([id]) => msOf(id))
    const { log } = await open(RedisConnection)
    // A clock that was ahead wrote this, and is not there any more.
    const aheadMs = Date.now() + AHEAD_MS
    await redis.client.xadd(stream, `${aheadMs}-0`, 'v', '1')
    await commit(log)
    expect(await idsOf(stream)).to.deep.equal([aheadMs, aheadMs])
    expect(await idsOf(bell)).to.deep.equal([aheadMs])
    await redis.client.del(stream, bell, keys.state(market, instrument))
    await commit(log)
    expect(await idsOf(stream)).to.deep.equal([aheadMs + 1])
    expect(await idsOf(bell)).to.deep.equal([aheadMs + 1])
    await commit(log)
    expect(await idsOf(stream)).to.deep.equal([aheadMs + 1, aheadMs + 1])
    expect(await idsOf(bell)).to.deep.equal([aheadMs + 1, aheadMs + 2])
  })
})
