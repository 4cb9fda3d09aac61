import { expect } from 'chai'
import { MemorySnapshotStore } from '../../src/conductor/memory-snapshot-store.ts'
import type { BookName, Snapshot, SnapshotChange, SnapshotStore } from '../../src/conductor/snapshot-store.ts'
import { Quality } from '../../src/domain/event.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { RedisConnection, redisAt } from '../../src/redis/connection.ts'
import { Keys } from '../../src/redis/keys.ts'
import { RedisSnapshotStore } from '../../src/redis/snapshot-store.ts'
import { eventually, startPrivateRedis, type TestRedis } from '../support/redis.ts'
import { BTC, MARKET } from './fused.ts'

/** One suite for every version of the contract: what a version answers here is what the conductor relies on. */
interface Opened {
  readonly store: SnapshotStore
  /** Lets the time to live of every record end. */
  expire(): Promise<void>
  /** Makes the record, or the store, one that cannot be used; answers the way back. */
  spoil(): Promise<() => Promise<void>>
}

const TTL_MS = 60_000
const name: BookName = { market: MARKET, instrument: BTC }
const other: BookName = { market: MARKET, instrument: 'ETH-USDT' as BookName['instrument'] }

const head = (streamId: string, epoch = '7') => ({
  ...{ epoch, seq: '1', streamId, venueSeq: '10', updatedAt: '1700000000000000', quality: Quality.Live },
})
const change = (streamId: string, set: string[], removed: string[] = [], epoch = '7'): SnapshotChange => ({
  head: head(streamId, epoch),
  set,
  removed,
})
const whole = (streamId: string): Omit<Snapshot, 'version'> => ({
  ...head(streamId),
  bids: [['1.5', '2.00']],
  asks: [['1.6', '3.10']],
})

async function found(store: SnapshotStore, which = name): Promise<Snapshot> {
  const answer = await store.get(which)
  if (answer.outcome !== 'found') throw new Error(`expected a record, found ${answer.outcome}`)
  return answer.snapshot
}

function conforms(open: () => Promise<Opened>): void {
  it('answers not-found where nothing was put', async () => {
    const { store } = await open()
    expect(await store.get(name)).to.deep.equal({ outcome: 'not-found' })
  })

  it('gives back what was put, digits and all, with a version of its own', async () => {
    const { store } = await open()
    const put = await store.put(name, whole('1-0'))
    expect(put).to.deep.equal({ outcome: 'swapped', version: 1 })
    expect(await found(store)).to.deep.equal({ ...whole('1-0'), version: 1 })
    expect(await store.get(other)).to.deep.equal({ outcome: 'not-found' })
  })

  it('puts a whole record in the place of another', async () => {
    const { store } = await open()
    await store.put(name, { ...whole('1-0'), bids: [['9', '9']] })
    expect(await store.put(name, whole('2-0'))).to.deep.equal({ outcome: 'swapped', version: 2 })
    expect(await found(store)).to.deep.equal({ ...whole('2-0'), version: 2 })
  })

  it('swaps when version, epoch and stream id are the expected ones, and changes no other level', async () => {
    const { store } = await open()
    await store.put(name, {
      ...whole('1-0'),
      bids: [
        ['1.5', '2.00'],
        ['1.4', '1'],
      ],
    })
    const expected = { version: 1, epoch: '7', streamId: '1-0' }
    const swapped = await store.compareAndSwap(name, expected, change('2-0', ['b:1.5', '4.0', 'a:1.7', '1'], ['b:1.4']))
    expect(swapped).to.deep.equal({ outcome: 'swapped', version: 2 })
    const { bids, asks, streamId } = await found(store)
    expect({ bids, streamId }).to.deep.equal({ bids: [['1.5', '4.0']], streamId: '2-0' })
    expect([...asks].sort()).to.deep.equal([
      ['1.6', '3.10'],
      ['1.7', '1'],
    ])
  })

  it('takes more levels, and more that go, than one call of Redis has room for', async () => {
    const { store } = await open()
    const prices = Array.from({ length: 5_000 }, (_, index) => `${index + 1}`)
    const levels = prices.map((price) => [price, `0.${price}`] as const)
    await store.put(name, { ...whole('1-0'), bids: levels, asks: levels })
    const { bids, asks } = await found(store)
    expect(new Map(bids)).to.deep.equal(new Map(levels))
    expect(new Map(asks)).to.deep.equal(new Map(levels))
    const expected = { version: 1, epoch: '7', streamId: '1-0' }
    const gone = prices.slice(1).flatMap((price) => [`b:${price}`, `a:${price}`])
    await store.compareAndSwap(name, expected, change('2-0', [], gone))
    const left = await found(store)
    expect({ bids: left.bids, asks: left.asks }).to.deep.equal({ bids: [['1', '0.1']], asks: [['1', '0.1']] })
  })

  for (const [what, expected] of [
    ['version', { version: 2, epoch: '7', streamId: '1-0' }],
    ['epoch', { version: 1, epoch: '8', streamId: '1-0' }],
    ['stream id', { version: 1, epoch: '7', streamId: '1-1' }],
    ['record where none is expected', null],
  ] as const)
    it(`answers conflict at another ${what}, and writes nothing`, async () => {
      const { store } = await open()
      await store.put(name, whole('1-0'))
      expect(await store.compareAndSwap(name, expected, change('2-0', ['b:9', '9']))).to.deep.equal({
        outcome: 'conflict',
      })
      expect(await found(store)).to.deep.equal({ ...whole('1-0'), version: 1 })
    })

  it('makes a record where none is expected, and answers conflict where one is', async () => {
    const { store } = await open()
    const expected = { version: 1, epoch: '7', streamId: '1-0' }
    expect(await store.compareAndSwap(name, expected, change('1-0', []))).to.deep.equal({ outcome: 'conflict' })
    expect(await store.compareAndSwap(name, null, change('1-0', ['b:1', '1']))).to.deep.equal({
      outcome: 'swapped',
      version: 1,
    })
    expect((await found(store)).bids).to.deep.equal([['1', '1']])
  })

  it('lets one of many that swap at the same time win', async () => {
    const { store } = await open()
    await store.put(name, whole('1-0'))
    const expected = { version: 1, epoch: '7', streamId: '1-0' }
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, at) => store.compareAndSwap(name, expected, change('2-0', ['b:2', `${at + 1}`]))),
    )
    expect(answers.map(({ outcome }) => outcome).sort()).to.deep.equal([...Array(7).fill('conflict'), 'swapped'])
    expect((await found(store)).version).to.equal(2)
  })

  it('forgets a record after its time to live, and its versions do not come round again', async () => {
    const { store, expire } = await open()
    await store.put(name, whole('1-0'))
    await expire()
    expect(await store.get(name)).to.deep.equal({ outcome: 'not-found' })
    const expected = { version: 1, epoch: '7', streamId: '1-0' }
    expect(await store.compareAndSwap(name, expected, change('2-0', []))).to.deep.equal({ outcome: 'conflict' })
    expect(await store.put(name, whole('1-0'))).to.deep.equal({ outcome: 'swapped', version: 2 })
  })

  it('answers unavailable with a reason while it cannot be used, and goes on afterwards', async () => {
    const { store, spoil } = await open()
    await store.put(name, whole('1-0'))
    const mend = await spoil()
    const expected = { version: 1, epoch: '7', streamId: '1-0' }
    const answers = [await store.get(name), await store.compareAndSwap(name, expected, change('2-0', ['b:9', '9']))]
    for (const answer of answers) {
      expect(answer.outcome).to.equal('unavailable')
      expect((answer as { reason: string }).reason).to.not.equal('')
    }
    await mend()
    expect((await store.put(name, whole('3-0'))).outcome).to.equal('swapped')
    expect((await found(store)).streamId).to.equal('3-0')
  })
}

