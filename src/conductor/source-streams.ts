import type { FusedChannel, SourceEvent } from '../domain/fusion/fusion.ts'
import type { Instrument, Market } from '../domain/instrument.ts'

/** A stream the conductor reads. */
export interface SourceName {
  readonly market: Market
  readonly instrument: Instrument
  readonly channel: FusedChannel
}

/** A place in a stream: what was read last. */
export interface SourcePlace {
  readonly name: SourceName
  readonly afterId: string
}

/** An entry as it stands in Redis: its id, and the flat list of field names and values. */
export type RawEntry = readonly [id: string, fields: readonly string[]]

/** The event streams seen from the conductor. Rejects with `BusError`. */
export interface SourceStreams {
  /** Every source stream of these partitions that the catalog lists. */
  list(partitions: ReadonlySet<number>): Promise<Map<number, SourceName[]>>
  /**
   * Waits at most `blockMs` for the bells of these partitions. `null` stands for a partition heard for the first time or
   * again after a failure: all of its streams are to be read.
   */
  hear(partitions: ReadonlySet<number>, blockMs: number): Promise<Map<number, readonly SourceName[] | null>>
  /** At most `countMax` entries behind each place, in the order of the places. All places lie in one partition. */
  read(places: readonly SourcePlace[], countMax: number): Promise<(readonly RawEntry[])[]>
  /** The newest entry of each stream, null where there is none. All lie in one partition. */
  newest(names: readonly SourceName[]): Promise<(RawEntry | null)[]>
  /** At most `countMax` entries in `fromId..toId`, both included; `(` before an id excludes it. */
  forward(name: SourceName, fromId: string, toId: string, countMax: number): Promise<readonly RawEntry[]>
  /** At most `countMax` entries from `fromId` on towards the beginning, newest first; `(` before an id excludes it. */
  backward(name: SourceName, fromId: string, countMax: number): Promise<readonly RawEntry[]>
  /** Moves the group `conductor` of each stream to its place, for tools and retention. */
  moveGroups(places: readonly SourcePlace[]): Promise<void>
}

/** Where the values stand in the flat list, by the order of the contract. */
const TYPE = 3
const EPOCH = 9
const SEQ = 11
const DATA = 27

/**
 * Reads an entry of a source stream; null when it is none of the contract's. What stands in its payload is looked at where it
 * is folded: the codec admitted it before it was appended.
 */
export function readSourceEvent(channel: FusedChannel, entry: RawEntry): SourceEvent | null {
  const [id, fields] = entry
  if (fields[TYPE - 1] !== 'type' || fields[SEQ - 1] !== 'seq' || fields[DATA - 1] !== 'data') return null
  const seq = Number(fields[SEQ])
  if (!(seq > 0)) return null
  let data: unknown = null
  try {
    data = JSON.parse(fields[DATA] as string)
  } catch {
    // Folding `null` fails, and is told as a corrupt entry.
  }
  return {
    channel,
    type: fields[TYPE] as string,
    id,
    epoch: fields[EPOCH] as string,
    seq,
    venueTime: fields[17] as string,
    receivedTime: fields[19] as string,
    trace: fields[23] as string,
    quality: fields[25] as string,
    data,
  }
}
