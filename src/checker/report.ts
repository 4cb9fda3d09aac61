/** What the checker found, counted by kind, with the first examples of each in words. */

/** Each of these breaks a promise. */
export const Wrong = {
  /** A ledger event that is neither in the stream nor inside a told gap. */
  Lost: 'lost',
  /** An event that stands in its stream twice. */
  Repeated: 'repeated',
  /** An event below one that came before it, other than the filling of a told gap. */
  OutOfOrder: 'outOfOrder',
  /** `seq` is not dense within its epoch, or an epoch came back. */
  Seq: 'seq',
  /** `key` is not unique in its stream. */
  Key: 'key',
  /** An entry or ledger member the wire contract does not admit, or whose fields contradict each other. */
  Malformed: 'malformed',
  /** An event with other content than the ledger's, digits included. */
  Differs: 'differs',
  /** An event the ledger does not know. */
  Foreign: 'foreign',
  /** The book of the stream is another than the book of the ledger at the same update id. */
  FalseBook: 'falseBook',
  /** A delta where no book was joined, or a snapshot too old to join one. */
  Unjoined: 'unjoined',
  /** A hole in the stream that no GAP tells. */
  GapUntold: 'gapUntold',
  /** A GAP over events that were all in the stream before it. */
  GapFalse: 'gapFalse',
  /** A GAP whose range is not that of the hole. */
  GapRange: 'gapRange',
  /** A hole that is told more than once. */
  GapTwice: 'gapTwice',
  /** A told gap that the gap ledger does not hold. */
  LedgerMissing: 'ledgerMissing',
  /** A gap ledger that says filled what is not, or open what is. */
  LedgerWrong: 'ledgerWrong',
  /** Trades of a told gap that the venue could tell and nobody fetched. */
  Unfilled: 'unfilled',
} as const
export type Wrong = (typeof Wrong)[keyof typeof Wrong]

/** These are no fault, and worth a number. */
export const Note = {
  /** GAP entries. */
  Gaps: 'gaps',
  /** GAPs of a channel without contiguous numbering in which the ledger shows nothing missing. */
  GapsIdle: 'gapsIdle',
  /** Missing events inside told gaps. */
  Told: 'told',
  /** Ledger deltas of a book for which a merged one stands. */
  Merged: 'merged',
  /** Updates that a fault took from every client and that the venue tells only once. */
  Struck: 'struck',
  /** Ledger events before the first and after the last entry of the stream. */
  OutsideWindow: 'outsideWindow',
  /** Entries that retention removed before the first one that is left. */
  Trimmed: 'trimmed',
  /** Channels of known instruments that the ledger feeds and the catalog does not name. */
  Absent: 'absent',
  /** Bars from REST that the ledger never showed as an event. */
  Unverified: 'unverified',
  /** Statistics on their way that newer ones from REST overtook: only the newest count. */
  Overtaken: 'overtaken',
  /** Points at which both books were compared. */
  BooksCompared: 'booksCompared',
  /** Lines of the ledger that say a fault was made. */
  Faults: 'faults',
  /** Lines of the ledger that hold no event. */
  Skipped: 'skipped',
} as const
export type Note = (typeof Note)[keyof typeof Note]

export interface Example {
  readonly kind: Wrong
  /** `MARKET:INSTRUMENT:CHANNEL` */
  readonly channel: string
  /** Id of the stream entry, '' where there is none. */
  readonly entryId: string
  readonly what: string
}

export interface CheckResult {
  readonly ok: boolean
  readonly channels: number
  readonly ledgerEvents: number
  readonly entries: number
  /** Only the kinds that were found. */
  readonly wrong: Partial<Record<Wrong, number>>
  readonly notes: Partial<Record<Note, number>>
  readonly examples: readonly Example[]
}

/** Examples kept of one kind; the count goes on. */
export const EXAMPLES_PER_KIND_MAX = 5

/** Gathers findings; a kind's examples are bounded, its count is not. */
export class Report {
  readonly #wrong = new Map<Wrong, number>()
  readonly #notes = new Map<Note, number>()
  readonly #examples: Example[] = []
  channels = 0
  ledgerEvents = 0
  entries = 0

  wrong(kind: Wrong, channel: string, entryId: string, what: string, count = 1): void {
    const before = this.#wrong.get(kind) ?? 0
    this.#wrong.set(kind, before + count)
    if (before < EXAMPLES_PER_KIND_MAX) this.#examples.push({ kind, channel, entryId, what })
  }

  note(kind: Note, count = 1): void {
    if (count > 0) this.#notes.set(kind, (this.#notes.get(kind) ?? 0) + count)
  }

  result(): CheckResult {
    return {
      ok: this.#wrong.size === 0,
      channels: this.channels,
      ledgerEvents: this.ledgerEvents,
      entries: this.entries,
      wrong: Object.fromEntries(this.#wrong),
      notes: Object.fromEntries(this.#notes),
      examples: this.#examples,
    }
  }
}
