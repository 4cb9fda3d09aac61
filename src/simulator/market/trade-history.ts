const CAPACITY_START = 64

/** One trade as the history tells it; `aggregateStart` marks the first trade of an aggregate. */
export interface KeptTrade {
  readonly id: number
  readonly timeMs: number
  readonly ticks: number
  readonly lots: number
  readonly buyerIsMaker: boolean
}

/** Trades of one taker order at one price. */
export interface KeptAggregate {
  readonly id: number
  readonly firstTradeId: number
  readonly lastTradeId: number
  readonly timeMs: number
  readonly ticks: number
  readonly lots: number
  readonly buyerIsMaker: boolean
}

/**
 * The newest trades of one instrument, in rings of plain numbers (17 bytes a trade). At the bound the oldest give way,
 * as on a venue that no longer tells them. Ids are contiguous, so an id is a place.
 */
export class TradeHistory {
  readonly firstTradeId: number
  readonly firstAggregateId: number
  readonly #keptMax: number
  #nextTradeId: number
  #nextAggregateId: number
  #capacity = CAPACITY_START
  #times = new Float64Array(CAPACITY_START)
  #ticks = new Int32Array(CAPACITY_START)
  #lots = new Int32Array(CAPACITY_START)
  #buyerIsMaker = new Uint8Array(CAPACITY_START)
  #aggregateCapacity = CAPACITY_START
  /** For every aggregate its first trade, counted from `firstTradeId`. */
  #aggregateStarts = new Float64Array(CAPACITY_START)

  constructor(firstTradeId: number, firstAggregateId: number, keptMax: number) {
    this.firstTradeId = firstTradeId
    this.firstAggregateId = firstAggregateId
    this.#keptMax = keptMax
    this.#nextTradeId = firstTradeId
    this.#nextAggregateId = firstAggregateId
  }

  get nextTradeId(): number {
    return this.#nextTradeId
  }

  get nextAggregateId(): number {
    return this.#nextAggregateId
  }

  get oldestTradeId(): number {
    return Math.max(this.firstTradeId, this.#nextTradeId - this.#keptMax)
  }

  /** The oldest aggregate of which every trade is kept. */
  get oldestAggregateId(): number {
    const oldestTrade = this.oldestTradeId - this.firstTradeId
    let low = Math.max(this.firstAggregateId, this.#nextAggregateId - this.#keptMax)
    let high = this.#nextAggregateId
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if (this.#aggregateStart(middle) >= oldestTrade) high = middle
      else low = middle + 1
    }
    return low
  }

  /** Adds a trade and answers its id; `opensAggregate` when it is the first of its taker order at its price. */
  add(timeMs: number, ticks: number, lots: number, buyerIsMaker: boolean, opensAggregate: boolean): number {
    const id = this.#nextTradeId
    const offset = id - this.firstTradeId
    if (offset >= this.#capacity && this.#capacity < this.#keptMax) this.#grow()
    const place = offset % this.#capacity
    this.#times[place] = timeMs
    this.#ticks[place] = ticks
    this.#lots[place] = lots
    this.#buyerIsMaker[place] = buyerIsMaker ? 1 : 0
    this.#nextTradeId = id + 1
    if (opensAggregate) this.#addAggregate(offset)
    return id
  }

  trade(id: number): KeptTrade {
    const place = (id - this.firstTradeId) % this.#capacity
    return {
      id,
      timeMs: this.#times[place] as number,
      ticks: this.#ticks[place] as number,
      lots: this.#lots[place] as number,
      buyerIsMaker: this.#buyerIsMaker[place] === 1,
    }
  }

  timeOf(id: number): number {
    return this.#times[(id - this.firstTradeId) % this.#capacity] as number
  }

  aggregate(id: number): KeptAggregate {
    const firstTradeId = this.firstTradeId + this.#aggregateStart(id)
    const next = id + 1 < this.#nextAggregateId ? this.firstTradeId + this.#aggregateStart(id + 1) : this.#nextTradeId
    const first = this.trade(firstTradeId)
    let lots = 0
    for (let trade = firstTradeId; trade < next; trade += 1) lots += this.trade(trade).lots
    const { timeMs, ticks, buyerIsMaker } = first
    return { id, firstTradeId, lastTradeId: next - 1, timeMs, ticks, lots, buyerIsMaker }
  }

  /** The first kept trade at or after a time; `nextTradeId` where none is. */
  tradeFrom(timeMs: number): number {
    let low = this.oldestTradeId
    let high = this.#nextTradeId
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if (this.timeOf(middle) >= timeMs) high = middle
      else low = middle + 1
    }
    return low
  }

  /** The first kept aggregate that begins at or after a time. */
  aggregateFrom(timeMs: number): number {
    let low = this.oldestAggregateId
    let high = this.#nextAggregateId
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if (this.timeOf(this.firstTradeId + this.#aggregateStart(middle)) >= timeMs) high = middle
      else low = middle + 1
    }
    return low
  }

  #aggregateStart(id: number): number {
    return this.#aggregateStarts[(id - this.firstAggregateId) % this.#aggregateCapacity] as number
  }

  #addAggregate(offset: number): void {
    const aggregate = this.#nextAggregateId - this.firstAggregateId
    if (aggregate >= this.#aggregateCapacity && this.#aggregateCapacity < this.#keptMax) {
      this.#aggregateCapacity = Math.min(this.#aggregateCapacity * 2, this.#keptMax)
      this.#aggregateStarts = grown(this.#aggregateStarts, new Float64Array(this.#aggregateCapacity))
    }
    this.#aggregateStarts[aggregate % this.#aggregateCapacity] = offset
    this.#nextAggregateId += 1
  }

  /** Happens only before the ring has turned for the first time, so every place stays the same. */
  #grow(): void {
    this.#capacity = Math.min(this.#capacity * 2, this.#keptMax)
    this.#times = grown(this.#times, new Float64Array(this.#capacity))
    this.#ticks = grown(this.#ticks, new Int32Array(this.#capacity))
    this.#lots = grown(this.#lots, new Int32Array(this.#capacity))
    this.#buyerIsMaker = grown(this.#buyerIsMaker, new Uint8Array(this.#capacity))
  }
}

function grown<Column extends Float64Array | Int32Array | Uint8Array>(from: Column, to: Column): Column {
  to.set(from)
  return to
}
