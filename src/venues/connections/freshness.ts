import type { ConnectionsOptions } from './options.ts'

/**
 * Whether a stream that was acknowledged really flows, apart from whether its line is alive: a line can ping for ever
 * while one of its streams is dead. Pure; times are monotonic milliseconds at the resolution of the sweep.
 *
 * Inter-arrival is learnt at that resolution on purpose: a burst within one sweep counts once, so that a market which
 * trades in bursts is not called stale between two of them.
 */
export interface Freshness {
  /** When data was last seen, 0: never. */
  seenMs: number
  /** Usual time between two sweeps with data (exponentially weighted), 0: not learnt. */
  usualMs: number
  /** The longest such time of late: each new one makes an old maximum count for less. */
  longestMs: number
  samples: number
  /** Since when a witness has been moving without this topic, 0: not. */
  evidenceSinceMs: number
  /** When a witness was first seen to move after this topic had shown something last; of before then or 0: none was. */
  unansweredMs: number
  /** Samples of the liveliest sibling when silence began at `siblingSinceMs`; only kept while there was no data at all. */
  siblingSamples: number
  siblingSinceMs: number
}

/**
 * Why a topic counts as stale:
 * - `rate`: silent for many of its usual intervals while others flow.
 * - `sibling`: a topic that cannot move without this one has moved.
 * - `never-flowed`: no data since it was acknowledged although its siblings flow; often just a quiet stream.
 */
export type Staleness = 'rate' | 'sibling' | 'never-flowed'

/** What else moves, for one judgement. */
export interface Surroundings {
  /** Silence is counted from here at the earliest: acknowledgement, resumption after a pause. */
  readonly sinceMs: number
  /** Latest data of the siblings that prove this topic must move; 0: none. */
  readonly witnessSeenMs: number
  /** Samples of the sibling that has most; 0: none. */
  readonly siblingSamples: number
  /** Latest data of anything of the market. */
  readonly neighbourSeenMs: number
}

export function newFreshness(): Freshness {
  return {
    ...{ seenMs: 0, usualMs: 0, longestMs: 0, samples: 0 },
    ...{ evidenceSinceMs: 0, unansweredMs: 0, siblingSamples: 0, siblingSinceMs: 0 },
  }
}

/** Weight of one new interval: about the last 16 count, and the first ones alike. */
const LEARNING_WEIGHT = 1 / 16
/** How much of the longest interval is forgotten with every new one. */
const FORGETTING_WEIGHT = 1 / 128
/** Silent for so many of its longest intervals a topic that nothing witnesses is suspect. */
const LONGEST_FACTOR = 4
/** Fewer intervals tell no rate at all. */
const SAMPLES_MIN = 2

/** Silence beyond which a topic is stale by its own rate. */
export function staleAfterMs(freshness: Freshness, options: ConnectionsOptions): number {
  return Math.max(options.staleFloorMs, options.staleFactor * freshness.usualMs)
}

/** As long as few intervals were seen they say little: the silence that is odd is the longer the fewer there were. */
function oddAfterMs(freshness: Freshness, options: ConnectionsOptions): number {
  return staleAfterMs(freshness, options) * Math.max(1, options.staleSamplesMin / freshness.samples)
}

/** A silence that ended by itself: whether something is missing from it, as far as the usual interval tells. Not learnt: yes. */
export function hidesLoss(freshness: Freshness, silentMs: number, options: ConnectionsOptions): boolean {
  // Half an interval more than the usual one; below two sweeps an interval is not known.
  return freshness.samples < SAMPLES_MIN || silentMs > 1.5 * Math.max(freshness.usualMs, 2 * options.sweepMs)
}

/**
 * For how long a topic has shown nothing although it should have, ms; 0: there is nothing to suspect. Where it has witnesses, one
 * of them has moved and it did not follow; else it is silent for longer than it ever was of late, which of one that comes
 * at random says something only by far. Sooner than a verdict, and more often wrong: but of a thousand healthy topics not one
 * may be suspect for more than moments, because for whoever takes them over each casts a doubt on its whole partition.
 */
export function missingMs(
  freshness: Freshness,
  sinceMs: number,
  isWitnessed: boolean,
  nowMs: number,
  options: ConnectionsOptions,
): number {
  const silentMs = nowMs - sinceMs
  if (isWitnessed) {
    const { unansweredMs } = freshness
    return unansweredMs > sinceMs && nowMs - unansweredMs > options.staleGraceMs ? silentMs : 0
  }
  // What hardly ever showed anything tells nothing of when it should.
  if (freshness.samples < SAMPLES_MIN) return 0
  const longestMs = Math.max(freshness.longestMs, 2 * options.sweepMs)
  const few = Math.max(1, options.staleSamplesMin / freshness.samples)
  return silentMs > LONGEST_FACTOR * few * longestMs ? silentMs : 0
}

/** Takes note of the latest data. An interval longer than the limit was a fault or a halt, and teaches only the limit. */
export function observe(freshness: Freshness, lastSeenMs: number, options: ConnectionsOptions): void {
  if (lastSeenMs <= freshness.seenMs) return
  if (freshness.seenMs > 0) {
    const intervalMs = lastSeenMs - freshness.seenMs
    if (freshness.samples === 0) {
      freshness.usualMs = intervalMs
      freshness.longestMs = intervalMs
    } else {
      const learntMs = Math.min(intervalMs, staleAfterMs(freshness, options))
      freshness.longestMs = Math.max(learntMs, freshness.longestMs * (1 - FORGETTING_WEIGHT))
      freshness.usualMs += (learntMs - freshness.usualMs) * Math.max(LEARNING_WEIGHT, 1 / (freshness.samples + 1))
    }
    freshness.samples += 1
  }
  freshness.seenMs = lastSeenMs
  freshness.evidenceSinceMs = 0
}

/** Judges one acknowledged topic; null: fresh, or rightly quiet as far as anyone can tell. */
export function judge(
  freshness: Freshness,
  around: Surroundings,
  nowMs: number,
  options: ConnectionsOptions,
): Staleness | null {
  const referenceMs = Math.max(freshness.seenMs, around.sinceMs)
  if (freshness.unansweredMs <= referenceMs && around.witnessSeenMs > referenceMs)
    freshness.unansweredMs = around.witnessSeenMs
  if (around.witnessSeenMs < referenceMs + options.staleGraceMs) freshness.evidenceSinceMs = 0
  else if (freshness.evidenceSinceMs === 0) freshness.evidenceSinceMs = nowMs
  if (freshness.seenMs === 0 && freshness.siblingSinceMs !== around.sinceMs) {
    freshness.siblingSinceMs = around.sinceMs
    freshness.siblingSamples = around.siblingSamples
  }

  const silentMs = nowMs - referenceMs
  if (silentMs < options.staleFloorMs) return null
  if (freshness.evidenceSinceMs > 0 && nowMs - freshness.evidenceSinceMs >= options.staleGraceMs) return 'sibling'
  if (
    freshness.samples >= SAMPLES_MIN &&
    silentMs >= oddAfterMs(freshness, options) &&
    nowMs - around.neighbourSeenMs <= options.neighbourMs
  )
    return 'rate'
  const siblingSamples = around.siblingSamples - freshness.siblingSamples
  if (freshness.seenMs === 0 && siblingSamples >= options.neverFlowedSiblingSamplesMin) return 'never-flowed'
  return null
}
