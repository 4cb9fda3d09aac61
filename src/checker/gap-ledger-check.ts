import { type LedgerMember, ledgerMemberSchema } from '../bus/schema.ts'
import type { EventTable } from './event-table.ts'
import { type Report, Wrong } from './report.ts'
import type { ToldRange } from './told-ranges.ts'

/** A member of a gap ledger with numbers for ends; ids and times both fit. */
export interface LedgerRange {
  readonly from: number
  readonly to: number
  readonly state: 'open' | 'filled' | 'closed'
  readonly how: string | null
}

/** Admits the members of a gap ledger, in order of their first missing id; a member without a range has none to check. */
export function readGapLedger(members: readonly string[], channel: string, report: Report): LedgerRange[] {
  const ranges: LedgerRange[] = []
  for (const text of members) {
    const admitted = admit(text)
    if (admitted === null)
      report.wrong(Wrong.Malformed, channel, '', `not a member of a gap ledger: ${text.slice(0, 200)}`)
    else if (admitted.from !== undefined && admitted.to !== undefined)
      ranges.push({ from: Number(admitted.from), to: Number(admitted.to), state: stateOf(admitted), how: admitted.how })
  }
  return ranges.sort((one, other) => one.from - other.from)
}

function admit(text: string): LedgerMember | null {
  try {
    const admitted = ledgerMemberSchema.safeParse(JSON.parse(text))
    return admitted.success ? admitted.data : null
  } catch {
    return null
  }
}

const stateOf = ({ filledAt, how }: LedgerMember): LedgerRange['state'] =>
  filledAt !== null ? 'filled' : how === null ? 'open' : 'closed'

/** Members at which a gap ledger begins to merge neighbours, as the wire contract bounds it. */
const LEDGER_MEMBERS_MAX = 10_000

/**
 * Stream and gap ledger must tell the same holes. Ranges of ids may be split by filling and grow to the snapshot that
 * ended them, so a told range must be covered; ranges of times must stand there as they were told. A book's hole that a
 * delta ended ends with that delta, be it before the end that was told: what is missing behind it is another hole. And no
 * member may be without a GAP in the stream, unless retention has cut the stream.
 */
export function checkToldInLedger(
  told: readonly ToldRange[],
  ranges: readonly LedgerRange[],
  options: { readonly channel: string; readonly ids: boolean; readonly trimmed: boolean },
  report: Report,
): void {
  const { channel, ids, trimmed } = options
  const merged: { from: number; to: number }[] = []
  for (const { from, to } of ranges) {
    const last = merged.at(-1)
    if (last && from <= last.to + (ids ? 1 : 0)) last.to = Math.max(last.to, to)
    else merged.push({ from, to })
  }
  const full = ranges.length >= LEDGER_MEMBERS_MAX
  for (const { from, to, entryId } of told) {
    const held = ids || full ? merged.some((range) => range.from <= from && range.to >= to) : false
    if (!held && !ranges.some((range) => range.from === from && (range.to === to || range.how === 'delta')))
      report.wrong(Wrong.LedgerMissing, channel, entryId, `the gap ledger does not hold ${from}..${to}`)
  }
  if (trimmed) return
  for (const { from, to } of ranges)
    if (!told.some((range) => range.from <= to && range.to >= from))
      report.wrong(Wrong.LedgerWrong, channel, '', `the gap ledger holds ${from}..${to}, which no GAP tells`)
}

/** What the ledger of a `TRADE` channel says is filled must be in the stream, and what it says is open must not. */
export function checkTradeStates(
  ranges: readonly LedgerRange[],
  table: EventTable,
  generation: number,
  channel: string,
  report: Report,
): void {
  for (const { from, to, state } of ranges) {
    const at = table.indexAt(generation, from)
    const end = table.indexAt(generation, to + 1)
    const unseen = table.unseen(at, end)
    if (state === 'filled' && unseen > 0)
      report.wrong(
        Wrong.LedgerWrong,
        channel,
        '',
        `${from}..${to} is said to be filled, ${unseen} trades of it are missing`,
      )
    if (state === 'open' && end - at >= to - from + 1 && unseen === 0)
      report.wrong(
        Wrong.LedgerWrong,
        channel,
        '',
        `${from}..${to} is said to be open, all its trades are in the stream`,
      )
  }
}

/** The ledger of an `ORDERBOOK` channel has an open range exactly while the book is broken. */
export function checkBookStates(
  ranges: readonly LedgerRange[],
  broken: boolean,
  channel: string,
  report: Report,
): void {
  const open = ranges.filter(({ state }) => state === 'open').length
  if (open === (broken ? 1 : 0)) return
  const state = broken ? 'broken' : 'joined'
  report.wrong(Wrong.LedgerWrong, channel, '', `the book is ${state}, and the gap ledger holds ${open} open ranges`)
}
