import { backoffMs } from '../lib/backoff.ts'
import type { Clock } from '../lib/clock.ts'
import type { CommitLog } from './commit-log.ts'
import { PartitionLoop } from './partition.ts'
import type { ResyncRequests } from './resync-requests.ts'
import type { BookName } from './snapshot-store.ts'
import type { SourceStreams } from './source-streams.ts'
import { addStats, emptyStats, type PartitionStats } from './stats.ts'

/** Something an operator should know. */
export interface ConductorIncident {
  readonly kind:
    | 'conductor-failed'
    | 'conductor-behind'
    | 'conductor-corrupt'
    | 'conductor-refused'
    | 'record-unavailable'
  readonly message: string
  readonly error?: unknown
  readonly [fact: string]: unknown
}

export interface ConductorParts {
  readonly streams: SourceStreams
  readonly log: CommitLog
  readonly resyncs: ResyncRequests
  readonly clock: Clock
  readonly incident: (incident: ConductorIncident) => void
  /** Shortest time between two fused events of an instrument. */
  readonly throttleMsOf: (name: BookName) => number
  /** Levels a side of a book. */
  readonly levelsMax: number
  /** Time to live of a snapshot record, which is renewed at a third of it. */
  readonly ttlMs: number
  /** A partition without an entry for so long is stale, unless a live owner tells that it flows. */
  readonly staleMs: number
  /** Partitions of which a live owner tells that they flow. Rejects where nobody can be asked. */
  readonly flowing: () => Promise<ReadonlySet<number>>
  /** Trace id of events that no source event caused. */
  readonly trace: string
  /** A fused event with new entries stands in its stream, so long after the newest of them was received. */
  readonly left: (afterUs: number) => void
}

export interface ConductorStats extends PartitionStats {
  readonly partitions: number
  readonly instruments: number
  readonly stalePartitions: number
}

const HEAR_MS = 500
const SWEEP_MS = 1_000
const RETRY = { baseMs: 50, maxMs: 2_000 }

/**
 * The role: hears the bells of its partitions and wakes their loops. What it owns is given from outside; two owners of a
 * partition do no harm, because the commit script lets one of them win.
 */
export class Conductor {
  readonly #parts: ConductorParts
  readonly #loops = new Map<number, PartitionLoop>()
  readonly #leaving = new Set<Promise<void>>()
  /** Numbers of the partitions that were given away. */
  readonly #before: PartitionStats = emptyStats()
  /** Heard at least once, so that every stream they have is known. */
  readonly #known = new Set<number>()
  #listening: Promise<void> | null = null
  #cancelSweep: () => void = () => {}
  #closed = false

  constructor(parts: ConductorParts) {
    this.#parts = parts
  }

  /** Takes these partitions and gives away all others, whose pending events leave first. */
  setPartitions(partitions: ReadonlySet<number>): void {
    for (const [partition, loop] of this.#loops) {
      if (partitions.has(partition)) continue
      this.#loops.delete(partition)
      this.#known.delete(partition)
      const leaving = loop.close().then(() => addStats(this.#before, loop.stats))
      this.#leaving.add(leaving)
      void leaving.finally(() => this.#leaving.delete(leaving))
    }
    for (const partition of partitions) {
      if (!this.#loops.has(partition)) this.#loops.set(partition, new PartitionLoop(partition, this.#parts))
    }
    if (this.#listening === null && partitions.size > 0 && !this.#closed) {
      this.#listening = this.#listen().finally(() => {
        this.#listening = null
        this.#cancelSweep()
      })
      this.#sweepLater()
    }
  }

  get partitions(): ReadonlySet<number> {
    return new Set(this.#loops.keys())
  }

  /** Those that are worked on: their streams are known and their books loaded. */
  get working(): ReadonlySet<number> {
    return new Set([...this.#loops].filter(([at, loop]) => this.#known.has(at) && loop.isLoaded).map(([at]) => at))
  }

  /** How old the oldest is that its partitions have not folded and committed yet, ms; null without a partition. */
  get lagMs(): number | null {
    let lagMs: number | null = null
    for (const loop of this.#loops.values()) lagMs = Math.max(lagMs ?? 0, loop.lagMs)
    return lagMs
  }

  stats(): ConductorStats {
    const sum = emptyStats()
    addStats(sum, this.#before)
    let instruments = 0
    let stalePartitions = 0
    for (const loop of this.#loops.values()) {
      addStats(sum, loop.stats)
      instruments += loop.instruments
      if (loop.isStale) stalePartitions++
    }
    return { ...sum, partitions: this.#loops.size, instruments, stalePartitions }
  }

  /** Resolves when all that stands in the streams of its partitions was folded and has left. Rejects with BusError. */
  async catchUp(): Promise<void> {
    const listed = await this.#parts.streams.list(this.partitions)
    await Promise.all([...this.#loops].map(([partition, loop]) => loop.catchUp(listed.get(partition) ?? [])))
  }

  /** Lets what is pending leave. Closing twice is harmless. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelSweep()
    this.setPartitions(new Set())
    await Promise.all(this.#leaving)
  }

  async #listen(): Promise<void> {
    for (let failures = 0; !this.#closed && this.#loops.size > 0; ) {
      try {
        const heard = await this.#parts.streams.hear(this.partitions, HEAR_MS)
        const unheard = new Set([...heard].filter(([, names]) => names === null).map(([partition]) => partition))
        if (unheard.size > 0) {
          const listed = await this.#parts.streams.list(unheard)
          for (const [partition, names] of listed) this.#loops.get(partition)?.ring(names)
          for (const partition of unheard) if (this.#loops.has(partition)) this.#known.add(partition)
        }
        for (const [partition, names] of heard) this.#loops.get(partition)?.ring(names)
        failures = 0
      } catch (error) {
        if (this.#closed) return
        this.#before.failures++
        if (failures === 0) {
          this.#parts.incident({ kind: 'conductor-failed', message: 'the bells cannot be heard, trying again', error })
        }
        const delayMs = backoffMs(failures++, RETRY, Math.random)
        await new Promise<void>((resolve) => this.#parts.clock.after(delayMs, resolve))
      }
    }
  }

  #sweepLater(): void {
    this.#cancelSweep = this.#parts.clock.after(SWEEP_MS, async () => {
      let flowing: ReadonlySet<number> = new Set()
      try {
        flowing = await this.#parts.flowing()
      } catch (error) {
        // Nobody can be asked, so nobody vouches for a silent partition.
        this.#before.failures++
        this.#parts.incident({ kind: 'conductor-failed', message: 'the owners of the partitions are unknown', error })
      }
      for (const [partition, loop] of this.#loops) loop.sweep(flowing.has(partition))
      if (!this.#closed) this.#sweepLater()
    })
  }
}
