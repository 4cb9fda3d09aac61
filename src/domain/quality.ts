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

/** What speaks against a joined book; `inherited`: another process had it in quarantine, for reasons of its own. */
export type Doubt = Mismatch | 'inherited'

/** Why the word is not `LIVE`; '' where it is. */
export type QualityReason = Doubt | 'start' | 'gap' | 'halted' | 'silent' | 'failing' | ''

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
  /** It is kept here from now on. Another process may have kept it before, so what was found here is old. */
  | { readonly kind: 'taken' }
  /** What stands where the quality of books is said; null where nothing does. */
  | { readonly kind: 'heard'; readonly shown: ShownQuality | null }
  /** Somebody wants it tried again now. */
  | { readonly kind: 'retried' }
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
  readonly doubt: Doubt | null
  /** The doubt is another process's; nothing was found here. */
  readonly inherited: boolean
  /** What whoever had it before said of it is not known yet. */
  readonly unheard: boolean
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
    inherited: false,
    unheard: false,
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
  const next = apply(state, fact, nowMs, nowUs, limits)
  if (next === state) return state
  const { quality, reason } = wordOf(next)
  if (quality === state.shown.quality && reason === state.shown.reason) return next
  if (fact.kind === 'heard' && quality === fact.shown?.quality && reason === fact.shown.reason) {
    return { ...next, shown: fact.shown }
  }
  return { ...next, shown: { quality, reason, sinceUs: nowUs } }
}

/** Whether a word says that a book is doubted, not only that it is on its way, so that whoever takes it doubts it too. */
export function isDoubt({ quality, reason }: ShownQuality): boolean {
  if (quality === Quality.Crossed || quality === Quality.Quarantined) return true
  return quality === Quality.Gapped && isDoubtReason(reason)
}

/** Whether it is the very same word, said by the same process. */
export function isSameWord(one: ShownQuality | null | undefined, other: ShownQuality | null | undefined): boolean {
  return one?.quality === other?.quality && one?.reason === other?.reason && one?.sinceUs === other?.sinceUs
}

const doubts = new Set<string>([...Object.values(Mismatch), 'inherited'])

function isDoubtReason(reason: QualityReason): reason is Doubt {
  return doubts.has(reason)
}

function apply(
  state: QualityState,
  fact: QualityFact,
  nowMs: number,
  nowUs: number,
  limits: QuarantineLimits,
): QualityState {
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
      return state.doubt === null ? state : { ...state, doubt: null, inherited: false }
    case 'silent':
      return state.silent === fact.silent ? state : { ...state, silent: fact.silent }
    case 'halted':
      return state.halted === fact.halted ? state : { ...state, halted: fact.halted }
    case 'taken': {
      const { joined, gapped, halted, shown } = state
      return { ...newQuality(nowUs), joined, gapped, halted, shown, unheard: true }
    }
    case 'heard':
      return inherit({ ...state, unheard: false }, fact.shown, nowMs, nowUs, limits)
    case 'retried':
      return state.quarantinedUntilMs === 0 ? state : { ...state, quarantinedUntilMs: 0, failuresMs: [] }
    case 'time':
      if (state.quarantinedUntilMs === 0 || nowMs < state.quarantinedUntilMs) return state
      return { ...state, quarantinedUntilMs: 0 }
  }
}

function withMismatch(state: QualityState, doubt: Mismatch, nowMs: number, limits: QuarantineLimits): QualityState {
  // In quarantine nothing is tried, so nothing fails.
  if (state.quarantinedUntilMs > 0) return state.doubt === doubt ? state : { ...state, doubt, inherited: false }
  const failuresMs = [...state.failuresMs.filter((ms) => nowMs - ms < limits.withinMs), nowMs]
  if (failuresMs.length < limits.failuresMax) return { ...state, doubt, inherited: false, failuresMs }
  return { ...state, doubt, inherited: false, failuresMs: [], quarantinedUntilMs: nowMs + limits.forMs }
}

/** What another process doubted is doubted until a snapshot ends it; a quarantine ends when it would have ended there. */
function inherit(
  state: QualityState,
  shown: ShownQuality | null,
  nowMs: number,
  nowUs: number,
  limits: QuarantineLimits,
): QualityState {
  if (shown === null || !isDoubt(shown)) return state
  const { quality, reason, sinceUs } = shown
  const doubt = isDoubtReason(reason) ? reason : quality === Quality.Crossed ? Mismatch.Crossed : 'inherited'
  const doubted = state.doubt === null ? { ...state, doubt, inherited: true } : state
  if (quality !== Quality.Quarantined || state.quarantinedUntilMs > 0) return doubted
  // The clocks of two processes may differ.
  const leftMs = Math.min(limits.forMs, limits.forMs - (nowUs - sinceUs) / 1_000)
  return leftMs > 0 ? { ...doubted, quarantinedUntilMs: nowMs + leftMs } : doubted
}

/**
 * The word on entries. They enter a joined book only, so what is said of an unjoined one is no word for them. `resyncs`: a
 * snapshot in the same call ends the doubt.
 */
export function enteringWord(state: QualityState, resyncs: boolean): Quality {
  if (state.quarantinedUntilMs > 0) return Quality.Quarantined
  if ((state.doubt !== null || state.suspect) && !resyncs) return wordOf({ ...state, joined: true }).quality
  if (state.unheard) return Quality.Syncing
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
  if (!state.joined || state.unheard) return { quality: Quality.Syncing, reason: 'start' }
  if (state.halted) return { quality: Quality.Halted, reason: 'halted' }
  if (state.silent) return { quality: Quality.Stale, reason: 'silent' }
  return { quality: Quality.Live, reason: '' }
}
