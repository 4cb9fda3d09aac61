import type { Levels } from './ledger.ts'

/**
 * A book kept only to be compared: both sides sorted, best first, prices and quantities as integers of 10^-20. What lies
 * beyond the depth of the snapshot it began with is unknown and never compared.
 */

const PLACES = 20

/** Throws: RangeError for what is not a plain decimal of at most 20 places. */
export function decimalUnits(text: string): bigint {
  const match = /^(\d+)(?:\.(\d{1,20}))?$/.exec(text)
  if (!match) throw new RangeError(`expected a decimal of at most ${PLACES} places, found ${text}`)
  return BigInt((match[1] as string) + (match[2] ?? '').padEnd(PLACES, '0'))
}

class Side {
  readonly prices: bigint[] = []
  readonly quantities: bigint[] = []
  /** The worst price up to which all levels are known; null: all are. */
  floor: bigint | null = null
  readonly #direction: 1 | -1

  /** `direction` 1: best is lowest (asks); -1: best is highest (bids). */
  constructor(direction: 1 | -1) {
    this.#direction = direction
  }

  reset(levels: Levels, depth: number): void {
    this.prices.length = 0
    this.quantities.length = 0
    for (const [price, quantity] of levels) this.set(decimalUnits(price), decimalUnits(quantity))
    this.floor = levels.length >= depth ? (this.prices.at(-1) ?? null) : null
  }

  set(price: bigint, quantity: bigint): void {
    let low = 0
    let high = this.prices.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.worse(price, this.prices[middle] as bigint)) low = middle + 1
      else high = middle
    }
    if (this.prices[low] === price) {
      if (quantity === 0n) {
        this.prices.splice(low, 1)
        this.quantities.splice(low, 1)
      } else this.quantities[low] = quantity
    } else if (quantity !== 0n) {
      this.prices.splice(low, 0, price)
      this.quantities.splice(low, 0, quantity)
    }
  }

  worse(one: bigint, other: bigint): boolean {
    return this.#direction === 1 ? one > other : one < other
  }
}

export class Ladder {
  readonly bids = new Side(-1)
  readonly asks = new Side(1)

  reset(bids: Levels, asks: Levels, depth: number): void {
    this.bids.reset(bids, depth)
    this.asks.reset(asks, depth)
  }

  set(bids: Levels, asks: Levels): void {
    for (const [price, quantity] of bids) this.bids.set(decimalUnits(price), decimalUnits(quantity))
    for (const [price, quantity] of asks) this.asks.set(decimalUnits(price), decimalUnits(quantity))
  }
}

/** In words, the first difference within the best `count` levels a side that both know; null when there is none. */
export function ladderDifference(stream: Ladder, ledger: Ladder, count: number): string | null {
  return (
    sideDifference('bid', stream.bids, ledger.bids, count) ?? sideDifference('ask', stream.asks, ledger.asks, count)
  )
}

function sideDifference(name: string, stream: Side, ledger: Side, count: number): string | null {
  const unknown = (price: bigint): boolean =>
    (stream.floor !== null && stream.worse(price, stream.floor)) ||
    (ledger.floor !== null && ledger.worse(price, ledger.floor))
  for (let at = 0; at < count; at += 1) {
    const price = stream.prices[at]
    const truth = ledger.prices[at]
    if (price === undefined && truth === undefined) return null
    const best = price === undefined || (truth !== undefined && stream.worse(price, truth)) ? truth : price
    if (unknown(best as bigint)) return null
    if (price !== truth || stream.quantities[at] !== ledger.quantities[at])
      return `${name} ${at + 1}: expected ${level(truth, ledger.quantities[at])}, found ${level(price, stream.quantities[at])}`
  }
  return null
}

function level(price: bigint | undefined, quantity: bigint | undefined): string {
  if (price === undefined || quantity === undefined) return 'none'
  return `${plain(quantity)} at ${plain(price)}`
}

function plain(units: bigint): string {
  const digits = units.toString().padStart(PLACES + 1, '0')
  return `${digits.slice(0, -PLACES)}.${digits.slice(-PLACES)}`.replace(/\.?0+$/, '')
}
