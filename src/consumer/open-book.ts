import type { Level, Quality } from '../domain/event.ts'
import type { Instrument, Market } from '../domain/instrument.ts'
import type { BookRecord, BookSource, BookSources } from './book-source.ts'
import { BookReader } from './reader.ts'

export type OpenBookStep =
  /** The book was taken from the record: at the start, and again where the stream does not continue it. */
  | 'record'
  /** Entries were applied. */
  | 'moved'
  /** Nothing came in time. */
  | 'quiet'
  /** There is no record; ask again a little later. */
  | 'absent'
  /** The stream does not continue the record, and there is no newer one yet; ask again a little later. */
  | 'behind'

/**
 * A book that whoever comes late can join: the record first, then the stream behind its `streamId`. It is exact without a race,
 * because the next entry of the same epoch must have `seq` + 1; where it has not, or is of another epoch, the record is
 * taken again.
 */
export class OpenBook {
  readonly #source: BookSource
  #reader = new BookReader()
  #record: BookRecord | null = null
  #epoch = ''
  #seq = 0
  #streamId = '0-0'
  #quality: Quality | '' = ''
  /** Place of the record that the stream did not continue. */
  #brokenAt = ''

  constructor(source: BookSource) {
    this.#source = source
  }

  /** Whether it is whole: a record was there, it was joined, and nothing was told missing since. */
  get joined(): boolean {
    return this.#record !== null && this.#reader.joined
  }

  /** Last update id inside. */
  get have(): bigint | null {
    return this.#reader.have
  }

  /** The place in the stream: id, epoch and `seq` of the last entry inside. */
  get place(): { readonly streamId: string; readonly epoch: string; readonly seq: number } {
    return { streamId: this.#streamId, epoch: this.#epoch, seq: this.#seq }
  }

  /** The word of the record, and of the entries since; '' for LIVE and before the first record. */
  get quality(): Quality | '' {
    return this.#quality
  }

  /** When the record that was taken last was written, us. */
  get recordedUs(): number | null {
    return this.#record === null ? null : Number(this.#record.updatedAt)
  }

  /** The best `count` levels a side, best first. */
  top(count: number): { bids: Level[]; asks: Level[] } {
    return this.#reader.top(count)
  }

  get levelsCount(): { bids: number; asks: number } {
    return this.#reader.levelsCount
  }

  /** Goes on: takes the record where there is no book, else what the stream has. Rejects as the source does. */
  async next(blockMs: number): Promise<OpenBookStep> {
    if (this.#record === null) return this.#open()
    const entries = await this.#source.after(this.#streamId, blockMs)
    let moved = false
    for (const { id, entry } of entries) {
      const isNext = entry !== null && entry.epoch === this.#epoch && Number(entry.seq) === this.#seq + 1
      if (!isNext) {
        const isOld = entry !== null && entry.epoch === this.#epoch && Number(entry.seq) <= this.#seq
        if (isOld) continue
        // Trimmed before it was read, of another epoch, or none of ours: only the record knows.
        this.#record = null
        this.#brokenAt = this.#streamId
        return this.#open()
      }
      this.#reader.step(entry)
      this.#quality = entry.quality as Quality | ''
      this.#streamId = id
      this.#seq++
      moved = true
    }
    return moved ? 'moved' : 'quiet'
  }

  async #open(): Promise<OpenBookStep> {
    const record = await this.#source.record()
    if (record === null) return 'absent'
    if (record.streamId === this.#brokenAt) return 'behind'
    this.#record = record
    this.#reader = BookReader.from(record)
    this.#epoch = record.epoch
    this.#seq = Number(record.seq)
    this.#streamId = record.streamId
    this.#quality = record.quality === 'LIVE' ? '' : record.quality
    return 'record'
  }
}

/** The book of an instrument; nothing is read before its first `next`. */
export function openBook(sources: BookSources, market: Market, instrument: Instrument): OpenBook {
  return new OpenBook(sources.of(market, instrument))
}
