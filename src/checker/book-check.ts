import { hashText } from './event-table.ts'
import { Ladder, ladderDifference } from './ladder.ts'
import { type LedgerDelta, type LedgerSnapshot, levelsContent } from './ledger.ts'
import { Note, type Report, Wrong } from './report.ts'
import type { CheckedEntry } from './stream-check.ts'
import { ToldRanges } from './told-ranges.ts'

/** Levels a side that are compared at every common update id; the whole book is compared after snapshots and at the end. */
const COMPARED_LEVELS = 20
/** Ledger deltas kept while the ledger has shown no snapshot; beyond it the ledger's book stays unknown. */
const WAITING_DELTAS_MAX = 20_000
/** A number below what came before is a new numbering only when it is this much later, as the wire contract says. */
export const RESET_AFTER_US = 60_000_000

/**
 * One `ORDERBOOK` stream against the ledger, in step: at every update id of the ledger the stream is read up to that id,
 * and both books are compared. So neither is ever held whole in memory.
 */
export class BookCheck {
  readonly told = new ToldRanges()
  readonly #channel: string
  readonly #report: Report
  readonly #next: () => Promise<CheckedEntry | null>
  #peeked: CheckedEntry | null | undefined

  readonly #truth = new Ladder()
  /** Last update id of the ledger's book, null while it is unknown. */
  #truthHave: number | null = null
  #waiting: LedgerDelta[] | null = []
  #ledgerGeneration = 0
  #ledgerLast = 0
  #ledgerTimeUs = 0

  readonly #book = new Ladder()
  #generation = 0
  /** Last update id of the stream's book, null before the first snapshot. */
  #have: number | null = null
  #joined = false
  /** A hole was not told: nothing that follows can be judged until a snapshot comes. */
  #silent = false
  #gapTo: number | null = null
  /** `to` of a GAP whose end no ledger delta and no snapshot has shown right yet. */
  #gapEnd: { to: number; entryId: string } | null = null
  #compareWhole = false
  /** Ledger deltas since the stream's place that the stream has not shown. */
  #missing = 0

  /** `next` answers the stream's entries one by one, then null. */
  constructor(channel: string, report: Report, next: () => Promise<CheckedEntry | null>) {
    this.#channel = channel
    this.#report = report
    this.#next = next
  }

  /** Whether the stream stands inside a told gap. */
  get broken(): boolean {
    return this.#have !== null && !this.#joined && !this.#silent
  }

