import type { ChannelBatch } from '../../src/bus/publish.ts'

/** What `NaiveAppend` keeps of streams and ledgers. */

const CLOSED_RANGES_MAX = 1_000

/** An entry of a stream as the wire contract has it, all fields text. */
export interface NaiveEntry {
  readonly type: string
  readonly epoch: string
  readonly seq: string
  readonly key: string
  readonly venueSeq: string
  readonly venueTime: string
  readonly receivedTime: string
  readonly source: string
  readonly trace: string
  readonly quality: string
  readonly data: string
}

/** A told gap and what became of its parts. */
export interface Gap {
  readonly cause: string
  readonly openedAt: number
  segments: { from: number; to: number; how: string | null; filledAt: number | null }[]
}

export interface Bar {
  newest: { open: number; closed: boolean; trades: number; received: number } | null
  closedOpens: { from: number; to: number }[]
  closedBelow: number
  toldTo: number
}

export interface Line {
  seq: number
  last: number | null
  lastText: string
  venueTime: number | null
  received: number
  generation: number
  version: number
  numbering: string
  joined: boolean
  toldTo: number
  snapshot: { last: number; received: number } | null
  bars: Map<string, Bar>
  gaps: Gap[]
  entries: NaiveEntry[]
}

export interface State {
  run: string
  epoch: number
  /** The epoch in which the present Redis process began to write. */
  since: number
  resetTime: number | null
  lines: Map<string, Line>
}

export function emptyLine(batch: ChannelBatch): Line {
  return {
    ...{ seq: 0, last: null, lastText: '', venueTime: null, received: 0, generation: 0, joined: false, toldTo: 0 },
    ...{ version: batch.tableVersion, numbering: batch.numbering, snapshot: null },
    ...{ bars: new Map<string, Bar>(), gaps: [], entries: [] },
  }
}

export function openSegments(line: Line): Gap['segments'] {
  return line.gaps.flatMap((gap) => gap.segments.filter((segment) => segment.how === null))
}

export function noteClosed(bar: Bar, from: number, to: number): void {
  const sorted = [...bar.closedOpens, { from, to }].sort((a, b) => a.from - b.from)
  bar.closedOpens = sorted.reduce<Bar['closedOpens']>((merged, range) => {
    const before = merged.at(-1)
    if (before && range.from <= before.to) before.to = Math.max(before.to, range.to)
    else merged.push({ ...range })
    return merged
  }, [])
  if (bar.closedOpens.length > CLOSED_RANGES_MAX) {
    bar.closedOpens.shift()
    bar.closedBelow = bar.closedOpens[0]?.from ?? 0
  }
}

export function compare(a: readonly number[], b: readonly number[]): number {
  for (const [index, value] of a.entries()) {
    const other = b[index] as number
    if (value !== other) return value - other
  }
  return 0
}
