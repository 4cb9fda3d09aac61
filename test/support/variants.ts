import type { CaptureLine } from './capture.ts'
import { NaiveBook, scaled } from './oracle.ts'

/**
 * Variants of a recorded Binance capture, made by code and seeded: what a venue or a line can do to depth updates. Each
 * works on one symbol and leaves the others as they are.
 */

/** Mulberry32. */
export function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

type Lines = readonly CaptureLine[]

const isDepthOf = ({ kind, msg }: CaptureLine, symbol: string): boolean =>
  kind === 'ws' && msg.startsWith(`{"stream":"${symbol.toLowerCase()}@depth@`)
const isSnapshotOf = ({ kind, url }: CaptureLine, symbol: string): boolean =>
  kind === 'http' && url.includes('/depth?') && url.includes(`symbol=${symbol}&`)

/** Where the depth updates of a symbol stand. */
export function depthLines(lines: Lines, symbol: string): number[] {
  return lines.flatMap((line, at) => (isDepthOf(line, symbol) ? [at] : []))
}

/** The REST snapshot of the book as it stands behind line `at`, computed from the capture itself. */
export function snapshotBehind(lines: Lines, symbol: string, at: number): CaptureLine {
  const book = new NaiveBook()
  let last = 0
  let model: CaptureLine | undefined
  const pending: { U: number; u: number; b: [string, string][]; a: [string, string][] }[] = []
  for (const line of lines.slice(0, at + 1)) {
    if (isSnapshotOf(line, symbol)) {
      const { lastUpdateId, bids, asks } = JSON.parse(line.msg)
      book.set(bids, asks)
      last = lastUpdateId
      model = line
    } else if (isDepthOf(line, symbol)) pending.push(JSON.parse(line.msg).data)
    if (!model) continue
    for (const delta of pending.splice(0))
      if (delta.u > last) {
        if (delta.U > last + 1) throw new Error(`the capture has a hole before ${delta.U}`)
        book.set(delta.b, delta.a)
        last = delta.u
      }
  }
  if (!model) throw new Error(`expected a snapshot of ${symbol} before line ${at}`)
  const { bids, asks } = book.top(1000)
  return { ...model, ts: (lines[at] as CaptureLine).ts, msg: JSON.stringify({ lastUpdateId: last, bids, asks }) }
}

/** Without delta `lost` (counted from 0); with a snapshot behind delta `healed`, or none. */
export function withLostDelta(lines: Lines, symbol: string, lost: number, healed: number | null): CaptureLine[] {
  const at = depthLines(lines, symbol)
  const lostAt = at[lost] as number
  return lines.flatMap((line, index) => {
    if (index === lostAt) return []
    if (healed !== null && index === at[healed]) return [line, snapshotBehind(lines, symbol, index)]
    return [line]
  })
}

/** `count` lines that fit come again, up to 20 lines later. */
export function withDoubled(
  lines: Lines,
  fits: (line: CaptureLine) => boolean,
  count: number,
  random: (below: number) => number,
): CaptureLine[] {
  const result = [...lines]
  for (let done = 0; done < count; done += 1) {
    const candidates = result.flatMap((line, at) => (fits(line) ? [at] : []))
    const at = candidates[random(candidates.length)] as number
    result.splice(at + 1 + random(20), 0, result[at] as CaptureLine)
  }
  return result
}

/** `count` depth updates change places with the next one of the symbol; the first 5 and the last stay where they are. */
export function withSwappedDeltas(
  lines: Lines,
  symbol: string,
  count: number,
  random: (below: number) => number,
): CaptureLine[] {
  const result = [...lines]
  const at = depthLines(lines, symbol)
  const step = Math.floor((at.length - 8) / count)
  for (let index = 0; index < count; index += 1) {
    const one = 5 + index * step + random(step - 2)
    const [left, right] = [at[one] as number, at[one + 1] as number]
    const kept = result[left] as CaptureLine
    result[left] = result[right] as CaptureLine
    result[right] = kept
  }
  return result
}

export const withoutSnapshots = (lines: Lines): CaptureLine[] => lines.filter(({ kind }) => kind !== 'http')

/** The symbol's snapshot, unchanged, behind its delta `behind`. */
export function withLateSnapshot(lines: Lines, symbol: string, behind: number): CaptureLine[] {
  const snapshot = lines.find((line) => isSnapshotOf(line, symbol)) as CaptureLine
  const at = depthLines(lines, symbol)[behind] as number
  return lines.flatMap((line, index) => {
    if (line === snapshot) return []
    return index === at ? [line, snapshot] : [line]
  })
}

/** The stream begins `missed` deltas later, so its old snapshot (behind delta `behind`) joins nothing; a new one heals. */
export function withUnusableSnapshot(
  lines: Lines,
  symbol: string,
  missed: number,
  behind: number,
  healed: number,
): CaptureLine[] {
  const late = withLateSnapshot(lines, symbol, behind)
  const heals = snapshotBehind(lines, symbol, depthLines(lines, symbol)[healed] as number)
  const at = depthLines(late, symbol)
  const healedAt = at[healed] as number
  const gone = new Set(at.slice(0, missed))
  return late.flatMap((line, index) => {
    if (gone.has(index)) return []
    return index === healedAt ? [line, heals] : [line]
  })
}

