import type { Clock } from '../lib/clock.ts'
import { metrics } from '../telemetry/metrics.ts'
import type { Beat, BeatAnswer, ClusterRole, Member, MemberFacts, MemberState, MemberStore } from './member-store.ts'

/** What a member sees after a beat. */
export interface MemberView {
  /** Whether this process is on the list itself. */
  readonly standing: BeatAnswer['standing']
  /** Who is alive, this process included when it is a member. */
  readonly members: readonly Member[]
  /** Who was alive at the view before and is not any more, without having left. */
  readonly vanished: readonly Member[]
  /** Who was alive at the view before and has taken itself off the list since. */
  readonly left: readonly Member[]
  /** When the list was asked for, this process's monotonic clock: ages are counted from no earlier than this. */
  readonly askedMs: number
}

export interface MembershipIncident {
  readonly kind:
    | 'member-joined'
    | 'member-left'
    | 'member-gone'
    | 'member-superseded'
    | 'member-list-full'
    | 'member-again'
    | 'beats-lost'
    | 'beats-back'
  readonly severity: 'info' | 'warning'
  readonly message: string
  readonly member: string
  readonly error?: unknown
}

export interface MembershipOptions {
  readonly store: MemberStore
  readonly role: ClusterRole
  readonly id: string
  /** Unique to this life of the process. */
  readonly incarnation: string
  readonly clock: Clock
  readonly heartbeatMs: number
  readonly expiryMs: number
  /** Asked before every beat; `lateMs`: how much later than it was due this process came to make it. */
  facts(lateMs: number): MemberFacts
  /** Something is being handed over: beats come faster. */
  hurries(): boolean
  seen(view: MemberView): void
  tell(incident: MembershipIncident): void
}

/** In a hurry this many beats are made where one is made otherwise. */
const HURRY_FACTOR = 5
/** A member that is about to expire is looked at this long after. */
const LOOK_AFTER_MS = 5
const DELAY_MS_MIN = 10

/**
 * This process among the members of a role: one call every heartbeat tells that it is alive and learns who else is.
 *
 * Whoever has not beaten for `expiryMs` by Redis's clock is gone. The next beat comes early when somebody is about to be,
 * so the finding takes no longer than the expiry itself. While Redis cannot be reached nothing changes: ownership is
 * only economy, so what flows goes on, and the beats resume by themselves. Nobody counts as gone for one expiry time
 * - after a change of Redis's `run_id`, also where the new one knows nobody;
 * - after a time in which nobody could beat (the list sees to that, for those who are new as well);
 * - after a time in which this process did not: the others may have been cut off with it, and come back behind it.
 */
export class Membership {
  readonly #options: MembershipOptions
  #state: MemberState = 'joining'
  #startedUs: number | null = null
  #runId = ''
  #members: readonly Member[] = []
  #standing: BeatAnswer['standing'] | '' = ''
  /** Until then nobody counts as gone whom the list still has; ms, monotonic. */
  #countsFromMs = 0
  /** Until then the list may lack who is alive: another Redis process keeps it. */
  #knowsNobodyToMs = 0
  /** Ids that this list has had lately: if it has them no more, they took themselves off. */
  #listed: ReadonlySet<string> = new Set()
  #beats = 0
  #beatenMs: number
  readonly #outageMs: number
  #dueMs: number
  #lost = false
  #underway: Promise<void> | null = null
  #cancelNext: () => void = () => {}
  #closed = false

  constructor(options: MembershipOptions) {
    this.#options = options
    this.#outageMs = outageMsOf(options)
    this.#beatenMs = options.clock.monotonicMs()
    this.#dueMs = this.#beatenMs
  }

  /** Since when no beat was answered, ms; 0 while they are answered in time. */
  get silentMs(): number {
    const silentMs = this.#options.clock.monotonicMs() - this.#beatenMs
    return silentMs > this.#options.expiryMs ? silentMs : 0
  }

  /** Beats from now on; resolves after the first try. */
  start(): Promise<void> {
    return this.#beat()
  }

