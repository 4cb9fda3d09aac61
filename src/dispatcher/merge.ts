import { trimDecimal } from '../domain/decimal.ts'
import type { Level } from '../domain/event.ts'
import { levelsData } from './canonical.ts'
import type { LineOffer } from './line-offer.ts'

/** A merged delta with so many levels takes no further one: it shall still fit into a call. */
const MERGED_LEVELS_MAX = 5_000

/**
 * Offers of one line, in order, that wait for a bus which cannot keep up: answers fewer that say as much about the end of it.
 *
 * - `QUOTE`, `TICKER`: of events in a row the newest.
 * - `KLINE`: of the updates of one bar the newest; the final one of every bar stays.
 * - `DELTA`: of deltas in a row one with the joined range and the last quantity of every level any of them touched. Levels are
 *   absolute, so a book anywhere inside the range that takes it stands where the deltas one by one would have brought it.
 *   Not over a change of the word on the book.
 * - Nothing else: trades, what an answer of Redis is owed for, what was in a stream before.
 *
 * The `merged` of the payload says how many others an event stands for. An event that begins a line after an
 * interruption is never merged into one before it, so the gap it declares stays where it is; nor is a later one into it,
 * because another process may have brought this one and not that: then there is no gap, and nothing of it would show.
 */
export function mergeOffers(offers: readonly LineOffer[]): LineOffer[] {
  const merged: LineOffer[] = []
  /** Where in `merged` the offer stands into which the next one of its kind could go: by bar, else by kind. */
  const open = new Map<string, number>()
  let deltas: LineOffer[] = []
  let levels = 0
  const endDeltas = (): void => {
    if (deltas.length > 0) merged.push(deltas.length === 1 ? (deltas[0] as LineOffer) : joinDeltas(deltas))
    deltas = []
    levels = 0
  }
  for (const offer of offers) {
    const mergeable = offer.known === 'new' && !offer.refresh
    if (offer.kind === 'DELTA' && mergeable) {
      // Each level is about twenty characters; an exact count would cost as much as the merge.
      const more = offer.data.length / 20
      const last = deltas.at(-1)
      if (last !== undefined && (!continues(last, offer) || levels + more > MERGED_LEVELS_MAX)) endDeltas()
      deltas.push(offer)
      levels += more
      continue
    }
    endDeltas()
    const key = mergeable ? keyOf(offer) : null
    if (key === null || offer.declare !== '') open.clear()
    const at = key === null ? undefined : open.get(key)
    const before = at === undefined ? undefined : merged[at]
    if (at !== undefined && before !== undefined && isNewer(offer, before)) {
      merged[at] = standFor(offer, before)
      continue
    }
    if (key !== null && offer.declare === '') open.set(key, merged.length)
    merged.push(offer)
  }
  endDeltas()
  return merged
}

/** `null`: never merged. */
function keyOf(offer: LineOffer): string | null {
  switch (offer.kind) {
    case 'QUOTE':
    case 'TICKER':
      return offer.kind
    case 'KLINE':
      return `${offer.part}@${offer.low}`
    default:
      return null
  }
}

/** Whether `offer` alone says what both say; what is no newer than the one before is for the script to judge. */
function isNewer(offer: LineOffer, before: LineOffer): boolean {
  if (offer.kind !== 'KLINE') return offer.high > before.high
  if (before.id.endsWith('@closed')) return false
  return offer.id.endsWith('@closed') || tradesOf(offer) > tradesOf(before)
}

function tradesOf(bar: LineOffer): number {
  return Number(bar.id.split('@')[2])
}

function standFor(offer: LineOffer, before: LineOffer): LineOffer {
  const merged = before.merged + 1 + offer.merged
  return { ...offer, heldSinceMs: 0, merged, data: withMerged(offer.data, merged) }
}

function withMerged(data: string, merged: number): string {
  return `${data.replace(/(,"merged":\d+)?\}$/, '')},"merged":${merged}}`
}

function continues(before: LineOffer, delta: LineOffer): boolean {
  // Two words on one entry would be one of them on what the other is about.
  if (delta.quality !== before.quality) return false
  return delta.declare === '' && delta.low <= before.high + 1 && delta.low >= before.low && delta.high > before.high
}

function joinDeltas(deltas: readonly LineOffer[]): LineOffer {
  const [first, last] = [deltas[0], deltas.at(-1)] as [LineOffer, LineOffer]
  const bids = new Map<string, Level>()
  const asks = new Map<string, Level>()
  let merged = deltas.length - 1
  for (const { data, merged: more } of deltas) {
    const delta = JSON.parse(data) as { bids: Level[]; asks: Level[] }
    for (const level of delta.bids) bids.set(trimDecimal(level[0]), level)
    for (const level of delta.asks) asks.set(trimDecimal(level[0]), level)
    merged += more
  }
  const sides = `"bids":${levelsData([...bids.values()])},"asks":${levelsData([...asks.values()])}`
  return {
    ...last,
    first: first.first,
    low: first.low,
    declare: first.declare,
    heldSinceMs: first.heldSinceMs,
    merged,
    data: `{"first":"${first.first}","last":"${last.id}",${sides},"merged":${merged}}`,
  }
}
