import type {
  ChannelBatch,
  ChannelOutcome,
  EventBus,
  Offer,
  OfferOutcome,
  PublishResult,
  RefusalReason,
  Verdict,
} from '../../src/bus/publish.ts'
import type { GapCause } from '../../src/domain/event.ts'
import {
  compare,
  emptyLine,
  type Gap,
  type Line,
  type NaiveEntry,
  noteClosed,
  openSegments,
  type State,
} from './naive-streams.ts'
import { SentCopy } from './sent-copy.ts'

export type { NaiveEntry } from './naive-streams.ts'

export interface NaiveLedgerMember {
  readonly from: string | number
  readonly to: string | number
  readonly cause: string
  readonly openedAt: number
  readonly filledAt: number | null
  readonly how: string | null
}

type Answer = Verdict | RefusalReason | 'malformed' | null

const MINUTE_US = 60_000_000
const OPEN_RANGES_MAX = 1_000

/**
 * The append script written a second time, plainly and without Redis: what the tests compare the script with, and an
 * in-memory event bus for tests that need no Redis. It keeps everything and knows no retention.
 */
export class NaiveAppend implements EventBus {
  #states = new Map<string, State>()
  #run = 1
  #nowUs: () => number

  constructor(nowUs: () => number = () => Date.now() * 1_000) {
    this.#nowUs = nowUs
  }

  /** Another Redis process with the same data. */
  restart(): void {
    this.#run++
  }

  /** Another Redis process without data. */
  restartEmpty(): void {
    this.#run++
    this.#states.clear()
  }

