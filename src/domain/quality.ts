import { Quality } from './event.ts'

/**
 * The quality of a book: one state machine, pure. It is told facts and answers the word to be shown, with its reason and
 * since when. What several facts say at once is shown by the worst of them.
 */

/** What proved a joined book wrong. */
export const Mismatch = {
  /** Somebody bids what somebody else asks, or more. */
  Crossed: 'crossed',
  /** The best bid and ask are others than the venue's own ticker says, twice in a row. */
  Ticker: 'ticker',
  /** A whole side went at once. */
  Emptied: 'emptied',
  /** A snapshot of the venue, brought to the same update, holds other levels. */
  Audit: 'audit',
} as const
export type Mismatch = (typeof Mismatch)[keyof typeof Mismatch]

/** Why the word is not `LIVE`; '' where it is. */
export type QualityReason = Mismatch | 'start' | 'gap' | 'halted' | 'silent' | 'failing' | ''

export interface ShownQuality {
  readonly quality: Quality
  readonly reason: QualityReason
  /** Us, ours. */
  readonly sinceUs: number
}

export type QualityFact =
  /** The stream is joined and contiguous. */
  | { readonly kind: 'joined' }
  /** It is not: it never was, or a hole was told. */
  | { readonly kind: 'unjoined'; readonly gapped: boolean }
  | { readonly kind: 'mismatch'; readonly mismatch: Mismatch }
  /** The last verdict contradicts the venue's ticker, or the next one agreed. */
  | { readonly kind: 'suspect'; readonly suspect: boolean }
  /** A snapshot newer than what was proved wrong stands in the stream. */
  | { readonly kind: 'resynced' }
  /** No delta came for long although the best prices moved, or one came again. */
  | { readonly kind: 'silent'; readonly silent: boolean }
  | { readonly kind: 'halted'; readonly halted: boolean }
  /** Nothing but time. */
  | { readonly kind: 'time' }

/** When a book that fails again and again is left alone. */
export interface QuarantineLimits {
  /** So many mismatches ... */
  readonly failuresMax: number
  /** ... within so many ms ... */
  readonly withinMs: number
  /** ... put it into quarantine for so many. */
  readonly forMs: number
}

export interface QualityState {
  readonly joined: boolean
  readonly gapped: boolean
  readonly doubt: Mismatch | null
  readonly suspect: boolean
  readonly silent: boolean
  readonly halted: boolean
  /** Monotonic ms of the mismatches that still count; never more than `failuresMax`. */
  readonly failuresMs: readonly number[]
  /** Monotonic ms; 0: not in quarantine. */
  readonly quarantinedUntilMs: number
  readonly shown: ShownQuality
}

export function newQuality(nowUs: number): QualityState {
  return {
    joined: false,
    gapped: false,
    doubt: null,
    suspect: false,
    silent: false,
    halted: false,
    failuresMs: [],
    quarantinedUntilMs: 0,
    shown: { quality: Quality.Syncing, reason: 'start', sinceUs: nowUs },
  }
}

/** `nowMs` is monotonic, `nowUs` the wall clock for `sinceUs`. Answers the same object where the fact changes nothing. */
export function stepQuality(
  state: QualityState,
  fact: QualityFact,
  nowMs: number,
  nowUs: number,
  limits: QuarantineLimits,
): QualityState {
  const next = apply(state, fact, nowMs, limits)
  if (next === state) return state
  const { quality, reason } = wordOf(next)
  if (quality === state.shown.quality && reason === state.shown.reason) return next
  return { ...next, shown: { quality, reason, sinceUs: nowUs } }
}

function apply(state: QualityState, fact: QualityFact, nowMs: number, limits: QuarantineLimits): QualityState {
  switch (fact.kind) {
    case 'joined':
      return state.joined ? state : { ...state, joined: true, gapped: false }
    case 'unjoined':
      if (!state.joined && state.gapped === fact.gapped) return state
      return { ...state, joined: false, gapped: fact.gapped }
    case 'mismatch':
      return withMismatch(state, fact.mismatch, nowMs, limits)
    case 'suspect':
      return state.suspect === fact.suspect ? state : { ...state, suspect: fact.suspect }
    case 'resynced':
      return state.doubt === null ? state : { ...state, doubt: null }
    case 'silent':
      return state.silent === fact.silent ? state : { ...state, silent: fact.silent }
    case 'halted':
      return state.halted === fact.halted ? state : { ...state, halted: fact.halted }
    case 'time':
      if (state.quarantinedUntilMs === 0 || nowMs < state.quarantinedUntilMs) return state
      return { ...state, quarantinedUntilMs: 0 }
  }
}

function withMismatch(state: QualityState, doubt: Mismatch, nowMs: number, limits: QuarantineLimits): QualityState {
  // In quarantine nothing is tried, so nothing fails.
  if (state.quarantinedUntilMs > 0) return state.doubt === doubt ? state : { ...state, doubt }
  const failuresMs = [...state.failuresMs.filter((ms) => nowMs - ms < limits.withinMs), nowMs]
  if (failuresMs.length < limits.failuresMax) return { ...state, doubt, failuresMs }
  return { ...state, doubt, failuresMs: [], quarantinedUntilMs: nowMs + limits.forMs }
}

/**
 * The word on entries. They enter a joined book only, so what is said of an unjoined one is no word for them. `resyncs`: a
 * snapshot in the same call ends the doubt.
 */
export function enteringWord(state: QualityState, resyncs: boolean): Quality {
  if (state.quarantinedUntilMs > 0) return Quality.Quarantined
  if ((state.doubt !== null || state.suspect) && !resyncs) return wordOf({ ...state, joined: true }).quality
  if (state.halted) return Quality.Halted
  return state.silent ? Quality.Stale : Quality.Live
}

/** The worst first. A book that is not joined is of no use whether its market is open or not. */
function wordOf(state: QualityState): { quality: Quality; reason: QualityReason } {
  if (state.quarantinedUntilMs > 0) return { quality: Quality.Quarantined, reason: 'failing' }
  if (state.doubt !== null) {
    return { quality: state.doubt === Mismatch.Crossed ? Quality.Crossed : Quality.Gapped, reason: state.doubt }
  }
  if (state.joined && state.suspect) return { quality: Quality.Gapped, reason: Mismatch.Ticker }
  if (!state.joined && state.gapped) return { quality: Quality.Gapped, reason: 'gap' }
  if (!state.joined) return { quality: Quality.Syncing, reason: 'start' }
  if (state.halted) return { quality: Quality.Halted, reason: 'halted' }
  if (state.silent) return { quality: Quality.Stale, reason: 'silent' }
  return { quality: Quality.Live, reason: '' }
}
