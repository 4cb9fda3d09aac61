const QUOTES = 'FDUSD USDT USDC TUSD BUSD USD1 DAI USD BTC ETH BNB EUR TRY BRL GBP JPY RUB'.split(' ')
/** Rarer quotes, asked only when none of the others fits, because some of them also end the name of a base. */
const QUOTES_RARE =
  'IDRT BIDR BKRW BVND USDP USDS EURI DOGE UAH NGN AUD ZAR PLN RON ARS MXN COP CZK TRX XRP SOL DOT PAX VAI'.split(' ')
export const REQUEST_WEIGHT_MAX = 6000

interface ExchangeInfo {
  rateLimits?: readonly { rateLimitType?: unknown; interval?: unknown; intervalNum?: unknown; limit?: unknown }[]
  symbols: { symbol: string }[]
}

/** Splits a symbol at the longest known quote; null when there is none. */
export function splitSymbol(symbol: string): { base: string; quote: string } | null {
  const quote = longestEnd(symbol, QUOTES) ?? longestEnd(symbol, QUOTES_RARE)
  return quote === null ? null : { base: symbol.slice(0, -quote.length), quote }
}

function longestEnd(symbol: string, quotes: readonly string[]): string | null {
  let longest: string | null = null
  for (const quote of quotes) {
    if (symbol.length > quote.length && symbol.endsWith(quote) && quote.length > (longest?.length ?? 0)) longest = quote
  }
  return longest
}

/**
 * The `exchangeInfo` of a replay: the recorded one, completed by the symbols it lacks, or one made of the symbols alone.
 * Tick and step of made symbols are the venue's own precision, since a capture does not tell them.
 */
export class ReplayedExchangeInfo {
  readonly #info: ExchangeInfo
  readonly #body: string
  readonly requestWeightMax: number
  /** Symbols of no known quote, which it therefore cannot list. */
  readonly unlisted: readonly string[]

  constructor(recorded: string | null, symbols: ReadonlySet<string>, nowMs: number) {
    this.#info = parseInfo(recorded) ?? madeInfo(nowMs)
    const known = new Set(this.#info.symbols.map((entry) => entry.symbol))
    const lacking = [...symbols].filter((symbol) => !known.has(symbol))
    const missing = lacking.filter((symbol) => splitSymbol(symbol) !== null)
    this.unlisted = lacking.filter((symbol) => splitSymbol(symbol) === null)
    for (const symbol of missing) this.#info.symbols.push(madeSymbol(symbol))
    this.#body = recorded !== null && missing.length === 0 && known.size > 0 ? recorded : JSON.stringify(this.#info)
    this.requestWeightMax = weightMaxOf(this.#info)
  }

  /** The answer to a request with `symbol` or `symbols`; null when it names one that does not exist. */
  body(query: URLSearchParams): string | null {
    const wanted = wantedSymbols(query)
    if (wanted === null) return this.#body
    const entries = this.#info.symbols.filter((entry) => wanted.includes(entry.symbol))
    return entries.length === wanted.length ? JSON.stringify({ ...this.#info, symbols: entries }) : null
  }
}

function wantedSymbols(query: URLSearchParams): readonly string[] | null {
  const one = query.get('symbol')
  if (one !== null) return [one]
  const many = query.get('symbols')
  if (many === null) return null
  try {
    const list: unknown = JSON.parse(many)
    return Array.isArray(list) ? [...new Set(list.map(String))] : ['']
  } catch {
    return ['']
  }
}

function parseInfo(recorded: string | null): ExchangeInfo | null {
  if (recorded === null) return null
  try {
    const info = JSON.parse(recorded) as ExchangeInfo
    return Array.isArray(info.symbols) ? info : null
  } catch {
    return null
  }
}

function weightMaxOf(info: ExchangeInfo): number {
  for (const limit of info.rateLimits ?? []) {
    if (limit.rateLimitType === 'REQUEST_WEIGHT' && limit.interval === 'MINUTE' && limit.intervalNum === 1) {
      return typeof limit.limit === 'number' ? limit.limit : REQUEST_WEIGHT_MAX
    }
  }
  return REQUEST_WEIGHT_MAX
}

function madeInfo(nowMs: number): ExchangeInfo & Record<string, unknown> {
  return {
    timezone: 'UTC',
    serverTime: nowMs,
    rateLimits: [
      { rateLimitType: 'REQUEST_WEIGHT', interval: 'MINUTE', intervalNum: 1, limit: REQUEST_WEIGHT_MAX },
      { rateLimitType: 'ORDERS', interval: 'SECOND', intervalNum: 10, limit: 100 },
      { rateLimitType: 'ORDERS', interval: 'DAY', intervalNum: 1, limit: 200_000 },
      { rateLimitType: 'RAW_REQUESTS', interval: 'MINUTE', intervalNum: 5, limit: 300_000 },
    ],
    exchangeFilters: [],
    symbols: [],
  }
}

function madeSymbol(symbol: string): { symbol: string } & Record<string, unknown> {
  const { base, quote } = splitSymbol(symbol) ?? { base: symbol, quote: '' }
  return {
    symbol,
    status: 'TRADING',
    baseAsset: base,
    baseAssetPrecision: 8,
    quoteAsset: quote,
    quotePrecision: 8,
    quoteAssetPrecision: 8,
    baseCommissionPrecision: 8,
    quoteCommissionPrecision: 8,
    orderTypes: ['LIMIT', 'LIMIT_MAKER', 'MARKET'],
    isSpotTradingAllowed: true,
    isMarginTradingAllowed: false,
    filters: [
      { filterType: 'PRICE_FILTER', minPrice: '0.00000001', maxPrice: '1000000.00000000', tickSize: '0.00000001' },
      { filterType: 'LOT_SIZE', minQty: '0.00000001', maxQty: '92141578.00000000', stepSize: '0.00000001' },
      {
        filterType: 'NOTIONAL',
        minNotional: '0.00010000',
        applyMinToMarket: true,
        maxNotional: '9000000.00000000',
        applyMaxToMarket: false,
        avgPriceMins: 5,
      },
    ],
    permissions: [],
    permissionSets: [['SPOT']],
  }
}
