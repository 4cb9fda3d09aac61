import type { Page, PageRequest } from '../control/contract.ts'
import type { Channel } from '../domain/event.ts'
import type { GroupReport, StreamCatalogReader, StreamReport } from '../gateway/readers.ts'
import type { CatalogEntry } from './catalog.ts'
import type { RedisConnection } from './connection.ts'
import { type CatalogView, pageBehind } from './gateway-catalog.ts'
import { StreamReader } from './stream-reader.ts'

const GROUPS_MAX = 100

type Filter = { readonly market?: string; readonly instrument?: string; readonly channel?: Channel }

/** Streams and their groups as Redis shows them. Lag is counted by `seq`, because XINFO's lies after trimming (DESIGN 8). */
export class RedisStreamCatalogReader implements StreamCatalogReader {
  readonly #connection: RedisConnection
  readonly #catalog: CatalogView
  readonly #streams: StreamReader

  constructor(connection: RedisConnection, catalog: CatalogView) {
    this.#connection = connection
    this.#catalog = catalog
    this.#streams = new StreamReader(connection)
  }

  async list(request: PageRequest & Filter): Promise<Page<StreamReport>> {
    const { market, instrument, channel } = request
    const wanted = (await this.#catalog.entries()).filter(
      (entry) =>
        (market === undefined || entry.market === market) &&
        (instrument === undefined || entry.instrument === instrument) &&
        (channel === undefined || entry.channel === channel),
    )
    const { items, cursor } = pageBehind(wanted, ({ name }) => name, request)
    return { items: await Promise.all(items.map((entry) => this.#look(entry))), cursor }
  }

  async #look({ name, market, instrument, channel, stream: key }: CatalogEntry): Promise<StreamReport> {
    const empty = { entries: 0, added: 0, firstId: null, lastId: null, epoch: null, seq: null, groups: [] }
    // A stream is in the catalog before its first entry.
    const isThere = Number(await this.#connection.send('exists', [key])) === 1
    return { name, market, instrument, channel, key, ...empty, ...(isThere ? await this.#inside(key) : {}) }
  }

  async #inside(key: string) {
    const [info, groups] = await Promise.all([
      this.#connection.send('xinfo', ['STREAM', key]),
      this.#connection.send('xinfo', ['GROUPS', key]),
    ])
    const stream = fieldsOf(info)
    const [firstId = null] = (stream.get('first-entry') ?? []) as [string?]
    const [lastId = null, flat = []] = (stream.get('last-entry') ?? []) as [string?, string[]?]
    const last = fieldsOf(flat)
    const epoch = last.get('epoch') ?? null
    const seq = last.has('seq') ? Number(last.get('seq')) : null
    const reports = (groups as unknown[]).slice(0, GROUPS_MAX).map((group) => this.#group(key, fieldsOf(group), last))
    return {
      entries: Number(stream.get('length')),
      added: Number(stream.get('entries-added')),
      ...{ firstId, lastId, epoch: epoch === null ? null : String(epoch), seq, groups: await Promise.all(reports) },
    }
  }

  async #group(
    key: string,
    group: ReadonlyMap<string, unknown>,
    last: ReadonlyMap<string, unknown>,
  ): Promise<GroupReport> {
    const lastDeliveredId = String(group.get('last-delivered-id'))
    const [delivered] = await this.#streams.range(key, lastDeliveredId, lastDeliveredId, 1)
    const isComparable = delivered !== undefined && delivered.fields.epoch === last.get('epoch')
    const behind = Number(last.get('seq')) - Number(delivered?.fields.seq)
    return {
      name: String(group.get('name')),
      consumers: Number(group.get('consumers')),
      pending: Number(group.get('pending')),
      lastDeliveredId,
      lag: isComparable && Number.isSafeInteger(behind) ? Math.max(0, behind) : null,
    }
  }
}

/** A flat list of names and values. */
function fieldsOf(reply: unknown): ReadonlyMap<string, unknown> {
  const flat = reply as unknown[]
  const fields = new Map<string, unknown>()
  for (let at = 0; at + 1 < flat.length; at += 2) fields.set(String(flat[at]), flat[at + 1])
  return fields
}
