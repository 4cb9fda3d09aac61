import type { ControlledChannel } from '../control/contract.ts'
import { channelKey, type TableData } from '../control/table-data.ts'
import { Channel } from '../domain/event.ts'
import type { Instrument, InstrumentInfo, Market } from '../domain/instrument.ts'
import { patternTest } from '../lib/pattern.ts'
import type { Filter } from './filters.ts'
import {
  type DispatchTable,
  type DispatchTableInput,
  filterOf,
  offeredTopics,
  type RouteRule,
  routesFor,
  type TopicRoute,
  tableOf,
} from './table.ts'

const CHANNELS: readonly ControlledChannel[] = [
  ...([Channel.Trade, Channel.Quote, Channel.Ticker, Channel.Kline, Channel.OrderBook] as const),
]

export interface ControlledTableInput extends Omit<DispatchTableInput, 'rules' | 'version'> {
  readonly table: TableData
}

/**
 * The dispatch table as commands have made it: of every instrument the channels that at least one subscription wants, by the
 * first route that says how they are had. What one consumer filters out another one gets; KLINE carries the intervals of all.
 */
export function buildControlledTable(input: ControlledTableInput): DispatchTable {
  const { table, market, instruments, names, available } = input
  const offered = offeredTopics(available, names)
  const routes = new Map<string, TopicRoute>()
  const ways = table.routesInOrder
    .filter((route) => route.market === market)
    .map((route) => ({ route, tests: route.instruments.map(patternTest) }))
  for (const channel of CHANNELS) {
    const ofChannel = ways.filter(({ route }) => route.type === channel)
    for (const info of instruments) {
      const { instrument } = info
      if (info.market !== market || !table.wants(market, instrument, channel)) continue
      const way = ofChannel.find(({ tests }) => tests.some((test) => test(instrument)))
      if (way === undefined) continue
      const wishes = table.subscribers(market, instrument, channel)
      const intervals = new Set(wishes.flatMap((wish) => wish.intervals ?? way.route.intervals ?? []))
      const rule: RouteRule = {
        ...{ type: channel, market, instruments: way.route.instruments },
        ...(way.route.via === null ? {} : { via: way.route.via }),
        ...(channel === Channel.Kline ? { intervals: [...intervals] } : {}),
      }
      const filter = both(
        filterOf({ type: channel, filters: way.route.filters }),
        any(wishes.map(({ filters }) => filterOf({ type: channel, filters }))),
      )
      const state = table.channels.get(channelKey(market, instrument, channel))
      const version = state?.open === true ? state.version : way.route.sinceVersion
      for (const route of routesFor(rule, info, filter, names, offered)) routes.set(route.topic, { ...route, version })
    }
  }
  return tableOf({ version: table.version, market, available }, routes)
}

/** Table version under which the events of a channel are offered; null: nobody wants them, or no route says how they are had. */
export function channelVersion(table: TableData, market: Market, instrument: Instrument, type: Channel): number | null {
  if (!CHANNELS.includes(type as ControlledChannel)) return null
  const channel = type as ControlledChannel
  const route = table.routeFor(market, instrument, channel)
  if (route === null || !table.wants(market, instrument, channel)) return null
  const state = table.channels.get(channelKey(market, instrument, channel))
  return state?.open === true ? state.version : route.sinceVersion
}

/** Native topics that a channel of an instrument has or would have, whether it is wanted or not. */
export function topicsOf(
  { table, market, names, available }: Omit<ControlledTableInput, 'instruments'>,
  info: InstrumentInfo,
  type: ControlledChannel,
): readonly Pick<TopicRoute, 'topic' | 'interval'>[] {
  const route = table.routeFor(market, info.instrument, type)
  if (route === null) return []
  const rule: RouteRule = {
    ...{ type, market, instruments: route.instruments },
    ...(route.via === null ? {} : { via: route.via }),
    ...(type === Channel.Kline ? { intervals: route.intervals ?? [] } : {}),
  }
  return routesFor(rule, info, null, names, offeredTopics(available, names))
}

/** Channels of an instrument that a table feeds, as `INSTRUMENT:CHANNEL`. */
export function fedKey(instrument: Instrument | string, channel: string): string {
  return `${instrument}:${channel}`
}

function both(left: Filter | null, right: Filter | null): Filter | null {
  if (left === null || right === null) return left ?? right
  return (event) => left(event) && right(event)
}

/** null: somebody wants everything. */
function any(filters: readonly (Filter | null)[]): Filter | null {
  const tests: Filter[] = []
  for (const filter of filters) {
    if (filter === null) return null
    tests.push(filter)
  }
  return (event) => tests.some((test) => test(event))
}