  /** What it holds now, for `restartWith`. */
  save(): unknown {
    return structuredClone(this.#states)
  }

  /** Another Redis process that holds what the old one held once, as a replica does. */
  restartWith(saved: unknown): void {
    this.#run++
    this.#states = structuredClone(saved) as Map<string, State>
  }

  /** Entries by `MARKET:INSTRUMENT:CHANNEL`. */
  entries(name: string): readonly NaiveEntry[] {
    return this.#line(name)?.entries ?? []
  }

  ledger(name: string): NaiveLedgerMember[] {
    const line = this.#line(name)
    const isTime = /:(QUOTE|TICKER|KLINE)$/.test(name)
    const edge = (number: number): string | number => (isTime ? number : String(number))
    return (line?.gaps ?? [])
      .flatMap((gap) => gap.segments.map((segment) => ({ ...segment, cause: gap.cause, openedAt: gap.openedAt })))
      .sort((a, b) => a.from - b.from)
      .map(({ from, to, ...rest }) => ({ from: edge(from), to: edge(to), ...rest }))
  }

  names(): string[] {
    return [...this.#states].flatMap(([name, state]) => [...state.lines.keys()].map((channel) => `${name}:${channel}`))
  }

  async publish(batches: readonly ChannelBatch[]): Promise<PublishResult> {
    const nowUs = this.#nowUs()
    let appended = false
    const channels = batches.map((batch) => {
      const group = new Group(this.#state(batch), batch, String(this.#run), nowUs)
      const outcome = group.run()
      appended ||= group.appended
      return outcome
    })
    const greatestEntryMs = appended ? Math.floor(nowUs / 1_000) : 0
    return { greatestEntryMs, run: String(this.#run), channels, sent: new SentCopy(batches) }
  }

  #state(batch: ChannelBatch): State {
    const name = `${batch.market}:${batch.instrument}`
    let state = this.#states.get(name)
    if (!state) {
      state = { run: '', epoch: 0, since: 0, resetTime: null, lines: new Map() }
      this.#states.set(name, state)
    }
    return state
  }

  #line(name: string): Line | undefined {
    const at = name.lastIndexOf(':')
    return this.#states.get(name.slice(0, at))?.lines.get(name.slice(at + 1))
  }
}

/** One batch on its way through the rules. */
class Group {
  appended = false
  #epochBegun = false
  readonly #state: State
  readonly #batch: ChannelBatch
  readonly #line: Line
  readonly #nowUs: number

  constructor(state: State, batch: ChannelBatch, run: string, nowUs: number) {
    this.#state = state
    this.#batch = batch
    this.#nowUs = nowUs
    if (state.run !== run) {
      state.run = run
      this.#beginEpoch()
      state.since = state.epoch
    }
    const existing = state.lines.get(batch.channel)
    this.#line = existing ?? emptyLine(batch)
    if (!existing) state.lines.set(batch.channel, this.#line)
  }

  run(): ChannelOutcome | null {
    const { channel, offers, tableVersion, numbering, epoch } = this.#batch
    const line = this.#line
    const outcomes: OfferOutcome[] = []
    const other = epoch !== '' && Number(epoch) < this.#state.since
    const outdated = tableVersion < line.version
    const untouched = other || outdated
    if (!untouched) line.version = tableVersion
    if (!untouched && line.last === null) line.numbering = numbering
    for (const [index, offer] of offers.entries()) {
      const answer = other ? 'epoch' : outdated ? 'table-version' : this.#offer(offer)
      if (answer !== null) outcomes.push(toOutcome(index, answer))
    }
    const known = String(this.#state.epoch)
    if (outcomes.length === 0 && !this.#epochBegun && known === epoch) return null
    const have = channel === 'TRADE' || channel === 'ORDERBOOK' ? line.lastText : ''
    return { epoch: known, epochChanged: this.#epochBegun, have, joined: line.joined, outcomes }
  }

  #offer(offer: Offer): Answer {
    switch (offer.kind) {
      case 'TRADE':
        return this.#trade(offer)
      case 'QUOTE':
      case 'TICKER':
        return this.#newest(offer)
      case 'KLINE':
        return this.#kline(offer)
      case 'DELTA':
        return this.#delta(offer)
      case 'SNAPSHOT':
        return this.#snapshot(offer)
      case 'LOST':
        return this.#lost(offer)
      case 'GIVEUP':
        return this.#close(Number(offer.id), Number(offer.first), offer.data, null) ? null : 'duplicate'
    }
  }

  #trade(offer: Offer): Answer {
    const line = this.#line
    const id = Number(offer.id)
    if (line.last === null) {
      this.#close(id, Number.MAX_SAFE_INTEGER, 'late', this.#nowUs)
      return this.#take('TRADE', offer, id)
    }
    if (line.numbering !== this.#batch.numbering) {
      line.numbering = this.#batch.numbering
      this.#beginNumbering(offer)
      this.#take('TRADE', offer, id)
      return 'gapTold'
    }
    if (id === line.last + 1) return this.#take('TRADE', offer, id)
    if (id > line.last) {
      if (offer.declare === '') return 'gap'
      this.#tellIds(line.last + 1, id - 1, offer.declare, offer)
      this.#open(line.last + 1, id - 1, offer.declare)
      this.#take('TRADE', offer, id)
      return 'gapTold'
    }
    if (this.#isReset(offer)) {
      this.#reset(offer)
      this.#take('TRADE', offer, id)
      return 'gapTold'
    }
    if (!this.#close(id, id, offer.source.includes('.rest.') ? 'rest' : 'late', this.#nowUs)) return 'duplicate'
    this.#append('TRADE', offer.id, offer.id, offer, '', offer.data)
    return null
  }

  #newest(offer: Offer): Answer {
    const line = this.#line
    const id = Number(offer.id)
    if (line.last !== null && id <= line.last) return 'duplicate'
    const told = line.last !== null && this.#tellTimes(line.received, line, offer, null)
    this.#take(this.#batch.channel, offer, id)
    return told ? 'gapTold' : null
  }

  #kline(offer: Offer): Answer {
    const [interval = '', openText, tradesText, mark] = offer.id.split('@')
    const open = Number(openText)
    const trades = Number(tradesText)
    const closed = mark === 'closed'
    const bars = this.#line.bars
    const bar = bars.get(interval) ?? { newest: null, closedOpens: [], closedBelow: 0, toldTo: 0 }
    bars.set(interval, bar)
    const { newest } = bar
    const rank =
      newest === null ? 1 : compare([open, Number(closed), trades], [newest.open, Number(newest.closed), newest.trades])
    let told = false
    if (rank > 0) {
      told = newest !== null && this.#tellTimes(newest.received, bar, offer, interval)
      bar.newest = { open, closed, trades, received: offer.receivedTimeUs }
    } else {
      const isClosed = open < bar.closedBelow || bar.closedOpens.some((range) => open >= range.from && open < range.to)
      if (!closed || open >= (newest?.open ?? 0) || isClosed) return 'duplicate'
    }
    this.#append('KLINE.SUMMARY', offer.id, offer.id, offer, '', offer.data)
    if (closed) noteClosed(bar, open, Number(offer.first.split('@')[1]))
    return told ? 'gapTold' : null
  }

  #delta(offer: Offer): Answer {
    const line = this.#line
    const first = Number(offer.first)
    const last = Number(offer.id)
    if (line.last === null) return 'unjoined'
    if (last <= line.last) {
      if (!this.#isReset(offer)) return 'duplicate'
      this.#reset(offer)
      Object.assign(line, { last: null, lastText: '', joined: false, venueTime: offer.venueTimeUs })
      return 'gapToldRefused'
    }
    if (first <= line.last + 1) {
      if (!line.joined) this.#endBookGap(last, 'delta')
      line.joined = true
      return this.#take('ORDERBOOK.DELTA', offer, last)
    }
    if (!line.joined) return 'unjoined'
    if (offer.declare === '') return 'gap'
    this.#tellIds(line.last + 1, first - 1, offer.declare, offer)
    this.#open(line.last + 1, first - 1, offer.declare)
    line.joined = false
    return 'gapToldRefused'
  }

  #snapshot(offer: Offer): Answer {
    const line = this.#line
    const id = Number(offer.id)
    const received = offer.receivedTimeUs
    let told = false
    if (line.snapshot?.last === id && received <= line.snapshot.received) return 'duplicate'
    if (line.last === null) {
      // Opens the numbering, unless it lies before what was told as lost with another Redis.
      const open = openSegments(line)[0]
      if (open !== undefined && id < open.to) return 'snapshot-too-old'
      this.#endBookGap(id, 'snapshot')
    } else if (!line.joined) {
      const open = openSegments(line)[0]
      if (id < line.last || (open !== undefined && id < open.to)) return 'snapshot-too-old'
      this.#endBookGap(id, 'snapshot')
    } else if (id > line.last) {
      if (offer.declare === '') return 'early'
      this.#tellIds(line.last + 1, id, offer.declare, offer)
      this.#remember(line.last + 1, id, offer.declare, 'snapshot', this.#nowUs)
      told = true
    } else if (id < line.last || !offer.refresh) {
      return 'duplicate'
    }
    this.#append('ORDERBOOK.SNAPSHOT', offer.id, `${offer.id}@${offer.receivedTimeUs}`, offer, this.#word(), offer.data)
    line.venueTime = Math.max(line.venueTime ?? 0, received)
    Object.assign(line, { last: id, lastText: offer.id, joined: true, received, snapshot: { last: id, received } })
    return told ? 'gapTold' : null
  }

  #lost(offer: Offer): Answer {
    if (this.#line.seq > 0 || offer.declare === '') return 'duplicate'
    const from = Number(offer.id)
    const to = Number(offer.first)
    const { channel } = this.#batch
    const place = `${offer.declare}@${from}-${to}`
    if (channel === 'TRADE' || channel === 'ORDERBOOK') {
      this.#tell(place, offer, { from: String(from), to: String(to), cause: offer.declare })
      this.#open(from, to, offer.declare)
    } else {
      this.#tell(place, offer, { from, to, cause: offer.declare })
      this.#remember(from, to, offer.declare, 'unfillable', null)
      this.#line.toldTo = to
    }
    return 'gapTold'
  }

  #word(): string {
    return this.#batch.quality === 'LIVE' ? '' : this.#batch.quality
  }

  #take(type: string, offer: Offer, id: number): null {
    const word = this.#batch.channel === 'ORDERBOOK' ? this.#word() : ''
    this.#append(type, offer.id, offer.id, offer, word, offer.data)
    Object.assign(this.#line, {
      last: id,
      lastText: offer.id,
      venueTime: offer.venueTimeUs,
      received: offer.receivedTimeUs,
    })
    return null
  }