  async ledgerSnapshot(snapshot: LedgerSnapshot): Promise<void> {
    const waiting = this.#waiting
    if (this.#truthHave !== null || waiting === null) return
    const first = waiting[0]
    if (first && snapshot.last < first.first - 1) return
    this.#truth.reset(snapshot.bids, snapshot.asks, snapshot.depth)
    this.#truthHave = snapshot.last
    this.#waiting = null
    for (const delta of waiting) await this.ledgerDelta(delta)
  }

  async ledgerDelta(delta: LedgerDelta): Promise<void> {
    if (this.#waiting === null) return this.#ledgerStep(delta)
    this.#waiting.push(delta)
    if (this.#waiting.length >= WAITING_DELTAS_MAX) await this.#withoutTruth()
  }

  /** To be called at the end of the ledger. `whole`: the stream must reach the ledger's end. */
  async end(whole: boolean): Promise<void> {
    await this.#withoutTruth()
    if (this.#truthHave !== null && this.#truthHave === this.#have && this.#joined) this.#compare(true)
    for (let entry = await this.#peek(); entry; entry = await this.#peek()) {
      if (entry.entry.type === 'ORDERBOOK.DELTA')
        this.#wrong(Wrong.Foreign, entry.id, `the ledger ends at ${this.#ledgerLast}, before ${entry.entry.key}`)
      this.#take(entry)
    }
    if (this.#missing === 0 || this.broken) return
    if (whole && this.#have !== null)
      this.#wrong(Wrong.Lost, '', `the stream ends at ${this.#have}, the ledger at ${this.#ledgerLast}`, this.#missing)
    else this.#report.note(Note.OutsideWindow, this.#missing)
  }

  async #withoutTruth(): Promise<void> {
    const waiting = this.#waiting
    this.#waiting = null
    for (const delta of waiting ?? []) await this.#ledgerStep(delta)
  }

  async #ledgerStep(delta: LedgerDelta): Promise<void> {
    if (delta.last <= this.#ledgerLast) {
      if (delta.timeUs <= this.#ledgerTimeUs + RESET_AFTER_US) return
      this.#ledgerGeneration += 1
      this.#ledgerLast = 0
      return this.#loseTruth(delta)
    }
    // A recording may have a hole of its own: from here on its book is unknown until its next snapshot.
    if (this.#truthHave !== null && delta.first > this.#truthHave + 1) return this.#loseTruth(delta)
    await this.#compareStart()
    this.#ledgerLast = delta.last
    this.#ledgerTimeUs = delta.timeUs
    if (this.#truthHave !== null && delta.last > this.#truthHave) {
      this.#truth.set(delta.bids, delta.asks)
      this.#truthHave = delta.last
    }
    if (this.#gapEnd && delta.first >= this.#gapEnd.to + 1) {
      if (delta.first > this.#gapEnd.to + 1)
        this.#wrong(Wrong.GapRange, this.#gapEnd.entryId, `no event of the ledger begins behind ${this.#gapEnd.to}`)
      this.#gapEnd = null
    }
    let shown = false
    for (let entry = await this.#peek(); entry && this.#isUpTo(entry, delta.last); entry = await this.#peek()) {
      if (entry.entry.type === 'ORDERBOOK.DELTA') {
        if (Number(entry.entry.data.last) === delta.last) shown = this.#isSame(entry, delta) || shown
        else
          this.#wrong(
            Wrong.Foreign,
            entry.id,
            `the ledger knows no delta ${entry.entry.data.first}..${entry.entry.data.last}`,
          )
      }
      this.#take(entry)
    }
    if (this.#generation !== this.#ledgerGeneration) return
    if (this.#have !== null && this.#have >= delta.last) this.#missing = 0
    else if (!shown) this.#missing += 1
    if (this.#have !== delta.last || !this.#joined || this.#truthHave !== delta.last) return
    this.#compare(this.#compareWhole || (await this.#peek()) === null)
  }

  /** A snapshot exactly at the ledger's place is compared before the next delta writes over its levels. */
  async #compareStart(): Promise<void> {
    const truthHave = this.#truthHave
    const next = await this.#peek()
    if (truthHave === null || next?.entry.type !== 'ORDERBOOK.SNAPSHOT') return
    if (next.generation !== this.#ledgerGeneration || Number(next.entry.data.last) !== truthHave) return
    this.#take(next)
    this.#compare(true)
  }

  #loseTruth(first: LedgerDelta): void {
    this.#truthHave = null
    this.#waiting = [first]
  }

  #isUpTo({ entry, generation }: CheckedEntry, last: number): boolean {
    if (generation !== this.#ledgerGeneration) return generation < this.#ledgerGeneration
    if (entry.type === 'ORDERBOOK.GAP') return true
    return 'last' in entry.data && Number(entry.data.last) <= last
  }

  #isSame({ id, entry }: CheckedEntry, delta: LedgerDelta): boolean {
    if (entry.type !== 'ORDERBOOK.DELTA') return false
    const { first, bids, asks, merged = 0 } = entry.data
    if (merged > 0) return this.#standsForMissing(id, merged)
    const content = hashText(levelsContent(bids, asks)) === hashText(levelsContent(delta.bids, delta.asks))
    if (content && Number(first) === delta.first && Number(entry.venueTime) === delta.timeUs) return true
    this.#wrong(Wrong.Differs, id, `delta ${delta.first}..${delta.last} differs from the ledger's`)
    return true
  }

  /** Several updates in one: what it holds is right if the whole book is right after it. */
  #standsForMissing(id: string, merged: number): boolean {
    this.#compareWhole = true
    if (!this.#joined) return true
    if (this.#missing > merged)
      this.#wrong(Wrong.Lost, id, `a delta that stands for ${merged} others follows more`, this.#missing - merged)
    this.#report.note(Note.Merged, Math.min(this.#missing, merged))
    this.#missing = 0
    return true
  }

  /** Applies one entry to the stream's book and checks what the stream alone can show. */
  #take({ id, entry, generation }: CheckedEntry): void {
    this.#peeked = undefined
    if (generation !== this.#generation) {
      this.#generation = generation
      this.#have = null
      this.#joined = false
      this.#gapTo = null
      this.#gapEnd = null
      this.#missing = 0
    }
    if (entry.type === 'ORDERBOOK.GAP') this.#gap(id, 'from' in entry.data ? entry.data : null)
    else if (entry.type === 'ORDERBOOK.SNAPSHOT') this.#snapshot(id, Number(entry.data.last), entry.data)
    else if (entry.type === 'ORDERBOOK.DELTA')
      this.#delta(id, Number(entry.data.first), Number(entry.data.last), entry.data)
  }

  #gap(id: string, range: { from: string | number; to: string | number } | null): void {
    this.#report.note(Note.Gaps)
    if (this.broken && range) this.#wrong(Wrong.GapTwice, id, `a gap was told while the one before was open`)
    this.#joined = false
    if (!range) return
    const from = Number(range.from)
    const to = Number(range.to)
    if (this.#have !== null && from !== this.#have + 1)
      this.#wrong(to <= this.#have ? Wrong.GapFalse : Wrong.GapRange, id, `a gap of ${from}..${to} at ${this.#have}`)
    if (to < from) this.#wrong(Wrong.GapRange, id, `a gap of ${from}..${to} is no range`)
    this.told.add({ generation: this.#generation, from, to, cause: '', entryId: id })
    this.#gapTo = to
    this.#gapEnd = { to, entryId: id }
  }

  #snapshot(
    id: string,
    last: number,
    data: { bids: [string, string][]; asks: [string, string][]; depth: number },
  ): void {
    const have = this.#have
    if (this.#gapEnd?.to === last) this.#gapEnd = null
    if (this.#joined && have !== null && last !== have) {
      if (last < have) this.#wrong(Wrong.OutOfOrder, id, `a snapshot at ${last} after ${have}`)
      else this.#untold(id, have, last)
    }
    if (!this.#joined && this.#gapTo !== null && last < this.#gapTo)
      this.#wrong(Wrong.Unjoined, id, `a snapshot at ${last} does not reach the end ${this.#gapTo} of the gap`)
    this.#book.reset(data.bids, data.asks, data.depth)
    this.#compareWhole = true
    this.#joinAt(last)
  }

  #delta(id: string, first: number, last: number, data: { bids: [string, string][]; asks: [string, string][] }): void {
    const have = this.#have
    const range = `a delta ${first}..${last}`
    if (have === null) this.#wrong(Wrong.Unjoined, id, `${range} before any snapshot`)
    else if (last <= have) this.#wrong(Wrong.Repeated, id, `${range} after ${have}`)
    else if (first > have + 1 && this.broken) this.#wrong(Wrong.Unjoined, id, `${range} inside the gap behind ${have}`)
    else if (first > have + 1) {
      this.#untold(id, have, first - 1)
      this.#joined = false
      this.#silent = true
      this.#have = last
    } else {
      this.#book.set(data.bids, data.asks)
      if (this.#silent) this.#have = last
      else this.#joinAt(last)
    }
  }

  #untold(id: string, have: number, to: number): void {
    this.#wrong(Wrong.GapUntold, id, `${have + 1}..${to} are missing and no gap tells it`)
    if (this.#missing > 0) this.#wrong(Wrong.Lost, id, `events of ${have + 1}..${to} are missing`, this.#missing)
    this.#missing = 0
  }

  #joinAt(last: number): void {
    this.#report.note(this.#have === null ? Note.OutsideWindow : Note.Told, this.#missing)
    this.#have = last
    this.#joined = true
    this.#gapTo = null
    this.#missing = 0
    this.#silent = false
  }

  #compare(whole: boolean): void {
    this.#report.note(Note.BooksCompared)
    this.#compareWhole = false
    const difference = ladderDifference(this.#book, this.#truth, whole ? Infinity : COMPARED_LEVELS)
    if (difference !== null) this.#wrong(Wrong.FalseBook, '', `at update id ${this.#have}, ${difference}`)
  }

  async #peek(): Promise<CheckedEntry | null> {
    if (this.#peeked === undefined) this.#peeked = await this.#next()
    return this.#peeked
  }

  #wrong(kind: Wrong, entryId: string, what: string, count = 1): void {
    this.#report.wrong(kind, this.#channel, entryId, what, count)
  }
}
