/** What has been replayed so far, kept so that REST can be asked for it. */

const TRADES_PER_SYMBOL_MAX = 50_000
const TRADES_MAX = 400_000
const BARS_PER_INTERVAL_MAX = 1000
export const ROWS_MAX = 1000
const ROWS_DEFAULT = 500

interface Tape {
  readonly ids: number[]
  /** Payload texts as they were sent; a row is made only when somebody asks. */
  readonly texts: string[]
}

/** Trades of one numbering (`trade` or `aggTrade`), per symbol, ascending and without repeats; bounded, the oldest go. */
export class ReplayedTrades {
  readonly #tapes = new Map<string, Tape>()
  readonly #idMember: '"t":' | '"a":'
  #count = 0

  constructor(numbering: 'trade' | 'aggTrade') {
    this.#idMember = numbering === 'trade' ? '"t":' : '"a":'
  }

  get count(): number {
    return this.#count
  }

  /** Takes the payload of a trade frame; what has no id is not a trade that anybody could ask for. */
  add(symbol: string, data: string): void {
    const at = data.indexOf(this.#idMember)
    const id = at === -1 ? Number.NaN : Number.parseInt(data.slice(at + 4, at + 24).trimStart(), 10)
    if (!Number.isSafeInteger(id)) return
    let tape = this.#tapes.get(symbol)
    if (!tape) {
      tape = { ids: [], texts: [] }
      this.#tapes.set(symbol, tape)
    }
    const newest = tape.ids.at(-1)
    if (newest === undefined || id > newest) {
      tape.ids.push(id)
      tape.texts.push(data)
    } else {
      const index = lowerBound(tape.ids, id)
      if (tape.ids[index] === id) return
      tape.ids.splice(index, 0, id)
      tape.texts.splice(index, 0, data)
    }
    this.#count++
    if (tape.ids.length > TRADES_PER_SYMBOL_MAX) this.#trim(tape)
    if (this.#count > TRADES_MAX) this.#trimLongest()
  }

  /** Payloads with ids from `fromId` upwards, or the newest when null; ascending, at most `limit`. */
  select(symbol: string, fromId: number | null, limit: number): readonly string[] {
    const tape = this.#tapes.get(symbol)
    if (!tape) return []
    const from = fromId === null ? Math.max(0, tape.texts.length - limit) : lowerBound(tape.ids, fromId)
    return tape.texts.slice(from, from + limit)
  }

  /** Payloads whose `T` lies in the closed range of milliseconds; ascending, at most `limit`. */
  selectTimes(symbol: string, startMs: number, endMs: number, limit: number): readonly string[] {
    const chosen: string[] = []
    for (const text of this.#tapes.get(symbol)?.texts ?? []) {
      const at = text.indexOf('"T":')
      const timeMs = at === -1 ? Number.NaN : Number.parseInt(text.slice(at + 4, at + 24).trimStart(), 10)
      if (timeMs >= startMs && timeMs <= endMs && chosen.push(text) === limit) break
    }
    return chosen
  }

  #trimLongest(): void {
    let longest: Tape | undefined
    for (const tape of this.#tapes.values()) if (!longest || tape.ids.length > longest.ids.length) longest = tape
    if (longest) this.#trim(longest)
  }

  /** A quarter at a time, so that the cost of moving the rest is paid rarely. */
  #trim(tape: Tape): void {
    const cut = Math.max(1, tape.ids.length >> 2)
    tape.ids.splice(0, cut)
    tape.texts.splice(0, cut)
    this.#count -= cut
  }
}

interface Bar {
  readonly t: number
  readonly T: number
  readonly o: string
  readonly h: string
  readonly l: string
  readonly c: string
  readonly v: string
  readonly q: string
  readonly n: number
  readonly V: string
  readonly Q: string
}

/** The newest state of each bar that kline frames told, per symbol and interval. */
export class ReplayedBars {
  readonly #bars = new Map<string, Map<number, Bar>>()

