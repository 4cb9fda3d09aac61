import type { DispatcherStats } from '../dispatcher/stats.ts'
import type { LatencyQuantiles } from '../telemetry/latency.ts'

/** The last line of `start --until-done` and `start --for`. */
export interface Summary {
  readonly ok: boolean
  readonly seconds: number
  readonly redis: string
  readonly prefix: string
  /** Entries appended: market -> instrument -> canonical type -> count. */
  readonly events: DispatcherStats['events']
  readonly gaps: number
  readonly duplicates: number
  readonly refused: number
  readonly deadLetters: number
  readonly eventsPerSecond: number
  readonly latencyUs: LatencyQuantiles
}

export function summaryOf(parts: {
  /** Null before the venue told its instruments. */
  readonly stats: DispatcherStats | null
  readonly ingests: boolean
  readonly seconds: number
  readonly redis: string
  readonly prefix: string
  readonly latencyUs: LatencyQuantiles
}): Summary {
  const { stats, ingests, seconds, redis, prefix, latencyUs } = parts
  return {
    ok: stats === null ? !ingests : stats.refused === 0,
    seconds: Number(seconds.toFixed(3)),
    redis,
    prefix,
    events: stats?.events ?? {},
    gaps: stats?.gaps ?? 0,
    duplicates: stats?.duplicates ?? 0,
    refused: stats?.refused ?? 0,
    deadLetters: stats?.deadLetters ?? 0,
    eventsPerSecond: Math.round((stats?.appended ?? 0) / seconds),
    latencyUs,
  }
}
