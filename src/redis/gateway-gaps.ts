import { ledgerMemberSchema } from '../bus/schema.ts'
import type { Page, PageRequest } from '../control/contract.ts'
import { Channel } from '../domain/event.ts'
import { asInstrument, asMarket } from '../domain/instrument.ts'
import type { CompletenessReport, GapReader, GapReport } from '../gateway/readers.ts'
import type { RedisConnection } from './connection.ts'
import { packCursor, unpackCursor } from './gateway-catalog.ts'
import type { Keys } from './keys.ts'
import { StreamReader, type StreamRecord } from './stream-reader.ts'

const MEMBERS_PER_READ = 500
const HOLES_MAX = 100
/** Entries looked through for one that is no gap. */
const EDGE_ENTRIES_MAX = 50
const US_PER_MS = 1_000
/** Gaps of these are filled in the stream afterwards; `rest` and `late` say that it was done. */
const FILLED = new Set(['rest', 'late'])

/** The gap ledgers, and what they say of a window of time. */
export class RedisGapReader implements GapReader {
  readonly #connection: RedisConnection
  readonly #keys: Keys
  readonly #streams: StreamReader

  constructor(connection: RedisConnection, keys: Keys) {
    this.#connection = connection
    this.#keys = keys
    this.#streams = new StreamReader(connection)
  }

  async list(
    market: string,
    instrument: string,
    channel: Channel,
    { cursor, limit, openOnly }: PageRequest & { readonly openOnly: boolean },
  ): Promise<Page<GapReport> | 'invalid-cursor'> {
    const place = cursor === null ? { score: '-inf', member: null } : placeOf(cursor)
    if (place === null) return 'invalid-cursor'
    const key = this.#keys.gaps(asMarket(market), asInstrument(instrument), channel)
    const items: GapReport[] = []
    let last: string | null = null
    for await (const { score, member } of this.#members(key, place.score)) {
      // Members of one score stand in the order of their bytes.
      if (place.member !== null && score === place.score && compareBytes(member, place.member) <= 0) continue
      const gap = gapOf(channel, member)
      if (openOnly && (gap.how !== null || gap.filledAtUs !== null)) continue
      if (items.length === limit) return { items, cursor: last }
      items.push(gap)
      last = packCursor(`${score} ${member}`)
    }
    return { items, cursor: null }
  }

  async completeness(
    market: string,
    instrument: string,
    channel: Channel,
    fromUs: number | null,
    toUs: number | null,
  ): Promise<CompletenessReport> {
    const stream = this.#keys.stream(asMarket(market), asInstrument(instrument), channel)
    const from = fromUs === null ? '-' : String(Math.floor(fromUs / US_PER_MS))
    const to = toUs === null ? '+' : String(Math.floor(toUs / US_PER_MS))
    const [[oldest], early, late] = await Promise.all([
      this.#streams.range(stream, '-', '+', 1),
      this.#edge(stream, 'xrange', from, to),
      this.#edge(stream, 'xrevrange', to, from),
    ])
    const gaps: Record<string, number> = {}
    const holes: GapReport[] = []
    let missing = 0
    const key = this.#keys.gaps(asMarket(market), asInstrument(instrument), channel)
    for await (const { member } of this.#members(key, '-inf')) {
      const gap = gapOf(channel, member)
      if (!isWithin(gap, fromUs ?? 0, toUs ?? Number.MAX_SAFE_INTEGER)) continue
      const word = gap.how ?? 'open'
      gaps[word] = (gaps[word] ?? 0) + 1
      if (FILLED.has(word)) continue
      missing += lengthOf(gap, fromUs ?? 0, toUs ?? Number.MAX_SAFE_INTEGER)
      if (holes.length < HOLES_MAX) holes.push(gap)
    }
    const seqOfOldest = Number(oldest?.fields.seq ?? 1)
    // Nothing was trimmed as long as the stream begins with its first entry.
    const retained = seqOfOldest === 1 || (oldest !== undefined && fromUs !== null && timeOfId(oldest.id) <= fromUs)
    return {
      ...{ complete: retained && holes.length === 0, retained, gaps, missing, holes },
      firstAtUs: early === null ? null : timeOfId(early.id),
      lastAtUs: late === null ? null : timeOfId(late.id),
      firstVenueSeq: early?.fields.venueSeq ?? null,
      lastVenueSeq: late?.fields.venueSeq ?? null,
    }
  }

  /** The first entry in a direction that is no gap. */
  async #edge(stream: string, command: 'xrange' | 'xrevrange', from: string, to: string): Promise<StreamRecord | null> {
    const found =
      command === 'xrange'
        ? await this.#streams.range(stream, from, to, EDGE_ENTRIES_MAX)
        : await this.#streams.backwards(stream, from, to, EDGE_ENTRIES_MAX)
    return found.find(({ fields }) => fields.type?.endsWith('.GAP') === false) ?? null
  }

  /** Members from a score on, ascending. The ledger holds 10,000 at most; what changes meanwhile may be seen or not. */
  async *#members(key: string, fromScore: string): AsyncGenerator<{ readonly score: string; readonly member: string }> {
    for (let offset = 0; ; offset += MEMBERS_PER_READ) {
      const reply = await this.#connection.send('zrange', [
        ...[key, fromScore, '+inf', 'BYSCORE', 'LIMIT', offset, MEMBERS_PER_READ, 'WITHSCORES'],
      ])
      const flat = reply as string[]
      for (let at = 0; at + 1 < flat.length; at += 2) {
        yield { member: flat[at] as string, score: flat[at + 1] as string }
      }
      if (flat.length < 2 * MEMBERS_PER_READ) return
    }
  }
}

function placeOf(cursor: string): { readonly score: string; readonly member: string | null } | null {
  const found = /^(\d{1,20}(?:\.\d+)?(?:e\+\d+)?) (\{.*\})$/s.exec(unpackCursor(cursor))
  return found === null ? null : { score: found[1] as string, member: found[2] as string }
}

function gapOf(channel: Channel, member: string): GapReport {
  const { from = null, to = null, cause, openedAt, filledAt, how } = ledgerMemberSchema.parse(JSON.parse(member))
  return { channel, from, to, cause, openedAtUs: openedAt, filledAtUs: filledAt, how }
}

/** Gaps by id count where they were told, gaps by time where their time lies. */
function isWithin({ channel, from, to, openedAtUs }: GapReport, fromUs: number, toUs: number): boolean {
  if (isById(channel) || from === null || to === null) return openedAtUs >= fromUs && openedAtUs <= toUs
  return Number(to) >= fromUs && Number(from) <= toUs
}

function lengthOf({ channel, from, to }: GapReport, fromUs: number, toUs: number): number {
  if (from === null || to === null) return 0
  if (isById(channel)) return Math.max(0, Number(BigInt(to) - BigInt(from)) + 1)
  return Math.max(0, Math.min(Number(to), toUs) - Math.max(Number(from), fromUs))
}

const isById = (channel: Channel): boolean => channel === Channel.Trade || channel === Channel.OrderBook
const timeOfId = (id: string): number => Number.parseInt(id, 10) * US_PER_MS
const compareBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))
