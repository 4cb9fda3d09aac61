import {
  type FusedChannel,
  FusedChannels,
  type FusionLimits,
  type FusionState,
  leap,
  passOver,
  setSourceQuality,
  setStale,
  step,
} from '../domain/fusion/fusion.ts'
import { backoffMs } from '../lib/backoff.ts'
import { Commits } from './commits.ts'
import type { ConductorParts } from './conductor.ts'
import { Doubts } from './doubts.ts'
import { type Restored, restore } from './restore.ts'
import { dueOf, hasPending, hasUnreadQuote, newSeat, ringAll, type Seat } from './seat.ts'
import type { BookName } from './snapshot-store.ts'
import { type RawEntry, readSourceEvent, type SourceName, type SourcePlace } from './source-streams.ts'
import { emptyStats, type PartitionStats } from './stats.ts'

/** Bounds of one call. */
const LOADS_PER_CALL_MAX = 16
const STREAMS_PER_READ_MAX = 48
const ENTRIES_PER_STREAM_MAX = 256
/** Instruments due at about the same time share a call. */
const TICK_MS = 10
const RETRY = { baseMs: 50, maxMs: 2_000 }
/** In so many sweeps every stream is looked at once, in case a bell was not heard. */
const SWEEPS_PER_LOOK = 5

/**
 * One partition: loads, reads, steps, commits. One turn runs at a time and awaits its own calls, so that nothing is
 * folded between the making of an event and the answer to its commit.
 */
export class PartitionLoop {
  readonly partition: number
  readonly stats: PartitionStats = emptyStats()
  readonly #parts: ConductorParts
  readonly #doubts: Doubts
  readonly #commits: Commits
  readonly #seats = new Map<string, Seat>()
  #run = ''
  /** Ms of the newest entry's id over all streams; 0 before the first. */
  #newestEntryMs = 0
  /** Since when streams are rung that no turn has begun to read, and those that the turn in hand reads; monotonic ms. */
  #rungSinceMs = Number.POSITIVE_INFINITY
  #turnSinceMs = Number.POSITIVE_INFINITY
  /** Ms of the id up to which the stream was read that is read up to the oldest, of those that have more; infinite where none has. */
  #readToMs = Number.POSITIVE_INFINITY
  /** A live owner tells that it flows here. */
  #isFlowing = false
  #stale = false
  #sweeps = 0
  #sweepDue = false
  #running: Promise<void> | null = null
  #again = false
  #failuresInRow = 0
  #cancelTimer: () => void = () => {}
  #closing = false

  constructor(partition: number, parts: ConductorParts) {
    this.partition = partition
    this.#parts = parts
    this.#doubts = new Doubts(parts, this.stats, partition)
    this.#commits = new Commits(parts, this.stats, this.#doubts)
  }

  get instruments(): number {
    return this.#seats.size
  }

  get isStale(): boolean {
    return this.#stale
  }

