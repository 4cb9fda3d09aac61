import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { LocalMembers } from '../../src/cluster/local-members.ts'
import type { Beat, BeatAnswer, MemberFacts, MemberStore } from '../../src/cluster/member-store.ts'
import { SystemClock } from '../../src/lib/clock.ts'
import { RedisConnection, redisAt } from '../../src/redis/connection.ts'
import { Keys } from '../../src/redis/keys.ts'
import { RedisMembers } from '../../src/redis/members.ts'
import { meltica } from '../cli/run.ts'
import { eventually, startRedis, type TestRedis } from '../support/redis.ts'

const facts: MemberFacts = {
  ...{ version: '1.2.3', owns: new Set([1, 2, 3, 9]), flows: new Set([1, 9]) },
  ...{ flowsSinceUs: 1_700_000_000_000_000, lagMs: 12, unheardMs: 7 },
}
const LONG_MS = 60_000
const SHORT_MS = 30

/** One life of a process that beats when it is told to. */
class Life {
  readonly #store: MemberStore
  readonly #beat: Omit<Beat, 'startedUs' | 'state' | 'expiryMs'>
  startedUs: number | null = null

  constructor(store: MemberStore, id: string) {
    this.#store = store
    this.#beat = { id, incarnation: randomUUID(), facts }
  }

  async beat(state: Beat['state'] = 'active', expiryMs = LONG_MS): Promise<BeatAnswer> {
    const answer = await this.#store.beat('ingest', { ...this.#beat, startedUs: this.startedUs, state, expiryMs })
    this.startedUs = answer.startedUs
    return answer
  }
}

const ids = ({ members }: BeatAnswer): string[] => members.map(({ id }) => id).sort()

describe('the list of members', () => {
  let redis: TestRedis
  let connection: RedisConnection
  let keys: Keys

  before(async () => {
    redis = await startRedis()
    connection = new RedisConnection(redisAt(redis.url), 'command')
    await connection.ready()
  })
  after(() => connection.close())
  beforeEach(() => {
    keys = new Keys(redis.uniquePrefix(), 16)
  })

  const stores: Record<string, () => MemberStore> = {
    'in Redis': () => new RedisMembers(connection, keys),
    'in memory': () => new LocalMembers(new SystemClock()),
  }
  for (const [where, open] of Object.entries(stores)) {
    describe(where, () => {
      it('answers a beat with everybody, as they told of themselves, and knows each role apart', async () => {
        const store = open()
        const [a, b] = [new Life(store, 'a'), new Life(store, 'b')]
        expect(ids(await a.beat('joining'))).to.deep.equal(['a'])
        const answer = await b.beat()
        expect(ids(answer)).to.deep.equal(['a', 'b'])
        expect(answer.standing).to.equal('member')
        expect(answer.members.find(({ id }) => id === 'a')?.state).to.equal('joining')
        expect(answer.members.find(({ id }) => id === 'b')?.facts).to.deep.equal(facts)
        expect((await store.list('ingest')).map(({ id }) => id).sort()).to.deep.equal(['a', 'b'])
        expect(await store.list('conductor')).to.deep.equal([])
      })

      it('takes who leaves off the list', async () => {
        const store = open()
        const [a, b] = [new Life(store, 'a'), new Life(store, 'b')]
        await a.beat()
        await b.beat()
        await a.beat('left')
        expect(ids(await b.beat())).to.deep.equal(['b'])
      })

      it('lets the later life of an id take the place of one that still beats, and the earlier one only after it', async () => {
        const store = open()
        const [first, second] = [new Life(store, 'a'), new Life(store, 'a')]
        await first.beat()
        const answer = await second.beat()
        expect(answer.standing).to.equal('member')
        expect(answer.startedUs).to.be.above(first.startedUs ?? 0)
        expect((await first.beat()).standing).to.equal('superseded')
        const stood = await eventually(async () => {
          const again = await first.beat('active', SHORT_MS)
          return again.standing === 'member' ? again : null
        })
        expect(ids(stood)).to.deep.equal(['a'])
      })

      it('says since when each has been silent', async () => {
        const store = open()
        const [a, b] = [new Life(store, 'a'), new Life(store, 'b')]
        await a.beat()
        await eventually(async () => {
          const { members } = await b.beat()
          return (members.find(({ id }) => id === 'a')?.ageMs ?? 0) > SHORT_MS
        })
        const { members } = await a.beat()
        expect(members.find(({ id }) => id === 'a')?.ageMs).to.be.below(SHORT_MS)
      })
    })
  }

  it('counts what another Redis process heard last, or one whose clock was ahead, as just heard', async () => {
    const store = new RedisMembers(connection, keys)
    const [a, b] = [new Life(store, 'a'), new Life(store, 'b')]
    await a.beat()
    const key = keys.members('ingest')
    const old = (await redis.client.hget(key, 'a')) ?? ''
    const at = (seenUs: number): string => old.replace(/^(\S+ \S+) \S+/, `$1 ${seenUs}`)
    await redis.client.hset(key, 'a', at(1_000_000), '#run', 'another')
    expect((await b.beat()).members.find(({ id }) => id === 'a')?.ageMs).to.equal(0)
    await redis.client.hset(key, 'a', at(Date.now() * 1_000 + 3_600_000_000))
    expect((await b.beat()).members.find(({ id }) => id === 'a')?.ageMs).to.equal(0)
  })

  it('forgets who has been silent for long, and what is no member', async () => {
    const store = new RedisMembers(connection, keys)
    const [a, b] = [new Life(store, 'a'), new Life(store, 'b')]
    await a.beat()
    const key = keys.members('ingest')
    const old = (await redis.client.hget(key, 'a')) ?? ''
    await redis.client.hset(key, 'a', old.replace(/^(\S+ \S+) \S+/, '$1 1000000'), 'x', 'no member')
    expect(ids(await b.beat())).to.deep.equal(['b'])
    expect((await redis.client.hkeys(key)).sort()).to.deep.equal(['#run', 'b'])
  })

  it('is looked at by check, which warns when the partitions are few for the members', async function () {
    this.timeout(40_000)
    const store = new RedisMembers(connection, keys)
    for (const id of ['a', 'b', 'c']) await new Life(store, id).beat()
    const settings = [`prefix=${keys.prefix}`, 'partitions=16', 'ingest.redundancy=4', 'cluster.expiryMs=60000']
    const { out } = await meltica([
      ...['check', '--json', '--redis', redis.url],
      ...settings.flatMap((setting) => ['--set', setting]),
    ])
    const findings = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { name: string; severity: string; found: string })
    const shown = findings.filter(({ name }) => name === 'partitions' || name === 'members')
    expect(shown.map(({ name, severity, found }) => `${severity} ${name}: ${found}`)).to.deep.equal([
      'warning partitions: 16 for 3 members',
      'warning members: 3',
    ])
  })
})
