import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { UnavailableError, UsageError } from '../errors.ts'

/**
 * What can be done to a simulated venue on command. Every fault has `at` (seconds after the first frame; absent: at once
 * when told by request, at the first frame when told by file), most have `for` (seconds) and `count` (times); where both
 * are absent it happens once, where both are given the first to be reached ends it.
 */
const seconds = z.number().min(0).max(1e8)
const times = z.number().int().min(1).max(1e9)
const milliseconds = z.number().min(0).max(86_400_000)
/** A stream name with `*` for any run of characters, capitals not told apart. */
const pattern = z.string().min(1).max(200)
const lasting = { at: seconds.optional(), for: seconds.optional(), count: times.optional() }
const onFrames = { ...lasting, stream: pattern.default('*'), probability: z.number().gt(0).max(1).default(1) }
const onConnections = { at: seconds.optional(), count: times.optional(), stream: pattern.default('*') }
const onRequests = { ...lasting, path: pattern.default('*') }

const faultSchema = z.discriminatedUnion('fault', [
  /** `count` frames of matching streams are not sent. */
  z.strictObject({ fault: z.literal('drop'), ...onFrames }),
  /** Of each matching stream a run of `count` (10) frames is not sent. */
  z.strictObject({ fault: z.literal('gap'), ...onFrames, count: times.default(10) }),
  z.strictObject({ fault: z.literal('duplicate'), ...onFrames }),
  /** A frame changes places with the next one of its stream. */
  z.strictObject({ fault: z.literal('reorder'), ...onFrames }),
  /** A frame comes `ms` later than those behind it. */
  z.strictObject({ fault: z.literal('delay'), ...onFrames, ms: milliseconds.default(500) }),
  /** `quantity` is no number any more, `value` is another number, `truncated` cuts the frame. */
  z.strictObject({
    fault: z.literal('corrupt'),
    ...onFrames,
    how: z.enum(['quantity', 'value', 'truncated']).default('quantity'),
  }),
  /** The present connections stay open and do nothing; after 60 s, unless told otherwise, those still held are reset. */
  z.strictObject({ fault: z.literal('half-open'), ...onConnections, for: seconds.default(60) }),
  /** The present subscription of each matching stream, or else its next one (within `for`), never flows; `count` in a row. */
  z.strictObject({ fault: z.literal('silent'), ...lasting, stream: pattern.default('*') }),
  z.strictObject({
    fault: z.literal('disconnect'),
    ...onConnections,
    how: z.enum(['reset', 'close']).default('reset'),
  }),
  /** New connections are refused, for 5 s unless told otherwise. */
  z.strictObject({ fault: z.literal('refuse'), ...lasting, how: z.enum(['reset', '503']).default('503') }),
  /** Connections end at the age of `seconds`; without it those that stand now have reached theirs. */
  z.strictObject({
    fault: z.literal('lifetime'),
    at: seconds.optional(),
    for: seconds.optional(),
    seconds: z.number().gt(0).optional(),
  }),
  /** The notice goes out, and `delay` seconds later the connections end. */
  z.strictObject({ fault: z.literal('serverShutdown'), ...onConnections, delay: seconds.default(10) }),
  z.strictObject({ fault: z.literal('rest-slow'), ...onRequests, ms: milliseconds.default(2000) }),
  z.strictObject({
    fault: z.literal('rest-5xx'),
    ...onRequests,
    status: z.number().int().min(500).max(599).default(503),
  }),
  /** Until `retryAfter` seconds are over, who asks again is refused again. */
  z.strictObject({ fault: z.literal('rest-429'), ...onRequests, retryAfter: seconds.default(5) }),
  z.strictObject({ fault: z.literal('rest-418'), ...onRequests, retryAfter: seconds.default(120) }),
  /** Depth answers carry an id lower by `by`: too old to be joined with any delta. */
  z.strictObject({
    fault: z.literal('snapshot-old'),
    ...lasting,
    symbol: pattern.default('*'),
    by: times.default(1_000_000),
  }),
  /** The venue's clock, as told by `time` and `exchangeInfo`, is off by `ms`. */
  z.strictObject({
    fault: z.literal('clock-skew'),
    at: seconds.optional(),
    for: seconds.optional(),
    ms: z.number().int(),
  }),
])
export type Fault = z.infer<typeof faultSchema>
export type FaultName = Fault['fault']
export type FrameFault = Extract<Fault, { probability: number }>
export type RestFault = Extract<Fault, { fault: `rest-${string}` | 'snapshot-old' | 'clock-skew' }>

export const faultNames: readonly FaultName[] = faultSchema.options.map((option) => option.shape.fault.value)

/** Throws: UsageError saying what was expected and what was found. */
export function parseFault(text: string): Fault {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new UsageError(
      `expected one JSON object like {"at":5,"fault":"drop","stream":"btcusdt@trade"}, found ${quote(text)}`,
    )
  }
  const name = (value as { fault?: unknown } | null)?.fault
  if (!faultNames.some((known) => known === name)) {
    throw new UsageError(
      `expected "fault" to be one of ${faultNames.join(', ')}; found ${quote(JSON.stringify(name) ?? 'none')}`,
    )
  }
  const parsed = faultSchema.safeParse(value)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || String(name)}: ${issue.message}`)
  throw new UsageError(`the fault ${quote(text)} does not fit: ${problems.join('; ')}`)
}

const FILE_BYTES_MAX = 16 * 1024 * 1024

/** Reads a fault file: one JSON object a line; empty lines and lines that begin with `#` or `//` are passed over. */
export async function readFaults(file: string): Promise<readonly Fault[]> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    throw new UnavailableError(`the fault file ${file} cannot be read: ${(cause as Error).message}`, { cause })
  }
  if (text.length > FILE_BYTES_MAX) throw new UsageError(`${file}: expected at most ${FILE_BYTES_MAX} characters`)
  const faults: Fault[] = []
  for (const [index, line] of text.split('\n').entries()) {
    if (/^\s*(#|\/\/|$)/.test(line)) continue
    try {
      faults.push(parseFault(line))
    } catch (cause) {
      throw new UsageError(`${file} line ${index + 1}: ${(cause as Error).message}`, { cause })
    }
  }
  return faults
}

/** Whether `text` fits a pattern with `*`, capitals not told apart. Remembers its answers, since streams repeat. */
export class Pattern {
  readonly #parts: readonly string[]
  readonly #answers = new Map<string, boolean>()

  constructor(text: string) {
    this.#parts = text.toLowerCase().split('*')
  }

  matches(text: string): boolean {
    let answer = this.#answers.get(text)
    if (answer === undefined) {
      answer = this.#compare(text.toLowerCase())
      if (this.#answers.size < REMEMBERED_MAX) this.#answers.set(text, answer)
    }
    return answer
  }

  #compare(text: string): boolean {
    const [first = '', ...rest] = this.#parts
    const last = rest.pop()
    if (last === undefined) return text === first
    if (!text.startsWith(first)) return false
    let at = first.length
    for (const part of rest) {
      const found = text.indexOf(part, at)
      if (found === -1) return false
      at = found + part.length
    }
    return text.length - last.length >= at && text.endsWith(last)
  }
}

const REMEMBERED_MAX = 20_000

function quote(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}...` : text
}
