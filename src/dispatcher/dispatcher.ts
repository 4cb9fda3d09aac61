import type { OpenBars } from '../bus/open-gaps.ts'
import { Channel, GapCause } from '../domain/event.ts'
import { type Instrument, type InstrumentInfo, type Market, partitionOf } from '../domain/instrument.ts'
import type { RejectedFrame, VenueBookSnapshot, VenueEvent, VenueSink } from '../venues/venue.ts'
import type { BookGuard } from './book-guard.ts'
import { BookGuards } from './book-guards.ts'
import { BookLine } from './book-line.ts'
import { BookTickers } from './book-tickers.ts'
import { filteredOf, giveUpOffer, offerOf, payloadOf, snapshotOffer } from './canonical.ts'
import { ChannelLine } from './channel-line.ts'
import { DeadLetters } from './dead-letters.ts'
import { DuplicateWatch } from './duplicate-watch.ts'
import { GapFilling } from './gap-filling.ts'
import { Lane } from './lane.ts'
import type { LineKey, LineShared, LineWatch } from './line.ts'
import { type LineOffer, OfferGauge } from './line-offer.ts'
import {
  type DispatcherIncident,
  type DispatcherLimits,
  type DispatcherOptions,
  defaultDispatcherLimits,
} from './options.ts'
import { PublishFailures } from './publish-failures.ts'
import { QuietBooks } from './quiet-books.ts'
import { Refusals } from './refusals.ts'
import { retryIncident } from './retry.ts'
import { Ring } from './ring.ts'
import { Saturation } from './saturation.ts'
import { SnapshotRequests } from './snapshots.ts'
import { type DispatcherStats, oldestUs, partStats, sumLines } from './stats.ts'
import { type DispatchTable, fits, type TopicRoute } from './table.ts'
import { Traces } from './traces.ts'

export type { DispatcherIncident, DispatcherLimits, DispatcherOptions } from './options.ts'
export { defaultDispatcherLimits } from './options.ts'

/** What a topic feeds, looked up once per frame. */
interface Binding {
  readonly route: TopicRoute
  readonly line: ChannelLine | BookLine
  readonly lane: Lane
  /** Of the instrument's book, for its deltas and its best prices. */
  readonly guard: BookGuard | null
}

/**
 * From the venue's events to the data bus, for one market. Each event is looked up by its topic, mapped to the canonical
 * offer and put on the line of its channel; lanes carry lines to the bus; what the script does not simply take comes back
 * to the line. It asks the venue for what is missing: snapshots of books, trades and bars inside gaps.
 */
export class Dispatcher implements VenueSink {
  readonly market: Market
  readonly #options: DispatcherOptions
  readonly #limits: DispatcherLimits
  readonly #lanes: Lane[] = []
  readonly #lines = new Map<string, ChannelLine | BookLine>()
  /** Instruments that the venue says are not traded now. */
  readonly #halted = new Set<Instrument>()
  #bindings = new Map<string, Binding>()
  readonly #tickers: BookTickers
  readonly #refusals: Refusals
  #table: DispatchTable
  readonly #shared: LineShared
  readonly #queue = new OfferGauge()
  readonly #bookBuffers = new OfferGauge()
  readonly #ring: Ring
  readonly #deadLetters: DeadLetters
  readonly #snapshots: SnapshotRequests
  readonly #filling: GapFilling
  readonly #guards: BookGuards
  readonly #duplicates: DuplicateWatch
  readonly #traces = new Traces()
  readonly #saturation: Saturation
  #idleCallbacks: (() => void)[] = []
  readonly #quietBooks: QuietBooks
  /** Our clock when the reply that is being settled came, us. */
  #answeredUs = 0
  #received = 0
  #filtered = 0
  #ignored = 0
  readonly #publishFailures = new PublishFailures()
  #closed = false

