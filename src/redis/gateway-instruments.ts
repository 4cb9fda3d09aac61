import type { MemberStore } from '../cluster/member-store.ts'
import type { Page, PageRequest } from '../control/contract.ts'
import { Channel, Quality } from '../domain/event.ts'
import { asInstrument, asMarket } from '../domain/instrument.ts'
import type { QualityReason, ShownQuality } from '../domain/quality.ts'
import type { InstrumentReader, InstrumentReport, QualityReport } from '../gateway/readers.ts'
import { BOOK_QUALITY_FIELD, parseBookQuality } from './book-quality.ts'
import type { CatalogEntry } from './catalog.ts'
import type { RedisConnection } from './connection.ts'
import { type CatalogView, pageBehind } from './gateway-catalog.ts'
import type { Keys } from './keys.ts'
import { StreamReader } from './stream-reader.ts'

/** Without an owner that shows its streams flowing for so long, a partition is stale whatever its state says (DESIGN 6). */
const OWNER_SILENT_MS = 5_000

const FACTS = ['base', 'quote', 'tickSize', 'stepSize', 'minNotional', 'status', 'updatedAt'] as const
const LEDGERS = Object.values(Channel)

/** From good to bad; of several words the worst is shown. */
const WORSE: readonly Quality[] = [
  ...[Quality.Live, Quality.Syncing, Quality.Stale, Quality.Gapped, Quality.Crossed],
  ...[Quality.Halted, Quality.Quarantined],
]

/** What the owner's words mean, for people. */
const REASONS: Readonly<Record<QualityReason, string>> = {
  '': 'its book is joined and contiguous, and nothing speaks against it',
  start: 'no snapshot has joined its deltas yet',
  gap: 'a hole in its deltas was told and is not closed yet',
  crossed: 'somebody bids what somebody else asks, or more',
  ticker: 'its best prices are others than the ticker of the venue says',
  emptied: 'a whole side of its book went at once',
  audit: 'a snapshot of the venue holds other levels',
  inherited: 'the worker that had it before could not trust it, and no snapshot has come since',
  silent: 'no delta comes although the best prices move',
  halted: 'the venue does not trade it now',
  failing: 'its book was wrong again and again and is left alone for a while',
}
const UNSAID: QualityReport = { state: Quality.Live, reason: 'its owner flows, and it has no book', sinceUs: null }

interface Named {
  readonly market: string
  readonly instrument: string
  readonly channels: readonly Channel[]
}

/** Instruments as their hashes, streams, books and owners show them. */
export class RedisInstrumentReader implements InstrumentReader {
  readonly #connection: RedisConnection
  readonly #keys: Keys
  readonly #catalog: CatalogView
  readonly #members: MemberStore
  readonly #streams: StreamReader

  constructor(connection: RedisConnection, keys: Keys, catalog: CatalogView, members: MemberStore) {
    this.#connection = connection
    this.#keys = keys
    this.#catalog = catalog
    this.#members = members
    this.#streams = new StreamReader(connection)
  }

