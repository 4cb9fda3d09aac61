import { typeOfEntry } from '../../src/conductor/source-streams.ts'
import { type FusedChannel, FusedChannels } from '../../src/domain/fusion/fusion.ts'
import type { FusedEntry, MemoryRedis } from '../support/memory-conductor.ts'
import type { Market } from './venue.ts'

interface Fused {
  readonly ranges: Partial<Record<FusedChannel, readonly [string, string]>>
  readonly window: { readonly start: number; readonly end: number; readonly trades: number }
  readonly suppressed: number
}

/** What must hold of the fused stream of an instrument, and of the record that is committed with it. */
export class FusedJudge {
  readonly #market: Market
  readonly #redis: MemoryRedis
  readonly #ends: Record<FusedChannel, number> = { ORDERBOOK: 0, TRADE: 0, QUOTE: 0 }
  #read = 0
  #version = 0
  #windowEnd: number | null = null
  #trades = 0

  constructor(market: Market, redis: MemoryRedis) {
    this.#market = market
    this.#redis = redis
  }

  look(): void {
    const { fused } = this.#redis
    if (this.#read === fused.length) return
    while (this.#read < fused.length) this.#take(fused[this.#read++] as FusedEntry)
    this.#judgeRecord()
  }

  /** Entries that no fused event stands for, and what the record lacks. */
  missing(): string[] {
    const { instrument } = this.#market.info
    const found: string[] = []
    for (const channel of FusedChannels) {
      const { length } = this.#redis.streams[channel]
      if (this.#ends[channel] !== length)
        found.push(`${instrument}: fused ${channel} ${this.#ends[channel]} of ${length}`)
    }
    const there = this.#redis.streams.TRADE.filter((entry) => typeOfEntry(entry) === 'TRADE').length
    if (found.length === 0 && this.#trades !== there)
      found.push(`${instrument}: ${this.#trades} of ${there} trades counted`)
    const head = this.#redis.record?.head
    if (head?.quality !== 'LIVE') found.push(`${instrument}: the record is ${head?.quality ?? 'not there'}`)
    return found
  }

  #take(entry: FusedEntry): void {
    const { ranges, window, suppressed } = JSON.parse(entry.data) as Fused
    this.#must(entry.version > this.#version, `the version is above ${this.#version}`, entry)
    this.#version = entry.version
    let folded = 0
    for (const channel of FusedChannels) {
      const range = ranges[channel]
      if (range === undefined) continue
      const [from, to] = [Number(range[0]), Number(range[1])]
      this.#must(from === this.#ends[channel] + 1, `${channel} goes on behind ${this.#ends[channel]}`, entry)
      this.#must(to >= from && to <= this.#redis.streams[channel].length, `${channel} ends in its stream`, entry)
      this.#ends[channel] = to
      folded += to - from + 1
    }
    this.#must(suppressed === Math.max(0, folded - 1), `${folded} entries are said`, entry)
    this.#must(this.#windowEnd === null || window.start === this.#windowEnd, 'the windows abut', entry)
    this.#windowEnd = window.end
    this.#trades += window.trades
  }

  /** A book that is called good is the venue's at its update. */
  #judgeRecord(): void {
    const { record } = this.#redis
    if (record === null || record.head.quality !== 'LIVE') return
    const book = this.#market.books[Number(record.head.venueSeq)]
    const levels = [...record.fields].filter(([field]) => /^[ab]:/.test(field))
    const isTrue = levels.every(([field, quantity]) => book?.get(field.replace(':', '')) === quantity)
    if (isTrue && levels.length === book?.size) return
    throw new Error(`the record of ${this.#market.info.instrument} at ${record.head.venueSeq} is not the venue's book`)
  }

  #must(holds: boolean, what: string, entry: FusedEntry): void {
    if (!holds) throw new Error(`${this.#market.info.instrument} fused: ${what}: ${JSON.stringify(entry)}`)
  }
}
