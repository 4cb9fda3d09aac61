import {
  ControlLimits,
  type Page,
  type PageRequest,
  type Route,
  routeSchema,
  type Subscription,
  subscriptionSchema,
  type Table,
  type TableReader,
} from '../control/contract.ts'
import type { RedisConnection } from './connection.ts'
import { ControlKeys } from './control-keys.ts'
import { admitJson, readTable } from './control-table.ts'
import type { Keys } from './keys.ts'

/** Pages read in search of one that holds something, before the reader is given an empty page to go on from. */
const PAGES_AT_ONCE = 20

/** Reads the dispatch table where it stands. Throws: BusError. */
export class RedisTableReader implements TableReader {
  readonly #connection: RedisConnection
  readonly #keys: ControlKeys

  constructor(connection: RedisConnection, keys: Keys) {
    this.#connection = connection
    this.#keys = new ControlKeys(keys)
  }

  async current(): Promise<Table | null> {
    const found = await readTable(this.#connection, this.#keys)
    if (found === null) return null
    const values = <Value>(pairs: readonly (readonly [string, Value])[]): Value[] => pairs.map(([, value]) => value)
    return {
      ...{ version: found.version, appliedId: found.appliedId, lineage: found.lineage },
      routes: values(found.routes).sort(byRouteId),
      subscriptions: values(found.subscriptions).sort((a, b) => (a.subscriptionId < b.subscriptionId ? -1 : 1)),
      paused: values(found.paused),
      channels: values(found.channels),
    }
  }

  async subscription(subscriptionId: string): Promise<Subscription | null> {
    const text = await this.#connection.send('hget', [this.#keys.parts[1] as string, subscriptionId])
    return text === null ? null : subscriptionOf(text as string)
  }

  async subscriptions(
    page: PageRequest & { readonly consumer?: string; readonly market?: string; readonly instrument?: string },
  ): Promise<Page<Subscription>> {
    const limit = boundOf(page.limit)
    const items: Subscription[] = []
    let { cursor } = page
    for (let read = 0; read < PAGES_AT_ONCE && items.length < limit; read++) {
      const from = cursor === null ? '-' : `(${cursor}`
      const range = [this.#keys.index, from, '+', 'BYLEX', 'LIMIT', 0, limit]
      const ids = (await this.#connection.send('zrange', range)) as string[]
      if (ids.length === 0) return { items, cursor: null }
      const texts = (await this.#connection.send('hmget', [this.#keys.parts[1] as string, ...ids])) as (string | null)[]
      for (const [at, text] of texts.entries()) {
        cursor = ids[at] as string
        const found = text === null ? null : subscriptionOf(text)
        if (found === null || !fits(found, page)) continue
        items.push(found)
        if (items.length === limit) break
      }
      if (ids.length < limit && cursor === ids.at(-1)) return { items, cursor: null }
    }
    return { items, cursor }
  }

  async routes(page: PageRequest): Promise<Page<Route>> {
    const limit = boundOf(page.limit)
    const texts = (await this.#connection.send('hvals', [this.#keys.parts[0] as string])) as string[]
    const all = texts.map((text) => admitJson(text, (value) => routeSchema.parse(value))).sort(byRouteId)
    const { cursor } = page
    const items = all.filter(({ routeId }) => cursor === null || routeId > cursor).slice(0, limit)
    const last = items.at(-1)
    return { items, cursor: last === undefined || last === all.at(-1) ? null : last.routeId }
  }
}

function fits(
  found: Subscription,
  wanted: { readonly consumer?: string; readonly market?: string; readonly instrument?: string },
): boolean {
  return (
    (wanted.consumer === undefined || wanted.consumer === found.consumer) &&
    (wanted.market === undefined || wanted.market === found.market) &&
    (wanted.instrument === undefined || wanted.instrument === found.instrument)
  )
}

function subscriptionOf(text: string): Subscription {
  return admitJson(text, (value) => subscriptionSchema.parse(value))
}

function boundOf(limit: number): number {
  return Math.max(1, Math.min(ControlLimits.pageMax, Math.floor(limit)))
}

function byRouteId(a: Route, b: Route): number {
  return a.routeId < b.routeId ? -1 : 1
}
