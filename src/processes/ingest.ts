import { randomUUID } from 'node:crypto'
import type { QualityLog } from '../bus/book-quality.ts'
import type { BarLine, OpenGapReader } from '../bus/open-gaps.ts'
import type { EventBus } from '../bus/publish.ts'
import type { MemberStore } from '../cluster/member-store.ts'
import type { Config } from '../config/schema.ts'
import type { ChannelGate } from '../control/channel-gate.ts'
import type { SeedRoute } from '../control/seed.ts'
import { Adoption } from '../dispatcher/adoption.ts'
import { ChannelLine } from '../dispatcher/channel-line.ts'
import type { DeadLetterLog } from '../dispatcher/dead-letters.ts'
import { Dispatcher, type DispatcherIncident } from '../dispatcher/dispatcher.ts'
import { exportDispatcherMetrics } from '../dispatcher/export-metrics.ts'
import type { DispatchTable } from '../dispatcher/table.ts'
import { Channel, GapCause } from '../domain/event.ts'
import { type Instrument, type InstrumentInfo, partitionOf } from '../domain/instrument.ts'
import type { ShownQuality } from '../domain/quality.ts'
import { backoffMs } from '../lib/backoff.ts'
import type { Clock } from '../lib/clock.ts'
import type { LatencyRecorder } from '../telemetry/latency.ts'
import type { Logger } from '../telemetry/logger.ts'
import { BinanceStreams, parseTopic, topicFor } from '../venues/binance/binance.ts'
import { SymbolTable } from '../venues/binance/symbols.ts'
import { Connections } from '../venues/connections/connections.ts'
import type { ConnectBudget } from '../venues/limit-store.ts'
import type { VenueRest } from '../venues/venue.ts'
import { bookLimits } from './book-limits.ts'
import { bookObstacles } from './book-readiness.ts'
import { type FollowedTable, TableFollower } from './control-follow.ts'
import { type ReportSink, TopicReporter } from './control-reporter.ts'
import { IngestShare, type ShareIncident } from './ingest-share.ts'
import { MARKET } from './market.ts'
import type { VenueAddress } from './venue-address.ts'
import { version } from './version.ts'

/** The closing of sockets is waited for no longer; what they still bring then is left to whoever took over. */
const SOCKETS_CLOSE_MS = 500
/** Handing over, closing and flushing together; the command line waits a little longer. */
const CLOSE_MS_MAX = 4_200
const FLUSH_MS_MIN = 200
const INSTRUMENTS_RETRY = { baseMs: 500, maxMs: 30_000 }

export { MARKET } from './market.ts'

export interface IngestParts {
  readonly config: Config
  readonly venue: VenueAddress
  /** Closed by whoever opened it. */
  readonly rest: VenueRest
  readonly connectBudget: ConnectBudget
  /** What the venue allows to ask of it, weight. */
  readonly weightPerMinute: () => number
  readonly bus: EventBus
  readonly isCluster: boolean
  readonly deadLetters: DeadLetterLog
  /** Keeps what the venue tells about its instruments. */
  readonly keepInstruments: (infos: readonly InstrumentInfo[]) => Promise<void>
  readonly openGaps: OpenGapReader
  readonly clock: Clock
  readonly latency: LatencyRecorder
  /** Where the quality of books is said. */
  readonly qualities: QualityLog
  readonly logger: Logger
  readonly incident: (incident: DispatcherIncident) => void
  /** The dispatch table, what opens and closes channels by it, and where it is told what became of that. */
  readonly control: FollowedTable & {
    readonly gate: ChannelGate
    readonly reports: ReportSink
    start(): Promise<void>
  }
  readonly members: MemberStore
  readonly worker: string
  readonly shareIncident: (incident: ShareIncident) => void
  readonly signal: AbortSignal
}

