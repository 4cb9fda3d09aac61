import { metrics } from '../../telemetry/metrics.ts'
import type { Staleness } from './freshness.ts'
import type { Line } from './line.ts'
import type { LineCounts, LineEnd } from './line-parts.ts'
import type { RenewReason } from './slot.ts'

export type ConnectionsLog = (level: 'info' | 'warn', message: string, facts: Readonly<Record<string, unknown>>) => void

/** What the connections of one market tell the operators: one log line and one number an incident. */
export class Reports {
  readonly counts: LineCounts = {
    frames: 0,
    bytes: 0,
    messagesSent: 0,
    strayEvents: 0,
    repliesUnmatched: 0,
    heldBackEvents: 0,
  }
  readonly #market: string
  readonly #log: ConnectionsLog

  constructor(market: string, log: ConnectionsLog) {
    this.#market = market
    this.#log = log
  }

  opened(line: Line): void {
    this.#say('info', 'connection open', { connection: line.slotId, generation: line.generation })
  }

  lost(line: Line, reason: LineEnd, detail: string): void {
    metrics.venueReconnects.inc({ market: this.#market, reason })
    const { slotId: connection, generation } = line
    this.#say('warn', 'connection lost', { connection, generation, reason, detail, topics: line.carriers.size })
  }

  renewing(connection: number, reason: RenewReason): void {
    metrics.venueRenewals.inc({ market: this.#market, reason })
    this.#say('info', 'renewing a connection', { connection, reason })
  }

  differing(line: Line, strangers: readonly string[], missing: number): void {
    metrics.venueSubscriptionsDiffering.inc({ market: this.#market }, strangers.length + missing)
    const facts = { connection: line.slotId, strangers: strangers.slice(0, 10), missing }
    this.#say('warn', 'the venue believes in other subscriptions than we do', facts)
  }

  refusedConnects(status: number, holdMs: number): void {
    this.#say('warn', 'the venue refuses connections', { status, holdMs })
  }

  connectBudgetFailed(error: unknown): void {
    this.#say('warn', 'the shared budget of connection attempts cannot be reached, this process keeps to its part', {
      error,
    })
  }

  refusedSubscription(topic: string, error: string, together: number, errors: number): void {
    metrics.venueSubscribeErrors.inc({ market: this.#market })
    if (together === 1) this.#say('warn', 'subscription refused', { topic, error, errors })
  }

  refusedUnsubscription(line: Line, topics: readonly string[], error: string): void {
    metrics.venueSubscribeErrors.inc({ market: this.#market })
    this.#say('warn', 'unsubscription refused', { connection: line.slotId, topics: topics.slice(0, 10), error })
  }

  stale(topic: string, reason: Staleness): void {
    this.#say('warn', 'topic acknowledged and silent', { topic, reason })
  }

  resubscribed(reason: Staleness): void {
    metrics.venueResubscribes.inc({ market: this.#market, reason })
  }

  moving(group: string, reason: Staleness): void {
    metrics.venueMoves.inc({ market: this.#market, reason })
    this.#say('warn', 'moving an instrument to another connection', { group, reason })
  }

  silentLine(line: Line, silent: number): void {
    const facts = { connection: line.slotId, silent, topics: line.carriers.size }
    this.#say('warn', 'many topics of a connection are silent', facts)
  }

  interrupted(topics: number, cause: string): void {
    metrics.venueInterruptedTopics.inc({ market: this.#market, cause }, topics)
  }

  /** Carries what was counted per message over to Prometheus. */
  carry(open: number, stale: number): void {
    const market = { market: this.#market }
    const { counts } = this
    metrics.venueFrames.inc(market, counts.frames)
    metrics.venueReceivedBytes.inc(market, counts.bytes)
    metrics.venueMessagesSent.inc(market, counts.messagesSent)
    metrics.venueStrayEvents.inc(market, counts.strayEvents)
    metrics.venueRepliesUnmatched.inc(market, counts.repliesUnmatched)
    metrics.venueHeldBackEvents.inc(market, counts.heldBackEvents)
    counts.heldBackEvents = 0
    counts.frames = counts.bytes = counts.messagesSent = counts.strayEvents = counts.repliesUnmatched = 0
    metrics.venueConnections.set(market, open)
    metrics.venueStaleTopics.set(market, stale)
  }

  #say(level: 'info' | 'warn', message: string, facts: Readonly<Record<string, unknown>>): void {
    this.#log(level, message, { market: this.#market, ...facts })
  }
}
