import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { LocalMembers } from '../../src/cluster/local-members.ts'
import type { Beat, BeatAnswer, MemberFacts, MemberStore } from '../../src/cluster/member-store.ts'
import { Membership } from '../../src/cluster/membership.ts'
import { SystemClock } from '../../src/lib/clock.ts'
import { RedisConnection, redisAt } from '../../src/redis/connection.ts'
import { Keys } from '../../src/redis/keys.ts'
import { RedisMembers } from '../../src/redis/members.ts'
import { meltica } from '../cli/run.ts'
import { useKeyspace } from '../support/keyspace.ts'
import { TcpProxy } from '../support/proxy.ts'
import { eventually, startRedis } from '../support/redis.ts'

const facts: MemberFacts = {
  ...{ version: '1.2.3', owns: new Set([1, 2, 3, 9]), flows: new Set([1, 9]) },
  ...{
    flowsSinceUs: 1_700_000_000_000_000,
    lagMs: 12,
    unheardMs: 7,
    missingMs: new Map([[9, 1_234]]),
    untold: new Set([9]),
  },
}
const LONG_MS = 60_000
const SHORT_MS = 30

/** One life of a process that beats when it is told to. */
class Life {
  readonly #store: MemberStore
  readonly #beat: Omit<Beat, 'startedUs' | 'number' | 'state' | 'expiryMs' | 'outageMs'>
  #number = 0
  startedUs: number | null = null

  constructor(store: MemberStore, id: string) {
    this.#store = store
    this.#beat = { id, incarnation: randomUUID(), facts }
  }

  async beat(state: Beat['state'] = 'active', expiryMs = LONG_MS, outageMs = LONG_MS): Promise<BeatAnswer> {
    const { startedUs } = this
    const number = ++this.#number
    const answer = await this.#store.beat('ingest', { ...this.#beat, startedUs, number, state, expiryMs, outageMs })
    this.startedUs = answer.startedUs
    return answer
  }

  /** Its first beat once more, as it arrives that was on its way for long. */
  firstAgain(): Promise<BeatAnswer> {
    const nothing = { ...facts, owns: new Set<number>(), flows: new Set<number>() }
    const times = { startedUs: null, number: 1, expiryMs: LONG_MS, outageMs: LONG_MS }
    return this.#store.beat('ingest', { ...this.#beat, ...times, state: 'joining', facts: nothing })
  }
}

const ids = ({ members }: BeatAnswer): string[] => members.map(({ id }) => id).sort()

describe('the list of members', () => {
  const space = useKeyspace()

  const stores: Record<string, () => MemberStore> = {
    'in Redis': () => new RedisMembers(space.connection, space.keys),
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

      it('keeps the word of the newer beat when an older one comes behind it', async () => {
        const life = new Life(open(), 'a')
        await life.beat()
        await life.beat()
        const [member] = (await life.firstAgain()).members
        expect(member).to.deep.include({ state: 'active', startedUs: life.startedUs })
        expect([...(member?.facts.owns ?? [])]).to.deep.equal([1, 2, 3, 9])
        expect((await life.beat()).standing).to.equal('member')
      })

      it('counts everybody as just heard after nobody was heard for so long, also in the answer to a new member', async () => {
        const store = open()
        const [a, b, c] = [new Life(store, 'a'), new Life(store, 'b'), new Life(store, 'c')]
        await a.beat()
        await b.beat()
        await eventually(async () => (await store.list('ingest')).every(({ ageMs }) => ageMs > SHORT_MS))
        const back = await c.beat('joining', SHORT_MS, SHORT_MS)
        expect(back.members.map(({ ageMs }) => ageMs < SHORT_MS)).to.deep.equal([true, true, true])
        const next = await b.beat()
        expect(next.members.find(({ id }) => id === 'a')?.ageMs).to.be.above(0)
        const spared = next.members.filter((member) => member.spared).map(({ id }) => id)
        expect(spared, 'what it says is from before').to.deep.equal(['a'])
        const last = await a.beat()
        expect(last.members.filter((member) => member.spared)).to.deep.equal([])
      })

      it('does not count as heard who was gone before the others fell silent', async () => {
        const store = open()
        const [a, b, c] = [new Life(store, 'a'), new Life(store, 'b'), new Life(store, 'c')]
        await a.beat()
        const ageMs = ({ members }: Pick<BeatAnswer, 'members'>, of: string): number =>
          members.find(({ id }) => id === of)?.ageMs ?? Number.NaN
        await eventually(async () => ageMs(await b.beat(), 'a') > SHORT_MS)
        await eventually(async () => (await store.list('ingest')).every((member) => member.ageMs > SHORT_MS))
        const back = await c.beat('joining', SHORT_MS, SHORT_MS)
        expect(ageMs(back, 'a')).to.be.above(SHORT_MS)
        expect(ageMs(back, 'b')).to.be.below(SHORT_MS)
      })
    })
  }

  it('counts what another Redis process heard last, or one whose clock was ahead, as just heard', async () => {
    const store = new RedisMembers(space.connection, space.keys)
    const [a, b] = [new Life(store, 'a'), new Life(store, 'b')]
    await a.beat()
    const key = space.keys.members('ingest')
    const old = (await space.redis.client.hget(key, 'a')) ?? ''
    const at = (seenUs: number): string => old.replace(/^(\S+ \S+) \S+/, `$1 ${seenUs}`)
    await space.redis.client.hset(key, 'a', at(1_000_000), '#run', 'another', '#heard', 1_500_000)
    expect((await b.beat()).members.find(({ id }) => id === 'a')).to.include({ ageMs: 0, spared: true })
    await space.redis.client.hset(key, 'a', at(Date.now() * 1_000 + 3_600_000_000))
    expect((await b.beat()).members.find(({ id }) => id === 'a')?.ageMs).to.equal(0)
  })

  it('forgets who has been silent for long, and what is no member', async () => {
    const store = new RedisMembers(space.connection, space.keys)
    const [a, b] = [new Life(store, 'a'), new Life(store, 'b')]
    await a.beat()
    const key = space.keys.members('ingest')
    const old = (await space.redis.client.hget(key, 'a')) ?? ''
    await space.redis.client.hset(key, 'a', old.replace(/^(\S+ \S+) \S+/, '$1 1000000'), 'x', 'no member')
    expect(ids(await b.beat())).to.deep.equal(['b'])
    expect((await space.redis.client.hkeys(key)).sort()).to.deep.equal(['#heard', '#run', 'b'])
  })

  it('is looked at by check, which warns when the partitions are few for the members', async function () {
    this.timeout(40_000)
    const store = new RedisMembers(space.connection, space.keys)
    for (const id of ['a', 'b', 'c']) await new Life(store, id).beat()
    const settings = [`prefix=${space.keys.prefix}`, 'partitions=16', 'ingest.redundancy=4', 'cluster.expiryMs=60000']
    const { out } = await meltica([
      ...['check', '--json', '--redis', space.redis.url],
      ...settings.flatMap((setting) => ['--set', setting]),
    ])
    const findings = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { name: string; severity: string; found: string })
    const shown = findings.filter(({ name }) => name.startsWith('partitions') || name === 'members')
    expect(shown.map(({ name, severity, found }) => `${severity} ${name}: ${found}`)).to.deep.equal([
      'warning partitions ingest: 16 for 3 members',
      'warning members: 3',
    ])
  })
})

