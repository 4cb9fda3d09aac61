import { Quality } from '../domain/event.ts'
import { carriedText } from '../domain/fusion/carried.ts'
import {
  bookQuality,
  dueMs,
  type FusedChannel,
  FusedChannels,
  type FusionLimits,
  type FusionState,
  fuse,
  passOver,
  published,
  setStale,
  step,
} from '../domain/fusion/fusion.ts'
import { worseQuality } from '../domain/fusion/worse-quality.ts'
import { backoffMs } from '../lib/backoff.ts'
import type { Commit, CommitOutcome } from './commit-log.ts'
import type { ConductorParts } from './conductor.ts'
import { restore } from './restore.ts'
import type { ResyncReason } from './resync-requests.ts'
import { dueOf, newSeat, ringAll, type Seat } from './seat.ts'
import type { BookName } from './snapshot-store.ts'
import { readSourceEvent, type SourceName, type SourcePlace } from './source-streams.ts'

/** Bounds of one call. */
const LOADS_PER_CALL_MAX = 16
const STREAMS_PER_READ_MAX = 96
const ENTRIES_PER_STREAM_MAX = 64
const COMMITS_PER_CALL_MAX = 32
const LEVEL_STRINGS_PER_CALL_MAX = 8_000
/** After a lost race the other one is left alone for longer and longer. */
const CONFLICT_BACKOFF_MS_MAX = 1_000
const TICK_MS = 10
const RETRY = { baseMs: 50, maxMs: 2_000 }
const RESYNC_REPEAT_MS = 5_000
/** Time between two attempts to write a record that could not be used. */
const RECORD_RETRY_MS = 5_000

const NO_THROTTLE: FusionLimits = {
  throttleMs: 0,
  eventsMax: Number.POSITIVE_INFINITY,
  changesMax: Number.POSITIVE_INFINITY,
}

/** Numbers of a partition, summed up by the conductor. */
export interface PartitionStats {
  entries: number
  commits: number
  conflicts: number
  failures: number
  lost: number
  corrupt: number
  rebuilt: number
  recordsUnavailable: number
}

/**
 * One partition: loads, reads, steps, commits. One turn runs at a time and each awaits its own calls, so that nothing is
 * folded between the making of an event and the answer to its commit.
 */
export class PartitionLoop {
  readonly partition: number
  readonly stats: PartitionStats = {
    ...{ entries: 0, commits: 0, conflicts: 0, failures: 0, lost: 0, corrupt: 0, rebuilt: 0, recordsUnavailable: 0 },
  }
  readonly #parts: ConductorParts
  readonly #seats = new Map<string, Seat>()
  #run = ''
  /** Ms of the newest entry's id over all streams; 0 before the first. */
  #newestEntryMs = 0
  #stale = false
  #running: Promise<void> | null = null
  #again = false
  #failuresInRow = 0
  #cancelTimer: () => void = () => {}
  #closing = false

  constructor(partition: number, parts: ConductorParts) {
    this.partition = partition
    this.#parts = parts
  }

  get instruments(): number {
    return this.#seats.size
  }

  get isStale(): boolean {
    return this.#stale
  }

