import type { ControlFilter, ControlledChannel, Poll, Route, Subscription } from './contract.ts'

/** A route as the configuration says it: what is taken from the venue from the start. */
export interface SeedRoute {
  readonly type: ControlledChannel
  readonly market: string
  readonly instruments: readonly string[]
  readonly via?: 'auto' | 'trade' | 'aggTrade'
  readonly intervals?: readonly string[]
  readonly filters?: readonly SeedFilter[]
  readonly throttleMs?: number
  readonly polls?: readonly Poll[]
}

/** A filter as the configuration has it: frozen. */
export interface SeedFilter {
  readonly path: string
  readonly op: ControlFilter['op']
  readonly value?: string | number | boolean | readonly (string | number | boolean)[]
}

/** What an adapter can stream of any instrument, so that consumers can ask for more than the configuration names. */
export interface VenueOffer {
  readonly market: string
  /** Native topics by channel, `<symbol>` standing for the instrument. */
  readonly topics: Readonly<Record<ControlledChannel, readonly string[]>>
  /** Functions of the REST adapter by channel. */
  readonly rest: Readonly<Record<ControlledChannel, readonly string[]>>
}

export interface Seed {
  readonly routes: readonly Route[]
  readonly subscriptions: readonly Subscription[]
}

/** The consumer whose subscriptions the configuration's routes are. */
export const CONFIG_CONSUMER = 'config'

/**
 * The table as a keyspace begins with it: each route of the configuration, what it names subscribed to by `config`, and behind
 * them one route a channel for everything else that the venue offers.
 */
export function seedOf(
  configured: readonly SeedRoute[],
  offers: readonly VenueOffer[],
  version: number,
  nowUs: number,
): Seed {
  const routes: Route[] = []
  const subscriptions: Subscription[] = []
  const id = (): string => `route-${String(routes.length + 1).padStart(4, '0')}`
  for (const rule of configured) {
    const offer = offers.find(({ market }) => market === rule.market)
    routes.push(routeOf(id(), rule, offer, version))
    for (const instrument of rule.instruments) {
      subscriptions.push({
        subscriptionId: `config-${String(subscriptions.length + 1).padStart(5, '0')}`,
        consumer: CONFIG_CONSUMER,
        market: rule.market,
        instrument,
        type: rule.type,
        filters: [],
        throttleMs: null,
        intervals: rule.type === 'KLINE' ? [...(rule.intervals ?? ['1m'])] : null,
        createdAtUs: nowUs,
        sinceVersion: version,
      })
    }
  }
  for (const offer of offers) {
    for (const type of Object.keys(offer.topics) as ControlledChannel[]) {
      // Where the configuration has a word for all instruments, that word is what later subscribers get too.
      const covered = routes.some(
        (route) => route.market === offer.market && route.type === type && route.instruments.includes('*'),
      )
      if (covered) continue
      routes.push(routeOf(id(), { type, market: offer.market, instruments: ['*'] }, offer, version))
    }
  }
  return { routes, subscriptions }
}

/** Whether what the configuration names is what its consumer is subscribed to: it seeds once, and commands go on from there. */
export function isAsConfigured(configured: readonly SeedRoute[], subscriptions: Iterable<Subscription>): boolean {
  const named = configured.flatMap(({ market, type, instruments }) =>
    instruments.map((one) => `${market}:${one}:${type}`),
  )
  const found: string[] = []
  for (const { consumer, market, instrument, type } of subscriptions) {
    if (consumer === CONFIG_CONSUMER) found.push(`${market}:${instrument}:${type}`)
  }
  return named.sort().join(' ') === found.sort().join(' ')
}

function routeOf(routeId: string, rule: SeedRoute, offer: VenueOffer | undefined, sinceVersion: number): Route {
  return {
    routeId,
    type: rule.type,
    market: rule.market,
    instruments: [...rule.instruments],
    filters: structuredClone((rule.filters ?? []) as ControlFilter[]),
    via: rule.type === 'TRADE' ? (rule.via ?? 'auto') : null,
    intervals: rule.type === 'KLINE' ? [...(rule.intervals ?? ['1m'])] : null,
    topics: [...(offer?.topics[rule.type] ?? [])],
    rest: [...(offer?.rest[rule.type] ?? [])],
    throttleMs: rule.throttleMs ?? null,
    polls: [...(rule.polls ?? [])],
    sinceVersion,
  }
}
