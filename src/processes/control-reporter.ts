import type { ControlledChannel, TopicReport } from '../control/contract.ts'
import type { Clock } from '../lib/clock.ts'
import { metrics } from '../telemetry/metrics.ts'

/** Where reports are kept; throws where that cannot be reached. */
export interface ReportSink {
  put(market: string, instrument: string, reports: readonly TopicReport[], nowUs: number): Promise<void>
}

/** What a native topic feeds. */
export interface ReportedTopic {
  readonly topic: string
  readonly instrument: string
  readonly type: ControlledChannel
  readonly interval: string
}

interface Entry extends ReportedTopic {
  state: TopicReport['state']
  requestedAtUs: number | null
  ackedAtUs: number | null
  flowingAtUs: number | null
  stoppedAtUs: number | null
}

export interface TopicReporterParts {
  readonly sink: ReportSink
  readonly market: string
  readonly worker: string
  readonly clock: Clock
  /** What a topic of the connections feeds; null: nothing that is reported. */
  routeOf(topic: string): ReportedTopic | null
}

const RETRY_MS = 500
/** Stopped topics remembered with their times; beyond, the oldest is forgotten here and stays where it was reported. */
const STOPPED_MAX = 10_000

/**
 * Tells what became of each native topic at the venue, as of the table version that this process has followed. What changes in
 * one burst is written with one call an instrument; what cannot be written is written later, in its then present state.
 */
export class TopicReporter {
  readonly #parts: TopicReporterParts
  readonly #entries = new Map<string, Entry>()
  /** Topics to be written, by instrument. */
  #due = new Map<string, Set<string>>()
  #version = 0
  #held = false
  #scheduled = false
  #cancelRetry: (() => void) | null = null
  #closed = false

  constructor(parts: TopicReporterParts) {
    this.#parts = parts
  }

  /** Nothing is written until `followed`: what is reported would be of no version. */
  hold(): void {
    this.#held = true
  }

  /** The table was followed to this version: these topics are reported as they stand, and what nobody carries as stopped. */
  followed(version: number, topics: Iterable<ReportedTopic>): void {
    this.#version = version
    this.#held = false
    for (const topic of topics) {
      if (!this.#entries.has(topic.topic)) this.#stop(this.#enter(topic))
      this.#mark(topic.topic)
    }
    this.#schedule()
  }

  requested(topic: string): void {
    const route = this.#parts.routeOf(topic)
    if (route === null) return
    const entry = this.#enter(route)
    entry.state = 'requested'
    entry.requestedAtUs = this.#parts.clock.nowUs()
    entry.ackedAtUs = entry.flowingAtUs = entry.stoppedAtUs = null
    this.#changed(topic)
  }

  acked(topic: string): void {
    const entry = this.#entries.get(topic)
    if (entry === undefined) return
    entry.ackedAtUs = this.#parts.clock.nowUs()
    // Beside another connection that carries it, it flows already.
    if (entry.state !== 'flowing') entry.state = 'acked'
    this.#changed(topic)
  }

  flowing(topic: string): void {
    const entry = this.#entries.get(topic)
    if (entry === undefined) return
    entry.state = 'flowing'
    entry.flowingAtUs = this.#parts.clock.nowUs()
    this.#changed(topic)
  }

  stopped(topic: string): void {
    const entry = this.#entries.get(topic)
    if (entry === undefined) return
    this.#stop(entry)
    this.#changed(topic)
  }

  /** What was asked for by REST on command: `flowing` when the answer has come. */
  fetched(topic: ReportedTopic, state: 'requested' | 'flowing'): void {
    const entry = this.#enter(topic)
    const nowUs = this.#parts.clock.nowUs()
    entry.state = state
    if (state === 'requested') {
      entry.requestedAtUs = nowUs
      entry.ackedAtUs = entry.flowingAtUs = null
    } else entry.ackedAtUs = entry.flowingAtUs = nowUs
    this.#changed(topic.topic)
  }

  /** What was written may be gone. */
  rewrite(): void {
    for (const topic of this.#entries.keys()) this.#mark(topic)
    this.#schedule()
  }

  close(): void {
    this.#closed = true
    this.#cancelRetry?.()
  }

  #enter(topic: ReportedTopic): Entry {
    const known = this.#entries.get(topic.topic)
    if (known !== undefined) return known
    const times = { requestedAtUs: null, ackedAtUs: null, flowingAtUs: null, stoppedAtUs: null }
    const { topic: name, instrument, type, interval } = topic
    const entry: Entry = { topic: name, instrument, type, interval, state: 'requested', ...times }
    this.#entries.set(name, entry)
    return entry
  }

  #stop(entry: Entry): void {
    entry.state = 'stopped'
    entry.stoppedAtUs = this.#parts.clock.nowUs()
    // The newest stand last; what flows is never forgotten.
    this.#entries.delete(entry.topic)
    this.#entries.set(entry.topic, entry)
    if (this.#entries.size <= STOPPED_MAX) return
    for (const [topic, { state }] of this.#entries) {
      if (state !== 'stopped') continue
      this.#entries.delete(topic)
      return
    }
  }

  #changed(topic: string): void {
    this.#mark(topic)
    this.#schedule()
  }

  #mark(topic: string): void {
    const instrument = this.#entries.get(topic)?.instrument
    if (instrument === undefined) return
    const topics = this.#due.get(instrument)
    if (topics === undefined) this.#due.set(instrument, new Set([topic]))
    else topics.add(topic)
  }

  #schedule(): void {
    if (this.#scheduled || this.#held || this.#closed || this.#due.size === 0) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      void this.#write()
    })
  }

  async #write(): Promise<void> {
    if (this.#held || this.#closed) return
    const { sink, market, worker, clock } = this.#parts
    const due = this.#due
    this.#due = new Map()
    const version = this.#version
    await Promise.all(
      [...due].map(async ([instrument, topics]) => {
        const reports = [...topics].flatMap((topic) => {
          const entry = this.#entries.get(topic)
          if (entry === undefined) return []
          const { instrument: _, ...report } = entry
          return [{ ...report, worker, version }]
        })
        if (reports.length === 0) return
        try {
          await sink.put(market, instrument, reports, clock.nowUs())
        } catch {
          metrics.controlReportsLost.inc(reports.length)
          for (const topic of topics) this.#mark(topic)
          this.#cancelRetry?.()
          this.#cancelRetry = clock.after(RETRY_MS, () => this.#schedule())
        }
      }),
    )
  }
}
