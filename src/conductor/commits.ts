import { Quality } from '../domain/event.ts'
import { carriedText } from '../domain/fusion/carried.ts'
import { bookQuality, type FusionState, fuse, published } from '../domain/fusion/fusion.ts'
import { worseQuality } from '../domain/fusion/worse-quality.ts'
import type { Commit, CommitOutcome } from './commit-log.ts'
import type { ConductorParts } from './conductor.ts'
import type { Doubts } from './doubts.ts'
import type { Seat } from './seat.ts'
import type { PartitionStats } from './stats.ts'

/** Bounds of one call: instruments, and fields and values of levels. */
const COMMITS_PER_CALL_MAX = 32
const LEVEL_STRINGS_PER_CALL_MAX = 8_000
/** After a lost race the other one is left alone for longer and longer. */
const CONFLICT_BACKOFF_MS_MIN = 20
const CONFLICT_BACKOFF_MS_MAX = 1_000
/** Time between two attempts to write a record that could not be used. */
const RECORD_RETRY_MS = 2_000

/** Makes the commits of a partition and settles what came of them. Nothing may be folded between the two. */
export class Commits {
  readonly #parts: ConductorParts
  readonly #stats: PartitionStats
  readonly #doubts: Doubts

  constructor(parts: ConductorParts, stats: PartitionStats, doubts: Doubts) {
    this.#parts = parts
    this.#stats = stats
    this.#doubts = doubts
  }

  /**
   * Commits what is pending of these. `run`: the Redis process their states were read from. A seat that lost a race, or whose
   * commit has no known outcome, is left without a state, to be loaded again. Throws: BusError when no outcome is known.
   */
  async commit(run: string, seats: readonly Seat[]): Promise<void> {
    for (let at = 0; at < seats.length; ) {
      const batch: Seat[] = []
      const commits: Commit[] = []
      let strings = 0
      const nowUs = this.#parts.clock.nowUs()
      while (at < seats.length && batch.length < COMMITS_PER_CALL_MAX && strings < LEVEL_STRINGS_PER_CALL_MAX) {
        const seat = seats[at++] as Seat
        if (seat.state === null) continue
        const commit = this.#commitOf(seat, seat.state, nowUs)
        strings += commit.change.set.length + commit.change.removed.length
        batch.push(seat)
        commits.push(commit)
      }
      if (batch.length === 0) return
      let outcomes: CommitOutcome[]
      try {
        outcomes = await this.#parts.log.commit(run, commits)
      } catch (error) {
        // Nobody knows what was written.
        for (const seat of batch) seat.state = null
        throw error
      }
      for (const [index, seat] of batch.entries()) {
        const state = seat.state as FusionState
        this.#settle(seat, state, commits[index] as Commit, outcomes[index] as CommitOutcome, nowUs)
      }
    }
  }

  #commitOf(seat: Seat, state: FusionState, nowUs: number): Commit {
    const nowMs = this.#parts.clock.monotonicMs()
    if (seat.base === 'skip' && nowMs - seat.skippedMs >= RECORD_RETRY_MS) {
      seat.base = 'replace'
      state.book.ladder.unsettle()
    }
    const { base, version, versionFloor, name } = seat
    const own = bookQuality(state)
    const fused = fuse(state, nowUs)
    const { epoch, seq, id } = state.positions.ORDERBOOK
    return {
      ...{ name, version, versionFloor, base },
      change: {
        ...(base === 'skip' ? { set: [], removed: [] } : state.book.ladder.changes()),
        head: {
          ...{ epoch, seq: String(seq), streamId: id, updatedAt: String(nowUs), quality: own },
          venueSeq: state.book.have === null ? '' : String(state.book.have),
        },
      },
      carried: carriedText(state, nowUs),
      event: {
        ...fused,
        trace: fused.trace === '' ? this.#parts.trace : fused.trace,
        // Whoever comes late finds no record, or an old one: said on what still flows.
        quality: base === 'skip' ? worseQuality(fused.quality, Quality.Stale) : fused.quality,
      },
    }
  }

  #settle(seat: Seat, state: FusionState, commit: Commit, outcome: CommitOutcome, nowUs: number): void {
    const nowMs = this.#parts.clock.monotonicMs()
    switch (outcome.outcome) {
      case 'committed': {
        this.#stats.commits++
        this.#stats.suppressed += Math.max(0, state.pending.events - 1)
        if (state.pending.events > 0) this.#parts.left(this.#parts.clock.nowUs() - Number(state.receivedTime))
        seat.conflicts = 0
        seat.version = outcome.version
        seat.versionFloor = outcome.version
        state.book.ladder.settle()
        if (commit.base !== 'skip') {
          seat.writtenMs = nowMs
          seat.base = { epoch: commit.change.head.epoch, streamId: commit.change.head.streamId }
        }
        published(state, nowUs, nowMs)
        if (commit.change.head.quality === Quality.Crossed) this.#doubts.ask(seat, 'crossed')
        return
      }
      case 'conflict': {
        this.#stats.conflicts++
        const firstMs = Math.max(CONFLICT_BACKOFF_MS_MIN, seat.limits.throttleMs)
        seat.notBeforeMs = nowMs + Math.min(CONFLICT_BACKOFF_MS_MAX, firstMs * 2 ** Math.min(seat.conflicts, 10))
        seat.conflicts++
        seat.state = null
        return
      }
      case 'record-unavailable':
        seat.base = 'skip'
        this.#doubts.recordUnavailable(seat, outcome.error)
        return
      case 'failed':
        this.#doubts.refused(seat, outcome.error)
        seat.notBeforeMs = nowMs + CONFLICT_BACKOFF_MS_MAX
        // A record that was touched was taken away whole.
        if (seat.base !== 'skip') seat.base = 'replace'
        state.book.ladder.unsettle()
        return
    }
  }
}
