/** The ranges of ids that GAP entries told, and what the gap ledger says of them. Ends are included. */
export interface ToldRange {
  readonly generation: number
  readonly from: number
  readonly to: number
  readonly cause: string
  readonly entryId: string
}

export class ToldRanges {
  readonly #ranges: ToldRange[] = []

  /** The range told before that overlaps this one, if any; it is added all the same. */
  add(range: ToldRange): ToldRange | undefined {
    const at = this.#behind(range.generation, range.from)
    const neighbours = [this.#ranges[at - 1], this.#ranges[at]]
    this.#ranges.splice(at, 0, range)
    return neighbours.find(
      (other) => other && other.generation === range.generation && other.from <= range.to && other.to >= range.from,
    )
  }

  covering(generation: number, id: number): ToldRange | undefined {
    const range = this.#ranges[this.#behind(generation, id) - 1]
    return range && range.generation === generation && range.to >= id ? range : undefined
  }

  /** The first id of `from..to` that no range holds, or undefined when all are told. */
  firstUntold(generation: number, from: number, to: number): number | undefined {
    let id = from
    while (id <= to) {
      const range = this.covering(generation, id)
      if (!range) return id
      id = range.to + 1
    }
    return undefined
  }

  [Symbol.iterator](): Iterator<ToldRange> {
    return this.#ranges[Symbol.iterator]()
  }

  /** Index behind the last range that begins at or below the place. */
  #behind(generation: number, id: number): number {
    let low = 0
    let high = this.#ranges.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const range = this.#ranges[middle] as ToldRange
      if (range.generation < generation || (range.generation === generation && range.from <= id)) low = middle + 1
      else high = middle
    }
    return low
  }
}