  constructor(options: DispatcherOptions) {
    this.#options = options
    this.market = options.market
    this.#limits = { ...defaultDispatcherLimits, ...options.limits }
    const { clock, rest } = options
    const random = options.random ?? Math.random
    this.#ring = new Ring(this.#limits.ring)
    this.#saturation = new Saturation({
      limits: this.#limits,
      queue: this.#queue,
      clock,
      relieve: (hasRoom) => this.#relieve(hasRoom),
      tell: (kind, message) => this.#tell({ kind, message }),
    })
    const settled = () => this.#settled()
    for (let index = 0; index < options.lanes; index++) {
      const lane: Lane = new Lane({
        bus: options.bus,
        clock,
        random,
        limits: this.#limits,
        answered: () => {
          this.#answeredUs = clock.nowUs()
        },
        ...{ settled, waiting: () => (options.lanes > 1 ? 0 : this.#queue.events) },
        failed: (failure) => this.#tell(this.#publishFailures.add(failure)),
        sinkChanged: () => this.#sinkChanged(lane),
      })
      this.#lanes.push(lane)
    }
    this.#deadLetters = new DeadLetters({
      log: options.deadLetters,
      clock,
      market: options.market,
      queueMax: this.#limits.deadLettersQueueMax,
      kindsMax: this.#limits.deadLetterKindsMax,
      settled,
    })
    this.#refusals = new Refusals({
      ...{ deadLetters: this.#deadLetters, clock, tableLagMs: this.#limits.tableLagMs },
      tell: (incident) => this.#tell(incident),
    })
    this.#snapshots = new SnapshotRequests({
      fetch: (symbol) => rest.fetchBookSnapshot(symbol),
      clock,
      random,
      proved: this.#limits.books.proved,
      deliver: (key, snapshot) => this.#deliverSnapshot(key, snapshot),
      odd: ({ instrument, channel }, message) => this.#tell({ kind: 'snapshot-odd', message, instrument, channel }),
      failed: (key, error, attempt, delayMs) => {
        if (this.#guards.of(key.instrument)?.requestFailed() === false) return false
        this.#tell(retryIncident('snapshot-failed', 'the request for a snapshot', key, error, attempt, delayMs))
        return true
      },
      ended: settled,
    })
    this.#quietBooks = new QuietBooks({ clock, ...this.#limits })
    this.#filling = new GapFilling({
      ...{ rest, clock, random, limits: this.#limits.backfill },
      lineOf: (key) => this.#lineOf(key) as ChannelLine,
      offer: (key, event) => this.#offerTo(key, event),
      giveUp: (key, from, to, how) => this.#push(key, giveUpOffer(from, to, how, clock.nowUs(), this.#trace())),
      saturated: () => this.#saturation.full,
      tell: (incident) => this.#tell(incident),
      ended: settled,
    })
    this.#guards = new BookGuards({
      limits: this.#limits.books,
      clock,
      want: (key, tooOld) => this.#snapshots.want(key, tooOld),
      ready: (key) => this.#laneOf(key.instrument).markReady(this.#lineOf(key)),
      tell: (incident) => this.#tell(incident),
      trace: () => this.#trace(),
      covered: options.covered ?? (() => false),
      log: options.qualities ?? null,
    })
    this.#tickers = new BookTickers(this.#guards)
    this.#shared = {
      limits: this.#limits,
      queue: this.#queue,
      bookBuffers: this.#bookBuffers,
      watch: this.#watch(),
      ring: this.#ring,
      pressure: this.#saturation,
      trace: () => this.#trace(),
      covered: options.covered ?? (() => false),
    }
    const repeats = options.repeats === true
    this.#duplicates = new DuplicateWatch({
      clock,
      lines: () => this.#lines.values(),
      covered: (instrument) => repeats || this.#shared.covered(instrument),
      found: ({ instrument, channel }, count) => {
        const message = `${channel} of ${instrument} was answered nothing but duplicate for a minute, ${count} times`
        this.#tell({ kind: 'only-duplicates', message, instrument, channel })
      },
    })
    this.#table = options.table
    this.useTable(options.table)
  }

  /**
   * Routes by this table from now on; what is under way keeps the version it was made under. A line that it does not name is
   * stopped. `unheard`: channels (`INSTRUMENT:CHANNEL`) that were stopped until now, so what is missing was not subscribed to.
   */
  useTable(table: DispatchTable, unheard: ReadonlySet<string> = new Set()): void {
    this.#table = table
    this.#refusals.tableChanged()
    const wanted = new Set<ChannelLine | BookLine>()
    const bindings = new Map<string, Binding>()
    for (const route of table.routes.values()) {
      const id = lineId(route.instrument, route.channel, route.numbering)
      let line = this.#lines.get(id)
      if (line === undefined) {
        const { instrument, symbol, channel } = route
        const key: LineKey = { market: table.market, instrument, symbol, channel }
        line =
          channel === Channel.OrderBook
            ? new BookLine(key, table.version, this.#shared, this.#guards.create(key))
            : new ChannelLine(key, route.numbering, table.version, this.#shared)
        this.#lines.set(id, line)
      }
      if (line instanceof BookLine) line.guard.fact({ kind: 'halted', halted: this.#halted.has(route.instrument) })
      line.tableVersion = route.version ?? table.version
      if (!wanted.has(line)) {
        wanted.add(line)
        if (unheard.has(`${route.instrument}:${route.channel}`)) line.start(GapCause.NotSubscribed)
        else if (line.stopped) line.start(GapCause.Disconnect)
      }
      bindings.set(route.topic, { route, line, lane: this.#laneOf(route.instrument), guard: null })
    }
    for (const [topic, binding] of bindings) {
      const { channel, instrument } = binding.route
      if (channel !== Channel.Quote && channel !== Channel.OrderBook) continue
      bindings.set(topic, { ...binding, guard: this.#guards.of(instrument) })
    }
    this.#bindings = bindings
    this.#tickers.use(table)
    for (const line of this.#lines.values()) {
      if (!wanted.has(line)) line.stop()
      if (!line.stopped) continue
      if (line instanceof BookLine) this.#snapshots.drop(line.key)
      else if (line.key.channel === Channel.Quote) this.#tickers.quoteStopped(line.key.instrument)
    }
  }

  event(event: VenueEvent, connection = 0): void {
    if (this.#closed) return
    this.#received++
    const binding = this.#bindings.get(event.topic)
    if (binding === undefined || !fits(event, binding.route)) {
      this.#unrouted(event, connection)
      return
    }
    const { route, line, guard } = binding
    if (guard !== null) {
      if (event.kind === 'delta') guard.delta(event, connection)
      else if (event.kind === 'quote') guard.ticker(event, connection)
    }
    const data = payloadOf(event)
    if (route.filter !== null && !route.filter(filteredOf(event, this.market, route.instrument, data))) {
      this.#filtered++
      return
    }
    if (event.kind === 'kline') this.#filling.bar(line.key, event)
    line.push(offerOf(event, data, this.#trace()))
    binding.lane.markReady(line)
    if (!this.#saturation.saturated) this.#saturation.grown()
  }

  rejected(frame: RejectedFrame): void {
    if (this.#closed) return
    this.#deadLetters.add(frame.reason, frame.topic, frame.detail, frame.sample, frame.receivedTimeUs)
  }

  interrupted(topics: readonly string[], cause: GapCause): void {
    for (const topic of topics) {
      const binding = this.#bindings.get(topic)
      if (binding === undefined) {
        this.#tickers.interrupted(topic)
        continue
      }
      // What overflowed because the bus does not take it is the bus's doing.
      const told = cause === GapCause.Overflow && binding.lane.failing ? GapCause.SinkDown : cause
      binding.line.interrupted(binding.route.interval, told)
      if (binding.route.channel === Channel.Quote) binding.guard?.tickersInterrupted()
    }
  }

  /** The connection to the bus was lost and stands again: it may lead to another Redis process now. */
  sinkReturned(): void {
    for (const lane of this.#lanes) lane.probe()
  }

  /** These topics flow here and no others. Books that begin to are taken over from whoever kept them before. */
  carry(topics: ReadonlySet<string>): void {
    const books = new Set<Instrument>()
    for (const [topic, { route }] of this.#bindings) {
      if (route.channel === Channel.OrderBook && topics.has(topic)) books.add(route.instrument)
    }
    this.#guards.hold(books)
    for (const line of this.#lines.values()) {
      if (line instanceof BookLine && !line.guard.held) this.#snapshots.drop(line.key)
    }
  }

  /** What carries this topic; undefined where nothing does. */
  bindingOf(topic: string): Binding | undefined {
    return this.#bindings.get(topic)
  }

  /** Another process's lines flowed when the venue acknowledged these, and until the time given; see `Line`. */
  overlapped(topics: ReadonlyMap<string, number>): void {
    for (const [topic, untilUs] of topics) {
      const binding = this.#bindings.get(topic)
      binding?.line.overlapped(binding.route.interval, untilUs)
    }
  }

  /** The venue acknowledged the subscription: a book that stays quiet from here on asks for its snapshot by itself. */
  topicAcked(topic: string): void {
    const line = this.#bindings.get(topic)?.line
    if (line instanceof BookLine && !this.#closed) this.#quietBooks.acked(topic, line)
  }

  /** The venue's words about its instruments, as often as they are fetched. */
  instrumentsChanged(infos: readonly InstrumentInfo[]): void {
    for (const { instrument, status, tickSize: tick, stepSize: step } of infos) {
      this.#guards.judgeBy(instrument, { tick, step })
      const halted = status !== '' && status !== 'TRADING'
      if (halted) this.#halted.add(instrument)
      else this.#halted.delete(instrument)
      this.#bookOf(instrument)?.guard.fact({ kind: 'halted', halted })
    }
  }

  /**
   * Fills a hole that an earlier life told and left open in the ledger: `from`..`to` of the instrument's trade numbering,
   * opened at `openedAtUs`. What does not belong to an open range any more is answered `duplicate` and harms nothing.
   */
  fillTradeGap(instrument: Instrument, from: number, to: number, openedAtUs: number): void {
    for (const numbering of ['trade', 'aggTrade'] as const) {
      const line = this.#lines.get(lineId(instrument, Channel.Trade, numbering))
      if (line === undefined || to < from) continue
      this.#filling.backfill.trades({ key: line.key, numbering, from, to, shownTimeUs: openedAtUs })
      return
    }
  }

  /** Fetches bars that an earlier life may have left open. Those that are closed are answered `duplicate`. */
  fillBars({ instrument, ...bars }: OpenBars): void {
    const line = this.#lines.get(lineId(instrument, Channel.Kline, ''))
    if (line !== undefined) this.#filling.open(line.key, bars)
  }

  /**
   * Fetches a new snapshot of an instrument's book; `done` when it stands in the stream. Of a book in quarantine that is when the
   * quarantine is over, which the wish of an operator ends.
   */
  resync(instrument: Instrument, byOperator: boolean, done: () => void): void {
    this.#bookOf(instrument)?.guard.ask(byOperator, done)
  }

  /** State of an instrument's book, null where none is routed. */
  bookShown(instrument: Instrument): BookGuard['shown'] | null {
    return this.#bookOf(instrument)?.guard.shown ?? null
  }

  #bookOf(instrument: Instrument): BookLine | null {
    const line = this.#lines.get(lineId(instrument, Channel.OrderBook, ''))
    return line instanceof BookLine && !line.stopped ? line : null
  }

  get saturated(): boolean {
    return this.#saturation.saturated
  }

  /** Calls back every time it is saturated no longer; the same callback is kept once. */
  onDrained(callback: () => void): void {
    this.#saturation.onDrained(callback)
  }

  /** Nothing waits, is held or under way, neither to the bus nor to the venue; a book that waits for its next try may be unjoined. */
  get idle(): boolean {
    return (
      this.#queue.events === 0 &&
      this.#snapshots.inFlight === 0 &&
      this.#filling.backfill.waiting === 0 &&
      this.#deadLetters.waiting === 0 &&
      this.#lanes.every((lane) => !lane.busy)
    )
  }

  whenIdle(): Promise<void> {
    if (this.idle) return Promise.resolve()
    return new Promise((resolve) => this.#idleCallbacks.push(resolve))
  }

  /** How old the oldest is that the bus has not answered for, ms; 0 when there is nothing. */
  get behindMs(): number {
    return Math.max(0, this.#options.clock.nowUs() - oldestUs(this.#lines.values())) / 1_000
  }

  stats(): DispatcherStats {
    const { backfill } = this.#filling
    return {
      ...sumLines(this.#lines.values()),
      ...partStats(this.#deadLetters, this.#queue, this.#bookBuffers, this.#ring, this.#snapshots, backfill),
      received: this.#received,
      filtered: this.#filtered,
      ignored: this.#ignored,
      publishFailures: this.#publishFailures.total,
      publishFailuresByReason: this.#publishFailures.byReason,
      books: this.#guards.stats(),
      duplicateChannels: this.#duplicates.channels,
    }
  }

  /** Takes and sends nothing more. Whoever wants what waits to be sent first waits for `whenIdle`. */
  close(): void {
    this.#closed = true
    this.#saturation.close()
    this.#snapshots.close()
    this.#guards.close()
    this.#filling.backfill.close()
    for (const lane of this.#lanes) lane.close()
    this.#quietBooks.close()
    this.#duplicates.close()
    for (const callback of this.#idleCallbacks.splice(0)) callback()
  }

  #sinkChanged(lane: Lane): void {
    const message = 'another Redis process answers than before, so everything remembered is offered again'
    this.#tell({ kind: 'sink-changed', message })
    this.#options.sinkChanged?.()
    this.#guards.tellAgain()
    for (const line of this.#lines.values()) {
      if (this.#laneOf(line.key.instrument) !== lane) continue
      line.offerAgain()
      lane.markReady(line)
    }
  }

  /** The longest first, so that few lines are touched. */
  #relieve(hasRoom: () => boolean): void {
    const lines = [...this.#lines.values()].filter(({ mergeable }) => mergeable > 1)
    for (const line of lines.sort((one, other) => other.mergeable - one.mergeable)) {
      line.merge()
      if (hasRoom()) return
    }
  }

  #watch(): LineWatch {
    return {
      appended: (offer) => this.#options.latency?.record(this.#answeredUs - offer.receivedTimeUs),
      gapTold: (key, from, to, shown) => this.#filling.told(key, from, to, shown),
      refused: (key, offer, reason, error) => this.#refusals.refused(key, offer, reason, error),
      joined: (key) => {
        if (!this.#guards.of(key.instrument)?.wanting) this.#snapshots.drop(key)
      },
    }
  }

  #unrouted(event: VenueEvent, connection: number): void {
    const { ignored, former } = this.#table
    const isKnown = this.#tickers.take(event, connection) || ignored.has(event.topic) || former?.has(event.topic)
    if (isKnown) this.#ignored++
    else this.#refusals.unmapped(event)
  }

  #deliverSnapshot(key: LineKey, snapshot: VenueBookSnapshot): void {
    if (this.#guards.of(key.instrument)?.answered(snapshot) !== false) {
      this.#push(key, snapshotOffer(snapshot, this.#trace(), false))
    }
  }

  #offerTo(key: LineKey, event: VenueEvent): void {
    this.#push(key, offerOf(event, payloadOf(event), this.#trace()))
  }

  #push(key: LineKey, offer: LineOffer): void {
    const line = this.#lineOf(key)
    line.push(offer)
    this.#laneOf(key.instrument).markReady(line)
  }

  #lineOf(key: LineKey): ChannelLine | BookLine {
    for (const numbering of key.channel === Channel.Trade ? (['trade', 'aggTrade'] as const) : ([''] as const)) {
      const line = this.#lines.get(lineId(key.instrument, key.channel, numbering))
      if (line?.key === key) return line
    }
    throw new Error(`expected a line for ${key.instrument} ${key.channel}, found none`)
  }

  #laneOf(instrument: Instrument): Lane {
    const partition = partitionOf(this.market, instrument, this.#options.partitions)
    return this.#lanes[partition % this.#lanes.length] as Lane
  }

  #trace(): string {
    return this.#traces.next()
  }

  #settled(): void {
    this.#saturation.shrunk()
    if (this.#idleCallbacks.length === 0 || !this.idle) return
    for (const callback of this.#idleCallbacks.splice(0)) callback()
  }

  #tell(incident: DispatcherIncident): void {
    this.#options.incident?.(incident)
  }
}

function lineId(instrument: Instrument, channel: Channel, numbering: string): string {
  return `${instrument}:${channel}:${numbering}`
}
