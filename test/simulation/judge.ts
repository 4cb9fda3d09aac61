import type { NaiveAppend, NaiveEntry } from '../support/naive-append.ts'
import { NaiveLiveBook } from '../support/naive-live-book.ts'
import type { Market } from './venue.ts'

const MARKET = 'BINANCE-SPOT'

/** Throws what is wrong, with the entry that shows it. */
function must(holds: boolean, what: string, entry: NaiveEntry): void {
  if (!holds) throw new Error(`${what}: ${JSON.stringify(entry)}`)
}

/** Reads one stream along and judges each entry. */
class StreamJudge {
  protected readonly market: Market
  readonly name: string
  read = 0
  readonly #keys = new Set<string>()
  #epoch = 0
  protected last = 0

  constructor(market: Market, channel: string) {
    this.market = market
    this.name = `${MARKET}:${market.info.instrument}:${channel}`
  }

  take(entry: NaiveEntry): void {
    this.read++
    must(entry.seq === String(this.read), `seq ${this.read} comes next`, entry)
    must(!this.#keys.has(entry.key), 'a key comes once', entry)
    this.#keys.add(entry.key)
    must(Number(entry.epoch) >= this.#epoch, 'epochs never go back', entry)
    this.#epoch = Number(entry.epoch)
  }
}

interface Told {
  readonly from: number
  readonly to: number
}

export class TradeJudge extends StreamJudge {
  /** Told as missing and not filled yet. */
  readonly open = new Set<number>()
  #told: Told | null = null
  first = 0

  override take(entry: NaiveEntry): void {
    super.take(entry)
    if (entry.type === 'TRADE.GAP') {
      must(this.#told === null, 'an event stands between two gaps', entry)
      const { from, to } = JSON.parse(entry.data) as { from: string; to: string }
      this.#told = { from: Number(from), to: Number(to) }
      must(this.#told.from === this.last + 1 && this.last > 0, `a gap begins behind ${this.last}`, entry)
      must(this.#told.to >= this.#told.from, 'a gap has a length', entry)
      return
    }
    const { id, price } = JSON.parse(entry.data) as { id: string; price: string }
    const trade = Number(id)
    must(this.market.trades[trade - 1]?.price === price, 'it is what the venue sent', entry)
    if (this.first === 0) this.first = trade
    else if (trade <= this.last) {
      must(this.#told === null, 'a gap is told with the event above it', entry)
      must(this.open.delete(trade), 'only what was told as missing comes late', entry)
      return
    } else {
      const below = this.#told?.to ?? this.last
      must(trade === below + 1, `trade ${below + 1} comes next, or a gap is told`, entry)
      for (let missing = this.#told?.from ?? trade; missing < trade; missing++) this.open.add(missing)
    }
    this.#told = null
    this.last = trade
  }

  missing(): string[] {
    const { trades, info } = this.market
    const found: string[] = []
    if (this.last !== trades.length)
      found.push(`${info.instrument}: trades ${this.last + 1}-${trades.length} are not there`)
    if (this.open.size > 0) found.push(`${info.instrument}: trades ${[...this.open].join(' ')} are not filled`)
    return found
  }
}

export class BookJudge extends StreamJudge {
  readonly #book = new NaiveLiveBook()

  override take(entry: NaiveEntry): void {
    super.take(entry)
    const data = JSON.parse(entry.data) as { first?: string; last?: string; from?: string; to?: string }
    const { have, joined } = this.#book
    if (entry.type === 'ORDERBOOK.GAP') {
      must(joined, 'a gap is told once', entry)
      must(Number(data.from) === (have ?? 0) + 1, `a gap begins behind ${have}`, entry)
      must(Number(data.to) >= Number(data.from), 'a gap has a length', entry)
    } else if (entry.type === 'ORDERBOOK.DELTA') {
      must(have !== null && Number(data.last) > have, `a delta is newer than ${have}`, entry)
      must(Number(data.first) <= (have ?? 0) + 1, `a delta continues ${have}`, entry)
    } else {
      must(have === null || Number(data.last) >= have, `a snapshot is not older than ${have}`, entry)
      must(have === null || !joined || Number(data.last) === have, 'a snapshot ahead of a joined book is told', entry)
    }
    this.#book.take(entry.type, data)
    if (entry.type === 'ORDERBOOK.GAP') return
    must(this.#isTrue(), 'the book is the one of the venue at this update', entry)
  }

  missing(): string[] {
    const { joined, have } = this.#book
    if (joined && have === this.market.lastTold) return []
    const { instrument } = this.market.info
    return [`${instrument}: the book is ${joined ? '' : 'not '}joined at ${have}, the venue at ${this.market.lastTold}`]
  }

  #isTrue(): boolean {
    const { sides, have } = this.#book
    const there = this.market.books[have ?? -1]
    if (there === undefined || there.size !== sides.bids.size + sides.asks.size) return false
    const isSame = (side: 'bids' | 'asks', mark: string): boolean =>
      [...sides[side]].every(([price, quantity]) => there.get(`${mark}${price}`) === quantity)
    return isSame('bids', 'b') && isSame('asks', 'a')
  }
}

/** What has no numbering: whatever the venue made between two entries is behind a gap, or merged. */
export class TickerJudge extends StreamJudge {
  /** Place of the newest entry among what the venue made. */
  #at = -1
  #isTold = false

  override take(entry: NaiveEntry): void {
    super.take(entry)
    if (entry.type === 'TICKER.GAP') {
      must(!this.#isTold, 'an event stands between two gaps', entry)
      this.#isTold = true
      return
    }
    const { closeTime, merged = 0 } = JSON.parse(entry.data) as { closeTime: number; merged?: number }
    const at = this.market.tickerTimesUs.indexOf(closeTime, Math.max(0, this.#at))
    must(at > this.#at, 'it is what the venue sent, newer than the one before', entry)
    const missing = at - this.#at - 1
    must(this.#at === -1 || this.#isTold || missing <= merged, `${missing} before this are missing and not told`, entry)
    this.#isTold = false
    this.#at = at
  }

  missing(nowUs: number): string[] {
    const { tickerTimesUs, info } = this.market
    const newest = tickerTimesUs.findLastIndex((timeUs) => timeUs < nowUs - TICKER_LATE_US)
    return newest > this.#at ? [`${info.instrument}: statistics ${this.#at + 1}-${newest} are not there`] : []
  }
}

/** Statistics come for as long as the market lives; one that is so old has come for certain. */
const TICKER_LATE_US = 2_000_000

/** Everything that must hold of the streams after every step, and at the end. */
export class StreamsJudge {
  readonly #judges: readonly (TradeJudge | BookJudge | TickerJudge)[]
  readonly #append: NaiveAppend
  readonly #seen: (market: Market, entry: NaiveEntry) => void
  readonly #markets: readonly Market[]

  constructor(markets: readonly Market[], append: NaiveAppend, seen: (market: Market, entry: NaiveEntry) => void) {
    this.#append = append
    this.#seen = seen
    this.#markets = markets.flatMap((market) => [market, market, market])
    this.#judges = markets.flatMap((market) => [
      new TradeJudge(market, 'TRADE'),
      new BookJudge(market, 'ORDERBOOK'),
      new TickerJudge(market, 'TICKER'),
    ])
  }

  get entries(): number {
    return this.#judges.reduce((sum, { read }) => sum + read, 0)
  }

  /** Every stream has something. */
  get isBegun(): boolean {
    return this.#judges.every(({ read }) => read > 0)
  }

  look(): void {
    for (const [index, judge] of this.#judges.entries()) {
      const entries = this.#append.entries(judge.name)
      while (judge.read < entries.length) {
        const entry = entries[judge.read] as NaiveEntry
        this.#seen(this.#markets[index] as Market, entry)
        judge.take(entry)
      }
    }
  }

  /** What the venue can still tell and the streams do not have. */
  missing(nowUs: number): string[] {
    return this.#judges.flatMap((judge) => judge.missing(nowUs))
  }
}