  add(symbol: string, data: string): void {
    const bar = barOf(data)
    if (!bar) return
    const key = `${symbol} ${bar.interval}`
    let bars = this.#bars.get(key)
    if (!bars) {
      bars = new Map()
      this.#bars.set(key, bars)
    }
    bars.set(bar.bar.t, bar.bar)
    if (bars.size > BARS_PER_INTERVAL_MAX) bars.delete(Math.min(...bars.keys()))
  }

  /** Rows of Binance's `klines` with open times in the closed range, ascending. */
  select(symbol: string, interval: string, startMs: number, endMs: number, limit: number): readonly unknown[][] {
    const bars = [...(this.#bars.get(`${symbol} ${interval}`)?.values() ?? [])]
      .filter((bar) => bar.t >= startMs && bar.t <= endMs)
      .sort((one, other) => one.t - other.t)
    const chosen = startMs > 0 ? bars.slice(0, limit) : bars.slice(-limit)
    return chosen.map((bar) => [bar.t, bar.o, bar.h, bar.l, bar.c, bar.v, bar.T, bar.q, bar.n, bar.V, bar.Q, '0'])
  }
}

function barOf(data: string): { interval: string; bar: Bar } | null {
  try {
    const bar = (JSON.parse(data) as { k?: Bar & { i?: unknown } }).k
    return bar && typeof bar.i === 'string' && typeof bar.t === 'number' ? { interval: bar.i, bar } : null
  } catch {
    return null
  }
}

/**
 * Rows of `historicalTrades` and `trades` from payloads of trade frames; what was recorded broken has no row.
 * Source: binance/binance-spot-api-docs rest-api.md, "Recent trades list", "Compressed/Aggregate trades list".
 */
export function tradeRows(payloads: readonly string[]): string {
  return rows(payloads, (data) => {
    const trade = JSON.parse(data) as { t: number; p: string; q: string; T: number; m: boolean; M?: boolean }
    return (
      `{"id":${trade.t},"price":"${trade.p}","qty":"${trade.q}","quoteQty":"${product(trade.p, trade.q)}",` +
      `"time":${trade.T},"isBuyerMaker":${trade.m},"isBestMatch":${trade.M ?? true}}`
    )
  })
}

/** Rows of `aggTrades`, which keep the words of the frames. */
export function aggregateRows(payloads: readonly string[]): string {
  return rows(payloads, (data) => {
    const { a, p, q, f, l, T, m, M } = JSON.parse(data) as Record<string, unknown>
    return JSON.stringify({ a, p, q, f, l, T, m, M: M ?? true })
  })
}

function rows(payloads: readonly string[], row: (data: string) => string): string {
  const texts: string[] = []
  for (const data of payloads) {
    try {
      texts.push(row(data))
    } catch {
      // A payload that was recorded broken cannot be asked for: its id is simply not among the rows.
    }
  }
  return `[${texts.join(',')}]`
}

/** The limit a client asked for, within what the venue gives. */
export function rowLimit(text: string | null): number {
  const limit = text === null ? ROWS_DEFAULT : Number(text)
  return Number.isInteger(limit) && limit > 0 ? Math.min(limit, ROWS_MAX) : ROWS_DEFAULT
}

/** Exact, to 8 decimals as the venue pads them. */
function product(price: string, quantity: string): string {
  const [priceUnits, priceDigits] = unitsOf(price)
  const [quantityUnits, quantityDigits] = unitsOf(quantity)
  const digits = priceDigits + quantityDigits
  const units =
    digits > 8
      ? (priceUnits * quantityUnits) / 10n ** BigInt(digits - 8)
      : priceUnits * quantityUnits * 10n ** BigInt(8 - digits)
  const text = units.toString().padStart(9, '0')
  return `${text.slice(0, -8)}.${text.slice(-8)}`
}

function unitsOf(decimal: string): [bigint, number] {
  const dot = decimal.indexOf('.')
  return dot === -1
    ? [BigInt(decimal), 0]
    : [BigInt(decimal.slice(0, dot) + decimal.slice(dot + 1)), decimal.length - dot - 1]
}

function lowerBound(ids: readonly number[], id: number): number {
  let low = 0
  let high = ids.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ids[middle] as number) < id) low = middle + 1
    else high = middle
  }
  return low
}