/** The lines of `from` under another symbol. */
export function renamed(lines: Lines, from: string, to: string): CaptureLine[] {
  const [lower, other] = [from.toLowerCase(), to.toLowerCase()]
  const streamsOf = (url: string): string => {
    const [base, query] = url.split('streams=')
    if (query === undefined) return url.replaceAll(`symbol=${from}`, `symbol=${to}`)
    const own = query.split('/').filter((stream) => stream.startsWith(`${lower}@`))
    return `${base}streams=${own.map((stream) => stream.replace(lower, other)).join('/')}`
  }
  return lines
    .filter(({ kind, url, msg }) => (kind === 'http' ? url.includes(`symbol=${from}&`) : msg.includes(`"${from}"`)))
    .map((line) => ({
      ...line,
      url: streamsOf(line.url),
      msg: line.msg.replace(`"stream":"${lower}@`, `"stream":"${other}@`).replaceAll(`"${from}"`, `"${to}"`),
    }))
}

/** Several captures as one, by receive time; lines of one capture keep their order. */
export function interleaved(captures: readonly Lines[]): CaptureLine[] {
  const places = captures.map(() => 0)
  const result: CaptureLine[] = []
  for (;;) {
    let best = -1
    for (const [index, capture] of captures.entries()) {
      const next = capture[places[index] as number]
      const chosen = captures[best]?.[places[best] as number]
      if (next && (!chosen || (next.ts as number) < (chosen.ts as number))) best = index
    }
    if (best === -1) return result
    result.push((captures[best] as Lines)[places[best] as number] as CaptureLine)
    places[best] = (places[best] as number) + 1
  }
}

/**
 * The first delta from `from` on whose own level is the best bid or ask behind it tells another quantity for that level.
 * Answers the capture and which delta it is; `random` chooses side and size.
 */
export function withCorruptedTop(
  lines: Lines,
  symbol: string,
  from: number,
  random: (below: number) => number,
): { lines: CaptureLine[]; delta: number } {
  const book = new NaiveBook()
  let last = -1
  let index = -1
  for (const [at, line] of lines.entries()) {
    if (isSnapshotOf(line, symbol)) {
      const { lastUpdateId, bids, asks } = JSON.parse(line.msg)
      book.clear()
      book.set(bids, asks)
      last = lastUpdateId
    }
    if (!isDepthOf(line, symbol)) continue
    index += 1
    const frame = JSON.parse(line.msg)
    if (last < 0 || frame.data.u <= last) continue
    book.set(frame.data.b, frame.data.a)
    last = frame.data.u
    if (index < from) continue
    const sides = random(2) === 0 ? (['b', 'a'] as const) : (['a', 'b'] as const)
    for (const side of sides) {
      const best = book.best(side === 'b' ? 'bids' : 'asks')
      const level = (frame.data[side] as [string, string][]).find(
        ([price]) => scaled(price) === scaled(best?.[0] ?? '0'),
      )
      if (level === undefined) continue
      // A digit more in front: never zero, and never the same.
      level[1] = `${1 + random(9)}${level[1]}`
      return { lines: lines.with(at, { ...line, msg: JSON.stringify(frame) }), delta: index }
    }
  }
  throw new Error(`expected a delta of ${symbol} from ${from} on that touches the top`)
}

/** The symbol's snapshot as it truly was behind delta `healed` of `truth`, put there. */
export function withSnapshotBehind(lines: Lines, truth: Lines, symbol: string, healed: number): CaptureLine[] {
  const at = depthLines(lines, symbol)[healed] as number
  const snapshot = snapshotBehind(truth, symbol, depthLines(truth, symbol)[healed] as number)
  return [...lines.slice(0, at + 1), snapshot, ...lines.slice(at + 1)]
}

/** Last update ids of the symbol's deltas, in order. */
export function depthIds(lines: Lines, symbol: string): number[] {
  return depthLines(lines, symbol).map((at) => JSON.parse((lines[at] as CaptureLine).msg).data.u as number)
}

/** A corrupted quantity at the top, from delta `from` on, that stays there: the next two deltas tell nothing as good. */
export function withStayingCorruption(
  lines: Lines,
  symbol: string,
  from: number,
): { lines: CaptureLine[]; delta: number } {
  const at = depthLines(lines, symbol)
  for (let start = from; ; start++) {
    for (const [side, sign] of [0, 1].map((side) => [side, side === 0 ? 1n : -1n] as const)) {
      // The side to look at first, then the size.
      const found = withCorruptedTop(lines, symbol, start, (below) => (below === 2 ? side : 3))
      if (found.delta !== start) continue
      const changed = changedPrices(found.lines[at[start] as number], lines[at[start] as number])
      const next = [1, 2].flatMap((after) => pricesOf(lines[at[start + after] as number], side))
      if (!next.some((price) => changed.some((one) => sign * (scaled(price) - scaled(one)) >= 0n))) return found
    }
  }
}

type Frame = { data: { b: [string, string][]; a: [string, string][] } }
const levelsOf = (line: CaptureLine | undefined): [string, string][] => {
  const { data } = JSON.parse(line?.msg ?? '') as Frame
  return [...data.b, ...data.a]
}
function pricesOf(line: CaptureLine | undefined, side: number): string[] {
  const { data } = JSON.parse(line?.msg ?? '') as Frame
  return data[side === 0 ? 'b' : 'a'].map(([price]) => price)
}

function changedPrices(one: CaptureLine | undefined, other: CaptureLine | undefined): string[] {
  const before = levelsOf(other)
  return levelsOf(one).flatMap(([price, quantity], index) => (before[index]?.[1] === quantity ? [] : [price]))
}
