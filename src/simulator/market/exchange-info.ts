import { digits } from './digits.ts'
import type { InstrumentSpec } from './instruments.ts'

/** The largest price and quantity that are told, in ticks and lots: what 32 bits hold. */
const UNITS_MAX = 2 ** 31 - 1

function symbolInfo(spec: InstrumentSpec): unknown {
  const { priceDecimals, quantityDecimals } = spec
  const tick = digits(1, priceDecimals)
  const step = digits(1, quantityDecimals)
  const usd = /USD|DAI/.test(spec.quote)
  return {
    symbol: spec.symbol,
    status: 'TRADING',
    baseAsset: spec.base,
    baseAssetPrecision: 8,
    quoteAsset: spec.quote,
    quotePrecision: 8,
    quoteAssetPrecision: 8,
    baseCommissionPrecision: 8,
    quoteCommissionPrecision: 8,
    orderTypes: ['LIMIT', 'LIMIT_MAKER', 'MARKET', 'STOP_LOSS', 'STOP_LOSS_LIMIT', 'TAKE_PROFIT', 'TAKE_PROFIT_LIMIT'],
    icebergAllowed: true,
    ocoAllowed: true,
    otoAllowed: true,
    opoAllowed: true,
    quoteOrderQtyMarketAllowed: true,
    allowTrailingStop: true,
    cancelReplaceAllowed: true,
    amendAllowed: true,
    pegInstructionsAllowed: true,
    isSpotTradingAllowed: true,
    isMarginTradingAllowed: false,
    filters: [
      { filterType: 'PRICE_FILTER', minPrice: tick, maxPrice: digits(UNITS_MAX, priceDecimals), tickSize: tick },
      { filterType: 'LOT_SIZE', minQty: step, maxQty: digits(UNITS_MAX, quantityDecimals), stepSize: step },
      { filterType: 'ICEBERG_PARTS', limit: 100 },
      {
        filterType: 'MARKET_LOT_SIZE',
        minQty: '0.00000000',
        maxQty: digits(spec.meanLots * 100, quantityDecimals),
        stepSize: '0.00000000',
      },
      {
        filterType: 'NOTIONAL',
        minNotional: usd ? '5.00000000' : '0.00010000',
        applyMinToMarket: true,
        maxNotional: '9000000.00000000',
        applyMaxToMarket: false,
        avgPriceMins: 5,
      },
      { filterType: 'MAX_NUM_ORDERS', maxNumOrders: 200 },
    ],
    permissions: [],
    permissionSets: [['SPOT']],
    defaultSelfTradePreventionMode: 'EXPIRE_MAKER',
    allowedSelfTradePreventionModes: ['EXPIRE_TAKER', 'EXPIRE_MAKER', 'EXPIRE_BOTH', 'DECREMENT'],
  }
}

/** The answer of REST `exchangeInfo` for these instruments. */
export function exchangeInfo(specs: readonly InstrumentSpec[], timeMs: number, requestWeightMax: number): string {
  const limit = (rateLimitType: string, interval: string, intervalNum: number, limit: number): unknown => ({
    rateLimitType,
    interval,
    intervalNum,
    limit,
  })
  return JSON.stringify({
    timezone: 'UTC',
    serverTime: timeMs,
    rateLimits: [
      limit('REQUEST_WEIGHT', 'MINUTE', 1, requestWeightMax),
      limit('ORDERS', 'SECOND', 10, 100),
      limit('ORDERS', 'DAY', 1, 200_000),
      limit('RAW_REQUESTS', 'MINUTE', 5, 300_000),
    ],
    exchangeFilters: [],
    symbols: specs.map(symbolInfo),
  })
}
