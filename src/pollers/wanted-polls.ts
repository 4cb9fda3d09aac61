import type { ControlledChannel } from '../control/contract.ts'
import type { TableData } from '../control/table-data.ts'
import type { Instrument, Market } from '../domain/instrument.ts'
import type { WantedPoll } from './poll.ts'

/** Channels that can be asked for on a schedule. */
const POLLED: readonly ControlledChannel[] = ['ORDERBOOK', 'TICKER']

/**
 * What the table wants asked on a schedule: the polls of the route of each channel that somebody is subscribed to and that is
 * not paused. Pure; in the order of `instruments`.
 */
export function wantedPolls(table: TableData, market: Market, instruments: readonly Instrument[]): WantedPoll[] {
  const wanted: WantedPoll[] = []
  for (const instrument of instruments) {
    for (const channel of POLLED) {
      if (!table.wants(market, instrument, channel)) continue
      for (const { type, everyMs } of table.routeFor(market, instrument, channel)?.polls ?? []) {
        wanted.push({ pollId: `${market}|${instrument}|${type}`, market, instrument, type, everyMs })
      }
    }
  }
  return wanted
}
