import type { Entry } from '../bus/contract.ts'
import { type EventTable, hashText } from './event-table.ts'
import { barMinor } from './ledger.ts'
import { Note, type Report, Wrong } from './report.ts'
import type { CheckedEntry } from './stream-check.ts'

/**
 * `QUOTE`, `TICKER`, or one interval of `KLINE` against the ledger. Their numbering only rises, so nothing in the stream
 * itself shows a hole: what the ledger has between two entries and the stream has not must lie behind a GAP, or be
 * counted by `merged`.
 */
export class NewestCheck {
  readonly #channel: string
  readonly #table: EventTable
  readonly #report: Report
  /** Index behind the newest event shown; null before the first. */
  #behind: number | null = null
  #first = 0
  /** Index ranges of the ledger that are told or merged, rising. */
  readonly #excused: { from: number; to: number }[] = []
  /** The same for what an answer of REST may have overtaken. */
  readonly #overtaken: { from: number; to: number }[] = []
  /** The GAP that waits for the event behind it; its `to` in us, null when it has no range. */
  #pending: { to: number | null; entryId: string } | null = null
  #newestReceived = 0
  #lastReceived = 0
  #lastGapTo = 0

  constructor(channel: string, table: EventTable, report: Report) {
    this.#channel = channel
    this.#table = table
    this.#report = report
  }

  gap(entryId: string, range: { from: number; to: number } | null): void {
    if (this.#pending) this.#wrong(Wrong.GapTwice, entryId, `two gaps without an event between them`)
    this.#pending = { to: range?.to ?? null, entryId }
    if (!range) return
    const { from, to } = range
    // Where the event before came by a slower process's line it was received after the one behind the gap.
    const edges = [this.#newestReceived, this.#lastReceived].map((edge) =>
      Math.min(Math.max(edge, this.#lastGapTo), to),
    )
    if (to < from || (this.#lastReceived > 0 && !edges.includes(from)))
      this.#wrong(Wrong.GapRange, entryId, `expected a gap from ${edges[0]} (us), found ${from}..${to}`)
    this.#lastGapTo = to
  }

  event({ id: entryId, entry }: CheckedEntry): void {
    const place = placeOf(entry)
    if (!place) return
    const received = Number(entry.receivedTime)
    const pending = this.#pending
    this.#pending = null
    if (pending?.to !== undefined && pending?.to !== null && pending.to !== received)
      this.#wrong(Wrong.GapRange, pending.entryId, `expected a gap up to ${received} (us), found ${pending.to}`)
    this.#lastReceived = received
    const at = this.#table.indexAt(place.major, place.minor)
    const known = this.#table.holds(at, place.major, place.minor)
    if (known && !this.#table.matches(at, hashText(place.content)))
      this.#wrong(Wrong.Differs, entryId, `${entry.key} differs: found ${place.content}`)
    if (known && !this.#table.mark(at)) this.#wrong(Wrong.Repeated, entryId, `${entry.key} came before`)
    if (!known && entry.source.includes('.rest.')) this.#report.note(Note.Unverified)
    else if (!known) this.#wrong(Wrong.Foreign, entryId, `the ledger knows no ${entry.key}`)
    if (this.#behind === null) this.#first = at
    else if (at < this.#behind) {
      const late = entry.type === 'KLINE.SUMMARY' && entry.data.closed
      if (known && !late) this.#wrong(Wrong.OutOfOrder, entryId, `${entry.key} is not newer than the one before`)
      return
    } else {
      this.#between(this.#behind, at, pending !== null, 'merged' in entry.data ? (entry.data.merged ?? 0) : 0)
      if (entry.type === 'TICKER' && entry.source.includes('.rest.')) this.#overtakes(this.#behind, at, place.major)
    }
    this.#behind = known ? this.#table.behind(at) : at
    this.#newestReceived = received
  }

  #overtakes(from: number, to: number, closeTime: number): void {
    for (let at = from; at < to; at = this.#table.behind(at)) {
      if (closeTime - this.#table.major(at) > OVERTAKEN_US_MAX) continue
      this.#overtaken.push({ from: at, to })
      return
    }
  }

  #between(from: number, to: number, gap: boolean, merged: number): void {
    let missing = 0
    for (let at = from; at < to; at = this.#table.behind(at)) missing += 1
    if (gap && missing === 0) this.#report.note(Note.GapsIdle)
    if (missing > 0 && (gap || missing <= merged)) this.#excused.push({ from, to })
  }

  /** To be called behind the last entry. `whole`: nothing may be missing at the ledger's ends either. */
  end(whole: boolean): void {
    const from = whole ? 0 : this.#first
    const end = whole ? this.#table.length : (this.#behind ?? 0)
    if (this.#pending && this.#behind !== null) this.#excused.push({ from: this.#behind, to: this.#table.length })
    this.#report.note(Note.OutsideWindow, this.#table.length - Math.max(0, end - from))
    let range = 0
    let late = 0
    for (let at = from; at < end; at = this.#table.behind(at)) {
      if (this.#table.seen(at)) continue
      while ((this.#excused[range]?.to ?? Infinity) <= at) range += 1
      while ((this.#overtaken[late]?.to ?? Infinity) <= at) late += 1
      const excuse = this.#excused[range]
      const faster = this.#overtaken[late]
      if (excuse && excuse.from <= at) this.#report.note(Note.Told)
      else if (this.#table.struck(at)) this.#report.note(Note.Struck)
      else if (faster && faster.from <= at) this.#report.note(Note.Overtaken)
      else this.#wrong(Wrong.Lost, '', `${this.#table.major(at)} is missing and no gap tells it`)
    }
  }

  #wrong(kind: Wrong, entryId: string, what: string): void {
    this.#report.wrong(kind, this.#channel, entryId, what)
  }
}

/** Longest way of an event that a newer answer of REST overtakes, us: Redis may be away for as long as a ring is kept. */
const OVERTAKEN_US_MAX = 30_000_000

interface Place {
  readonly major: number
  readonly minor: number
  readonly content: string
}

/** Place and content of an entry as the ledger writes them; null for a type that has none here. */
function placeOf(entry: Entry): Place | null {
  switch (entry.type) {
    case 'QUOTE': {
      const { bidPrice, bidQuantity, askPrice, askQuantity } = entry.data
      const content = [bidPrice, bidQuantity, askPrice, askQuantity].join('|')
      return { major: Number(entry.venueSeq), minor: 0, content }
    }
    case 'TICKER': {
      const d = entry.data
      const prices = [d.open, d.high, d.low, d.last, d.lastQuantity, d.change, d.changePercent, d.vwap]
      const volumes = [d.volume, d.quoteVolume, d.bidPrice, d.bidQuantity, d.askPrice, d.askQuantity, d.trades]
      return { major: d.closeTime, minor: 0, content: [...prices, ...volumes].map(String).join('|') }
    }
    case 'KLINE.SUMMARY': {
      const d = entry.data
      const content = [
        ...[d.interval, d.open, d.high, d.low, d.close, d.volume, d.quoteVolume, d.trades],
        ...[d.takerBuyVolume, d.takerBuyQuoteVolume, d.closed],
      ].join('|')
      return { major: d.openTime, minor: barMinor(d.trades, d.closed), content }
    }
    default:
      return null
  }
}
