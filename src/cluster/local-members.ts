import type { Clock } from '../lib/clock.ts'
import type { Beat, BeatAnswer, ClusterRole, Member, MemberStore } from './member-store.ts'

interface Kept extends Member {
  readonly seenUs: number
  readonly number: number
}

/** The in-memory twin of the list of members: for tests, and where one process is all there is. */
export class LocalMembers implements MemberStore {
  readonly #clock: Clock
  readonly #roles = new Map<ClusterRole, Map<string, Kept>>()
  /** By role: the last beat of anybody. */
  readonly #heardUs = new Map<ClusterRole, number>()
  /** Changes as if another Redis process answered. */
  runId = 'local'

  constructor(clock: Clock) {
    this.#clock = clock
  }

  async beat(role: ClusterRole, beat: Beat): Promise<BeatAnswer> {
    const { id, incarnation, number, state, facts, expiryMs, outageMs } = beat
    const nowUs = this.#clock.nowUs()
    const list = this.#list(role)
    const heardUs = this.#heardUs.get(role)
    this.#heardUs.set(role, nowUs)
    if (heardUs !== undefined && nowUs - heardUs > outageMs * 1_000) {
      for (const [its, member] of list) {
        if (heardUs - member.seenUs < expiryMs * 1_000) list.set(its, { ...member, seenUs: nowUs, spared: true })
      }
    }
    const mine = list.get(id)
    const startedUs = beat.startedUs ?? Math.max(nowUs, mine === undefined ? 0 : mine.startedUs + 1)
    const isLive = mine !== undefined && nowUs - mine.seenUs < expiryMs * 1_000
    const isOther = mine !== undefined && mine.incarnation !== incarnation
    const standing = isOther && isLive && mine.startedUs > startedUs ? 'superseded' : 'member'
    const isOld = mine !== undefined && !isOther && mine.number > number
    if (standing === 'member' && !isOld) {
      if (state === 'left') list.delete(id)
      else list.set(id, { id, incarnation, startedUs, ageMs: 0, spared: false, state, facts, seenUs: nowUs, number })
    }
    return { standing, startedUs, runId: this.runId, members: await this.list(role) }
  }

  async list(role: ClusterRole): Promise<readonly Member[]> {
    const nowUs = this.#clock.nowUs()
    return [...this.#list(role).values()].map(({ seenUs, number: _, ...member }) => ({
      ...member,
      ageMs: (nowUs - seenUs) / 1_000,
    }))
  }

  #list(role: ClusterRole): Map<string, Kept> {
    let list = this.#roles.get(role)
    if (list === undefined) {
      list = new Map()
      this.#roles.set(role, list)
    }
    return list
  }
}