  async list(request: PageRequest & { readonly market?: string }): Promise<Page<InstrumentReport>> {
    const entries = await this.#catalog.entries()
    const wanted = entries.filter(({ market }) => request.market === undefined || market === request.market)
    const { items, cursor } = pageBehind(group(wanted), nameOf, request)
    const flowing = await this.#flowing()
    const reports = await Promise.all(items.map((item) => this.#look(item, flowing)))
    return { items: reports, cursor }
  }

  async one(market: string, instrument: string): Promise<InstrumentReport | null> {
    const key = this.#keys.instrument(asMarket(market), asInstrument(instrument))
    const [entries, listed] = await Promise.all([this.#catalog.entries(), this.#connection.send('exists', [key])])
    const own = entries.filter((entry) => entry.market === market && entry.instrument === instrument)
    if (own.length === 0 && Number(listed) === 0) return null
    const named = group(own)[0] ?? { market, instrument, channels: [] }
    return this.#look(named, await this.#flowing())
  }

  /** Partitions that a live owner shows flowing. */
  async #flowing(): Promise<ReadonlySet<number>> {
    const flowing = new Set<number>()
    for (const { ageMs, facts } of await this.#members.list('ingest')) {
      if (ageMs < OWNER_SILENT_MS) for (const partition of facts.flows) flowing.add(partition)
    }
    return flowing
  }

  async #look({ market: ofMarket, instrument: name, channels }: Named, flowing: ReadonlySet<number>) {
    const market = asMarket(ofMarket)
    const instrument = asInstrument(name)
    const partition = this.#keys.partition(market, instrument)
    const open = [...LEDGERS.map((channel) => `open:${channel}`), BOOK_QUALITY_FIELD]
    const [facts, state, book, last] = await Promise.all([
      this.#texts(this.#keys.instrument(market, instrument), FACTS),
      this.#texts(this.#keys.state(market, instrument), open),
      this.#texts(this.#keys.book(market, instrument), ['quality']),
      this.#streams.last(this.#keys.stream(market, instrument, Channel.OrderBook)),
    ])
    const [base, quote, tickSize, stepSize, minNotional, status, updatedAt] = facts.map((text) => text ?? '')
    const ownWord = parseBookQuality(state.at(-1))
    const openGaps = state.slice(0, -1).reduce((sum, packed) => sum + (packed?.split(';').length ?? 1) - 1, 0)
    const said: QualityReport[] = []
    // The owner says it as soon as it knows; the stream only with its next entry.
    if (ownWord !== null) said.push(ownerQuality(ownWord))
    else if (last !== null) said.push(streamQuality(last.fields))
    if (!flowing.has(partition)) {
      said.push({ state: Quality.Stale, reason: `no live worker shows partition ${partition} flowing`, sinceUs: null })
    }
    const bookQuality = qualityOf(book[0])
    if (bookQuality !== null) {
      said.push({ state: bookQuality, reason: 'its record in the snapshot cache says so', sinceUs: null })
    }
    const [first = UNSAID, ...others] = said
    const worst = others.reduce(
      (found, one) => (WORSE.indexOf(one.state) > WORSE.indexOf(found.state) ? one : found),
      first,
    )
    return {
      ...{ market, instrument, partition, base, quote, tickSize, stepSize, minNotional, status, openGaps, channels },
      ...{ updatedAtUs: timeOf(updatedAt), quality: worst },
    } as InstrumentReport
  }

  async #texts(key: string, fields: readonly string[]): Promise<readonly (string | null)[]> {
    return (await this.#connection.send('hmget', [key, ...fields])) as (string | null)[]
  }
}

function group(entries: readonly CatalogEntry[]): Named[] {
  const byName = Map.groupBy(entries, nameOf)
  const named = [...byName.values()].map((own) => {
    const { market, instrument } = own[0] as CatalogEntry
    return { market, instrument, channels: own.map(({ channel }) => channel) }
  })
  return named.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))
}

const nameOf = ({ market, instrument }: { readonly market: string; readonly instrument: string }): string =>
  `${market}:${instrument}`

function ownerQuality({ quality, reason, sinceUs }: ShownQuality): QualityReport {
  return { state: quality, reason: REASONS[reason] ?? reason, sinceUs }
}

/** What the newest entry of the book's stream says; only of a gap does it tell since when. */
function streamQuality(fields: Readonly<Record<string, string>>): QualityReport {
  if (fields.type === 'ORDERBOOK.GAP') {
    const sinceUs = timeOf(fields.receivedTime)
    return { state: Quality.Gapped, reason: 'the newest entry of its book is a gap', sinceUs }
  }
  const state = qualityOf(fields.quality) ?? Quality.Live
  return { state, reason: 'the newest entry of its book says so', sinceUs: null }
}

function qualityOf(text: string | null | undefined): Quality | null {
  return WORSE.find((word) => word === text) ?? null
}

function timeOf(text: string | null | undefined): number | null {
  const time = Number(text || Number.NaN)
  return Number.isSafeInteger(time) && time >= 0 ? time : null
}
