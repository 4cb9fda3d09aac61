import { backoffMs } from '../../lib/backoff.ts'
import { carrierOn } from './coverage.ts'
import { judge, observe, type Staleness, staleAfterMs } from './freshness.ts'
import type { Line } from './line.ts'
import type { Tick } from './line-parts.ts'
import type { ConnectionsOptions } from './options.ts'
import { SlidingWindow } from './outbound.ts'
import type { Group, Slot } from './slot.ts'
import type { Carrier, Topic } from './topic.ts'

/** What the repairs ask of the one who owns the slots. */
export interface RepairOwner {
  /** It was silent although it should have flowed: what the venue said meanwhile is lost. */
  topicStale(topic: Topic, reason: Staleness): void
  topicResubscribed(carrier: Carrier, reason: Staleness): void
  moveGroup(group: Group, reason: Staleness): void
  /** So many topics of the line are silent at once that the line itself is to blame. */
  lineSilent(line: Line, topicsCount: number): void
}

interface Suspect {
  readonly topic: Topic
  readonly group: Group
  readonly carrier: Carrier
  readonly reason: Staleness
}

const MINUTE_MS = 60_000
/** Sweeps are numbered modulo this. */
const SWEEPS_MAX = 2 ** 30

/**
 * Finds topics that were acknowledged and are silent, and mends them step by step:
 *
 * 1. UNSUBSCRIBE and SUBSCRIBE on the same line.
 * 2. Still silent after `repairWaitMs`: the group moves to another line.
 * 3. Still silent: again from 1 after a back-off that grows for as long as the topic does not flow.
 *
 * A line on which nothing comes any more while nothing else moves either is one to a market that rests, or is deaf. A new
 * line shows which: it is made beside the old one, ever more rarely, and tells a hole only if it shows data at once.
 */
export class Repairs {
  readonly #options: ConnectionsOptions
  readonly #owner: RepairOwner
  readonly #random: () => number
  readonly #moves: SlidingWindow
  #neighbourSeenMs = 0
  #sweeps = 0
  /** As of the last sweep. */
  staleTopicsCount = 0

  constructor(owner: RepairOwner, options: ConnectionsOptions, random: () => number) {
    this.#owner = owner
    this.#options = options
    this.#random = random
    this.#moves = new SlidingWindow(options.movesPerMinuteMax, MINUTE_MS)
  }

  /** Takes note of what has shown data since the sweep before. */
  observe({ shown }: Tick): void {
    this.#sweeps = (this.#sweeps + 1) % SWEEPS_MAX
    for (const carrier of shown.splice(0)) this.#observe(carrier)
  }