describe('members that a network cut keeps from Redis', function () {
  this.timeout(30_000)
  const [heartbeatMs, expiryMs] = [200, 2_000]
  const everybody = ['a', 'b', 'c']
  const lives = new Map<string, { readonly proxy: TcpProxy; end(): Promise<void> }>()

  afterEach(async () => {
    for (const life of lives.values()) await life.end()
    lives.clear()
  })

  it('take nobody for gone when they come back one by one, and find who died meanwhile one expiry later', async () => {
    const redis = await startRedis()
    const keys = new Keys(redis.uniquePrefix(), 16)
    const seen = new Map<string, string[]>()
    const gone: string[] = []
    const open = async (id: string) => {
      const proxy = await TcpProxy.open(redis.port)
      const options = { ...redisAt(`redis://127.0.0.1:${proxy.port}`), commandTimeoutMs: 300 }
      const connection = new RedisConnection(options, 'command')
      await connection.ready()
      const membership = new Membership({
        ...{ store: new RedisMembers(connection, keys), role: 'ingest', id, incarnation: id, clock: new SystemClock() },
        ...{ heartbeatMs, expiryMs, facts: () => facts, hurries: () => false },
        seen: (view) => {
          seen.set(id, view.members.map((member) => member.id).sort())
          gone.push(...view.vanished.map((member) => `${member.id} by ${id}`))
        },
        tell: () => undefined,
      })
      await membership.start()
      const end = async (): Promise<void> => {
        membership.fallSilent()
        connection.close()
        await proxy.close()
      }
      return { proxy, end }
    }
    const sees = (id: string, ids: readonly string[]) => (): boolean => seen.get(id)?.join() === ids.join()
    for (const id of everybody) lives.set(id, await open(id))
    for (const id of everybody) await eventually(sees(id, everybody))
    const cut = (): void => {
      for (const { proxy } of lives.values()) proxy.set({ blackhole: true })
    }
    /** Each comes back in its own time. */
    const mend = async (): Promise<void> => {
      seen.clear()
      for (const { proxy } of lives.values()) {
        proxy.set({})
        proxy.cut()
      }
      for (const id of lives.keys()) await eventually(() => seen.has(id))
    }
    cut()
    await new Promise((resolve) => setTimeout(resolve, 2 * expiryMs))
    await mend()
    expect(gone).to.deep.equal([])
    for (const id of everybody) expect(sees(id, everybody)(), `${id} sees ${seen.get(id)}`).to.equal(true)

    cut()
    await lives.get('c')?.end()
    lives.delete('c')
    await new Promise((resolve) => setTimeout(resolve, 2 * expiryMs))
    await mend()
    for (const id of lives.keys()) await eventually(sees(id, ['a', 'b']), 3 * expiryMs)
    expect(gone.sort()).to.deep.equal(['c by a', 'c by b'])
  })
})
