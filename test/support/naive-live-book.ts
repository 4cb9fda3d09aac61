import { compareDecimal, isZeroDecimal, trimDecimal } from '../../src/domain/decimal.ts'
import type { Level } from '../../src/domain/event.ts'

/** The rules of the contract over plain maps: a book as whoever reads its stream from the beginning has it. */
export class NaiveLiveBook {
  readonly sides = { bids: new Map<string, string>(), asks: new Map<string, string>() }
  have: number | null = null
  joined = false

  take(
    type: string,
    data: { first?: string; last?: string; from?: string; bids?: Level[]; asks?: Level[]; [more: string]: unknown },
  ): void {
    if (type === 'ORDERBOOK.GAP') {
      this.joined = false
      if (data.from === undefined) {
        this.have = null
        this.#clear()
      }
      return
    }
    const last = Number(data.last)
    if (type === 'ORDERBOOK.SNAPSHOT') {
      if (this.joined && this.have !== null && last < this.have) return
      this.#clear()
    } else {
      if (this.have === null || last <= this.have) return
      if (Number(data.first) > this.have + 1) {
        this.joined = false
        return
      }
    }
    for (const side of ['bids', 'asks'] as const) {
      for (const [price, quantity] of data[side] ?? []) {
        if (isZeroDecimal(quantity)) this.sides[side].delete(trimDecimal(price))
        else this.sides[side].set(trimDecimal(price), quantity)
      }
    }
    this.have = last
    this.joined = true
  }

  top(side: 'bids' | 'asks'): Level[] {
    const direction = side === 'bids' ? 1 : -1
    return [...this.sides[side]].sort((one, other) => direction * compareDecimal(other[0], one[0])).slice(0, 20)
  }

  #clear(): void {
    this.sides.bids.clear()
    this.sides.asks.clear()
  }
}
