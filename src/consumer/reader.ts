import type { Entry } from '../bus/contract.ts'
import { compareDecimal, isZeroDecimal, trimDecimal } from '../domain/decimal.ts'
import { type Level, Quality } from '../domain/event.ts'
import type { BookRecord } from './book-source.ts'

/**
 * What a reader does with the entries of a stream, as steps without any waiting: `StreamCursor` keeps the place in one
 * stream, `BookReader` keeps the book of one instrument. Both rely on the wire contract alone.
 */

export type StreamStep =
  /** In order and new: use it. */
  | { readonly step: 'use' }
  /** Read before, in this epoch or (by `key`) in the one before: drop it. */
  | { readonly step: 'duplicate' }
  /** `count` entries before it are gone, trimmed or lost with a Redis: tell. Use it unless `repeated`. */
  | { readonly step: 'lost'; readonly count: number; readonly repeated: boolean }
  /**
   * The first entry of another epoch. What was read of the old one from this `seq` on is void and comes again; `lost`
   * entries of it are gone; `repeated` when this very event was used already.
   */
  | { readonly step: 'epoch'; readonly lost: number; readonly repeated: boolean }

const USE: StreamStep = { step: 'use' }
const DUPLICATE: StreamStep = { step: 'duplicate' }

/** Keys remembered for a change of epoch. A fail-over loses less than a second; this is minutes of a busy stream. */
export const REMEMBERED_KEYS_MAX = 10_000

/** The place of one reader in one stream. Begins wherever it is first put. */
export class StreamCursor {
  #epoch = ''
  #seq = 0
  /** Keys of the newest used entries, oldest first. */
  readonly #used = new Set<string>()
  readonly #usedMax: number

  constructor(rememberedKeysMax = REMEMBERED_KEYS_MAX) {
    this.#usedMax = rememberedKeysMax
  }

  get epoch(): string {
    return this.#epoch
  }

  /** `seq` of the last entry read, 0 before the first. */
  get seq(): number {
    return this.#seq
  }

  step(entry: Pick<Entry, 'epoch' | 'seq' | 'key'>): StreamStep {
    const seq = Number(entry.seq)
    if (this.#epoch !== entry.epoch) {
      const first = this.#epoch === ''
      const lost = first ? 0 : Math.max(0, seq - this.#seq - 1)
      this.#epoch = entry.epoch
      this.#seq = seq
      const repeated = !this.#remember(entry.key)
      return first ? USE : { step: 'epoch', lost, repeated }
    }
    if (seq <= this.#seq) return DUPLICATE
    const count = seq - this.#seq - 1
    this.#seq = seq
    const repeated = !this.#remember(entry.key)
    if (count > 0) return { step: 'lost', count, repeated }
    return repeated ? DUPLICATE : USE
  }

  /** False when the key was used before. */
  #remember(key: string): boolean {
    if (this.#used.has(key)) return false
    this.#used.add(key)
    if (this.#used.size > this.#usedMax) for (const oldest of this.#used) return this.#used.delete(oldest)
    return true
  }
}

export type BookStep =
  /** The book was replaced and is whole. */
  | 'snapshot'
  /** The levels were set; the book is whole. */
  | 'applied'
  /** Already inside the book. */
  | 'old'
  /** The stream says that updates are missing; the book is broken until a delta continues it or a snapshot comes. */
  | 'gap'
  /** There is no whole book to apply this to: nothing before it, or entries were lost. */
  | 'unjoined'

/** CROSSED is none of them: it covers that updates are missing too, where a book is broken and doubted at once. */
const WHOLE = new Set<string>([Quality.Live, Quality.Stale])

/** The book of one instrument, kept from its `ORDERBOOK` stream. */
export class BookReader {
  /** By price without trailing zeros: the level in the venue's digits. */
  readonly #bids = new Map<string, Level>()
  readonly #asks = new Map<string, Level>()
  #have: bigint | null = null
  #joined = false

  /**
   * The book as its snapshot record has it. A book whose word may hide that it is broken counts as broken: the next delta
   * that continues it makes it whole.
   */
  static from({ bids, asks, venueSeq, quality }: BookRecord): BookReader {
    const book = new BookReader()
    setLevels(book.#bids, bids)
    setLevels(book.#asks, asks)
    book.#have = venueSeq === '' ? null : BigInt(venueSeq)
    book.#joined = book.#have !== null && WHOLE.has(quality)
    return book
  }

  /** Last update id inside the book, null before the first snapshot and after a reset of the venue's numbering. */
  get have(): bigint | null {
    return this.#have
  }

  /** Whether the book is whole. While it is not, the levels are those before the gap. */
  get joined(): boolean {
    return this.#joined
  }

  step(entry: Entry): BookStep {
    switch (entry.type) {
      case 'ORDERBOOK.SNAPSHOT': {
        const last = BigInt(entry.data.last)
        if (this.#joined && this.#have !== null && last < this.#have) return 'old'
        this.#bids.clear()
        this.#asks.clear()
        setLevels(this.#bids, entry.data.bids)
        setLevels(this.#asks, entry.data.asks)
        this.#have = last
        this.#joined = true
        return 'snapshot'
      }
      case 'ORDERBOOK.DELTA': {
        const have = this.#have
        if (have === null) return 'unjoined'
        const last = BigInt(entry.data.last)
        if (last <= have) return 'old'
        if (BigInt(entry.data.first) > have + 1n) {
          this.#joined = false
          return 'unjoined'
        }
        setLevels(this.#bids, entry.data.bids)
        setLevels(this.#asks, entry.data.asks)
        this.#have = last
        this.#joined = true
        return 'applied'
      }
      case 'ORDERBOOK.GAP':
        this.#joined = false
        if (!('from' in entry.data)) this.#have = null
        return 'gap'
      default:
        throw new RangeError(`expected an entry of an ORDERBOOK stream, found ${entry.type}`)
    }
  }

  /** The best `count` levels a side, best first, in the venue's digits. */
  top(count: number): { bids: Level[]; asks: Level[] } {
    return {
      bids: [...this.#bids.values()].sort((one, other) => compareDecimal(other[0], one[0])).slice(0, count),
      asks: [...this.#asks.values()].sort((one, other) => compareDecimal(one[0], other[0])).slice(0, count),
    }
  }

  get levelsCount(): { bids: number; asks: number } {
    return { bids: this.#bids.size, asks: this.#asks.size }
  }
}

function setLevels(side: Map<string, Level>, levels: readonly Level[]): void {
  for (const level of levels) {
    const price = trimDecimal(level[0])
    if (isZeroDecimal(level[1])) side.delete(price)
    else side.set(price, level)
  }
}
