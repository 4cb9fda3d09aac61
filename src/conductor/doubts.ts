import { type FusionState, TOP_LEVELS } from '../domain/fusion/fusion.ts'
import type { ConductorParts } from './conductor.ts'
import type { ResyncReason } from './resync-requests.ts'
import type { Seat } from './seat.ts'
import type { PartitionStats } from './stats.ts'

/** A book is doubted again no sooner than this. */
const RESYNC_REPEAT_MS = 10_000
/** So long a stream may be without a snapshot: whoever joins the book asks the venue by itself. */
const BARE_MS_MAX = 2_000

/** What a partition says when something is wrong: incidents to people, and resyncs of books it cannot trust. */
export class Doubts {
  readonly #parts: ConductorParts
  readonly #stats: PartitionStats
  readonly #partition: number

  constructor(parts: ConductorParts, stats: PartitionStats, partition: number) {
    this.#parts = parts
    this.#stats = stats
    this.#partition = partition
  }

  /** What folding noticed. */
  tell(seat: Seat, state: FusionState): void {
    for (const notice of state.notices.splice(0)) {
      const facts = { ...seat.name, channel: notice.channel, partition: this.#partition }
      switch (notice.kind) {
        case 'lost':
          this.#stats.lost += notice.count
          this.#parts.incident({
            ...{ kind: 'conductor-behind', message: 'entries were trimmed before they were read', ...facts },
            count: notice.count,
          })
          break
        case 'corrupt':
          this.#stats.corrupt++
          this.#parts.incident({
            ...{ kind: 'conductor-corrupt', message: 'an entry does not keep the contract', ...facts, id: notice.id },
          })
          break
        case 'unjoined':
          break
      }
      if (notice.channel === 'ORDERBOOK') this.ask(seat, REASONS[notice.kind])
    }
  }

  /** Looks at the book itself, once a sweep. */
  look(seat: Seat, state: FusionState): void {
    const { book } = state
    const nowMs = this.#parts.clock.monotonicMs()
    const isBare = book.have === null && state.positions.ORDERBOOK.seq > 0 && !seat.rung.has('ORDERBOOK')
    seat.bareSinceMs = isBare ? (seat.bareSinceMs ?? nowMs) : null
    if (seat.bareSinceMs !== null && nowMs - seat.bareSinceMs >= BARE_MS_MAX) this.ask(seat, 'no-snapshot')
    if (book.joined && book.ladder.isShallow(TOP_LEVELS)) this.ask(seat, 'shallow')
  }

  ask(seat: Seat, reason: ResyncReason): void {
    const nowMs = this.#parts.clock.monotonicMs()
    if (nowMs - seat.resyncMs < RESYNC_REPEAT_MS) return
    seat.resyncMs = nowMs
    this.#stats.resyncs++
    this.#parts.resyncs.request(seat.name, reason)
  }

  recordUnavailable(seat: Seat, reason: string): void {
    seat.skippedMs = this.#parts.clock.monotonicMs()
    this.#stats.recordsUnavailable++
    const message = 'events leave without their snapshot record'
    this.#parts.incident({ kind: 'record-unavailable', message, ...seat.name, partition: this.#partition, reason })
  }

  refused(seat: Seat, message: string): void {
    this.#stats.failures++
    this.#parts.incident({ kind: 'conductor-refused', message, ...seat.name, partition: this.#partition })
  }
}

const REASONS = { lost: 'behind-retention', corrupt: 'corrupt-entry', unjoined: 'unjoined' } as const
