import { Channel, type TradeNumbering } from '../domain/event.ts'
import type { Instrument, InstrumentInfo, Market, VenueSymbol } from '../domain/instrument.ts'
import { UsageError } from '../errors.ts'
import { patternTest } from '../lib/pattern.ts'
import type { VenueEvent } from '../venues/venue.ts'
import { channelOfKind } from './canonical.ts'
import { compileFilter, type Filter, type FilterRule, looksAtData } from './filters.ts'

export type StreamedChannel = Exclude<Channel, typeof Channel.Analytics>

/** One line of the configuration: which channel of which instruments flows. */
export interface RouteRule {
  readonly type: StreamedChannel
  readonly market: string
  /** Instruments or patterns with `*`, for example `BTC-*`. */
  readonly instruments: readonly string[]
  /** TRADE: which of the venue's numberings; `auto` takes `trade` where it can be subscribed to, else `aggTrade`. */
  readonly via?: TradeNumbering | 'auto'
  /** KLINE: the venue's words; `*` is every interval among the available topics. */
  readonly intervals?: readonly string[]
  readonly filters?: readonly FilterRule[]
}

/** A venue's names of its topics; `venues/binance/topics.ts` fulfils it. */
export interface TopicNames {
  topicFor(channel: StreamedChannel, symbol: VenueSymbol, options?: { via?: TradeNumbering; interval?: string }): string
  parseTopic(topic: string): {
    readonly topic: string
    readonly symbol: VenueSymbol
    readonly channel: StreamedChannel
    readonly numbering: TradeNumbering | null
    readonly interval: string | null
  } | null
}

/** What one native topic feeds. */
export interface TopicRoute {
  readonly topic: string
  readonly channel: StreamedChannel
  readonly instrument: Instrument
  readonly symbol: VenueSymbol
  readonly numbering: TradeNumbering | ''
  /** KLINE, else ''. */
  readonly interval: string
  readonly filter: Filter | null
  /** ORDERBOOK: the topic of the best prices that prove it; absent where it cannot be had. */
  readonly ticker?: string
  /** Table version under which its events are offered; absent: the table's. */
  readonly version?: number
}

/** A topic that is subscribed to for the proof of a book alone: nobody wants the QUOTE of its instrument. */
export type TickerRoute = Pick<TopicRoute, 'topic' | 'instrument' | 'symbol'>

export interface DispatchTable {
  readonly version: number
  readonly market: Market
  readonly routes: ReadonlyMap<string, TopicRoute>
  /** By topic; what comes by these enters no stream. */
  readonly tickers: ReadonlyMap<string, TickerRoute>
  /** What to subscribe to, in the order of the routes, and the tickers. */
  readonly topics: readonly string[]
  /** Topics that are there and meant to be left out: what comes by them is no error. */
  readonly ignored: ReadonlySet<string>
  /** Topics that were routed until commands stopped them: the venue's last events of them may be under way. */
  readonly former?: ReadonlySet<string>
}

export interface DispatchTableInput {
  readonly version: number
  readonly market: Market
  readonly rules: readonly RouteRule[]
  readonly instruments: readonly InstrumentInfo[]
  readonly names: TopicNames
  /** The only topics that can be had (a replay); null when any may be asked for. */
  readonly available: ReadonlySet<string> | null
}

/**
 * The dispatch table: canonical type and filters to native topics, and back from each topic to what it feeds. Built anew,
 * with the next version, whenever rules or instruments change.
 *
 * Throws: UsageError where a filter would make holes in a contiguous channel, or a rule cannot be met at all.
 */
export function buildDispatchTable(input: DispatchTableInput): DispatchTable {
  const routes = new Map<string, TopicRoute>()
  const fed = new Set<string>()
  const offered = offeredTopics(input.available, input.names)
  for (const rule of input.rules) {
    if (rule.market !== input.market) continue
    const filter = filterOf(rule)
    const tests = rule.instruments.map(patternTest)
    const matches = (instrument: string): boolean => tests.some((test) => test(instrument))
    for (const info of input.instruments) {
      if (info.market !== input.market || !matches(info.instrument)) continue
      for (const route of routesFor(rule, info, filter, input.names, offered)) {
        // The first rule that feeds a channel (of an interval) wins: two topics in one channel would disturb each other.
        const key = `${info.instrument}:${route.channel}:${route.interval}`
        if (fed.has(key) || routes.has(route.topic)) continue
        fed.add(key)
        routes.set(route.topic, route)
      }
    }
  }
  return tableOf(input, routes)
}

