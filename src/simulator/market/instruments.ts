import { crc32 } from 'node:zlib'
import { UsageError } from '../../errors.ts'
import { splitSymbol } from '../exchange-info.ts'
import { DECIMAL_PLACES } from './digits.ts'

/** What is fixed about one instrument of the generated venue. Prices count in ticks, quantities in lots. */
export interface InstrumentSpec {
  readonly symbol: string
  readonly base: string
  readonly quote: string
  /** A tick is 10^-priceDecimals, a lot 10^-quantityDecimals; together at most 8, so quote volumes are exact. */
  readonly priceDecimals: number
  readonly quantityDecimals: number
  readonly startTicks: number
  readonly meanLots: number
  /** Share of the order flow, relative to the other instruments. */
  readonly weight: number
  /** Price levels a side that the book tends to. */
  readonly levels: number
  readonly firstTradeId: number
  readonly firstAggregateId: number
  readonly firstUpdateId: number
  /** Trades kept for REST answers. */
  readonly tradesKept: number
  /** Tells its random numbers from those of the others. */
  readonly stream: number
}

export interface InstrumentChoice {
  /** How many of the standard list, or the venue's symbols. */
  readonly instruments: number | readonly string[]
  readonly weights?: readonly number[]
  readonly levelsMax?: number
}

export const INSTRUMENTS_MAX = 5000
/** Trades kept for one instrument at most, and for all together about; at least the minimum for each. */
export const TRADES_KEPT_MAX = 100_000
export const TRADES_KEPT_MIN = 1000
export const TRADES_KEPT_TOTAL = 4_000_000
export const LEVELS_MAX = 1500
const LEVELS_FLOOR = 100
/** The busiest books are deep, the others thin out with their rank. */
const DEEP_BOOKS = 10
/** The value of a typical order in US dollars. */
const TYPICAL_ORDER_USD = 1000

/** What one unit of a quote is worth in US dollars, for plausible prices. */
const QUOTES_USD: Readonly<Record<string, number>> = {
  FDUSD: 1,
  USDT: 1,
  USDC: 1,
  TUSD: 1,
  BUSD: 1,
  USD1: 1,
  DAI: 1,
  USD: 1,
  BTC: 61_800,
  ETH: 2680,
  BNB: 510,
  EUR: 1.09,
  TRY: 0.03,
  BRL: 0.18,
  GBP: 1.27,
  JPY: 0.0068,
  RUB: 0.011,
}
const BASES_USD: Readonly<Record<string, number>> = {
  BTC: 61_800,
  ETH: 2680,
  BNB: 510,
  SOL: 155,
  XRP: 0.61,
  DOGE: 0.104,
  ADA: 0.34,
  TRX: 0.128,
  AVAX: 22,
  LINK: 10.6,
  DOT: 4.7,
  LTC: 61,
  BCH: 345,
  NEAR: 4.1,
  UNI: 6.2,
  ATOM: 4.5,
  XLM: 0.1,
  ETC: 19,
  FIL: 3.6,
  APT: 6.1,
  ICP: 7.9,
  ARB: 0.57,
  OP: 1.4,
  AAVE: 103,
  INJ: 18,
  ALGO: 0.12,
  SUI: 0.9,
  SEI: 0.28,
  TON: 6.4,
  RUNE: 3.7,
}

const CONSONANTS = 'BDFGHKLMNPRSTVZ'
const VOWELS = 'AEIO'

function inventedBase(index: number): string {
  const consonant = (n: number): string => CONSONANTS[n % CONSONANTS.length] as string
  const first = consonant(index)
  const vowel = VOWELS[Math.floor(index / CONSONANTS.length) % VOWELS.length] as string
  const rest = Math.floor(index / (CONSONANTS.length * VOWELS.length))
  return `${first}${vowel}${consonant(rest)}${VOWELS[Math.floor(rest / CONSONANTS.length) % VOWELS.length]}X`
}

/** The standard list: known bases in USDT first, a few in other quotes, then invented names. Does not depend on the seed. */
export function standardSymbols(count: number): string[] {
  const symbols: string[] = []
  const known = new Set<string>()
  const add = (base: string, quote: string): void => {
    const symbol = base + quote
    const split = splitSymbol(symbol)
    // A name that reads as another pair, or as another instrument, would make the list ambiguous.
    if (symbols.length >= count || known.has(symbol) || split?.base !== base) return
    known.add(symbol)
    symbols.push(symbol)
  }
  for (const base of Object.keys(BASES_USD)) add(base, 'USDT')
  for (const base of ['ETH', 'BNB', 'SOL', 'XRP', 'LTC']) add(base, 'BTC')
  for (const quote of ['USDC', 'FDUSD', 'EUR', 'TRY']) for (const base of ['BTC', 'ETH', 'SOL', 'XRP']) add(base, quote)
  add('USDT', 'TRY')
  add('1000SATS', 'USDT')
  for (let index = 0; symbols.length < count; index += 1) {
    const base = inventedBase(index)
    add(base, 'USDT')
    if (index % 4 === 0) add(base, 'USDC')
    if (index % 8 === 0) add(base, 'BTC')
  }
  return symbols
}