/** The role `ingest`: takes what the venue says into the streams. Built and joined here, in the order of the data path. */
export class Ingest {
  readonly #parts: IngestParts
  readonly #symbols = new SymbolTable()
  readonly #follower: TableFollower
  readonly #reporter: TopicReporter
  readonly #drained = Promise.withResolvers<void>()
  #dispatcher: Dispatcher | null = null
  #connections: Connections | null = null
  readonly #share: IngestShare
  /** Every topic of the table, with the partition of its instrument. */
  #topics: ReadonlyMap<string, number> = new Map()
  #infos: readonly InstrumentInfo[] = []
  #routes: DispatchTable['routes'] = new Map()
  /** Topics that prove books and feed no stream, so nothing is reported of them. */
  #tickers: DispatchTable['tickers'] = new Map()
  #carried: ReadonlySet<string> = new Set()
  /** Those that are to flow no more, until the venue has said so. */
  readonly #stopping = new Set<string>()
  /** Partitions held when the topics were told last. */
  #followedHere: ReadonlySet<number> = new Set()
  #adoption: Adoption | null = null
  /** Longest way of an event from its arrival to the reply, since the last heartbeat, us. */
  #lagUs = -1
  #cancelRefresh: () => void = () => {}
  #endExport: () => void = () => {}
  #closed = false

