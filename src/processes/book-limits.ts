import type { Config } from '../config/schema.ts'
import type { BookLimits } from '../dispatcher/guard-parts.ts'
import { defaultDispatcherLimits } from '../dispatcher/options.ts'
import { depthWeight } from '../venues/binance/weights.ts'

/**
 * Part of the request weight for snapshots of books that cannot be proved without: after a takeover all of a process at once.
 * Mending, filling and polling live on the rest.
 */
const BLIND_WEIGHT_SHARE = 0.25

export interface BookBudget {
  /** What the venue allows in all. */
  weightPerMinute(): number
  /** Live processes that keep books, at least one; each has its part of the share. */
  processes(): number
}

/** The settings of `ingest.books` in the words of the dispatcher. What is paid from the budget follows it. */
export function bookLimits({ ingest, venues }: Config, budget: BookBudget): BookLimits {
  const { proved, refreshSeconds, refreshWeightShare, silentSeconds, quarantine } = ingest.books
  const { depthLimit, requestWeightShare } = venues.binance
  const { recordedMax, reachLevelsMin } = defaultDispatcherLimits.books
  const requestsPerMinute = (share: number): number => {
    const weight = budget.weightPerMinute() * requestWeightShare * share
    return weight / depthWeight(depthLimit) / Math.max(1, budget.processes())
  }
  return {
    proved,
    refreshMs: refreshSeconds * 1_000,
    get refreshesPerMinuteMax() {
      return requestsPerMinute(refreshWeightShare)
    },
    get blindPerMinuteMax() {
      return requestsPerMinute(Math.max(refreshWeightShare, BLIND_WEIGHT_SHARE))
    },
    silentMs: silentSeconds * 1_000,
    reachLevelsMin: Math.min(reachLevelsMin, Math.ceil(depthLimit / 20)),
    recordedMax,
    quarantine: {
      failuresMax: quarantine.failures,
      withinMs: quarantine.withinSeconds * 1_000,
      forMs: quarantine.forSeconds * 1_000,
    },
  }
}