/** A price in US dollars; for a name nobody knows 0.005 to 50, by its hash. */
function priceUsd(asset: string): number {
  const known = QUOTES_USD[asset] ?? BASES_USD[asset]
  if (known !== undefined) return known
  const hash = crc32(asset)
  return ([0.005, 0.05, 0.5, 5][hash % 4] as number) * (1 + ((hash >>> 8) % 900) / 100)
}

function specOf(symbol: string, rank: number, weight: number, weightSum: number, levelsMax: number): InstrumentSpec {
  const split = splitSymbol(symbol)
  if (!split || !/^[A-Z0-9]+$/.test(symbol)) {
    throw new UsageError(
      `expected an instrument in capital letters that ends in a known quote such as USDT, found "${symbol}"`,
    )
  }
  const { base, quote } = split
  const quoteUsd = priceUsd(quote)
  const baseUsd = priceUsd(base)
  const price = baseUsd / quoteUsd
  let priceDecimals = 2
  while (price * 10 ** priceDecimals < 10_000 && priceDecimals < DECIMAL_PLACES) priceDecimals += 1
  const typicalQuantity = TYPICAL_ORDER_USD / baseUsd
  let quantityDecimals = 0
  while (typicalQuantity * 10 ** quantityDecimals < 1000 && priceDecimals + quantityDecimals < DECIMAL_PLACES) {
    quantityDecimals += 1
  }
  const startTicks = Math.max(100, Math.round(price * 10 ** priceDecimals))
  const hash = crc32(symbol)
  const deep = rank < DEEP_BOOKS ? levelsMax : Math.max(LEVELS_FLOOR, Math.round((levelsMax * DEEP_BOOKS) / rank))
  const kept = Math.round((TRADES_KEPT_TOTAL * weight) / weightSum)
  return {
    symbol,
    base,
    quote,
    priceDecimals,
    quantityDecimals,
    startTicks,
    meanLots: Math.max(2, Math.round(typicalQuantity * 10 ** quantityDecimals)),
    weight,
    levels: Math.max(10, Math.min(deep, levelsMax, Math.floor(startTicks / 10))),
    firstTradeId: 3_000_000_000 + (hash % 900_000_000),
    firstAggregateId: 2_000_000_000 + (hash % 700_000_000),
    firstUpdateId: 50_000_000_000 + (hash % 1_000_000_000) * 7,
    tradesKept: Math.min(TRADES_KEPT_MAX, Math.max(TRADES_KEPT_MIN, kept)),
    stream: hash | 0,
  }
}

/**
 * The instruments of a generated market, busiest first: weights fall as 1, 1/2, 1/3 ... unless given.
 *
 * Throws: UsageError for an empty, doubled, unknown or too long list, or weights that do not fit it.
 */
export function chooseInstruments(choice: InstrumentChoice): InstrumentSpec[] {
  const { instruments, weights, levelsMax = LEVELS_MAX } = choice
  const count = typeof instruments === 'number' ? instruments : instruments.length
  if (!Number.isInteger(count) || count < 1 || count > INSTRUMENTS_MAX) {
    throw new UsageError(`expected 1 to ${INSTRUMENTS_MAX} instruments, found ${count}`)
  }
  const symbols = typeof instruments === 'number' ? standardSymbols(count) : instruments
  const doubled = symbols.find((symbol, index) => symbols.indexOf(symbol) !== index)
  if (doubled !== undefined) throw new UsageError(`expected every instrument once, found "${doubled}" twice`)
  if (!Number.isInteger(levelsMax) || levelsMax < 10 || levelsMax > 5000) {
    throw new UsageError(`expected 10 to 5000 levels, found ${levelsMax}`)
  }
  const shares = weights ?? symbols.map((_, rank) => 1 / (rank + 1))
  const sum = shares.reduce((total, share) => total + share, 0)
  if (shares.length !== symbols.length || !shares.every((share) => share >= 0) || !(sum > 0 && sum < Infinity)) {
    throw new UsageError(`expected ${symbols.length} weights, none below 0, some above, found ${shares.join(' ')}`)
  }
  return symbols.map((symbol, rank) => specOf(symbol, rank, shares[rank] as number, sum, levelsMax))
}
