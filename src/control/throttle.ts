import type { ControlledChannel } from './contract.ts'
import type { TableData } from './table-data.ts'

/** Channels that `ANALYTICS.FUSED` is made of; what throttles it is said of these. */
export const FUSED_CHANNELS: readonly ControlledChannel[] = ['TRADE', 'QUOTE', 'ORDERBOOK']

/**
 * Shortest time between two fused events of an instrument, ms: the shortest that anybody wants who is subscribed to one of
 * its fused channels. Who names none wants what the routes name, of several the shortest; where they name none, `generalMs`.
 */
export function fusedThrottleMs(table: TableData, market: string, instrument: string, generalMs: number): number {
  const named = FUSED_CHANNELS.map((type) => table.routeFor(market, instrument, type)?.throttleMs ?? null)
  const usualMs = shortestOf(named) ?? generalMs
  const wishes = FUSED_CHANNELS.flatMap((type) =>
    table.subscribers(market, instrument, type).map(({ throttleMs }) => throttleMs ?? usualMs),
  )
  return shortestOf(wishes) ?? usualMs
}

function shortestOf(times: readonly (number | null)[]): number | null {
  const named = times.filter((ms) => ms !== null)
  return named.length === 0 ? null : Math.min(...named)
}