  /** Takes the state and tells it at once; resolves when that was tried. */
  async become(state: MemberState): Promise<void> {
    this.#state = state
    await this.#underway
    await this.#beat()
  }

  /** Takes this process off the list; resolves when that was tried. Later calls do nothing. */
  async leave(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#cancelNext()
    await this.#underway
    if (this.#startedUs === null || this.#lost) return
    try {
      await this.#options.store.beat(this.#options.role, { ...this.#next(), state: 'left' })
    } catch (error) {
      const { id, tell } = this.#options
      const message = 'the list of members could not be told that this one leaves; it expires there'
      tell({ kind: 'beats-lost', severity: 'info', message, member: id, error })
    }
  }

  /** Beats no more and stays on the list until that is noticed; later calls do nothing. */
  fallSilent(): void {
    this.#closed = true
    this.#cancelNext()
  }

  #next(): Beat {
    const { id, incarnation, expiryMs, clock } = this.#options
    const facts = this.#options.facts(Math.max(0, clock.monotonicMs() - this.#dueMs))
    return {
      id,
      incarnation,
      startedUs: this.#startedUs,
      number: ++this.#beats,
      state: this.#state,
      facts,
      expiryMs,
      outageMs: this.#outageMs,
    }
  }

  #beat(): Promise<void> {
    this.#cancelNext()
    this.#underway ??= this.#beatOnce().finally(() => {
      this.#underway = null
    })
    return this.#underway
  }

  async #beatOnce(): Promise<void> {
    const { store, role, clock, heartbeatMs, hurries } = this.#options
    const begunMs = clock.monotonicMs()
    let delayMs = heartbeatMs
    try {
      const answer = await store.beat(role, this.#next())
      if (this.#closed) return
      this.#answered(answer, begunMs, clock.monotonicMs())
      delayMs = Math.min(hurries() ? heartbeatMs / HURRY_FACTOR : heartbeatMs, this.#nextExpiryMs())
    } catch (error) {
      this.#failed(error)
    }
    if (this.#closed) return
    const nowMs = clock.monotonicMs()
    const waitMs = Math.max(DELAY_MS_MIN, delayMs - (nowMs - begunMs))
    this.#dueMs = nowMs + waitMs
    this.#cancelNext = clock.after(waitMs, () => void this.#beat())
  }

  #answered(answer: BeatAnswer, askedMs: number, nowMs: number): void {
    const { id, incarnation, expiryMs, seen, tell } = this.#options
    if (this.#lost) {
      const message = `beats are answered again after ${Math.round(nowMs - this.#beatenMs)} ms`
      tell({ kind: 'beats-back', severity: 'info', message, member: id })
    }
    const wasAway = this.#startedUs !== null && nowMs - this.#beatenMs > this.#outageMs
    const isOtherRun = this.#runId !== '' && answer.runId !== this.#runId
    this.#lost = false
    this.#beatenMs = nowMs
    this.#startedUs = answer.startedUs
    this.#runId = answer.runId
    if (wasAway || isOtherRun) this.#countsFromMs = nowMs + expiryMs
    if (isOtherRun) this.#knowsNobodyToMs = this.#countsFromMs
    const others = this.#members.filter((member) => member.incarnation !== incarnation)
    const listed = new Set(answer.members.map((member) => member.id))
    const awaited = new Set(nowMs < this.#countsFromMs ? others.map((member) => member.incarnation) : [])
    const alive = answer.members.filter((member) => member.ageMs < expiryMs || awaited.has(member.incarnation))
    if (nowMs < this.#knowsNobodyToMs) {
      for (const member of missingFrom(alive, others)) alive.push({ ...member, spared: true })
    }
    // Whoever leaves takes itself off the list; whoever dies stays on it, or another life with its id does. After a long absence
    // who is not on it may also have died and been forgotten, and the list of another Redis process never knew who died with
    // the one before: no word of it is a proof then.
    const before: ReadonlySet<string> = wasAway || isOtherRun ? new Set() : this.#listed
    const missing = missingFrom(alive, others)
    const left = missing.filter((member) => before.has(member.id) && !listed.has(member.id))
    const vanished = missingFrom(left, missing)
    for (const member of alive) if (before.has(member.id)) listed.add(member.id)
    this.#listed = listed
    this.#members = alive
    this.#tellStanding(answer.standing)
    this.#tellChanges(alive, others, left, vanished)
    seen({ standing: answer.standing, members: alive, vanished, left, askedMs })
  }

  #failed(error: unknown): void {
    const { id, role, expiryMs, tell } = this.#options
    metrics.beatsFailed.inc({ role })
    if (this.#lost || this.silentMs === 0) return
    this.#lost = true
    const message = `no beat was answered for ${expiryMs} ms: others may count this process as gone, what flows here goes on`
    tell({ kind: 'beats-lost', severity: 'warning', message, member: id, error })
  }

  /** Ms until the first of the others would count as gone. */
  #nextExpiryMs(): number {
    const ages = this.#members
      .filter(({ incarnation }) => incarnation !== this.#options.incarnation)
      .map(({ ageMs }) => ageMs)
    return this.#options.expiryMs - Math.max(0, ...ages) + LOOK_AFTER_MS
  }

  #tellStanding(standing: BeatAnswer['standing']): void {
    const before = this.#standing
    this.#standing = standing
    if (standing === before || (before === '' && standing === 'member')) return
    const { id, role, tell } = this.#options
    const incident =
      standing === 'superseded'
        ? ({
            kind: 'member-superseded',
            severity: 'warning',
            message: `another process with the worker.id ${id} started later and beats: this one steps down and stands by`,
          } as const)
        : standing === 'full'
          ? ({
              kind: 'member-list-full',
              severity: 'warning',
              message: `the list of members of the role ${role} is full: this process stands by`,
            } as const)
          : ({
              kind: 'member-again',
              severity: 'info',
              message: `this process is a member of the role ${role} again`,
            } as const)
    tell({ ...incident, member: id })
  }

  #tellChanges(
    alive: readonly Member[],
    others: readonly Member[],
    left: readonly Member[],
    vanished: readonly Member[],
  ): void {
    const { role, incarnation, tell } = this.#options
    const ids = new Set(alive.map((member) => member.id))
    for (const { id } of left) {
      tell({ kind: 'member-left', severity: 'info', message: `${id} has left the role ${role}`, member: id })
    }
    for (const { id } of vanished) {
      if (ids.has(id)) {
        tell({ kind: 'member-joined', severity: 'info', message: `another process has the id ${id} now`, member: id })
      } else {
        const message = `${id} of the role ${role} has not beaten for ${this.#options.expiryMs} ms and counts as gone`
        tell({ kind: 'member-gone', severity: 'warning', message, member: id })
      }
    }
    for (const member of missingFrom(others, alive)) {
      if (member.incarnation === incarnation || vanished.some(({ id }) => id === member.id)) continue
      const message = `${member.id} has joined the role ${role}`
      tell({ kind: 'member-joined', severity: 'info', message, member: member.id })
    }
  }
}

/** Members of `these` whose life is not among `those`. */
function missingFrom(those: readonly Member[], these: readonly Member[]): Member[] {
  const known = new Set(those.map(({ incarnation }) => incarnation))
  return these.filter(({ incarnation }) => !known.has(incarnation))
}

/**
 * A time without an answer from which on the age of another one says nothing: it may be due to have beaten just before, and then
 * be counted as gone although it could not beat for this time and not for the whole expiry. Longer than the time between two
 * beats in any case, or one that lives alone would never find anybody gone.
 */
function outageMsOf({ expiryMs, heartbeatMs }: Pick<MembershipOptions, 'expiryMs' | 'heartbeatMs'>): number {
  return Math.max(expiryMs - heartbeatMs, (expiryMs + heartbeatMs) / 2)
}
