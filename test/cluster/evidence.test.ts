import { expect } from 'chai'
import { OverlapEvidence, READ_BY_MS } from '../../src/cluster/evidence.ts'
import type { Member } from '../../src/cluster/member-store.ts'
import type { MemberView } from '../../src/cluster/membership.ts'
import { factsOf } from '../support/member-facts.ts'

interface Said {
  readonly owns: readonly number[]
  readonly flows: readonly number[]
  readonly lagMs?: number | null
  readonly ageMs?: number
  readonly unheardMs?: number
  readonly missing?: readonly (readonly [partition: number, ms: number])[]
  readonly untold?: readonly number[]
  readonly spared?: boolean
}

function member(said: Said): Member {
  const { owns, flows, lagMs = null, ageMs = 0, unheardMs = 0, missing = [], untold = [], spared = false } = said
  const sets = { owns: new Set(owns), flows: new Set(flows), untold: new Set(untold) }
  const facts = factsOf({ ...sets, lagMs, unheardMs, missingMs: new Map(missing) })
  return { id: 'other', incarnation: 'other', startedUs: 1, ageMs, spared, state: 'active', facts }
}

function view(said: Said | null, gone: 'left' | 'vanished' | null = null): MemberView {
  const was = [member({ owns: [1, 2], flows: [1, 2] })]
  return {
    ...{ standing: 'member', members: said === null ? [] : [member(said)], askedMs: 0 },
    ...{ left: gone === 'left' ? was : [], vanished: gone === 'vanished' ? was : [] },
  }
}

describe('evidence that two lines overlap', () => {
  const held = new Set([1, 2])
  const input = (askedMs: number) => ({ incarnation: 'self', held, askedUs: askedMs * 1_000 })
  let evidence: OverlapEvidence
  beforeEach(() => {
    evidence = new OverlapEvidence()
  })

  it('is a beat of a member that lives, minus what it may not have read and appended yet', () => {
    evidence.look(view({ owns: [1, 2], flows: [1] }), input(5_000))
    const found = evidence.look(view({ owns: [1, 2], flows: [1], ageMs: 100, lagMs: 50 }), input(10_000))
    expect([...found]).to.deep.equal([[1, (10_000 - 100 - 50 - READ_BY_MS) * 1_000]])
  })

  it('is the last beat before it let go, because by then all of it is in the stream', () => {
    evidence.look(view({ owns: [1, 2], flows: [1, 2] }), input(5_000))
    evidence.look(view({ owns: [1, 2], flows: [1, 2] }), input(10_000))
    evidence.look(view({ owns: [1, 2], flows: [2] }), input(10_100))
    const found = evidence.look(view({ owns: [2], flows: [2] }), input(10_200))
    expect(found.get(1)).to.equal(10_000_000)
    expect(found.get(2)).to.equal((10_200 - READ_BY_MS) * 1_000)
    expect(evidence.look(view({ owns: [2], flows: [2] }), input(10_300)).has(1)).to.equal(false)
  })

  it('ends where one of its streams showed something last, also if that becomes known only later', () => {
    evidence.look(view({ owns: [1, 2], flows: [1, 2] }), input(10_000))
    evidence.look(view({ owns: [1, 2], flows: [1, 2], missing: [[1, 1_500]] }), input(10_500))
    const found = evidence.look(view(null, 'left'), input(10_600))
    expect([...found]).to.deep.equal([
      [1, 9_000_000],
      [2, 10_500_000],
    ])
  })

  it('does not count what a member said before a time in which nobody could beat', () => {
    evidence.look(view({ owns: [1, 2], flows: [1, 2] }), input(10_000))
    const found = evidence.look(view({ owns: [1, 2], flows: [1, 2], spared: true }), input(20_000))
    expect([...found.values()], 'none of the first beat is old enough').to.deep.equal([])
    expect([...evidence.look(view(null, 'left'), input(21_000))]).to.deep.equal([
      [1, 10_000_000],
      [2, 10_000_000],
    ])
  })

  it('ends where the other member last heard the venue, whatever it says is flowing', () => {
    evidence.look(view({ owns: [1, 2], flows: [1, 2], unheardMs: 900 }), input(10_000))
    const found = evidence.look(view(null, 'left'), input(10_200))
    expect([...found]).to.deep.equal([
      [1, 9_100_000],
      [2, 9_100_000],
    ])
  })

  it('is the last beat of one that left', () => {
    evidence.look(view({ owns: [1, 2], flows: [1, 2] }), input(10_000))
    const found = evidence.look(view(null, 'left'), input(10_200))
    expect([...found]).to.deep.equal([
      [1, 10_000_000],
      [2, 10_000_000],
    ])
  })

  it('is nothing any more when it is gone without a word', () => {
    evidence.look(view({ owns: [1, 2], flows: [1, 2] }), input(10_000))
    expect([...evidence.look(view(null, 'vanished'), input(12_000))]).to.deep.equal([])
  })

  it('does not count until the other member has told the gap that it owed and appended it', () => {
    const owing = { owns: [1, 2], flows: [1, 2], untold: [1] }
    evidence.look(view({ owns: [1, 2], flows: [1, 2] }), input(5_000))
    expect([...evidence.look(view(owing), input(10_000)).keys()]).to.deep.equal([2])
    const told = { owns: [1, 2], flows: [1, 2] }
    expect([...evidence.look(view(told), input(10_500)).keys()]).to.deep.equal([2])
    expect([...evidence.look(view(told), input(10_400 + READ_BY_MS)).keys()]).to.deep.equal([2])
    expect([...evidence.look(view(told), input(10_600 + READ_BY_MS)).keys()]).to.have.members([1, 2])
  })

  it('does not count where the other member let go, or left, with a gap still owed', () => {
    evidence.look(view({ owns: [1, 2], flows: [1, 2], untold: [1, 2] }), input(10_000))
    expect([...evidence.look(view({ owns: [2], flows: [2], untold: [2] }), input(10_200))]).to.deep.equal([])
    expect([...evidence.look(view(null, 'left'), input(10_400))]).to.deep.equal([])
  })

  it('is not what others tell of partitions that are not held here', () => {
    expect([...evidence.look(view({ owns: [3], flows: [3] }), input(10_000))]).to.deep.equal([])
  })
})
