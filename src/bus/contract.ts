import { z } from 'zod'
import { CanonicalType, Channel, Quality } from '../domain/event.ts'
import { type PayloadOf, payloadSchemas, wirePatterns } from './schema.ts'

/**
 * The wire contract, version 1: one entry of an event stream. Written for whoever reads the streams; the append script
 * writes the same fields in the same order. `schemas/README.md` is the page for readers in other languages.
 */

export const CONTRACT_VERSION = '1'

/** All fields are strings, always present, always in this order, so that Redis stores their names once a node. */
export const ENTRY_FIELDS = [
  'v',
  'type',
  'market',
  'instrument',
  'epoch',
  'seq',
  'key',
  'venueSeq',
  'venueTime',
  'receivedTime',
  'source',
  'trace',
  'quality',
  'data',
] as const
export type EntryField = (typeof ENTRY_FIELDS)[number]

const types = Object.values(CanonicalType) as [CanonicalType, ...CanonicalType[]]
const qualities = ['', ...Object.values(Quality).filter((word) => word !== Quality.Live)] as [string, ...string[]]
const positive = /^[1-9][0-9]{0,18}$/

/** The entry as it stands in Redis; `data` is still text. */
export const entrySchema = z
  .object({
    v: z.literal(CONTRACT_VERSION).describe('Version of this contract.'),
    type: z.enum(types).describe('Canonical type; its first segment is the channel.'),
    market: z
      .string()
      .regex(/^[A-Z0-9][A-Z0-9-]*$/)
      .describe('For example BINANCE-SPOT.'),
    instrument: z.string().min(3).describe('BASE-QUOTE, for example BTC-USDT.'),
    epoch: z.string().regex(positive).describe('Compare for equality only; within an epoch `seq` is dense.'),
    seq: z.string().regex(positive).describe('1, 2, 3 ... within the epoch, per stream.'),
    key: z.string().min(1).describe('Idempotency key INSTRUMENT:TYPE:venueSeq, unique in its stream.'),
    venueSeq: z.string().describe("The venue's sequence of this event."),
    venueTime: z
      .string()
      .regex(/^([1-9][0-9]{0,18})?$/)
      .describe("Microseconds of the venue's clock, or empty."),
    receivedTime: z.string().regex(positive).describe('Microseconds of our clock when the frame arrived.'),
    source: z.string().min(1).describe('For example binance.ws.trade.'),
    trace: z
      .string()
      .regex(/^[0-9a-f]{32}$/)
      .describe('W3C trace id.'),
    quality: z.enum(qualities).describe('The state word where it is not LIVE, else empty.'),
    data: z.string().min(2).describe('The payload, JSON, by the schema named as the type.'),
  })
  .describe('One entry of an event stream.')

type Fields = z.output<typeof entrySchema>
/** An admitted entry: every field as on the wire, `data` parsed and typed by `type`. */
export type Entry = {
  [Type in CanonicalType]: Omit<Fields, 'data' | 'type'> & { readonly type: Type; readonly data: PayloadOf<Type> }
}[CanonicalType]

export type DecodedEntry =
  | { readonly ok: true; readonly entry: Entry }
  /** `problem` says which field was wrong, what was expected and what was found. */
  | { readonly ok: false; readonly problem: string }

/**
 * Admits one entry. Never throws.
 *
 * Shape:  the fields as an object, or as the flat list of names and values that Redis answers.
 * Errors: a refusal in words: field, expectation, and what was found, cut to 60 characters.
 */
export function decodeEntry(fields: readonly string[] | Readonly<Record<string, string>>): DecodedEntry {
  const given = Array.isArray(fields) ? fieldsOf(fields) : (fields as Readonly<Record<string, string>>)
  const admitted = entrySchema.safeParse(given)
  if (!admitted.success) return refusal('entry', admitted.error, given)
  let raw: unknown
  try {
    raw = JSON.parse(admitted.data.data)
  } catch (error) {
    return { ok: false, problem: `data: expected JSON, found ${excerpt(admitted.data.data)} (${String(error)})` }
  }
  const payload = payloadSchemas[admitted.data.type].safeParse(raw)
  if (!payload.success) return refusal(`data of ${admitted.data.type}`, payload.error, raw)
  return { ok: true, entry: { ...admitted.data, data: payload.data } as Entry }
}

/** Turns the flat list `[name, value, name, value ...]` into an object. */
export function fieldsOf(flat: readonly string[]): Record<string, string> {
  const fields: Record<string, string> = {}
  for (let at = 0; at + 1 < flat.length; at += 2) fields[flat[at] as string] = flat[at + 1] as string
  return fields
}

const channels = new Set<string>(Object.values(Channel))

/** The channel of a canonical type: its first segment. */
export function channelOf(type: CanonicalType): Channel {
  const channel = type.slice(0, type.indexOf('.') === -1 ? type.length : type.indexOf('.'))
  if (!channels.has(channel)) throw new RangeError(`${type} belongs to no channel`)
  return channel as Channel
}

/** Whether a text is an id as the contract writes it: decimal digits without leading zeros. */
export const isId = (text: string): boolean => wirePatterns.id.test(text)

function refusal(where: string, error: z.ZodError, input: unknown): DecodedEntry {
  const issue = error.issues[0]
  if (!issue) return { ok: false, problem: `${where}: not admitted` }
  let found: unknown = input
  for (const step of issue.path) found = (found as Record<PropertyKey, unknown> | undefined)?.[step]
  const path = issue.path.map(String).join('.')
  return { ok: false, problem: `${where}${path && `, ${path}`}: ${issue.message}, found ${excerpt(found)}` }
}

function excerpt(found: unknown): string {
  const text = JSON.stringify(found) ?? 'nothing'
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}
