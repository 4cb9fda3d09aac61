import { FusedChannels } from '../domain/fusion/fusion.ts'
import type { TableData } from './table-data.ts'

/**
 * Shortest time between two fused events of an instrument, ms: the shortest that anybody wants who is subscribed to one of
 * its fused channels. Who names none wants what the routes name, of several the shortest; where they name none, `generalMs`.
 */
export function fusedThrottleMs(table: TableData, market: string, instrument: string, generalMs: number): number {
  const named = FusedChannels.map((type) => table.routeFor(market, instrument, type)?.throttleMs ?? null)
  const usualMs = shortestOf(named) ?? generalMs
  const wishes = FusedChannels.flatMap((type) =>
    table.subscribers(market, instrument, type).map(({ throttleMs }) => throttleMs ?? usualMs),
  )
  return shortestOf(wishes) ?? usualMs
}

function shortestOf(times: readonly (number | null)[]): number | null {
  const named = times.filter((ms) => ms !== null)
  return named.length === 0 ? null : Math.min(...named)
}
