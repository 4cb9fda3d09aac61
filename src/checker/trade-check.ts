import { type EventTable, hashText } from './event-table.ts'
import { tradeContent } from './ledger.ts'
import { Note, type Report, Wrong } from './report.ts'
import type { CheckedEntry } from './stream-check.ts'
import { ToldRanges } from './told-ranges.ts'

export const tradeHash = (content: string, venueTime: string | number): number => hashText(`${content}@${venueTime}`)

/**
 * A `TRADE` stream against the ledger's trades: contiguous upwards, holes told before the event that shows them, late
 * ones only into told holes. The venue's numbering is contiguous, so a GAP is true when an id of it was missing.
 */
export class TradeCheck {
  readonly told = new ToldRanges()
  readonly #channel: string
  readonly #table: EventTable
  readonly #report: Report
  #generation = -1
  /** Greatest id of the generation. */
  #highest: number | null = null
  /** Index in the table of the first event the stream showed. */
  #first: number | null = null
  #end = 0

  constructor(channel: string, table: EventTable, report: Report) {
    this.#channel = channel
    this.#table = table
    this.#report = report
  }

  step({ id: entryId, entry, generation }: CheckedEntry): void {
    if (generation !== this.#generation) {
      if (generation < this.#generation)
        this.#wrong(Wrong.OutOfOrder, entryId, `numbering ${generation} after ${this.#generation}`)
      this.#generation = generation
      this.#highest = null
    }
    if (entry.type === 'TRADE.GAP') {
      this.#report.note(Note.Gaps)
      if ('from' in entry.data) this.#gap(entryId, Number(entry.data.from), Number(entry.data.to), entry.data.cause)
      return
    }
    if (entry.type !== 'TRADE') return
    const id = Number(entry.data.id)
    const repeated = this.#match(entryId, id, generation, entry)
    const highest = this.#highest
    if (highest === null || id > highest) {
      const untold = highest === null ? undefined : this.told.firstUntold(generation, highest + 1, id - 1)
      if (untold !== undefined) this.#wrong(Wrong.GapUntold, entryId, `${untold} is missing before ${id}`)
      const told = this.told.covering(generation, id)
      if (told)
        this.#wrong(Wrong.GapRange, told.entryId, `the gap ${told.from}..${told.to} holds ${id}, which showed it`)
      this.#highest = id
    } else if (!repeated && !this.told.covering(generation, id))
      this.#wrong(Wrong.OutOfOrder, entryId, `${id} after ${highest}, and no gap was told there`)
  }

  /** Finds the event in the ledger; answers whether the stream had shown it already. */
  #match(entryId: string, id: number, generation: number, entry: CheckedEntry['entry']): boolean {
    if (entry.type !== 'TRADE') return false
    const at = this.#table.indexAt(generation, id)
    if (!this.#table.holds(at, generation, id)) {
      this.#wrong(Wrong.Foreign, entryId, `the ledger knows no trade ${id}`)
      return false
    }
    const { price, quantity, side } = entry.data
    if (!this.#table.matches(at, tradeHash(tradeContent(price, quantity, side === 'buy'), entry.venueTime)))
      this.#wrong(
        Wrong.Differs,
        entryId,
        `trade ${id} differs: found ${quantity} at ${price}, ${side}, ${entry.venueTime}`,
      )
    this.#first = Math.min(this.#first ?? at, at)
    this.#end = Math.max(this.#end, this.#table.behind(at))
    if (this.#table.mark(at)) return false
    this.#wrong(Wrong.Repeated, entryId, `trade ${id} came before`)
    return true
  }

  #gap(entryId: string, from: number, to: number, cause: string): void {
    const range = `${from}..${to}`
    if (to < from) {
      this.#wrong(Wrong.GapRange, entryId, `a gap of ${range} is no range`)
      return
    }
    const before = this.told.add({ generation: this.#generation, from, to, cause, entryId })
    if (before) this.#wrong(Wrong.GapTwice, entryId, `the gap ${range} was told before as ${before.from}..${before.to}`)
    const highest = this.#highest
    if (highest !== null && from !== highest + 1) {
      const kind = to <= highest && this.#allSeen(from, to) ? Wrong.GapFalse : Wrong.GapRange
      this.#wrong(kind, entryId, `a gap of ${range} was told when the stream stood at ${highest}`)
    }
    // What the gap makes known counts as inside the window, so that unfilled ids at the end of the stream are seen.
    this.#end = Math.max(this.#end, this.#table.indexAt(this.#generation, to + 1))
  }

  #allSeen(from: number, to: number): boolean {
    const at = this.#table.indexAt(this.#generation, from)
    const end = this.#table.indexAt(this.#generation, to + 1)
    return end - at >= to - from + 1 && this.#table.unseen(at, end) === 0
  }

  /** To be called behind the last entry. `whole`: nothing may be missing at the ledger's ends either. */
  end(whole: boolean, isExcused: (id: number) => boolean): void {
    const from = whole ? 0 : (this.#first ?? this.#table.length)
    const end = whole ? this.#table.length : this.#end
    this.#report.note(Note.OutsideWindow, this.#table.length - Math.max(0, end - from))
    for (let at = from; at < end; at += 1) {
      if (this.#table.seen(at)) continue
      const id = this.#table.minor(at)
      const told = this.told.covering(this.#table.major(at), id)
      if (!told) this.#wrong(Wrong.Lost, '', `trade ${id} is missing and no gap tells it`)
      else if (told.cause === 'not-subscribed' || isExcused(id)) this.#report.note(Note.Told)
      else this.#wrong(Wrong.Unfilled, told.entryId, `trade ${id} of the gap ${told.from}..${told.to} was not fetched`)
    }
  }

  #wrong(kind: Wrong, entryId: string, what: string): void {
    this.#report.wrong(kind, this.#channel, entryId, what)
  }
}
