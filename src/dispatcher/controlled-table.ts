import type { ControlledChannel, Route } from '../control/contract.ts'
import { channelKey, type TableData } from '../control/table-data.ts'
import { Channel } from '../domain/event.ts'
import type { Instrument, InstrumentInfo, Market } from '../domain/instrument.ts'
import { patternTest } from '../lib/pattern.ts'
import type { Filter } from './filters.ts'
import {
  type DispatchTable,
  type DispatchTableInput,
  filterOf,
  type OfferedTopics,
  offeredTopics,
  type RouteRule,
  routesFor,
  type TopicRoute,
  tableOf,
} from './table.ts'

const CHANNELS: readonly ControlledChannel[] = [
  ...([Channel.Trade, Channel.Quote, Channel.Ticker, Channel.Kline, Channel.OrderBook] as const),
]

/** Topics remembered as stopped; beyond, the oldest are forgotten, and what still comes by them is told as unmapped. */
const FORMER_MAX = 10_000

export interface ControlledTableInput extends Omit<DispatchTableInput, 'rules' | 'version'> {
  readonly table: TableData
}

/** The dispatch table as commands have made it. Throws: UsageError where a route or a filter cannot be met at all. */
export function buildControlledTable({ table, instruments, ...fixed }: ControlledTableInput): DispatchTable {
  return new ControlledRoutes(fixed).rebuild(table, instruments)
}

/**
 * The dispatch table as commands have made it: of every instrument the channels that at least one subscription wants, by the
 * first route that says how they are had. What one consumer filters out another one gets; KLINE carries the intervals of all.
 * What a command is not about is not worked out again: with all instruments of a venue that takes as long as a frame must not
 * wait.
 */
export class ControlledRoutes {
  readonly #fixed: Omit<ControlledTableInput, 'table' | 'instruments'>
  readonly #offered: OfferedTopics | null
  #infos: ReadonlyMap<string, InstrumentInfo> = new Map()
  readonly #byChannel = new Map<string, readonly TopicRoute[]>()
  readonly #former = new Set<string>()

  constructor(fixed: Omit<ControlledTableInput, 'table' | 'instruments'>) {
    this.#fixed = fixed
    this.#offered = offeredTopics(fixed.available, fixed.names)
  }

  rebuild(table: TableData, instruments: readonly InstrumentInfo[]): DispatchTable {
    this.#infos = new Map(instruments.map((info) => [info.instrument, info]))
    for (const [key, routes] of this.#byChannel) {
      this.#byChannel.delete(key)
      for (const { topic } of routes) this.#former.add(topic)
    }
    for (const channel of CHANNELS) {
      const ways = this.#waysOf(table, channel)
      for (const info of instruments) this.#work(table, info, channel, ways)
    }
    return this.#tableOf(table)
  }

  /** After changes that are about these channels and no others. */
  update(
    table: TableData,
    about: Iterable<{ readonly instrument: string; readonly type: ControlledChannel }>,
  ): DispatchTable {
    for (const { instrument, type } of about) {
      const info = this.#infos.get(instrument)
      if (info !== undefined) this.#work(table, info, type, this.#waysOf(table, type))
    }
    return this.#tableOf(table)
  }

  #tableOf({ version }: TableData): DispatchTable {
    const { market, available } = this.#fixed
    const routes = new Map<string, TopicRoute>()
    for (const ofChannel of this.#byChannel.values()) for (const route of ofChannel) routes.set(route.topic, route)
    for (const topic of this.#former) {
      if (this.#former.size <= FORMER_MAX) break
      this.#former.delete(topic)
    }
    return { ...tableOf({ version, market, available }, routes), former: new Set(this.#former) }
  }

  #waysOf(table: TableData, channel: ControlledChannel): Way[] {
    return table.routesInOrder
      .filter(({ market, type }) => market === this.#fixed.market && type === channel)
      .map((route) => ({ route, tests: route.instruments.map(patternTest) }))
  }

  #work(table: TableData, info: InstrumentInfo, channel: ControlledChannel, ways: readonly Way[]): void {
    const key = fedKey(info.instrument, channel)
    const routes = this.#routesOf(table, info, channel, ways)
    for (const { topic } of this.#byChannel.get(key) ?? []) this.#former.add(topic)
    for (const { topic } of routes) this.#former.delete(topic)
    if (routes.length > 0) this.#byChannel.set(key, routes)
    else this.#byChannel.delete(key)
  }

  #routesOf(table: TableData, info: InstrumentInfo, channel: ControlledChannel, ways: readonly Way[]): TopicRoute[] {
    const { market, names } = this.#fixed
    const { instrument } = info
    if (info.market !== market || !table.wants(market, instrument, channel)) return []
    const way = ways.find(({ tests }) => tests.some((test) => test(instrument)))
    if (way === undefined) return []
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
    return routesFor(rule, info, filter, names, this.#offered).map((route) => ({ ...route, version }))
  }
}

interface Way {
  readonly route: Route
  readonly tests: readonly ((instrument: string) => boolean)[]
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
