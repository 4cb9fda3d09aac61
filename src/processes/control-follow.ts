import assert from 'node:assert/strict'
import type { ChannelGate } from '../control/channel-gate.ts'
import { type ChannelState, CONDUCTOR_ISSUER, type ControlledChannel } from '../control/contract.ts'
import { type Change, channelKey, type Mark, type TableData } from '../control/table-data.ts'
import { ControlledRoutes, fedKey, topicsOf } from '../dispatcher/controlled-table.ts'
import type { DispatchTable, TopicNames } from '../dispatcher/table.ts'
import { type Instrument, type InstrumentInfo, type Market, partitionOf } from '../domain/instrument.ts'
import type { Clock } from '../lib/clock.ts'
import type { ReportedTopic, TopicReporter } from './control-reporter.ts'

/** The process's part in the control plane, as far as ingest needs it. */
export interface FollowedTable {
  readonly table: TableData | null
  onChanged(callback: (table: TableData, changes: readonly Change[] | null) => void): void
}

export interface TableFollowerParts {
  readonly followed: FollowedTable
  readonly gate: ChannelGate
  readonly reporter: TopicReporter
  readonly market: Market
  readonly names: TopicNames
  readonly available: ReadonlySet<string> | null
  readonly partitions: number
  readonly worker: string
  readonly clock: Clock
  /** Routes and subscribes by this table; `unheard` as `Dispatcher.useTable` takes it. */
  use(table: DispatchTable, unheard: ReadonlySet<string>): void
  /** Partitions that this process is subscribed to. */
  held(): ReadonlySet<number>
  /** The table was written anew, or is another one: what stood beside it may be gone. */
  anew(): void
  /** `byOperator`: a person asks, who knows more than the limits of what is tried again and again. */
  resync(instrument: Instrument, byOperator: boolean): void
  drain(): void
  failed(error: unknown): void
}

const RETRY_MS = 500
/** What was asked for longer ago is asked for again by whoever still wants it. */
const MARK_AGE_US = 60_000_000

/**
 * Makes ingest follow the dispatch table. What a change means for the venue is worked out from the table alone, so a change
 * that was missed, came twice or came together with others ends the same:
 *
 * 1. ask the streams which of the channels that open were stopped before, so that their hole is told as not subscribed;
 * 2. route and subscribe by the new table: lines and native topics that nobody wants stop;
 * 3. close what stops for everything offered under an older table;
 * 4. report every topic that the change is about, as of the new version.
 */
export class TableFollower {
  readonly #parts: TableFollowerParts
  readonly #startedUs: number
  #infos: ReadonlyMap<Instrument, InstrumentInfo> = new Map()
  readonly #routes: ControlledRoutes
  #table: DispatchTable | null = null
  /** Channels that the next step is about; `all`: every one. */
  #due = new Map<string, ChannelKey>()
  #all = false
  /** The table went on, whatever it is about. */
  #isBehind = false
  #marks: Mark[] = []
  #stepping = false
  #cancelRetry: (() => void) | null = null
  #closed = false