  constructor(parts: IngestParts) {
    this.#parts = parts
    const { config, venue, clock } = parts
    this.#reporter = new TopicReporter({
      ...{ sink: parts.control.reports, market: MARKET, worker: parts.worker, clock },
      routeOf: (topic) => {
        const route = this.#routes.get(topic)
        return route === undefined ? null : { ...route, type: route.channel }
      },
    })
    this.#follower = new TableFollower({
      ...{ followed: parts.control, gate: parts.control.gate, reporter: this.#reporter, market: MARKET },
      ...{ names: { topicFor, parseTopic }, available: venue.available, partitions: config.partitions },
      ...{ worker: parts.worker, clock },
      use: (table, unheard) => this.#useTable(table, unheard),
      held: () => this.#share.held,
      anew: () => this.#writeAgain(),
      resync: (instrument, byOperator) => this.#resync(instrument, byOperator),
      drain: () => this.#drained.resolve(),
      failed: (error) => parts.logger.warn('table-unfollowed', 'a change of the table is followed later', { error }),
    })
    this.#share = new IngestShare({
      store: parts.members,
      id: parts.worker,
      incarnation: randomUUID(),
      version,
      clock,
      cluster: config.cluster,
      partitions: config.partitions,
      redundancy: config.ingest.redundancy,
      topics: () => this.#topics,
      status: () => this.#connections?.status().topics ?? [],
      subscribe: (topics, fresh) => this.#subscribe(topics, fresh),
      released: (topics) =>
        topics.every((topic) => !this.#stopping.has(topic) && this.#dispatcher?.bindingOf(topic)?.line.idle !== false),
      owesGap: (topic) => {
        const binding = this.#dispatcher?.bindingOf(topic)
        return binding?.line instanceof ChannelLine && binding.line.owesGap(binding.route.interval)
      },
      isNumbered: (topic) => {
        const line = this.#dispatcher?.bindingOf(topic)?.line
        return !(line instanceof ChannelLine) || line.isContiguous
      },
      overlapped: (topics) => this.#dispatcher?.overlapped(topics),
      uncovered: (topics) => {
        for (const topic of topics) this.#dispatcher?.topicAcked(topic)
      },
      lagMs: () => this.#takeLagMs(),
      tell: parts.shareIncident,
    })
  }

  /** Learns the instruments, builds the table, subscribes. Waits for the venue's list of instruments however long it takes. */
  async start(): Promise<void> {
    const { config, venue, clock, bus, latency, logger, signal } = this.#parts
    await this.#share.join()
    const infos = await this.#firstInstruments()
    if (infos === null) return
    await this.#parts.control.start()
    if (signal.aborted || this.#parts.control.table === null) return
    const table = this.#follower.useInstruments(infos)
    const { timeUnit } = config.venues.binance
    const { connections, frameBytesMax, redundancy: _, books: __, ...limits } = config.ingest
    const books = bookLimits(config, {
      weightPerMinute: this.#parts.weightPerMinute,
      processes: () => this.#share.processes,
    })
    this.#dispatcher = new Dispatcher({
      market: MARKET,
      table,
      bus,
      rest: this.#parts.rest,
      clock,
      partitions: config.partitions,
      lanes: this.#parts.isCluster ? config.partitions : 1,
      deadLetters: this.#parts.deadLetters,
      limits: { ...limits, books },
      qualities: this.#parts.qualities,
      latency: { record: (us) => this.#measure(latency, us) },
      incident: this.#parts.incident,
      covered: (instrument) => this.#share.shares(partitionOf(MARKET, instrument, config.partitions)),
      // Only a recording has its topics known beforehand.
      repeats: venue.available !== null,
      sinkChanged: () => this.#writeAgain(),
    })
    const dispatcher = this.#dispatcher
    this.#endExport = exportDispatcherMetrics(dispatcher)
    dispatcher.instrumentsChanged(infos)
    this.#connections = new Connections({
      protocol: new BinanceStreams({ market: MARKET, streamUrl: venue.streamUrl, timeUnit, frameBytesMax }),
      sink: dispatcher,
      clock,
      random: Math.random,
      options: connections,
      connectBudget: this.#parts.connectBudget,
      processes: () => this.#share.processes,
      log: (level, message, facts) => logger[level]('venue-connection', message, facts),
      hooks: {
        // Where another process's line feeds the same stream nothing is missed, so a quiet book needs no snapshot.
        onTopicAcked: (topic) => {
          if (this.#routes.has(topic)) this.#reporter.acked(topic)
          if (!this.#share.covers(this.#topics.get(topic) ?? -1)) dispatcher.topicAcked(topic)
        },
        onTopicFlowing: (topic) => {
          if (this.#routes.has(topic)) this.#reporter.flowing(topic)
        },
        onTopicStopped: (topic) => {
          this.#stopping.delete(topic)
          this.#reporter.stopped(topic)
        },
      },
    })
    if (table.topics.length === 0) {
      logger.info('no-topics', 'nobody is subscribed to anything that the venue lists', { instruments: infos.length })
    }
    this.#useTable(table, new Set())
    await this.#share.activate()
    this.#adoption = new Adoption({
      reader: this.#parts.openGaps,
      clock,
      instruments: () => this.#tradedHere(),
      fill: ({ instrument, from, to, openedAtUs }) => dispatcher.fillTradeGap(instrument, from, to, openedAtUs),
      barLines: () => this.#barsHere(),
      fillBars: (bars) => dispatcher.fillBars(bars),
      barAgeMsMax: config.ingest.backfill.ageMsMax,
      failed: (error) =>
        logger.warn('open-gaps-unread', 'what is open in the streams could not be read, trying again', { error }),
    })
    if (signal.aborted) this.#adoption.close()
    if (!signal.aborted) this.#refreshLater()
  }

  get dispatcher(): Dispatcher | null {
    return this.#dispatcher
  }

  /** Resolves when a command asks this process to hand its partitions over and end. */
  get drained(): Promise<void> {
    return this.#drained.promise
  }

  /** Why this role cannot do its work now; empty when it can. */
  obstacles(): string[] {
    if (this.#connections === null) return ['the list of instruments has not come from the venue yet']
    const { connections } = this.#connections.status()
    const down = connections.filter((connection) => connection.state !== 'open').length
    const found = this.#share.obstacles()
    if (connections.length > 0 && down === connections.length) found.push('no connection to the venue stands')
    return [...found, ...bookObstacles(this.#booksHere(), this.#parts.clock.nowUs())]
  }

  /** Hands its partitions over, closes the sockets, waits for what is under way until `graceMs` is over, and lets go. */
  async close(graceMs: number): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#cancelRefresh()
    this.#adoption?.close()
    this.#follower.close()
    const { clock } = this.#parts
    const begunMs = clock.monotonicMs()
    await this.#share.drain()
    await Promise.race([
      this.#connections?.close(),
      new Promise<void>((resolve) => clock.after(SOCKETS_CLOSE_MS, resolve)),
    ])
    const dispatcher = this.#dispatcher
    if (dispatcher !== null) {
      const leftMs = CLOSE_MS_MAX - (clock.monotonicMs() - begunMs)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.max(FLUSH_MS_MIN, Math.min(graceMs, leftMs)))
        void dispatcher.whenIdle().then(() => {
          clearTimeout(timer)
          resolve()
        })
      })
      dispatcher.close()
      this.#endExport()
    }
    this.#reporter.close()
    await this.#share.leave()
  }

  async #firstInstruments(): Promise<readonly InstrumentInfo[] | null> {
    const { signal, logger } = this.#parts
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        return await this.#learnInstruments()
      } catch (error) {
        const delayMs = backoffMs(attempt, INSTRUMENTS_RETRY, Math.random)
        logger.warn('instruments-failed', 'the list of instruments could not be had, trying again', { error, delayMs })
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, delayMs)
          const stop = (): void => {
            clearTimeout(timer)
            resolve()
          }
          signal.addEventListener('abort', stop, { once: true })
        })
      }
    }
    return null
  }

  async #learnInstruments(): Promise<readonly InstrumentInfo[]> {
    const infos = await this.#parts.rest.fetchInstruments()
    this.#symbols.update(infos)
    this.#infos = infos
    await this.#parts.keepInstruments(infos)
    return infos
  }

  /** Another Redis process answers: what was written beside the streams may not be there. */
  #writeAgain(): void {
    const { keepInstruments, logger } = this.#parts
    this.#reporter.rewrite()
    keepInstruments(this.#infos).catch((error: unknown) => {
      const message = 'the list of instruments could not be written again, the next refresh does'
      logger.warn('instruments-unwritten', message, { error })
    })
  }

  #refreshLater(): void {
    const { clock, config, logger } = this.#parts
    this.#cancelRefresh = clock.after(config.venues.binance.instrumentsRefreshSeconds * 1000, async () => {
      try {
        const infos = await this.#learnInstruments()
        if (this.#closed) return
        this.#dispatcher?.instrumentsChanged(infos)
        const table = this.#follower.useInstruments(infos)
        if (!isSameList(table.topics, [...this.#routes.keys(), ...this.#tickers.keys()]))
          this.#useTable(table, new Set())
      } catch (error) {
        logger.warn('instruments-failed', 'the list of instruments could not be refreshed, the old one stays', {
          error,
        })
      }
      if (!this.#closed) this.#refreshLater()
    })
  }

  #useTable(table: DispatchTable, unheard: ReadonlySet<string>): void {
    const { partitions } = this.#parts.config
    const topics = new Map<string, number>()
    for (const routes of [table.routes, table.tickers]) {
      for (const { topic, instrument } of routes.values()) {
        topics.set(topic, partitionOf(MARKET, instrument, partitions))
      }
    }
    // What is only looked at belongs to no instrument; whoever has the first partition takes it.
    for (const topic of table.ignored) topics.set(topic, 0)
    this.#topics = topics
    const before = this.#tickers
    this.#routes = table.routes
    this.#tickers = table.tickers
    this.#dispatcher?.useTable(table, unheard)
    this.#share.topicsChanged()
    this.#reportTickers(before)
  }

  /** Best prices that go on for the proof alone have stopped for whoever subscribed to them, and the other way round. */
  #reportTickers(before: DispatchTable['tickers']): void {
    for (const topic of this.#tickers.keys()) {
      if (!before.has(topic) && this.#carried.has(topic)) this.#reporter.stopped(topic)
    }
    const begun = new Set<string>()
    for (const topic of before.keys()) if (this.#routes.has(topic) && this.#carried.has(topic)) begun.add(topic)
    if (begun.size === 0) return
    for (const topic of begun) this.#reporter.requested(topic)
    for (const { topic, ackedAtUs, state } of this.#connections?.status().topics ?? []) {
      if (!begun.has(topic)) continue
      if (ackedAtUs !== null) this.#reporter.acked(topic)
      if (state === 'flowing') this.#reporter.flowing(topic)
    }
  }

  #subscribe(topics: ReadonlySet<string>, fresh: readonly string[]): void {
    // What flows here for the second time was interrupted in between.
    if (fresh.length > 0) this.#dispatcher?.interrupted(fresh, GapCause.Disconnect)
    for (const topic of topics) if (!this.#carried.has(topic)) this.#reporter.requested(topic)
    for (const topic of this.#carried) if (!topics.has(topic)) this.#stopping.add(topic)
    for (const topic of topics) this.#stopping.delete(topic)
    this.#dispatcher?.carry(topics)
    this.#connections?.setTopics(topics)
    this.#carried = topics
    const { held } = this.#share
    const taken = new Set([...held].filter((partition) => !this.#followedHere.has(partition)))
    this.#followedHere = held
    if (taken.size > 0) this.#follower.taken(taken)
  }

  #resync(instrument: Instrument, byOperator: boolean): void {
    const topic = { topic: `rest:depth:${instrument}`, instrument, type: Channel.OrderBook, interval: '' }
    this.#reporter.fetched(topic, 'requested')
    this.#dispatcher?.resync(instrument, byOperator, () => this.#reporter.fetched(topic, 'flowing'))
  }

  /** Instruments whose trades this process takes now. */
  #tradedHere(): Instrument[] {
    const traded = new Set<Instrument>()
    for (const topic of this.#carried) {
      const route = this.#routes.get(topic)
      if (route?.channel === Channel.Trade) traded.add(route.instrument)
    }
    return [...traded]
  }

  /** Lines of bars that this process takes now. */
  #barsHere(): BarLine[] {
    const lines: BarLine[] = []
    for (const topic of this.#carried) {
      const route = this.#routes.get(topic)
      if (route?.channel === Channel.Kline) lines.push({ instrument: route.instrument, interval: route.interval })
    }
    return lines
  }

  /** Books of the instruments whose deltas this process takes now. */
  #booksHere(): ShownQuality[] {
    const books: ShownQuality[] = []
    for (const topic of this.#carried) {
      const route = this.#routes.get(topic)
      if (route?.channel !== Channel.OrderBook) continue
      const shown = this.#dispatcher?.bookShown(route.instrument) ?? null
      // A quiet book whose stream another process feeds too need not be asked for here.
      const isFed = shown?.reason === 'start' && this.#share.covers(this.#topics.get(topic) ?? -1)
      if (shown !== null && !isFed) books.push(shown)
    }
    return books
  }

  #measure(latency: LatencyRecorder, latencyUs: number): void {
    if (latencyUs > this.#lagUs) this.#lagUs = latencyUs
    latency.record(latencyUs)
  }

  #takeLagMs(): number | null {
    const behindMs = this.#dispatcher?.behindMs ?? 0
    const lagMs = Math.round(Math.max(this.#lagUs / 1_000, behindMs))
    const isIdle = this.#lagUs < 0 && behindMs === 0
    this.#lagUs = -1
    return isIdle ? null : lagMs
  }
}

function isSameList(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((item, at) => item === right[at])
}

/** For a replay: every stream that the capture holds. */
export function everything(): SeedRoute[] {
  const base = { market: MARKET, instruments: ['*'] }
  return [
    { ...base, type: Channel.Trade },
    { ...base, type: Channel.Quote },
    { ...base, type: Channel.Ticker },
    { ...base, type: Channel.Kline, intervals: ['*'] },
    { ...base, type: Channel.OrderBook },
  ]
}
