import { expect } from 'chai'
import { LocalMembers } from '../../src/cluster/local-members.ts'
import type { Beat, MemberStore } from '../../src/cluster/member-store.ts'
import { Membership, type MembershipIncident, type MemberView } from '../../src/cluster/membership.ts'
import { type Clock, ManualClock } from '../../src/lib/clock.ts'
import { factsOf } from '../support/member-facts.ts'

const HEARTBEAT_MS = 500
const EXPIRY_MS = 2_000
const STEP_MS = 5
const facts = factsOf({ owns: new Set([1]) })

/** One process: its clock stops with it. */
class Life {
  readonly incidents: MembershipIncident[] = []
  readonly lateMs: number[] = []
  readonly membership: Membership
  view: MemberView | null = null
  vanished: string[] = []
  alive = true
  /** Timers fire so much later than they are due. */
  heldUpMs = 0

  constructor(clock: Clock, store: MemberStore, id: string, incarnation: string) {
    const its: Clock = {
      nowUs: () => clock.nowUs(),
      monotonicMs: () => clock.monotonicMs(),
      after: (delayMs, callback) => clock.after(delayMs + this.heldUpMs, () => this.alive && callback()),
    }
    this.membership = new Membership({
      ...{ store, role: 'ingest', id, incarnation, clock: its, heartbeatMs: HEARTBEAT_MS, expiryMs: EXPIRY_MS },
      facts: (lateMs) => {
        this.lateMs.push(lateMs)
        return facts
      },
      hurries: () => false,
      seen: (view) => {
        this.view = view
        this.vanished.push(...view.vanished.map((member) => member.incarnation))
      },
      tell: (incident) => this.incidents.push(incident),
    })
  }

  get sees(): string[] {
    return (this.view?.members ?? []).map(({ incarnation }) => incarnation).sort()
  }

  get told(): string[] {
    return this.incidents.map(({ kind, member }) => `${kind} ${member}`)
  }
}

