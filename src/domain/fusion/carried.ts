import { type FusedChannel, FusedChannels, type FusionState, type SourcePosition } from './fusion.ts'
import type { LadderEdges } from './ladder.ts'

/**
 * What a conductor leaves in `state` with every commit, so that the next one goes on as if it had been there: the places in
 * the source streams and what a fused event shows beyond the book's levels. Private; text is JSON.
 */
export interface Carried {
  readonly positions: Readonly<Record<FusedChannel, SourcePosition>>
  readonly have: number | null
  readonly joined: boolean
  /** Decimals of the prices, which the keys of the snapshot record do not keep; -1 unknown. */
  readonly digits: number
  /** Beyond these prices the record's levels say nothing. */
  readonly edges: LadderEdges
  readonly lastTrade: FusionState['lastTrade']
  readonly quote: FusionState['quote']
  readonly windowStartUs: number
  readonly sourceQuality: string
  readonly stale: boolean
  readonly trace: string
}

/** `windowStartUs` is where the next event's window will begin. */
export function carriedText(state: FusionState, windowStartUs: number): string {
  const { book, positions, lastTrade, quote, sourceQuality, stale, trace } = state
  const carried: Carried = {
    positions,
    have: book.have,
    joined: book.joined,
    digits: book.ladder.digits,
    edges: book.ladder.edges,
    lastTrade,
    quote,
    windowStartUs: Math.max(windowStartUs, state.windowStartUs),
    sourceQuality,
    stale,
    trace,
  }
  return JSON.stringify(carried)
}

/** Null when the text is none of ours: then there is no place to go on from. */
export function parseCarried(text: string): Carried | null {
  try {
    const carried = JSON.parse(text) as Carried
    const isWhole = FusedChannels.every((channel) => typeof carried.positions[channel].id === 'string')
    return isWhole ? carried : null
  } catch {
    return null
  }
}