  constructor(parts: TableFollowerParts) {
    this.#parts = parts
    this.#startedUs = parts.clock.nowUs()
    this.#routes = new ControlledRoutes(parts)
    parts.followed.onChanged((table, changes) => this.#changed(table, changes))
  }

  /** The venue's list of instruments; answers the table that follows from it. The dispatch table has to be there already. */
  useInstruments(infos: readonly InstrumentInfo[]): DispatchTable {
    this.#infos = new Map(infos.map((info) => [info.instrument, info]))
    const { table } = this.#parts.followed
    assert(table !== null, 'expected the dispatch table before the instruments, found none')
    this.#table = this.#routes.rebuild(table, infos)
    return this.#table
  }

  /** This process is subscribed to these topics now and was not before: what is said of their channels is looked at anew. */
  taken(partitions: ReadonlySet<number>): void {
    const { table } = this.#parts.followed
    if (table === null || this.#table === null) return
    for (const { instrument, channel } of this.#table.routes.values()) {
      if (partitions.has(this.#partitionOf(instrument))) this.#add(instrument, channel)
    }
    for (const { market, instrument, type } of table.channels.values()) {
      if (market === this.#parts.market && partitions.has(this.#partitionOf(instrument))) this.#add(instrument, type)
    }
    this.#marks.push(...this.#recentMarks(table))
    this.#isBehind = true
    void this.#step()
  }

  close(): void {
    this.#closed = true
    this.#cancelRetry?.()
  }

  #changed(table: TableData, changes: readonly Change[] | null): void {
    this.#isBehind = true
    if (changes === null) {
      this.#all = true
      this.#marks.push(...this.#recentMarks(table))
      if (this.#table !== null) this.#parts.anew()
    }
    for (const change of changes ?? []) {
      if (change.part === 'marks' && change.value !== null) this.#marks.push(change.value)
      if (change.part === 'routes') this.#all = true
      if (change.part === 'channels' && change.value !== null) this.#add(change.value.instrument, change.value.type)
      if (change.part !== 'subscriptions') continue
      const subscription = change.value ?? change.was
      if (subscription === undefined || subscription.instrument.includes('*')) this.#all = true
      else if (subscription.market === this.#parts.market) this.#add(subscription.instrument, subscription.type)
    }
    // While the command's own story is told, nothing else is reported of a version in between.
    this.#parts.reporter.hold()
    void this.#step()
  }

  #add(instrument: string, type: ControlledChannel): void {
    this.#due.set(fedKey(instrument, type), { instrument, type })
  }

  async #step(): Promise<void> {
    if (this.#stepping || this.#closed || this.#table === null) return
    this.#stepping = true
    try {
      while ((this.#isBehind || this.#due.size > 0) && !this.#closed) await this.#stepOnce()
    } finally {
      this.#stepping = false
    }
  }

  async #stepOnce(): Promise<void> {
    const { followed, gate, reporter, failed, clock, use } = this.#parts
    const { table } = followed
    if (table === null) return
    const [due, all, marks] = [this.#due, this.#all, this.#marks.splice(0)]
    this.#due = new Map()
    this.#all = false
    this.#isBehind = false
    // The copy goes on while this step waits; what it says from here on is what this step is about.
    const { version } = table
    const states = this.#statesOf(table, due, all)
    const next = all ? this.#routes.rebuild(table, [...this.#infos.values()]) : this.#routes.update(table, due.values())
    const about = this.#topicsAbout(table, next, due, all)
    this.#parts.reporter.hold()
    try {
      const unheard = await this.#unheard(states.filter(({ open }) => open))
      this.#table = next
      use(next, unheard)
      await gate.close(states.filter(({ open }) => !open))
      reporter.followed(version, about)
      for (const mark of marks) this.#obey(mark)
    } catch (error) {
      failed(error)
      if (this.#table !== next) {
        // What is wanted flows even though nobody could be asked; the hole before it gets the common cause.
        this.#table = next
        use(next, new Set())
      }
      this.#cancelRetry?.()
      this.#cancelRetry = clock.after(RETRY_MS, () => {
        for (const [key, channel] of due) this.#due.set(key, channel)
        this.#all ||= all
        this.#isBehind = true
        this.#marks.push(...marks)
        void this.#step()
      })
    }
  }

  /** What the table says of the channels that a step is about, as far as this process has their partitions. */
  #statesOf(table: TableData, due: ReadonlyMap<string, ChannelKey>, all: boolean): ChannelState[] {
    const { market } = this.#parts
    if (all)
      return [...table.channels.values()].filter((state) => state.market === market && this.#holds(state.instrument))
    const states: ChannelState[] = []
    for (const { instrument, type } of due.values()) {
      const state = table.channels.get(channelKey(market, instrument, type))
      if (state !== undefined && this.#holds(instrument)) states.push(state)
    }
    return states
  }

  async #unheard(opened: readonly ChannelState[]): Promise<Set<string>> {
    if (opened.length === 0) return new Set()
    const words = await this.#parts.gate.open(opened)
    const fresh = opened.filter((_, at) => words[at] === 'fresh')
    return new Set(fresh.map(({ instrument, type }) => fedKey(instrument, type)))
  }

  /** Every topic, wanted or not, of the channels that a step is about. */
  #topicsAbout(
    table: TableData,
    next: DispatchTable,
    due: ReadonlyMap<string, ChannelKey>,
    all: boolean,
  ): ReportedTopic[] {
    const found = new Map<string, ReportedTopic>()
    for (const { topic, instrument, channel, interval } of next.routes.values()) {
      if (!this.#holds(instrument) || !(all || due.has(fedKey(instrument, channel)))) continue
      found.set(topic, { topic, instrument, type: channel, interval })
    }
    const ours = [...table.channels.values()].filter(({ market }) => market === this.#parts.market)
    const keys = all ? ours : due.values()
    for (const { instrument, type } of keys) {
      const info = this.#infos.get(instrument as Instrument)
      if (info === undefined || !this.#holds(instrument)) continue
      for (const { topic, interval } of topicsOf({ ...this.#parts, table }, info, type)) {
        if (!found.has(topic)) found.set(topic, { topic, instrument, type, interval })
      }
    }
    return [...found.values()]
  }

  /** One-time requests that whoever was to carry them out may not have lived to; again is harmless. */
  #recentMarks(table: TableData): Mark[] {
    const sinceUs = this.#parts.clock.nowUs() - MARK_AGE_US
    return [...table.marks.values()].filter(({ atUs }) => atUs >= sinceUs)
  }

  #obey(mark: Mark): void {
    if (mark.kind === 'resync') {
      if (mark.market === this.#parts.market && this.#holds(mark.instrument)) {
        const byConductor = mark.issuer?.startsWith(CONDUCTOR_ISSUER) ?? false
        this.#parts.resync(mark.instrument as Instrument, !byConductor)
      }
    } else if (mark.worker === this.#parts.worker && mark.atUs >= this.#startedUs) this.#parts.drain()
  }

  #holds(instrument: string): boolean {
    return this.#parts.held().has(this.#partitionOf(instrument))
  }

  #partitionOf(instrument: string): number {
    return partitionOf(this.#parts.market, instrument as Instrument, this.#parts.partitions)
  }
}

interface ChannelKey {
  readonly instrument: string
  readonly type: ControlledChannel
}