describe('membership', () => {
  let clock: ManualClock
  let store: LocalMembers
  beforeEach(() => {
    clock = new ManualClock()
    store = new LocalMembers(clock)
  })

  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += STEP_MS) {
      clock.advance(STEP_MS)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  const join = async (id: string, incarnation = id, members: MemberStore = store): Promise<Life> => {
    const life = new Life(clock, members, id, incarnation)
    await life.membership.start()
    return life
  }

  it('finds a dead member as soon as its time is over, and not before', async () => {
    const a = await join('a')
    await pass(300)
    const b = await join('b')
    await pass(1_000)
    expect(a.sees).to.deep.equal(['a', 'b'])
    b.alive = false
    const seenUs = (await store.list('ingest')).find(({ id }) => id === 'b')?.ageMs ?? 0
    await pass(EXPIRY_MS - seenUs - 2 * STEP_MS)
    expect(a.sees).to.deep.equal(['a', 'b'])
    await pass(6 * STEP_MS)
    expect(a.sees).to.deep.equal(['a'])
    expect(a.vanished).to.deep.equal(['b'])
    expect(a.told).to.deep.equal(['member-joined b', 'member-gone b'])
  })

  it('tells one that left from one that died', async () => {
    const a = await join('a')
    const b = await join('b')
    await pass(HEARTBEAT_MS)
    await b.membership.leave()
    await pass(2 * HEARTBEAT_MS)
    expect(a.vanished).to.deep.equal([])
    expect(a.told).to.deep.equal(['member-joined b', 'member-left b'])
  })

  it('gives the place of a dead process to one with its id at once', async () => {
    const a = await join('a')
    const b = await join('b', 'b1')
    await pass(HEARTBEAT_MS)
    b.alive = false
    await join('b', 'b2')
    await pass(HEARTBEAT_MS)
    expect(a.sees).to.deep.equal(['a', 'b2'])
    expect(a.vanished).to.deep.equal(['b1'])
  })

  it('lets the later one of two processes with one id stay, and the other stand by until that one is gone', async () => {
    const first = await join('b', 'b1')
    await pass(100)
    const second = await join('b', 'b2')
    await pass(2 * HEARTBEAT_MS)
    expect(first.view?.standing).to.equal('superseded')
    expect(first.sees).to.deep.equal(['b2'])
    expect(first.told).to.include('member-superseded b')
    expect(second.view?.standing).to.equal('member')
    second.alive = false
    await pass(EXPIRY_MS + 2 * HEARTBEAT_MS)
    expect(first.sees).to.deep.equal(['b1'])
    expect(first.told).to.include('member-again b')
  })

  it('counts nobody as gone for one expiry after another Redis process answers, though that one knows nobody', async () => {
    let present = store
    const other: MemberStore = {
      beat: (role, beat: Beat) => present.beat(role, beat),
      list: (role) => present.list(role),
    }
    const a = await join('a', 'a', other)
    const b = await join('b', 'b', other)
    const c = await join('c', 'c', other)
    await pass(HEARTBEAT_MS)
    b.alive = false
    present = new LocalMembers(clock)
    present.runId = 'another'
    await pass(2 * HEARTBEAT_MS)
    await c.membership.leave()
    await pass(EXPIRY_MS - 2 * HEARTBEAT_MS - 100)
    expect(a.sees).to.deep.equal(['a', 'b', 'c'])
    await pass(HEARTBEAT_MS + 200)
    expect(a.sees).to.deep.equal(['a'])
    // That the new one does not list who died with the old one is no farewell.
    expect(a.vanished).to.deep.equal(['b'])
    expect(a.told.slice(-2)).to.deep.equal(['member-left c', 'member-gone b'])
  })

  it('changes nothing while no beat is answered, says so after an expiry, and goes on by itself', async () => {
    let reachable = true
    const flaky: MemberStore = {
      beat: async (role, beat) => {
        if (!reachable) throw new Error('unreachable')
        return store.beat(role, beat)
      },
      list: (role) => store.list(role),
    }
    const a = await join('a', 'a', flaky)
    const b = await join('b', 'b', flaky)
    await pass(HEARTBEAT_MS)
    reachable = false
    await pass(3 * EXPIRY_MS)
    expect(a.sees).to.deep.equal(['a', 'b'])
    expect(a.membership.silentMs).to.be.at.least(EXPIRY_MS)
    expect(a.told).to.deep.equal(['member-joined b', 'beats-lost a'])
    reachable = true
    await pass(2 * HEARTBEAT_MS)
    expect(a.membership.silentMs).to.equal(0)
    expect(a.sees).to.deep.equal(['a', 'b'])
    expect(a.told.filter((told) => told.startsWith('beats-back'))).to.have.length(1)
    expect(b.sees).to.deep.equal(['a', 'b'])
  })

  it('tells with each beat how late it came to make it', async () => {
    const a = await join('a')
    await pass(2 * HEARTBEAT_MS)
    expect(Math.max(...a.lateMs)).to.be.below(STEP_MS)
    a.heldUpMs = 300
    await pass(4 * HEARTBEAT_MS)
    expect(Math.max(...a.lateMs)).to.be.within(300, 300 + 2 * STEP_MS)
  })

  describe('where all are cut off for a while', () => {
    const cut = new Set<string>()
    const cuttable: MemberStore = {
      beat: async (role, beat) => {
        if (cut.has(beat.id)) throw new Error('unreachable')
        return store.beat(role, beat)
      },
      list: (role) => store.list(role),
    }
    const everybody = ['a', 'b', 'c']
    /** So long after one comes the next one back; all within an expiry, beats included. */
    const BACK_MS = 700
    let lives: Life[]

    beforeEach(async () => {
      cut.clear()
      lives = []
      for (const id of everybody) {
        lives.push(await join(id, id, cuttable))
        await pass(150)
      }
      await pass(HEARTBEAT_MS)
    })

    // From the shortest that makes somebody old to one that outlasts what the list remembers.
    for (const cutMs of [EXPIRY_MS - HEARTBEAT_MS, EXPIRY_MS - 100, 2 * EXPIRY_MS, 40 * EXPIRY_MS]) {
      it(`takes nobody for gone after ${cutMs} ms, though they come back one after the other`, async () => {
        for (const id of everybody) cut.add(id)
        await pass(cutMs)
        for (const id of everybody) {
          cut.delete(id)
          await pass(BACK_MS)
          expect(lives.map(({ sees }) => sees)).to.deep.equal(lives.map(() => everybody))
        }
        await pass(2 * EXPIRY_MS)
        expect(lives.flatMap(({ vanished }) => vanished)).to.deep.equal([])
        expect(lives.map(({ sees }) => sees)).to.deep.equal(lives.map(() => everybody))
      })
    }

    it('notices one expiry later who was killed meanwhile, also in a member that joined meanwhile', async () => {
      for (const id of everybody) cut.add(id)
      await pass(EXPIRY_MS)
      const [a, b, c] = lives as [Life, Life, Life]
      c.alive = false
      await pass(4 * EXPIRY_MS)
      const fresh = await join('d', 'd', cuttable)
      expect(fresh.sees).to.deep.equal(['a', 'b', 'c', 'd'])
      cut.clear()
      await pass(EXPIRY_MS - 100)
      for (const life of [a, b, fresh]) expect(life.sees).to.include('c')
      await pass(2 * HEARTBEAT_MS + EXPIRY_MS / 2)
      for (const life of [a, b, fresh]) {
        expect(life.sees).to.deep.equal(['a', 'b', 'd'])
        expect(life.vanished).to.deep.equal(['c'])
      }
    })

    it('gives whoever comes back first an expiry to see those come back that were cut off with it', async () => {
      const [a, b, c] = lives as [Life, Life, Life]
      cut.add('a').add('b')
      await pass(3 * EXPIRY_MS)
      expect(c.sees).to.deep.equal(['c'])
      cut.delete('a')
      await pass(EXPIRY_MS - HEARTBEAT_MS)
      expect(a.sees).to.deep.equal(everybody)
      cut.delete('b')
      await pass(2 * EXPIRY_MS)
      for (const life of [a, b, c]) expect(life.sees).to.deep.equal(everybody)
      expect(a.vanished).to.deep.equal([])
    })

    it('takes a member that the list forgot meanwhile for gone, not for one that said it leaves', async () => {
      const [a] = lives as [Life, Life, Life]
      cut.add('a').add('b')
      await pass(EXPIRY_MS)
      await store.beat('ingest', {
        ...{ id: 'b', incarnation: 'b', startedUs: 1, number: 2, state: 'left', facts },
        expiryMs: EXPIRY_MS,
        outageMs: EXPIRY_MS,
      })
      await pass(EXPIRY_MS)
      cut.delete('a')
      await pass(2 * EXPIRY_MS)
      expect(a.vanished).to.deep.equal(['b'])
    })
  })
})
