import type { ClusterRole } from '../cluster/member-store.ts'
import { DELTAS_PER_SECOND_MAX, REFRESHES_KEPT } from '../config/relations.ts'
import type { Config } from '../config/schema.ts'
import { Channel } from '../domain/event.ts'
import type { CheckFinding } from '../redis/check.ts'

/** Measured: from here on a join or a leave moves at most 1.2 times the least on average. */
const PARTITIONS_PER_MEMBER_MIN = 8
/** Measured: what an entry takes in Redis, bytes; of books a delta, which most entries are. */
const ENTRY_BYTES = {
  [Channel.Trade]: 320,
  [Channel.Quote]: 340,
  [Channel.Ticker]: 830,
  [Channel.Kline]: 790,
  [Channel.OrderBook]: 1_200,
  [Channel.Analytics]: 2_300,
} as const satisfies Record<Channel, number>

export interface KeyspaceSizes {
  /** Live members of the roles that share the partitions. */
  readonly members: Readonly<Partial<Record<ClusterRole, number>>>
  /** Streams that the catalog lists, by channel. */
  readonly streams: Readonly<Partial<Record<Channel, number>>>
  /** Books that all processes together compare with the venue in a minute at most. */
  readonly refreshesPerMinuteMax: number
  /** Of all masters together; 0: no bound. */
  readonly maxMemoryBytes: number
}

/** Whether the settings fit the numbers of who and what is there. Pure. */
export function checkSizes(config: Config, sizes: KeyspaceSizes): CheckFinding[] {
  return [...checkPartitions(config, sizes), ...checkRefresh(config, sizes), ...checkRetention(config, sizes)]
}

function checkPartitions({ partitions, ingest }: Config, { members }: KeyspaceSizes): CheckFinding[] {
  const findings: CheckFinding[] = []
  for (const [role, count] of Object.entries(members)) {
    if (count === 0) continue
    const severity = partitions >= PARTITIONS_PER_MEMBER_MIN * count ? 'ok' : 'warning'
    const expected = `at least ${PARTITIONS_PER_MEMBER_MIN} partitions a member, so that loads are even and few move`
    findings.push({ name: `partitions ${role}`, severity, expected, found: `${partitions} for ${count} members` })
  }
  const count = members.ingest ?? 0
  if (count > 0 && ingest.redundancy > count) {
    const expected = `at least ${ingest.redundancy} members for ingest.redundancy ${ingest.redundancy}`
    findings.push({ name: 'members', severity: 'warning', expected, found: `${count}` })
  }
  return findings
}

/** A book is compared no oftener than the request weight pays for; meanwhile its stream must keep the snapshot before. */
function checkRefresh({ retention, ingest }: Config, sizes: KeyspaceSizes): CheckFinding[] {
  const { maxLength } = retention.ORDERBOOK
  const books = sizes.streams.ORDERBOOK ?? 0
  if (maxLength === null || !ingest.books.proved || books === 0) return []
  // Each owner of a book compares it for itself, at times of its own, and whichever snapshot comes will do.
  const roundSeconds = Math.max(ingest.books.refreshSeconds, Math.ceil((books / sizes.refreshesPerMinuteMax) * 60))
  const needed = REFRESHES_KEPT * roundSeconds * DELTAS_PER_SECOND_MAX
  const severity = maxLength >= needed ? 'ok' : 'warning'
  const expected = `retention.ORDERBOOK.maxLength at least ${needed}, or a larger ingest.books.refreshWeightShare, so that a snapshot is always in the stream`
  const found = `${maxLength}, with ${books} books and a snapshot of each in ${roundSeconds} s`
  return [{ name: 'book snapshots', severity, expected, found }]
}

function checkRetention({ retention }: Config, { streams, maxMemoryBytes }: KeyspaceSizes): CheckFinding[] {
  const counted = Object.entries(streams) as [Channel, number][]
  if (maxMemoryBytes === 0 || counted.length === 0) return []
  const unbounded = counted.filter(([channel]) => retention[channel].maxLength === null).map(([channel]) => channel)
  const bytes = counted.reduce(
    (sum, [channel, count]) => sum + count * (retention[channel].maxLength ?? 0) * ENTRY_BYTES[channel],
    0,
  )
  const fits = unbounded.length === 0 && bytes <= maxMemoryBytes
  const full = `about ${megabytes(bytes)} when every stream is full`
  return [
    {
      name: 'retention',
      severity: fits ? 'ok' : 'warning',
      expected: `what stays below maxmemory, ${megabytes(maxMemoryBytes)}`,
      found: unbounded.length === 0 ? full : `no bound for ${unbounded.join(', ')}`,
    },
  ]
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MB`
}
