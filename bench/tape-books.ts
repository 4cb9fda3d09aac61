import { compareDecimal, isZeroDecimal } from '../src/domain/decimal.ts'

/** The books behind a tape, so that its deltas, its best prices and the snapshots of its venue tell one story. */

type Level = readonly [price: string, quantity: string]

const LEVELS_A_SIDE = 1_000
const DELTAS_AN_ANSWER = 256

export interface Delta {
  readonly U: number
  readonly u: number
  readonly b: readonly Level[]
  readonly a: readonly Level[]
}

/** The venue's answer about a book, `levels` as JSON text. */
export function depthAnswer(last: number, levels: string): string {
  return `{"lastUpdateId":${last},${levels}}`
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

  answer(): string {
    return depthAnswer(this.last, this.levels())
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

/** What the venue of the bench answers for a book, at any frame of the tape. */
export class BookHistory {
  readonly #deltas: { readonly frame: number; readonly text: string }[] = []
  /** Depth answers, and how many deltas they hold. */
  readonly #answers: { readonly deltas: number; readonly text: string }[] = []

  /** `answer`: the first one, as it was recorded. `deltas`: those of the tape, behind which frame each stands. */
  constructor(answer: string, deltas: readonly { readonly frame: number; readonly text: string }[]) {
    const book = TapeBook.of(JSON.parse(answer))
    const first = book.last
    this.#answers.push({ deltas: 0, text: answer })
    for (const delta of deltas) {
      const parsed = deltaOf(delta.text)
      if (parsed.u <= first) continue
      book.apply(parsed)
      const count = this.#deltas.push(delta)
      if (count % DELTAS_AN_ANSWER === 0) this.#answers.push({ deltas: count, text: book.answer() })
    }
  }

  /** The depth answer when so many frames of the tape were sent. Prepared but for a few deltas, so that it takes some ms. */
  at(frames: number): string {
    const before = this.#countBefore(frames)
    const { deltas, text } = this.#answers[Math.floor(before / DELTAS_AN_ANSWER)] as { deltas: number; text: string }
    if (deltas === before) return text
    const book = TapeBook.of(JSON.parse(text))
    for (const delta of this.#deltas.slice(deltas, before)) book.apply(deltaOf(delta.text))
    return book.answer()
  }

  #countBefore(frames: number): number {
    let [low, high] = [0, this.#deltas.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#deltas[middle]?.frame as number) < frames) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** The payload of a depth frame. */
export function deltaOf(text: string): Delta {
  return (JSON.parse(text) as { data: Delta }).data
}
