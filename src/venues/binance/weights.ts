/**
 * What a request costs of the weight per minute.
 *
 * Source: binance/binance-spot-api-docs rest-api.md, read 2026-07.
 */
export const RequestWeight = {
  time: 1,
  exchangeInfo: 20,
  historicalTrades: 25,
  trades: 25,
  aggTrades: 4,
  klines: 2,
  /** Of one symbol. */
  ticker24hr: 2,
} as const

/** A depth request costs by the number of levels asked for; more than 5,000 are answered as 5,000. */
export function depthWeight(limit: number): number {
  if (limit <= 100) return 5
  if (limit <= 500) return 25
  if (limit <= 1_000) return 50
  return 250
}
