import type { Page, PageRequest } from '../control/contract.ts'
import type { Channel, Quality } from '../domain/event.ts'

/** What the gateway reads and nobody else offers. Every method throws BusError when Redis cannot be reached. */

/** How far an instrument can be trusted now: the worst of what its owner, its stream and its book say. */
export interface QualityReport {
  readonly state: Quality
  /** One sentence. */
  readonly reason: string
  /** Us; null where nobody knows. */
  readonly sinceUs: number | null
}

export interface InstrumentReport {
  readonly market: string
  readonly instrument: string
  readonly partition: number
  /** As the venue tells it, '' where it tells nothing; decimal strings. */
  readonly base: string
  readonly quote: string
  readonly tickSize: string
  readonly stepSize: string
  readonly minNotional: string
  readonly status: string
  readonly updatedAtUs: number | null
  readonly quality: QualityReport
  /** Channels that have a stream. */
  readonly channels: readonly Channel[]
  /** Holes in the ledgers that are neither filled nor given up. */
  readonly openGaps: number
}

/** One told gap. Edges are ids as decimal strings, or receive times in us; absent where the venue began anew. */
export interface GapReport {
  readonly channel: Channel
  readonly from: string | number | null
  readonly to: string | number | null
  readonly cause: string
  readonly openedAtUs: number
  readonly filledAtUs: number | null
  /** What became of it, null while it is open. */
  readonly how: string | null
}

export interface CompletenessReport {
  /** Nothing in the window is missing from the stream, and the stream still holds the whole window. */
  readonly complete: boolean
  /** Whether the stream still holds its entries from the beginning of the window on. */
  readonly retained: boolean
  /** Entry times of the oldest and the newest entry in the window, us; null where it holds none. */
  readonly firstAtUs: number | null
  readonly lastAtUs: number | null
  /** The venue's numbers of those two. */
  readonly firstVenueSeq: string | null
  readonly lastVenueSeq: string | null
  /** Gaps told in the window, by what became of them; `open` for those that stand open. */
  readonly gaps: Readonly<Record<string, number>>
  /** Ids, or for QUOTE, TICKER, KLINE microseconds, that no entry covers. */
  readonly missing: number
  /** The oldest holes behind `missing`, at most 100. */
  readonly holes: readonly GapReport[]
}

export interface InstrumentReader {
  /** Ascending by market and instrument. */
  list(page: PageRequest & { readonly market?: string }): Promise<Page<InstrumentReport>>
  /** null: no venue lists it, as far as is known. */
  one(market: string, instrument: string): Promise<InstrumentReport | null>
}

export interface GapReader {
  /** Ascending by first missing id. `invalid-cursor`: the cursor is none of ours. */
  list(
    market: string,
    instrument: string,
    channel: Channel,
    page: PageRequest & { readonly openOnly: boolean },
  ): Promise<Page<GapReport> | 'invalid-cursor'>
  /** Window in us, null: from the beginning, until now. */
  completeness(
    market: string,
    instrument: string,
    channel: Channel,
    fromUs: number | null,
    toUs: number | null,
  ): Promise<CompletenessReport>
}

export interface GroupReport {
  readonly name: string
  readonly consumers: number
  readonly pending: number
  readonly lastDeliveredId: string
  /** Entries behind, by `seq`; null where what was delivered last has been trimmed or is of another epoch. */
  readonly lag: number | null
}

export interface StreamReport {
  /** `MARKET:INSTRUMENT:CHANNEL`. */
  readonly name: string
  readonly market: string
  readonly instrument: string
  readonly channel: Channel
  /** Its key in Redis. */
  readonly key: string
  readonly entries: number
  /** Ever added, those trimmed since included. */
  readonly added: number
  readonly firstId: string | null
  readonly lastId: string | null
  readonly epoch: string | null
  readonly seq: number | null
  readonly groups: readonly GroupReport[]
}

export interface StreamCatalogReader {
  /** Ascending by name. */
  list(
    page: PageRequest & { readonly market?: string; readonly instrument?: string; readonly channel?: Channel },
  ): Promise<Page<StreamReport>>
}

/** What a venue allows to one address that it sees, and what was spent of it. Durations in ms. */
export interface LimitReport {
  readonly venue: string
  readonly egress: string
  readonly weightPerMinute: number
  readonly spent: number
  readonly inFlight: number
  readonly known: boolean
  readonly minuteEndsInMs: number
  readonly bannedForMs: number
  readonly connectsInWindow: number
  readonly connectsMax: number | null
  readonly connectsHeldForMs: number
}

export interface LimitReader {
  /** Ascending by venue and egress. */
  all(): Promise<readonly LimitReport[]>
}
