/** Numbers of a partition since it was taken, summed up by the conductor. */
export interface PartitionStats {
  /** Entries of source streams folded or left out. */
  entries: number
  commits: number
  /** Commits that lost a race. */
  conflicts: number
  /** Calls and commits that failed and are made again. */
  failures: number
  /** Entries that were trimmed before they were read. */
  lost: number
  /** Entries that do not keep the contract. */
  corrupt: number
  /** Books made anew from their stream. */
  rebuilt: number
  /** Attempts to read or write a snapshot record in vain. */
  recordsUnavailable: number
  /** Resyncs asked for. */
  resyncs: number
  /** Source entries that stand behind a fused event beyond the one it is. */
  suppressed: number
}

export function emptyStats(): PartitionStats {
  return {
    ...{ entries: 0, commits: 0, conflicts: 0, failures: 0, lost: 0, corrupt: 0, rebuilt: 0 },
    ...{ recordsUnavailable: 0, resyncs: 0, suppressed: 0 },
  }
}

export function addStats(sum: PartitionStats, more: PartitionStats): void {
  for (const key of Object.keys(sum) as (keyof PartitionStats)[]) sum[key] += more[key]
}