  sweep(slots: Iterable<Slot>, nowMs: number, tick: Tick): void {
    const { rebaseMs } = tick
    this.observe(tick)
    this.staleTopicsCount = 0
    for (const slot of [...slots]) {
      const { line, successor } = slot
      // One that is kept idle has nothing to show.
      if (line === null || line.state !== 'open' || line.carriers.size === 0) continue
      // A topic that is silent on both lines of an overlap is mended on the one that stays.
      if (successor !== null) this.#mendTopics(this.#suspects(slot, line, nowMs, rebaseMs), successor, nowMs)
      else if (this.#isDeaf(slot, line, nowMs, rebaseMs)) this.#owner.lineSilent(line, line.carriers.size)
      else this.#mend(line, this.#suspects(slot, line, nowMs, rebaseMs), nowMs)
    }
  }

  #isDeaf(slot: Slot, line: Line, nowMs: number, rebaseMs: number): boolean {
    const options = this.#options
    if (line.lastEventMs > 0 && nowMs - line.lastEventMs < options.staleFloorMs) {
      slot.quietAttempt = 0
      slot.quietNextAtMs = 0
      return false
    }
    if (nowMs - this.#neighbourSeenMs <= options.neighbourMs || nowMs < slot.quietNextAtMs || !line.settled)
      return false
    const silentMs = nowMs - Math.max(line.lastEventMs, line.openedMs, slot.usedSinceMs, rebaseMs)
    if (silentMs < quietAfterMs(slot, options) || !this.#moves.take(nowMs)) return false
    const bounds = { baseMs: options.repairBaseMs, maxMs: options.repairMsMax }
    slot.quietNextAtMs = nowMs + this.#jittered(backoffMs(slot.quietAttempt++, bounds, () => 1 - Number.EPSILON))
    return true
  }

  #observe(carrier: Carrier): void {
    const { topic, lastSeenMs } = carrier
    const { shownMs, freshness } = topic
    // Its line may be gone.
    if (!topic.carriers.includes(carrier)) return
    shownMs.trades = Math.max(shownMs.trades, carrier.tradesShownMs)
    shownMs.best = Math.max(shownMs.best, carrier.bestShownMs)
    // What it carried was interrupted since.
    if (lastSeenMs === 0) return
    observe(freshness, lastSeenMs, this.#options)
    topic.observedAt = this.#sweeps
    shownMs.data = freshness.seenMs
    this.#neighbourSeenMs = Math.max(this.#neighbourSeenMs, freshness.seenMs)
  }

  #suspects(slot: Slot, line: Line, nowMs: number, rebaseMs: number): Suspect[] {
    const suspects: Suspect[] = []
    for (const group of slot.groups) {
      if (group.leaving !== null) continue
      for (const topic of group.topics.values()) {
        // Just seen and well before: there is nothing to judge.
        if (topic.observedAt === this.#sweeps && !topic.ailing) continue
        const carrier = carrierOn(topic, line)
        if (carrier === null || carrier.phase !== 'acked') continue
        this.#settle(topic, nowMs)
        const reason = this.#judge(topic, group, carrier, nowMs, rebaseMs) ?? topic.repair.stale
        if (reason === null) continue
        this.staleTopicsCount += 1
        // Told whenever it is found; only the mending has a back-off.
        this.#mark(topic, reason)
        suspects.push({ topic, group, carrier, reason })
      }
    }
    return suspects
  }

  #judge(topic: Topic, group: Group, carrier: Carrier, nowMs: number, rebaseMs: number): Staleness | null {
    let siblingSamples = 0
    if (topic.freshness.seenMs === 0) {
      for (const { freshness } of group.topics.values()) siblingSamples = Math.max(siblingSamples, freshness.samples)
    }
    const sinceMs = Math.max(carrier.ackedMs, rebaseMs)
    const { witnessSeenMs } = topic
    const around = { sinceMs, witnessSeenMs, siblingSamples, neighbourSeenMs: this.#neighbourSeenMs }
    return judge(topic.freshness, around, nowMs, this.#options)
  }

  /** Data since the last step ends a repair. Its back-off is forgotten only after the topic has been well for a while. */
  #settle(topic: Topic, nowMs: number): void {
    const { repair, freshness } = topic
    if (freshness.seenMs <= repair.mendedAtMs) return
    repair.stale = null
    repair.step = 'none'
    if (nowMs <= repair.mendedAtMs + MINUTE_MS) return
    repair.attempt = 0
    topic.ailing = false
  }

  #mend(line: Line, suspects: readonly Suspect[], nowMs: number): void {
    const options = this.#options
    const due = suspects.filter(({ topic }) => topic.repair.nextAtMs <= nowMs)
    const lively = due.filter(({ reason }) => reason !== 'never-flowed')
    if (lively.length >= options.staleTopicsReconnectMin && lively.length * 2 >= line.carriers.size) {
      for (const { topic, reason } of lively) {
        topic.repair.step = 'moved'
        this.#postpone(topic, reason, nowMs)
      }
      this.#owner.lineSilent(line, lively.length)
      return
    }
    this.#mendTopics(due, null, nowMs)
  }

  #mendTopics(suspects: readonly Suspect[], successor: Line | null, nowMs: number): void {
    for (const { topic, group, carrier, reason } of suspects) {
      const { repair } = topic
      if (repair.nextAtMs > nowMs) continue
      if (repair.step !== 'resubscribed') {
        repair.step = 'resubscribed'
        repair.nextAtMs = nowMs + this.#options.repairWaitMs
        repair.mendedAtMs = nowMs
        this.#owner.topicResubscribed(carrierOn(topic, successor) ?? carrier, reason)
      } else if (successor === null && group.leaving === null && this.#moves.take(nowMs)) {
        repair.step = 'moved'
        this.#postpone(topic, reason, nowMs)
        this.#owner.moveGroup(group, reason)
      }
    }
  }

  #mark(topic: Topic, reason: Staleness): void {
    if (topic.repair.stale === null) this.#owner.topicStale(topic, reason)
    topic.repair.stale = reason
    topic.ailing = true
  }

  #postpone(topic: Topic, reason: Staleness, nowMs: number): void {
    const options = this.#options
    const bounds =
      reason === 'never-flowed'
        ? { baseMs: options.repairNeverFlowedBaseMs, maxMs: options.repairNeverFlowedMsMax }
        : { baseMs: options.repairBaseMs, maxMs: options.repairMsMax }
    topic.repair.nextAtMs = nowMs + this.#jittered(backoffMs(topic.repair.attempt, bounds, () => 1 - Number.EPSILON))
    topic.repair.mendedAtMs = nowMs
    topic.repair.attempt += 1
  }

  /** Half of the wait is fixed: a repair needs time to show its effect. */
  #jittered(capMs: number): number {
    return capMs / 2 + (this.#random() * capMs) / 2
  }
}

/** Silence of a whole slot that its liveliest topic makes odd; twice the floor where none has shown its rate. */
function quietAfterMs(slot: Slot, options: ConnectionsOptions): number {
  let afterMs = Number.POSITIVE_INFINITY
  for (const group of slot.groups) {
    for (const { freshness } of group.topics.values()) {
      if (freshness.samples >= options.staleSamplesMin) afterMs = Math.min(afterMs, staleAfterMs(freshness, options))
    }
  }
  return afterMs === Number.POSITIVE_INFINITY ? 2 * options.staleFloorMs : afterMs
}
