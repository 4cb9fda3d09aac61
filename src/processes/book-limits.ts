import type { Config } from '../config/schema.ts'
import type { BookLimits } from '../dispatcher/book-guard.ts'
import { defaultDispatcherLimits } from '../dispatcher/options.ts'
import { depthWeight } from '../venues/binance/weights.ts'

/** The settings of `ingest.books` in the words of the dispatcher. `weightPerMinute`: what the venue allows in all. */
export function bookLimits({ ingest, venues }: Config, weightPerMinute: number): BookLimits {
  const { proved, refreshSeconds, refreshWeightShare, silentSeconds, quarantine } = ingest.books
  const { depthLimit, requestWeightShare } = venues.binance
  const weight = weightPerMinute * requestWeightShare * refreshWeightShare
  const { recordedMax, reachLevelsMin } = defaultDispatcherLimits.books
  return {
    proved,
    refreshMs: refreshSeconds * 1_000,
    refreshesPerMinuteMax: Math.max(1, Math.floor(weight / depthWeight(depthLimit))),
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