  /** These streams may have grown; null: all that are known. */
  ring(names: readonly SourceName[] | null): void {
    if (names === null) for (const seat of this.#seats.values()) ringAll(seat)
    else for (const name of names) this.#seatOf(name).rung.add(name.channel)
    this.#wake()
  }

  /**
   * What is done whether anything comes or not, about once a second: a look at every stream, in case the bell failed; the
   * time to live of the records; the group's places; staleness.
   */
  async sweep(): Promise<void> {
    this.ring(null)
    const nowMs = this.#parts.clock.monotonicMs()
    const { ttlMs } = this.#parts
    const due = [...this.#seats.values()].filter(
      ({ state, base, writtenMs }) => state !== null && typeof base === 'object' && nowMs - writtenMs >= ttlMs / 3,
    )
    const renewed = await this.#parts.log.renew(due.map(({ name }) => name))
    for (const [index, seat] of due.entries()) {
      if (renewed[index]) seat.writtenMs = nowMs
      // It expired although we are here: the levels are in memory, so it is written anew.
      else if (typeof seat.base === 'object') seat.state = null
    }
    const moved: SourcePlace[] = []
    for (const seat of this.#seats.values()) {
      for (const channel of FusedChannels) {
        const id = seat.state?.positions[channel].id ?? '0-0'
        if (id === '0-0' || seat.grouped.get(channel) === id || seat.state?.pending.from[channel] !== 0) continue
        seat.grouped.set(channel, id)
        moved.push({ name: seat.sources[channel], afterId: id })
      }
    }
    await this.#parts.streams.moveGroups(moved)
  }

  /** Lets what is pending leave and stops. */
  async close(): Promise<void> {
    if (this.#closing) return
    this.#closing = true
    this.#cancelTimer()
    await this.#running
    const pending = [...this.#seats.values()].filter(
      ({ state }) => state !== null && dueMs(state, NO_THROTTLE) !== null,
    )
    try {
      await this.#commit(pending)
    } catch {
      // Whoever comes next reads it again from the committed places.
      this.stats.failures++
    }
  }

  #seatOf(name: BookName): Seat {
    const key = `${name.market}:${name.instrument}`
    let seat = this.#seats.get(key)
    if (seat === undefined) {
      seat = newSeat(name, this.#parts.throttleMsOf(name))
      this.#seats.set(key, seat)
    }
    return seat
  }

  #wake(): void {
    if (this.#closing) return
    this.#again = true
    this.#running ??= this.#turns().finally(() => {
      this.#running = null
      if (this.#again) this.#wake()
    })
  }

  async #turns(): Promise<void> {
    while (this.#again && !this.#closing) {
      this.#again = false
      this.#cancelTimer()
      try {
        await this.#turn()
        this.#failuresInRow = 0
      } catch (error) {
        this.stats.failures++
        this.#parts.incident({
          kind: 'conductor-failed',
          message: 'the partition will be read again',
          error,
          ...this.#at,
        })
        this.#again = true
        const delayMs = backoffMs(this.#failuresInRow++, RETRY, Math.random)
        await new Promise<void>((resolve) => this.#parts.clock.after(delayMs, resolve))
      }
    }
    this.#armTimer()
  }

