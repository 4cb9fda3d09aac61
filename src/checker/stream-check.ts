import { channelOf, decodeEntry, ENTRY_FIELDS, type Entry } from '../bus/contract.ts'
import { TextSet } from './event-table.ts'
import { Note, type Report, Wrong } from './report.ts'

/** One entry as Redis answers it: its id, and names and values in a flat list. */
export interface RawEntry {
  readonly id: string
  readonly fields: readonly string[]
}

/** An entry of a stream, admitted, with the generation of the venue's numbering that its `key` tells. */
export interface CheckedEntry {
  readonly id: string
  readonly entry: Entry
  readonly generation: number
}

/**
 * What holds for every entry of a stream, whatever its type: the contract's fields in their order, `seq` dense within
 * its epoch and over a change of it, `key` unique and made as the contract says.
 */
export class StreamCheck {
  readonly #channel: string
  readonly #report: Report
  readonly #keys = new TextSet()
  readonly #epochs = new Set<string>()
  #epoch = ''
  #seq = 0

  /** `channel`: `MARKET:INSTRUMENT:CHANNEL`. */
  constructor(channel: string, report: Report) {
    this.#channel = channel
    this.#report = report
  }

  /** Whether retention has taken entries from the beginning of the stream. */
  trimmed = false

  /** Null when the entry was not admitted; that is reported. */
  step(raw: RawEntry): CheckedEntry | null {
    this.#report.entries += 1
    const decoded = decodeEntry(raw.fields)
    if (!decoded.ok) return this.#malformed(raw.id, decoded.problem)
    const { entry } = decoded
    if (raw.fields.length !== 2 * ENTRY_FIELDS.length || ENTRY_FIELDS.some((name, at) => raw.fields[2 * at] !== name))
      this.#malformed(raw.id, `expected the fields ${ENTRY_FIELDS.join(' ')} in this order`)
    const named = `${entry.market}:${entry.instrument}:${channelOf(entry.type)}`
    if (named !== this.#channel) this.#malformed(raw.id, `expected an entry of ${this.#channel}, found one of ${named}`)
    this.#sequence(raw.id, entry)
    if (!this.#keys.add(entry.key)) this.#report.wrong(Wrong.Key, this.#channel, raw.id, `key ${entry.key} came before`)
    return { id: raw.id, entry, generation: this.#generation(raw.id, entry) }
  }

  #sequence(id: string, entry: Entry): void {
    const seq = Number(entry.seq)
    const expected = this.#seq + 1
    if (entry.epoch !== this.#epoch) {
      if (this.#epochs.has(entry.epoch))
        this.#report.wrong(Wrong.Seq, this.#channel, id, `epoch ${entry.epoch} came back`)
      this.#epochs.add(entry.epoch)
      if (this.#epoch === '') {
        this.#report.note(Note.Trimmed, seq - 1)
        this.trimmed = seq > 1
        this.#seq = seq - 1
      }
      this.#epoch = entry.epoch
    }
    if (seq !== this.#seq + 1)
      this.#report.wrong(Wrong.Seq, this.#channel, id, `expected seq ${expected}, found ${seq}`)
    this.#seq = seq
  }

  #generation(id: string, entry: Entry): number {
    const prefix = `${entry.instrument}:${entry.type}:`
    const rest = entry.key.slice(prefix.length)
    const tilde = rest.indexOf('~')
    const place = tilde === -1 ? rest : rest.slice(tilde + 1)
    const expected = placeOf(entry)
    if (!entry.key.startsWith(prefix) || (expected !== null && place !== expected))
      this.#malformed(id, `expected a key ${prefix}${expected ?? ''}, found ${entry.key}`)
    const generation = tilde === -1 ? 0 : Number(rest.slice(0, tilde))
    if (Number.isInteger(generation)) return generation
    this.#malformed(id, `expected a number before ~ in the key, found ${entry.key}`)
    return 0
  }

  #malformed(id: string, problem: string): null {
    this.#report.wrong(Wrong.Malformed, this.#channel, id, problem)
    return null
  }
}

/** What `venueSeq`, and with it the end of `key`, must say by the payload; null for a GAP. */
function placeOf(entry: Entry): string | null {
  switch (entry.type) {
    case 'TRADE':
      return same(entry, entry.data.id)
    case 'TICKER':
      return same(entry, `${entry.data.closeTime}`)
    case 'KLINE.SUMMARY': {
      const { interval, openTime, trades, closed } = entry.data
      return same(entry, `${interval}@${openTime}@${trades}${closed ? '@closed' : ''}`)
    }
    case 'ORDERBOOK.DELTA':
      return same(entry, entry.data.last)
    case 'ORDERBOOK.SNAPSHOT':
      return `${same(entry, entry.data.last)}@${entry.receivedTime}`
    case 'QUOTE':
    case 'ANALYTICS.FUSED':
      return entry.venueSeq
    default:
      return null
  }
}

/** The payload's place where `venueSeq` says the same, else words that no key can match. */
const same = (entry: Entry, place: string): string => (entry.venueSeq === place ? place : `${place} as venueSeq`)
