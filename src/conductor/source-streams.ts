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

/** An entry as it stands in Redis: its id, and the flat list of field names and values, as bytes because few are looked at. */
export type RawEntry = readonly [id: string, fields: readonly Buffer[]]

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

/** Where the values stand in the flat list, by the order of the contract; the name stands before each. */
const TYPE = 3
const EPOCH = 9
const SEQ = 11
const VENUE_TIME = 17
const RECEIVED_TIME = 19
const TRACE = 23
const QUALITY = 25
const DATA = 27
const NAMES = [
  [TYPE - 1, Buffer.from('type')],
  [SEQ - 1, Buffer.from('seq')],
  [DATA - 1, Buffer.from('data')],
] as const

/** The canonical type of an entry; '' when it is none of the contract's. */
export function typeOfEntry([, fields]: RawEntry): string {
  for (const [at, name] of NAMES) if (fields[at]?.equals(name) !== true) return ''
  return textOf(fields, TYPE)
}

/**
 * Reads an entry of a source stream; null when it is none of the contract's. What stands in its payload is looked at where it
 * is folded: the codec admitted it before it was appended.
 */
export function readSourceEvent(channel: FusedChannel, entry: RawEntry): SourceEvent | null {
  const [id, fields] = entry
  const type = typeOfEntry(entry)
  if (type === '') return null
  const seq = Number(textOf(fields, SEQ))
  if (!(seq > 0)) return null
  let data: unknown = null
  try {
    data = JSON.parse(textOf(fields, DATA))
  } catch {
    // Folding `null` fails, and is told as a corrupt entry.
  }
  return {
    channel,
    type,
    id,
    epoch: textOf(fields, EPOCH),
    seq,
    venueTime: textOf(fields, VENUE_TIME),
    receivedTime: textOf(fields, RECEIVED_TIME),
    trace: textOf(fields, TRACE),
    quality: textOf(fields, QUALITY),
    data,
  }
}

function textOf(fields: readonly Buffer[], at: number): string {
  return fields[at]?.toString() ?? ''
}
