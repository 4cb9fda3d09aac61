import { decimalKey } from './decimal-key.ts'

/** Best bid and ask as the venue told them, in its digits; `updateId` counts in the numbering of the book's updates. */
export interface BestPrices {
  readonly updateId: number
  readonly bidPrice: string
  readonly bidQuantity: string
  readonly askPrice: string
  readonly askQuantity: string
}

/** The same as keys (`decimal-key.ts`). */
export interface KeyedPrices {
  readonly updateId: number
  readonly bid: number
  readonly bidQuantity: number
  readonly ask: number
  readonly askQuantity: number
}

/** How many are kept; one that is needed later than that is not guessed at. A power of two. */
const KEPT_MAX = 32
const LINES_MAX = 4
/** The update id and four keys. */
const NUMBERS = 5

/** What one connection showed of the tickers. */
export interface TickerLine {
  readonly line: number
  /** Its first ticker: what came before, it may have missed. */
  readonly first: number
  last: number
}

/**
 * The newest best prices of one instrument by update id, from all connections that carry them. A connection delivers in
 * order, so one that has shown a ticker has shown all between its first one and that.
 */
export class Tickers {
  /** Keys, because the texts would hold the frames they were cut from, 14 kB an instrument. */
  readonly #kept = new Float64Array(KEPT_MAX * NUMBERS)
  /** How many were ever kept; the newest stands at `count - 1`. */
  #count = 0
  #lines: TickerLine[] = []
  #current: TickerLine | null = null

  add(ticker: BestPrices, line: number): void {
    const id = ticker.updateId
    const current = this.#current
    if (current !== null && current.line === line) {
      if (id > current.last) current.last = id
    } else {
      this.#seen(line, id)
    }
    if (this.#count === 0 || id > this.#idAt(this.#count - 1)) {
      this.#put(this.#count++, ticker)
    } else {
      this.#insert(ticker)
    }
  }

  /** The newest at or below `updateId`; null where it is not known for certain. */
  governing(updateId: number): KeyedPrices | null {
    const oldest = Math.max(0, this.#count - KEPT_MAX)
    for (let at = this.#count - 1; at >= oldest; at--) {
      if (this.#idAt(at) <= updateId) return this.#at(at)
    }
    return null
  }

  /**
   * Whether every ticker up to `updateId` is here when this connection shows the update: its own tickers began before, or
   * another connection whose tickers did has shown a newer one already.
   */
  isComplete(line: number, updateId: number): boolean {
    const current = this.#current
    if (current !== null && current.line === line && current.first <= updateId) return true
    for (const one of this.#lines) {
      if (one.first <= updateId && (one.line === line || one.last > updateId)) return true
    }
    return false
  }

  /** The newest of all, 0 when there is none. */
  get newestId(): number {
    return this.#count === 0 ? 0 : this.#idAt(this.#count - 1)
  }

  /** Some may have been missed, so nothing from before can be leant on. */
  forget(): void {
    this.#count = 0
    this.#lines = []
    this.#current = null
  }

  #placeOf(at: number): number {
    return (at & (KEPT_MAX - 1)) * NUMBERS
  }

  #idAt(at: number): number {
    return this.#kept[this.#placeOf(at)] as number
  }

  #at(at: number): KeyedPrices {
    const kept = this.#kept
    const place = this.#placeOf(at)
    return {
      updateId: kept[place] as number,
      bid: kept[place + 1] as number,
      bidQuantity: kept[place + 2] as number,
      ask: kept[place + 3] as number,
      askQuantity: kept[place + 4] as number,
    }
  }

  #put(at: number, ticker: BestPrices): void {
    const kept = this.#kept
    const place = this.#placeOf(at)
    kept[place] = ticker.updateId
    kept[place + 1] = decimalKey(ticker.bidPrice)
    kept[place + 2] = decimalKey(ticker.bidQuantity)
    kept[place + 3] = decimalKey(ticker.askPrice)
    kept[place + 4] = decimalKey(ticker.askQuantity)
  }

  #move(from: number, to: number): void {
    const place = this.#placeOf(from)
    this.#kept.copyWithin(this.#placeOf(to), place, place + NUMBERS)
  }

  /** One that came behind a newer one: the copy of another connection, or it was overtaken. */
  #insert(ticker: BestPrices): void {
    const oldest = Math.max(0, this.#count - KEPT_MAX)
    let at = this.#count - 1
    while (at >= oldest && this.#idAt(at) > ticker.updateId) at--
    if (at >= oldest && this.#idAt(at) === ticker.updateId) return
    if (at < oldest && this.#count >= KEPT_MAX) return
    for (let move = this.#count; move > at + 1; move--) {
      this.#move(move - 1, move)
    }
    this.#put(at + 1, ticker)
    this.#count++
  }

  #seen(line: number, id: number): void {
    let found = this.#lines.find((one) => one.line === line)
    if (found === undefined) {
      found = { line, first: id, last: id }
      this.#lines.push(found)
      if (this.#lines.length > LINES_MAX) this.#lines.shift()
    } else if (id > found.last) {
      found.last = id
    }
    this.#current = found
  }
}