export function tableOf(
  { version, market, available }: Pick<DispatchTableInput, 'version' | 'market' | 'available'>,
  routes: ReadonlyMap<string, TopicRoute>,
): DispatchTable {
  const tickers = new Map<string, TickerRoute>()
  for (const { ticker, instrument, symbol } of routes.values()) {
    if (ticker !== undefined && !routes.has(ticker)) tickers.set(ticker, { topic: ticker, instrument, symbol })
  }
  const ignored = new Set<string>()
  for (const topic of available ?? []) if (!routes.has(topic) && !tickers.has(topic)) ignored.add(topic)
  return { version, market, routes, tickers, topics: [...routes.keys(), ...tickers.keys()], ignored }
}

export type OfferedTopics = ReadonlyMap<VenueSymbol, readonly NonNullable<ReturnType<TopicNames['parseTopic']>>[]>

/** The topics that can be had, by symbol; null where any may be asked for. */
export function offeredTopics(topics: ReadonlySet<string> | null, names: TopicNames): OfferedTopics | null {
  if (topics === null) return null
  const found = new Map<VenueSymbol, NonNullable<ReturnType<TopicNames['parseTopic']>>[]>()
  for (const topic of topics) {
    const parsed = names.parseTopic(topic)
    if (parsed === null) continue
    const list = found.get(parsed.symbol)
    if (list === undefined) found.set(parsed.symbol, [parsed])
    else list.push(parsed)
  }
  return found
}

/** What of an instrument the rule takes. */
export function routesFor(
  rule: RouteRule,
  info: InstrumentInfo,
  filter: Filter | null,
  names: TopicNames,
  offered: OfferedTopics | null,
): TopicRoute[] {
  const channel = rule.type
  const base = { channel, instrument: info.instrument, symbol: info.symbol, filter }
  const there = offered?.get(info.symbol)?.filter((topic) => topic.channel === channel) ?? []
  if (offered !== null && there.length === 0) return []
  if (channel === Channel.Trade) {
    const via = numberingFor(rule.via ?? 'auto', offered === null ? null : there.map((topic) => topic.numbering))
    if (via === null) return []
    const topic = names.topicFor(channel, info.symbol, { via })
    return [{ ...base, topic, numbering: via, interval: '' }]
  }
  if (channel === Channel.Kline) {
    return intervalsFor(rule, offered === null ? null : there.map((topic) => topic.interval ?? '')).map((interval) => ({
      ...base,
      topic: names.topicFor(channel, info.symbol, { interval }),
      numbering: '' as const,
      interval,
    }))
  }
  const ticker = channel === Channel.OrderBook ? tickerFor(info, names, offered) : null
  const preferred = names.topicFor(channel, info.symbol)
  const fallback = there[0]?.topic ?? preferred
  const topic = offered === null || there.some((one) => one.topic === preferred) ? preferred : fallback
  return [{ ...base, topic, numbering: '', interval: '', ...(ticker === null ? {} : { ticker }) }]
}

/** A book always comes with its best prices, without which nothing proves it nor shows that it stands still. */
function tickerFor({ symbol }: InstrumentInfo, names: TopicNames, offered: OfferedTopics | null): string | null {
  if (offered === null) return names.topicFor(Channel.Quote, symbol)
  return offered.get(symbol)?.find(({ channel }) => channel === Channel.Quote)?.topic ?? null
}

function numberingFor(
  via: TradeNumbering | 'auto',
  there: readonly (TradeNumbering | null)[] | null,
): TradeNumbering | null {
  if (there === null) return via === 'auto' ? 'trade' : via
  if (via !== 'auto') return there.includes(via) ? via : null
  if (there.includes('trade')) return 'trade'
  return there.includes('aggTrade') ? 'aggTrade' : null
}

function intervalsFor(rule: RouteRule, there: readonly string[] | null): readonly string[] {
  const wanted = rule.intervals ?? ['1m']
  if (!wanted.includes('*')) return there === null ? wanted : wanted.filter((interval) => there.includes(interval))
  if (there === null) {
    throw new UsageError(
      'a KLINE route names its intervals; "*" can be used only where the topics are known beforehand',
    )
  }
  return there
}

/** Throws: UsageError if a value does not fit its operator, or the filter would make holes. */
export function filterOf(rule: Pick<RouteRule, 'type' | 'filters'>): Filter | null {
  const rules = rule.filters ?? []
  const contiguous = rule.type === Channel.Trade || rule.type === Channel.OrderBook
  const harmful = contiguous ? rules.find(looksAtData) : undefined
  if (harmful !== undefined) {
    throw new UsageError(
      `a filter on "${harmful.path}" of ${rule.type} would leave holes in its numbering; filter where the stream is read`,
    )
  }
  return compileFilter(rules)
}

/** Whether the event is what its topic was routed for; a stranger on a line would be a wrong book or a false gap. */
export function fits(event: VenueEvent, route: TopicRoute): boolean {
  if (event.symbol !== route.symbol || channelOfKind[event.kind] !== route.channel) return false
  if (event.kind === 'trade') return event.numbering === route.numbering
  return event.kind !== 'kline' || event.interval === route.interval
}