describe('a snapshot store in memory', () => {
  conforms(async () => {
    const clock = new ManualClock()
    const store = new MemorySnapshotStore(clock, TTL_MS)
    return {
      store,
      expire: async () => clock.advance(TTL_MS),
      spoil: async () => {
        store.unavailable = 'spoilt'
        return async () => {
          store.unavailable = null
        }
      },
    }
  })
})

describe('a snapshot store in Redis', () => {
  let redis: TestRedis
  let connection: RedisConnection
  before(async () => {
    redis = await startPrivateRedis()
    connection = new RedisConnection(redisAt(redis.url), 'command')
    await connection.ready()
  })
  after(() => connection.close())

  conforms(async () => {
    const keys = new Keys(redis.uniquePrefix(), 16)
    const key = keys.book(MARKET, BTC)
    return {
      store: new RedisSnapshotStore(connection, keys, TTL_MS),
      expire: async () => {
        expect(await redis.client.pttl(key)).to.be.within(1, TTL_MS)
        await redis.client.pexpire(key, 1)
        await eventually(async () => (await redis.client.exists(key)) === 0)
      },
      spoil: async () => {
        await redis.client.set(key, 'not a hash')
        return async () => {
          await redis.client.del(key)
        }
      },
    }
  })

  it('never answers a torn record: what cannot be finished is taken away whole', async () => {
    const keys = new Keys(redis.uniquePrefix(), 16)
    const store = new RedisSnapshotStore(connection, keys, TTL_MS)
    await store.put(name, whole('1-0'))
    // The state, which is written last, is one that cannot be written.
    await redis.client.rename(keys.state(MARKET, BTC), `${keys.state(MARKET, BTC)}:kept`)
    await redis.client.set(keys.state(MARKET, BTC), 'not a hash')
    expect((await store.put(name, whole('2-0'))).outcome).to.equal('unavailable')
    const left = await store.get(name)
    if (left.outcome === 'found') expect(left.snapshot).to.deep.equal({ ...whole('1-0'), version: 1 })
  })
})
