import { isPattern, patternTest } from '../lib/pattern.ts'
import type { ChannelState, ControlledChannel, PausedInstrument, Route, Subscription } from './contract.ts'

/** A one-time request that workers carry out when they follow the table to this version. */
export type Mark =
  | {
      readonly kind: 'resync'
      readonly market: string
      readonly instrument: string
      readonly reason: string
      /** Absent where a process of an older version wrote it. */
      readonly issuer?: string
      readonly atUs: number
      readonly version: number
    }
  | { readonly kind: 'drain'; readonly worker: string; readonly atUs: number; readonly version: number }

/** What each part of the table holds; the names are also those of its keys in Redis. */
export interface PartValues {
  readonly routes: Route
  readonly subscriptions: Subscription
  /** By `MARKET:INSTRUMENT`. */
  readonly paused: PausedInstrument
  /** By `MARKET:INSTRUMENT:CHANNEL`. */
  readonly channels: ChannelState
  /** By `resync:MARKET:INSTRUMENT` and `drain:WORKER`. */
  readonly marks: Mark
}
export type PartName = keyof PartValues
export const PARTS = ['routes', 'subscriptions', 'paused', 'channels', 'marks'] as const satisfies readonly PartName[]

/** One field of the table becomes another; null removes it, and `was` says what it was. */
export type Change = {
  [Name in PartName]: {
    readonly part: Name
    readonly field: string
    readonly value: PartValues[Name] | null
    readonly was?: PartValues[Name]
  }
}[PartName]

/** The dispatch table as a process holds it. `Changes` are applied in order of their versions and nothing else changes it. */
export class TableData {
  version: number
  lineage: string
  /** Entry id of the command that made this version: two tables of one version and lineage can still be two. */
  madeBy: string
  readonly routes: Map<string, Route>
  readonly subscriptions: Map<string, Subscription>
  readonly paused: Map<string, PausedInstrument>
  readonly channels: Map<string, ChannelState>
  readonly marks: Map<string, Mark>
  /** Subscriptions of one instrument by `MARKET:INSTRUMENT:CHANNEL`, and those by pattern apart: there are few of them. */
  readonly #exact = new Map<string, Set<string>>()
  readonly #patterns = new Map<string, (instrument: string) => boolean>()
  #routesInOrder: Route[] | null = null

  constructor(
    head: { readonly version: number; readonly lineage: string; readonly madeBy: string },
    parts: { readonly [Name in PartName]: Iterable<readonly [string, PartValues[Name]]> },
  ) {
    this.version = head.version
    this.lineage = head.lineage
    this.madeBy = head.madeBy
    this.routes = new Map(parts.routes)
    this.subscriptions = new Map(parts.subscriptions)
    this.paused = new Map(parts.paused)
    this.channels = new Map(parts.channels)
    this.marks = new Map(parts.marks)
    for (const [id, subscription] of this.subscriptions) this.#index(id, subscription)
  }

  apply(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.part === 'subscriptions') this.#unindex(change.field)
      const part = this[change.part] as Map<string, unknown>
      if (change.value === null) part.delete(change.field)
      else part.set(change.field, change.value)
      if (change.part === 'subscriptions' && change.value !== null) this.#index(change.field, change.value)
      if (change.part === 'routes') this.#routesInOrder = null
    }
  }

  /** In the order in which they are tried. */
  get routesInOrder(): readonly Route[] {
    this.#routesInOrder ??= [...this.routes.values()].sort((a, b) => (a.routeId < b.routeId ? -1 : 1))
    return this.#routesInOrder
  }

  routeFor(market: string, instrument: string, type: ControlledChannel): Route | null {
    for (const route of this.routesInOrder) {
      if (route.market !== market || route.type !== type) continue
      if (route.instruments.some((pattern) => patternTest(pattern)(instrument))) return route
    }
    return null
  }

  isPaused(market: string, instrument: string): boolean {
    return this.paused.has(`${market}:${instrument}`)
  }

  /** Every subscription that wants the channel, paused or not. */
  subscribers(market: string, instrument: string, type: ControlledChannel): Subscription[] {
    const found: Subscription[] = []
    for (const id of this.#exact.get(channelKey(market, instrument, type)) ?? []) {
      const subscription = this.subscriptions.get(id)
      if (subscription !== undefined) found.push(subscription)
    }
    for (const [id, matches] of this.#patterns) {
      const subscription = this.subscriptions.get(id)
      if (subscription?.market === market && subscription.type === type && matches(instrument)) found.push(subscription)
    }
    return found
  }

  wants(market: string, instrument: string, type: ControlledChannel): boolean {
    return !this.isPaused(market, instrument) && this.subscribers(market, instrument, type).length > 0
  }

  #index(id: string, subscription: Subscription): void {
    const { market, instrument, type } = subscription
    if (isPattern(instrument)) {
      this.#patterns.set(id, patternTest(instrument))
      return
    }
    const key = channelKey(market, instrument, type)
    const ids = this.#exact.get(key)
    if (ids === undefined) this.#exact.set(key, new Set([id]))
    else ids.add(id)
  }

  #unindex(id: string): void {
    const subscription = this.subscriptions.get(id)
    if (subscription === undefined) return
    this.#patterns.delete(id)
    const key = channelKey(subscription.market, subscription.instrument, subscription.type)
    const ids = this.#exact.get(key)
    ids?.delete(id)
    if (ids?.size === 0) this.#exact.delete(key)
  }
}

export function channelKey(market: string, instrument: string, type: string): string {
  return `${market}:${instrument}:${type}`
}
