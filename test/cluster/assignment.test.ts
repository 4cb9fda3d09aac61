import { expect } from 'chai'
import fc from 'fast-check'
import { type Assignment, assignPartitions, capacityOf, partitionsOf } from '../../src/cluster/assignment.ts'

const id = fc.stringMatching(/^[A-Za-z0-9._-]{1,40}$/)
const ids = (min: number, max: number) => fc.uniqueArray(id, { minLength: min, maxLength: max })

/** Places that `after` fills with somebody whom `before` did not have there. */
function moved(before: Assignment, after: Assignment): number {
  let count = 0
  for (const [partition, owners] of after.owners.entries()) {
    count += owners.filter((owner) => !before.owners[partition]?.includes(owner)).length
  }
  return count
}

describe('the assignment of partitions', () => {
  it('gives each partition as many different owners as asked for, and nobody more than 1.2 even shares', () => {
    fc.assert(
      fc.property(ids(1, 12), fc.integer({ min: 1, max: 256 }), fc.integer({ min: 1, max: 4 }), (members, count, r) => {
        const { owners, capacity } = assignPartitions(members, count, r)
        const each = Math.min(r, members.length)
        expect(owners).to.have.length(count)
        for (const its of owners) {
          expect(its).to.have.length(each)
          expect(new Set(its).size).to.equal(each)
        }
        expect(capacity).to.be.at.most(Math.ceil((1.2 * each * count) / members.length))
        for (const member of members) {
          expect(owners.filter((its) => its.includes(member)).length).to.be.at.most(capacity)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('is the same for all who see the same members, in whatever order and however often they are named', () => {
    fc.assert(
      fc.property(ids(1, 8), fc.integer({ min: 1, max: 3 }), fc.func(fc.integer()), (members, r, order) => {
        const other = [...members, ...members].sort((a, b) => order(a) - order(b))
        expect(assignPartitions(other, 64, r)).to.deep.equal(assignPartitions(members, 64, r))
      }),
    )
  })

  it('gives everything to one member, and nothing where there is none', () => {
    expect(partitionsOf(assignPartitions(['a'], 16, 2), 'a')).to.have.length(16)
    expect(assignPartitions([], 3, 1).owners).to.deep.equal([[], [], []])
    expect(capacityOf(0, 16, 1)).to.equal(0)
  })

  it('gives a process that takes the id of a dead one the same partitions', () => {
    const before = assignPartitions(['a', 'b', 'c'], 64, 1)
    expect(partitionsOf(assignPartitions(['c', 'b', 'a'], 64, 1), 'b')).to.deep.equal(partitionsOf(before, 'b'))
  })

  for (const redundancy of [1, 2]) {
    /**
     * Averages over 200 random sets of ids a step, at 64 partitions. The least that must move: when a member leaves, all that
     * it owned; when one joins, an even share of all places.
     */
    it(`moves on average at most 1.2 times the least at a join or a leave, redundancy ${redundancy}`, () => {
      const runs = 200
      const sample = fc.sample(ids(8, 8), { numRuns: runs })
      for (let members = redundancy + 1; members <= 8; members++) {
        let movedAtJoin = 0
        let movedAtLeave = 0
        let leastAtJoin = 0
        let leastAtLeave = 0
        for (const set of sample) {
          const few = assignPartitions(set.slice(0, members - 1), 64, redundancy)
          const many = assignPartitions(set.slice(0, members), 64, redundancy)
          movedAtJoin += moved(few, many)
          movedAtLeave += moved(many, few)
          leastAtJoin += (64 * redundancy) / members
          leastAtLeave += partitionsOf(many, set[members - 1] as string).length
        }
        expect(movedAtJoin / leastAtJoin, `${members - 1} to ${members} members`).to.be.at.most(1.2)
        expect(movedAtLeave / leastAtLeave, `${members} to ${members - 1} members`).to.be.at.most(1.2)
      }
    })
  }

  it('settles the largest keyspace among many', () => {
    const members = Array.from({ length: 16 }, (_, index) => `worker-${index}`)
    const shares = members.map((member) => partitionsOf(assignPartitions(members, 16_384, 1), member).length)
    expect(shares.reduce((sum, share) => sum + share, 0)).to.equal(16_384)
    expect(Math.max(...shares)).to.be.at.most(Math.ceil((1.2 * 16_384) / 16))
  })
})