  get #at() {
    return { partition: this.partition }
  }

  async #turn(): Promise<void> {
    await this.#load()
    await this.#read()
    this.#judgeStaleness()
    const nowMs = this.#parts.clock.monotonicMs()
    const due = [...this.#seats.values()].filter((seat) => dueOf(seat) <= nowMs)
    await this.#commit(due)
  }

  async #load(): Promise<void> {
    const { log, streams, clock, levelsMax } = this.#parts
    const missing = [...this.#seats.values()].filter(({ state }) => state === null)
    for (let start = 0; start < missing.length; start += LOADS_PER_CALL_MAX) {
      const seats = missing.slice(start, start + LOADS_PER_CALL_MAX)
      const { run, instruments } = await log.load(seats.map(({ name }) => name))
      // What was read of another Redis process may not stand in this one.
      if (this.#run !== run && this.#run !== '') {
        this.#unload([...this.#seats.values()])
        this.#again = true
      }
      this.#run = run
      for (const [index, seat] of seats.entries()) {
        const loaded = instruments[index]
        if (loaded === undefined) continue
        const { state, base, rebuilt } = await restore(seat.name, loaded, streams, levelsMax, clock.nowUs())
        this.#take(seat, state, base, loaded.version)
        if (loaded.record.state === 'there') {
          const ageMs = (clock.nowUs() - Number(loaded.record.snapshot.updatedAt)) / 1000
          state.publishedMs = clock.monotonicMs() - Math.max(0, ageMs)
        }
        if (loaded.record.state === 'unavailable') this.#recordUnavailable(seat, loaded.record.reason)
        if (rebuilt !== 'no') this.stats.rebuilt++
        if (rebuilt === 'no-snapshot') this.#doubt(seat, 'no-snapshot')
      }
    }
  }

  #take(seat: Seat, state: FusionState, base: Commit['base'], version: number): void {
    seat.state = state
    seat.base = base
    seat.version = version
    seat.versionFloor = Math.max(seat.versionFloor, version)
    seat.writtenMs = this.#parts.clock.monotonicMs()
    // A record that is not as it should be is written, whether anything comes or not.
    if (base === 'replace' && state.positions.ORDERBOOK.id !== '0-0') state.pending.forced = true
    ringAll(seat)
  }

  async #read(): Promise<void> {
    const reading: [Seat, FusedChannel][] = []
    for (const seat of this.#seats.values()) {
      if (seat.state === null) continue
      for (const channel of seat.rung) reading.push([seat, channel])
      seat.rung.clear()
    }
    for (let start = 0; start < reading.length; start += STREAMS_PER_READ_MAX) {
      const page = reading.slice(start, start + STREAMS_PER_READ_MAX)
      const places = page.map(([seat, channel]) => ({
        name: seat.sources[channel],
        afterId: seat.state?.positions[channel].id ?? '0-0',
      }))
      let found: Awaited<ReturnType<ConductorParts['streams']['read']>>
      try {
        found = await this.#parts.streams.read(places, ENTRIES_PER_STREAM_MAX)
      } catch (error) {
        for (const [seat, channel] of reading.slice(start)) seat.rung.add(channel)
        throw error
      }
      for (const [index, [seat, channel]] of page.entries()) {
        const entries = found[index] ?? []
        if (!this.#fold(seat, channel, entries) || entries.length === ENTRIES_PER_STREAM_MAX) {
          seat.rung.add(channel)
          this.#again = true
        }
        if (seat.state !== null && seat.state.notices.length > 0) this.#tell(seat, seat.state)
      }
    }
  }

  /** False when not all could be folded before a commit. */
  #fold(
    seat: Seat,
    channel: FusedChannel,
    entries: Awaited<ReturnType<ConductorParts['streams']['read']>>[number],
  ): boolean {
    const { state, limits } = seat
    if (state === null || entries.length === 0) return true
    for (const entry of entries) {
      const event = readSourceEvent(channel, entry)
      if (event === null) passOver(state, channel, entry[0])
      else if (step(state, event, limits) === 'publish-first') {
        // Also before its time: nothing else can be folded.
        state.publishedMs = Number.NEGATIVE_INFINITY
        return false
      }
      this.stats.entries++
    }
    const newestMs = Number.parseInt((entries.at(-1) as (typeof entries)[number])[0], 10)
    if (newestMs > this.#newestEntryMs) this.#newestEntryMs = newestMs
    return true
  }

  #tell(seat: Seat, state: FusionState): void {
    for (const notice of state.notices.splice(0)) {
      const facts = { ...seat.name, channel: notice.channel, ...this.#at }
      switch (notice.kind) {
        case 'lost':
          this.stats.lost += notice.count
          this.#parts.incident({
            ...{ kind: 'conductor-behind', message: 'entries were trimmed before they were read', ...facts },
            count: notice.count,
          })
          if (notice.channel === 'ORDERBOOK') this.#doubt(seat, 'behind-retention')
          break
        case 'corrupt':
          this.stats.corrupt++
          this.#parts.incident({
            ...{ kind: 'conductor-corrupt', message: 'an entry does not keep the contract', ...facts, id: notice.id },
          })
          if (notice.channel === 'ORDERBOOK') this.#doubt(seat, 'corrupt-entry')
          break
        case 'unjoined':
          this.#doubt(seat, 'unjoined')
          break
      }
    }
  }

  #doubt(seat: Seat, reason: ResyncReason): void {
    const nowMs = this.#parts.clock.monotonicMs()
    if (nowMs - seat.resyncMs < RESYNC_REPEAT_MS) return
    seat.resyncMs = nowMs
    this.#parts.resyncs.request(seat.name, reason)
  }

  /** The age of the newest entry of any stream of the partition is all that is known of whether somebody flows into it. */
  #judgeStaleness(): void {
    if (this.#newestEntryMs === 0) return
    const stale = this.#parts.clock.nowUs() / 1000 - this.#newestEntryMs > this.#parts.staleMs
    this.#stale = stale
    for (const { state } of this.#seats.values()) if (state !== null) setStale(state, stale)
  }

  async #commit(seats: readonly Seat[]): Promise<void> {
    for (let at = 0; at < seats.length; ) {
      const batch: Seat[] = []
      const commits: Commit[] = []
      let strings = 0
      const nowUs = this.#parts.clock.nowUs()
      while (at < seats.length && batch.length < COMMITS_PER_CALL_MAX && strings < LEVEL_STRINGS_PER_CALL_MAX) {
        const seat = seats[at++] as Seat
        if (seat.state === null) continue
        const commit = this.#commitOf(seat, seat.state, nowUs)
        strings += commit.change.set.length + commit.change.removed.length
        batch.push(seat)
        commits.push(commit)
      }
      if (batch.length === 0) return
      let outcomes: CommitOutcome[]
      try {
        outcomes = await this.#parts.log.commit(this.#run, commits)
      } catch (error) {
        // Nobody knows what was written.
        this.#unload(batch)
        throw error
      }
      for (const [index, seat] of batch.entries()) {
        this.#settle(seat, commits[index] as Commit, outcomes[index] as CommitOutcome, nowUs)
      }
    }
  }

  #commitOf(seat: Seat, state: FusionState, nowUs: number): Commit {
    const nowMs = this.#parts.clock.monotonicMs()
    if (seat.base === 'skip' && nowMs - seat.skippedMs >= RECORD_RETRY_MS) {
      seat.base = 'replace'
      state.book.ladder.unsettle()
    }
    const own = bookQuality(state)
    const fused = fuse(state, nowUs)
    const { epoch, seq, id } = state.positions.ORDERBOOK
    return {
      name: seat.name,
      version: seat.version,
      versionFloor: seat.versionFloor,
      base: seat.base,
      change: {
        ...(seat.base === 'skip' ? { set: [], removed: [] } : state.book.ladder.changes()),
        head: {
          ...{ epoch, seq: String(seq), streamId: id, updatedAt: String(nowUs), quality: own },
          venueSeq: state.book.have === null ? '' : String(state.book.have),
        },
      },
      carried: carriedText(state, nowUs),
      event: {
        ...fused,
        trace: fused.trace === '' ? this.#parts.trace : fused.trace,
        // Whoever comes late finds no record, or an old one: said on what still flows.
        quality: seat.base === 'skip' ? worseQuality(fused.quality, Quality.Stale) : fused.quality,
      },
    }
  }

  #settle(seat: Seat, commit: Commit, outcome: CommitOutcome, nowUs: number): void {
    const { state } = seat
    if (state === null) return
    const nowMs = this.#parts.clock.monotonicMs()
    switch (outcome.outcome) {
      case 'committed': {
        this.stats.commits++
        seat.conflicts = 0
        seat.version = outcome.version
        seat.versionFloor = outcome.version
        seat.writtenMs = nowMs
        if (commit.base !== 'skip') {
          state.book.ladder.settle()
          seat.base = { epoch: commit.change.head.epoch, streamId: commit.change.head.streamId }
        }
        published(state, nowUs, nowMs)
        if (commit.change.head.quality === Quality.Crossed) this.#doubt(seat, 'crossed')
        return
      }
      case 'conflict':
        this.stats.conflicts++
        seat.conflicts++
        seat.notBeforeMs =
          nowMs + Math.min(CONFLICT_BACKOFF_MS_MAX, seat.limits.throttleMs * 2 ** Math.min(seat.conflicts - 1, 10))
        this.#unload([seat])
        this.#again = true
        return
      case 'record-unavailable':
        seat.base = 'skip'
        this.#recordUnavailable(seat, outcome.error)
        this.#again = true
        return
      case 'failed':
        this.stats.failures++
        this.#parts.incident({ kind: 'conductor-refused', message: outcome.error, ...seat.name, ...this.#at })
        seat.notBeforeMs = nowMs + CONFLICT_BACKOFF_MS_MAX
        this.#unload([seat])
        this.#again = true
        return
    }
  }

  #recordUnavailable(seat: Seat, reason: string): void {
    seat.skippedMs = this.#parts.clock.monotonicMs()
    this.stats.recordsUnavailable++
    this.#parts.incident({
      ...{
        kind: 'record-unavailable',
        message: 'events leave without their snapshot record',
        ...seat.name,
        ...this.#at,
      },
      reason,
    })
  }

  #unload(seats: readonly Seat[]): void {
    for (const seat of seats) seat.state = null
  }

  /** Wakes the partition when the next event is due. */
  #armTimer(): void {
    if (this.#closing) return
    let nextMs = Number.POSITIVE_INFINITY
    for (const seat of this.#seats.values()) nextMs = Math.min(nextMs, dueOf(seat))
    if (nextMs === Number.POSITIVE_INFINITY) return
    // In steps, so that instruments due at about the same time share a call.
    const delayMs = Math.max(0, Math.ceil(nextMs / TICK_MS) * TICK_MS - this.#parts.clock.monotonicMs())
    this.#cancelTimer = this.#parts.clock.after(delayMs, () => this.#wake())
  }
}