  /** Everything that was rung has been loaded at least once since. */
  get isLoaded(): boolean {
    for (const { state, conflicts } of this.#seats.values()) if (state === null && conflicts === 0) return false
    return true
  }

  /**
   * How old the oldest is that was not folded and committed yet, ms, 0 when there is nothing: since its bell rang, and where
   * more stands in a stream than one read takes, by the place up to which it was read.
   */
  get lagMs(): number {
    const { clock } = this.#parts
    const unreadMs = clock.monotonicMs() - Math.min(this.#rungSinceMs, this.#turnSinceMs)
    return Math.max(0, unreadMs, clock.nowUs() / 1_000 - this.#readToMs)
  }

  /** These streams may have grown; null: all that are known. */
  ring(names: readonly SourceName[] | null): void {
    if (names === null) for (const seat of this.#seats.values()) ringAll(seat)
    else for (const name of names) this.#seatOf(name).rung.add(name.channel)
    this.#rungSinceMs = Math.min(this.#rungSinceMs, this.#parts.clock.monotonicMs())
    this.#wake()
  }

  /**
   * What is done whether anything comes or not, about once a second: a look at streams in case the bell failed; the time
   * to live of the records; the group's places; doubts; staleness.
   */
  sweep(isFlowing: boolean): void {
    this.#isFlowing = isFlowing
    this.#sweepDue = true
    this.#sweeps++
    let index = this.#sweeps
    for (const seat of this.#seats.values()) if (index++ % SWEEPS_PER_LOOK === 0) ringAll(seat)
    this.#wake()
  }

  /** Resolves when all that stands in the streams of these names was folded and has left, throttled or not. */
  async catchUp(names: readonly SourceName[]): Promise<void> {
    this.ring(names)
    while (!this.#closing) {
      await this.#running
      const waiting = [...this.#seats.values()].filter(
        (seat) => seat.state === null || seat.rung.size > 0 || hasPending(seat),
      )
      if (waiting.length === 0) return
      for (const { state } of waiting) if (state !== null) state.publishedMs = Number.NEGATIVE_INFINITY
      this.#wake()
      // A seat that waits for another writer, or for Redis, is not hurried.
      await new Promise<void>((resolve) => this.#parts.clock.after(TICK_MS, resolve))
    }
  }

  /** Lets what is pending leave and stops. */
  async close(): Promise<void> {
    if (this.#closing) return
    this.#closing = true
    this.#cancelTimer()
    await this.#running
    try {
      await this.#commits.commit(this.#run, [...this.#seats.values()].filter(hasPending))
      await this.#moveGroups()
    } catch (error) {
      // Whoever comes next reads it again from the committed places.
      this.#failed('what was pending is left to whoever comes next', error)
    }
  }

  #seatOf(name: BookName): Seat {
    const key = `${name.market}:${name.instrument}`
    let seat = this.#seats.get(key)
    if (seat === undefined) {
      seat = newSeat(name, this.#parts.throttleMsOf)
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
      // After a turn that failed its time goes on: what it was to read is unread.
      this.#turnSinceMs = Math.min(this.#turnSinceMs, this.#rungSinceMs)
      this.#rungSinceMs = Number.POSITIVE_INFINITY
      try {
        await this.#turn()
        this.#turnSinceMs = Number.POSITIVE_INFINITY
        this.#failuresInRow = 0
      } catch (error) {
        this.#failed('the partition will be read again', error)
        this.#again = true
        const delayMs = backoffMs(this.#failuresInRow++, RETRY, Math.random)
        await new Promise<void>((resolve) => this.#parts.clock.after(delayMs, resolve))
      }
    }
    this.#armTimer()
  }

  #failed(message: string, error: unknown): void {
    this.stats.failures++
    this.#parts.incident({ kind: 'conductor-failed', message, error, partition: this.partition })
  }

  async #turn(): Promise<void> {
    await this.#load()
    await this.#read()
    this.#judgeStaleness()
    if (this.#sweepDue) {
      this.#sweepDue = false
      await this.#hearOwners()
      await this.#keepRecords()
      await this.#moveGroups()
      for (const seat of this.#seats.values()) if (seat.state !== null) this.#doubts.look(seat, seat.state)
    }
    const nowMs = this.#parts.clock.monotonicMs()
    const due = [...this.#seats.values()].filter((seat) => dueOf(seat) <= nowMs)
    await this.#readQuotes(due.filter(hasUnreadQuote))
    await this.#commits.commit(this.#run, due.filter(hasPending))
  }

  async #load(): Promise<void> {
    const { log, streams, clock, levelsMax } = this.#parts
    const nowMs = clock.monotonicMs()
    const missing = [...this.#seats.values()].filter(({ state, notBeforeMs }) => state === null && notBeforeMs <= nowMs)
    for (let start = 0; start < missing.length; start += LOADS_PER_CALL_MAX) {
      const seats = missing.slice(start, start + LOADS_PER_CALL_MAX)
      const { run, instruments } = await log.load(seats.map(({ name }) => name))
      // What was read of another Redis process may not stand in this one.
      if (this.#run !== run && this.#run !== '') {
        for (const seat of this.#seats.values()) seat.state = null
        this.#again = true
      }
      this.#run = run
      for (const [index, seat] of seats.entries()) {
        const loaded = instruments[index]
        if (loaded === undefined) continue
        const restored = await restore(seat.name, loaded, streams, levelsMax, clock.nowUs())
        if (loaded.record.state === 'unavailable') this.#doubts.recordUnavailable(seat, loaded.record.reason)
        if (restored.rebuilt) this.stats.rebuilt++
        seat.version = loaded.version
        seat.versionFloor = Math.max(seat.versionFloor, loaded.version)
        this.#take(seat, restored)
      }
    }
  }

  #take(seat: Seat, { state, base, writtenUs }: Restored): void {
    const nowMs = this.#parts.clock.monotonicMs()
    seat.state = state
    seat.base = base
    // How long it has still to live is not known: the next sweep renews it.
    seat.writtenMs = Number.NEGATIVE_INFINITY
    if (writtenUs !== null) {
      state.publishedMs = nowMs - Math.max(0, this.#parts.clock.nowUs() - writtenUs) / 1_000
    }
    // A record that is not as it should be is written, whether anything comes or not.
    if (base === 'replace' && state.positions.ORDERBOOK.id !== '0-0') state.pending.forced = true
    for (const channel of FusedChannels) this.#seen(state.positions[channel].id)
    setStale(state, this.#stale)
    ringAll(seat)
  }

  async #read(): Promise<void> {
    const reading: [Seat, FusedChannel][] = []
    let readToMs = Number.POSITIVE_INFINITY
    for (const seat of this.#seats.values()) {
      if (seat.state === null || seat.rung.size === 0) continue
      const later = hasUnreadQuote(seat)
      for (const channel of seat.rung) {
        if (later && channel === 'QUOTE') continue
        reading.push([seat, channel])
        // One by one: to clear a set makes a new table for it, and that of a seat, which is old, does not die young.
        seat.rung.delete(channel)
      }
    }
    for (let start = 0; start < reading.length; start += STREAMS_PER_READ_MAX) {
      const page = reading.slice(start, start + STREAMS_PER_READ_MAX)
      const places = page.map(([seat, channel]) => ({
        name: seat.sources[channel],
        afterId: (seat.state as FusionState).positions[channel].id,
      }))
      let found: readonly (readonly RawEntry[])[]
      try {
        found = await this.#parts.streams.read(places, ENTRIES_PER_STREAM_MAX)
      } catch (error) {
        for (const [seat, channel] of reading.slice(start)) seat.rung.add(channel)
        throw error
      }
      const nowMs = this.#parts.clock.monotonicMs()
      for (const [index, [seat, channel]] of page.entries()) {
        const entries = found[index] ?? []
        if (channel === 'QUOTE') seat.wholeQuotes = false
        if (entries.length === 0) continue
        const state = seat.state as FusionState
        const isWhole = this.#fold(seat.limits, state, channel, entries)
        if (!isWhole || entries.length === ENTRIES_PER_STREAM_MAX) {
          seat.rung.add(channel)
          readToMs = Math.min(readToMs, Number.parseInt(state.positions[channel].id, 10))
          // What must leave first and may not yet is waited for by the timer.
          if (isWhole || seat.notBeforeMs <= nowMs) this.#again = true
        }
        if (state.notices.length > 0) this.#doubts.tell(seat, state)
      }
    }
    this.#readToMs = readToMs
  }

  async #readQuotes(seats: readonly Seat[]): Promise<void> {
    if (seats.length === 0) return
    const found = await this.#parts.streams.newest(seats.map(({ sources }) => sources.QUOTE))
    for (const [index, seat] of seats.entries()) {
      const entry = found[index] ?? null
      const state = seat.state as FusionState
      seat.rung.delete('QUOTE')
      if (entry === null) continue
      const event = readSourceEvent('QUOTE', entry)
      const before = state.positions.QUOTE.seq
      if (event === null || leap(state, event) === 'unreadable') {
        seat.wholeQuotes = true
        seat.rung.add('QUOTE')
        this.#again = true
      } else this.stats.entries += state.positions.QUOTE.seq - before
      this.#seen(entry[0])
    }
  }

  /** False when not all could be folded before a commit. */
  #fold(limits: FusionLimits, state: FusionState, channel: FusedChannel, entries: readonly RawEntry[]): boolean {
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
    this.#seen((entries.at(-1) as RawEntry)[0])
    return true
  }

  #seen(id: string): void {
    const ms = Number.parseInt(id, 10)
    if (ms > this.#newestEntryMs) this.#newestEntryMs = ms
  }

  /** Stale: nothing has come for a while, and no live owner says that there is nothing to come. */
  #judgeStaleness(): void {
    if (this.#newestEntryMs === 0) return
    const ageMs = this.#parts.clock.nowUs() / 1_000 - this.#newestEntryMs
    this.#stale = ageMs > this.#parts.staleMs && !this.#isFlowing
    for (const { state } of this.#seats.values()) if (state !== null) setStale(state, this.#stale)
  }

  async #hearOwners(): Promise<void> {
    const seats = [...this.#seats.values()].filter(({ state }) => state !== null && state.positions.ORDERBOOK.seq > 0)
    if (seats.length === 0) return
    const words = await this.#parts.log.qualities(seats.map(({ name }) => name))
    for (const [index, { state }] of seats.entries()) {
      const word = words[index] ?? null
      if (word !== null && state !== null) setSourceQuality(state, word)
    }
  }

  /** Records get their whole time to live again; one that expired although we are here is written anew from memory. */
  async #keepRecords(): Promise<void> {
    const nowMs = this.#parts.clock.monotonicMs()
    const due = [...this.#seats.values()].filter(
      ({ state, base, writtenMs }) =>
        state !== null && typeof base === 'object' && nowMs - writtenMs >= this.#parts.ttlMs / 3,
    )
    if (due.length === 0) return
    const renewed = await this.#parts.log.renew(due.map(({ name }) => name))
    for (const [index, seat] of due.entries()) {
      if (renewed[index]) seat.writtenMs = nowMs
      else if (seat.state !== null) {
        seat.base = 'replace'
        seat.state.book.ladder.unsettle()
        seat.state.pending.forced = true
      }
    }
  }

  /** The group `conductor` follows the committed places. */
  async #moveGroups(): Promise<void> {
    const moved: SourcePlace[] = []
    for (const seat of this.#seats.values()) {
      if (seat.state === null || hasPending(seat)) continue
      for (const channel of FusedChannels) {
        const { id } = seat.state.positions[channel]
        if (id === '0-0' || seat.grouped.get(channel) === id) continue
        seat.grouped.set(channel, id)
        moved.push({ name: seat.sources[channel], afterId: id })
      }
    }
    if (moved.length > 0) await this.#parts.streams.moveGroups(moved)
  }

  /** Wakes the partition when the next event is due. */
  #armTimer(): void {
    if (this.#closing) return
    let nextMs = Number.POSITIVE_INFINITY
    for (const seat of this.#seats.values()) nextMs = Math.min(nextMs, dueOf(seat))
    if (nextMs === Number.POSITIVE_INFINITY) return
    const delayMs = Math.max(0, Math.ceil(nextMs / TICK_MS) * TICK_MS - this.#parts.clock.monotonicMs())
    this.#cancelTimer = this.#parts.clock.after(delayMs, () => this.#wake())
  }
}
