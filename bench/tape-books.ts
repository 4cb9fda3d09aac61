import { compareDecimal, isZeroDecimal } from '../src/domain/decimal.ts'

/** The books behind a tape, so that its deltas, its best prices and the snapshots of its venue tell one story. */

type Level = readonly [price: string, quantity: string]

const LEVELS_A_SIDE = 1_000

export interface Delta {
  readonly U: number
  readonly u: number
  readonly b: readonly Level[]
  readonly a: readonly Level[]
}

export class TapeBook {
  last = 0
  readonly bids = new Map<string, string>()
  readonly asks = new Map<string, string>()

  static of(answer: { lastUpdateId: number; bids: readonly Level[]; asks: readonly Level[] }): TapeBook {
    const book = new TapeBook()
    book.apply({ U: 0, u: answer.lastUpdateId, b: answer.bids, a: answer.asks })
    return book
  }

  copy(): TapeBook {
    return TapeBook.of({ lastUpdateId: this.last, bids: [...this.bids], asks: [...this.asks] })
  }

  apply(delta: Delta): void {
    for (const [price, quantity] of delta.b) set(this.bids, price, quantity)
    for (const [price, quantity] of delta.a) set(this.asks, price, quantity)
    this.last = delta.u
  }

  /** Both sides of a depth answer, as JSON behind `lastUpdateId`. */
  levels(): string {
    return `"bids":${JSON.stringify(this.#sorted('bids'))},"asks":${JSON.stringify(this.#sorted('asks'))}`
  }

  best(side: 'bids' | 'asks'): Level {
    return this.#sorted(side)[0] ?? ['0', '0']
  }

  /** What makes `other` of this. */
  changesTo(other: TapeBook): { b: Level[]; a: Level[] } {
    return { b: changes(this.bids, other.bids), a: changes(this.asks, other.asks) }
  }

  #sorted(side: 'bids' | 'asks'): Level[] {
    const sign = side === 'bids' ? -1 : 1
    return [...this[side]].sort((left, right) => sign * compareDecimal(left[0], right[0])).slice(0, LEVELS_A_SIDE)
  }
}

function set(side: Map<string, string>, price: string, quantity: string): void {
  if (isZeroDecimal(quantity)) side.delete(price)
  else side.set(price, quantity)
}

function changes(from: ReadonlyMap<string, string>, to: ReadonlyMap<string, string>): Level[] {
  const gone = [...from.keys()].filter((price) => !to.has(price)).map((price): Level => [price, '0.00000000'])
  return [...gone, ...to]
}

/** The payload of a depth frame. */
export function deltaOf(text: string): Delta {
  return (JSON.parse(text) as { data: Delta }).data
}