  #append(type: string, venueSeq: string, keySeq: string, offer: Offer, quality: string, data: string): void {
    const line = this.#line
    const isGap = type.endsWith('.GAP')
    const prefix = line.generation > 0 ? `${line.generation}~` : ''
    line.seq++
    line.entries.push({
      type,
      epoch: String(this.#state.epoch),
      seq: String(line.seq),
      key: `${this.#batch.instrument}:${type}:${prefix}${keySeq}`,
      venueSeq,
      venueTime: isGap ? '' : `${offer.venueTimeUs ?? ''}`,
      receivedTime: `${offer.receivedTimeUs}`,
      source: isGap ? 'dispatcher.gap' : offer.source,
      trace: offer.trace,
      quality,
      data,
    })
    this.appended = true
  }

  #tell(range: string, offer: Offer, payload: object): void {
    const { channel } = this.#batch
    this.#append(
      `${channel}.GAP`,
      range,
      range,
      offer,
      channel === 'ORDERBOOK' ? 'GAPPED' : '',
      JSON.stringify(payload),
    )
  }

  #tellIds(from: number, to: number, cause: GapCause, offer: Offer): void {
    this.#tell(`${from}-${to}`, offer, { from: String(from), to: String(to), cause })
  }

  /** A line was interrupted since `received`, or since what was told last; without length where another process received it later. */
  #tellTimes(received: number, told: { toldTo: number }, offer: Offer, interval: string | null): boolean {
    const to = offer.receivedTimeUs
    const from = Math.min(Math.max(received, told.toldTo), to)
    if (offer.declare === '' || told.toldTo === to) return false
    const isBefore = to < told.toldTo
    const range = `${interval === null ? '' : `${interval}@`}${from}-${to}${isBefore ? `@${offer.id}` : ''}`
    this.#tell(range, offer, { from, to, cause: offer.declare, ...(interval === null ? {} : { interval }) })
    told.toldTo = Math.max(told.toldTo, to)
    this.#remember(from, to, offer.declare, 'unfillable', null)
    return true
  }

  #isReset(offer: Offer): boolean {
    const { venueTime, snapshot, last } = this.#line
    if (offer.venueTimeUs === null || venueTime === null || offer.venueTimeUs <= venueTime + MINUTE_US) return false
    return snapshot?.last !== last || snapshot === null || offer.receivedTimeUs > snapshot.received + MINUTE_US
  }

  #reset(offer: Offer): void {
    const state = this.#state
    const sameReset = state.resetTime !== null && state.resetTime > (this.#line.venueTime ?? 0)
    if (!sameReset) {
      state.resetTime = offer.venueTimeUs
      const quote = state.lines.get('QUOTE')
      if (quote) Object.assign(quote, { last: null, lastText: '', generation: quote.generation + 1 })
    }
    this.#beginNumbering(offer)
  }

  #beginNumbering(offer: Offer): void {
    this.#close(0, Number.MAX_SAFE_INTEGER, 'reset', null)
    this.#beginEpoch()
    this.#line.generation++
    this.#line.snapshot = null
    this.#tell(`reset@${this.#state.epoch}`, offer, { cause: 'venue-reset' })
  }

  #beginEpoch(): void {
    this.#state.epoch = Math.max(this.#nowUs, this.#state.epoch + 1)
    this.#epochBegun = true
  }

  #open(from: number, to: number, cause: GapCause): void {
    const full = openSegments(this.#line).length >= OPEN_RANGES_MAX
    this.#remember(from, to, cause, full ? 'over-bound' : null, null)
  }

  #remember(from: number, to: number, cause: GapCause, how: string | null, filledAt: number | null): void {
    this.#line.gaps.push({ cause, openedAt: this.#nowUs, segments: [{ from, to, how, filledAt }] })
  }

  /** Closes what is open within `from..to`; parts of one gap that were closed in the same way become one. */
  #close(from: number, to: number, how: string, filledAt: number | null): boolean {
    let closed = false
    for (const gap of this.#line.gaps) {
      gap.segments = gap.segments.flatMap((segment) => {
        if (segment.how !== null || segment.to < from || segment.from > to) return [segment]
        closed = true
        return [
          { ...segment, to: from - 1 },
          { from: Math.max(segment.from, from), to: Math.min(segment.to, to), how, filledAt },
          { ...segment, from: to + 1 },
        ].filter((part) => part.from <= part.to)
      })
      gap.segments = gap.segments.reduce<Gap['segments']>((merged, segment) => {
        const before = merged.at(-1)
        if (before && before.how === segment.how && this.#batch.channel === 'TRADE')
          Object.assign(before, { to: segment.to, filledAt: segment.filledAt })
        else merged.push({ ...segment })
        return merged
      }, [])
    }
    return closed
  }

  #endBookGap(to: number, how: string): void {
    const open = openSegments(this.#line)[0]
    if (open) Object.assign(open, { to, how, filledAt: this.#nowUs })
  }
}

function toOutcome(index: number, answer: Exclude<Answer, null>): OfferOutcome {
  if (answer === 'malformed') return { index, verdict: 'refused', reason: 'error', error: 'the offer is malformed' }
  switch (answer) {
    case 'unjoined':
    case 'snapshot-too-old':
    case 'table-version':
    case 'ledger-full':
    case 'epoch':
    case 'error':
      return { index, verdict: 'refused', reason: answer, error: null }
    default:
      return { index, verdict: answer, reason: null, error: null }
  }
}
