import { expect } from 'chai'
import { planHandover } from '../../src/cluster/handover.ts'
import type { Member, MemberState } from '../../src/cluster/member-store.ts'
import { factsOf } from '../support/member-facts.ts'

const PARTITIONS = 4
const all = new Set(Array.from({ length: PARTITIONS }, (_, partition) => partition))

function member(id: string, state: MemberState, flows: ReadonlySet<number>): Member {
  const facts = factsOf({ owns: flows, flows })
  return { id, incarnation: `${id}.1`, startedUs: 1, ageMs: 100, spared: false, state, facts }
}

function planOf(members: readonly Member[], outdated: ReadonlySet<string>) {
  const view = { standing: 'member', members, vanished: [], left: [], askedMs: 0 } as const
  const self = { id: 'a', incarnation: 'a.1' }
  return planHandover({ view, self, held: all, partitions: PARTITIONS, redundancy: 1, outdated })
}

describe('the handover of a member that leaves', () => {
  it('keeps what does not flow at its heir, and lets go what does', () => {
    const some = new Set([0, 3])
    const { lent, owned } = planOf([member('a', 'leaving', all), member('b', 'active', some)], new Set())
    expect([...lent].sort()).to.deep.equal([1, 2])
    expect(owned.size).to.equal(0)
  })

  it('believes an heir only what it says once it can know that it is one', () => {
    const members = [member('a', 'leaving', all), member('b', 'active', all)]
    expect(planOf(members, new Set()).lent.size).to.equal(0)
    expect(planOf(members, new Set(['b.1'])).lent).to.deep.equal(all)
  })
})
