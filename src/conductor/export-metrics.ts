import { beforeScrape, metrics } from '../telemetry/metrics.ts'
import type { ConductorStats } from './conductor.ts'

const exported = new Set<{ stats(): ConductorStats }>()

/** Carries this conductor's numbers over whenever Prometheus asks; the answer ends that. */
export function exportConductorMetrics(conductor: { stats(): ConductorStats }): () => void {
  exported.add(conductor)
  beforeScrape.add(carryOver)
  return () => {
    exported.delete(conductor)
  }
}

const COUNTERS = {
  entries: metrics.conductorEntries,
  suppressed: metrics.conductorSuppressed,
  commits: metrics.conductorCommits,
  conflicts: metrics.conductorConflicts,
  failures: metrics.conductorFailures,
  lost: metrics.conductorLost,
  corrupt: metrics.conductorCorrupt,
  rebuilt: metrics.conductorRebuilt,
  recordsUnavailable: metrics.conductorRecordsUnavailable,
} as const

/** The conductors count since their start, so every metric is set anew from their sums. */
function carryOver(): void {
  for (const metric of Object.values(COUNTERS)) metric.reset()
  let instruments = 0
  let stale = 0
  for (const conductor of exported) {
    const stats = conductor.stats()
    for (const [name, metric] of Object.entries(COUNTERS)) metric.inc(stats[name as keyof typeof COUNTERS])
    instruments += stats.instruments
    stale += stats.stalePartitions
  }
  metrics.conductorInstruments.set(instruments)
  metrics.conductorStalePartitions.set(stale)
}
