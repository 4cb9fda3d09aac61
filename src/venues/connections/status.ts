import { missingMs } from './freshness.ts'
import type { Line } from './line.ts'
import type { ConnectionsOptions } from './options.ts'
import type { Slot } from './slot.ts'
import type { Topic } from './topic.ts'

export interface TopicStatus {
  readonly topic: string
  /** `requested`: not acknowledged; `acked`: no data since; `flowing`: data; `stale`: should flow and does not. */
  readonly state: 'requested' | 'acked' | 'flowing' | 'stale'
  /** Ids of the connections that carry it: two in an overlap, none while its line is down. */
  readonly connections: readonly number[]
  readonly requestedAtUs: number
  readonly ackedAtUs: number | null
  readonly flowingAtUs: number | null
  /** Age of the latest data at the resolution of the sweep, null: none yet. */
  readonly lastSeenAgoMs: number | null
  /** For how long it has shown nothing although it should have, 0: nothing to suspect; see `missingMs` of the freshness. */
  readonly missingMs: number
  /** Error replies in a row. */
  readonly errors: number
}

export interface ConnectionStatus {
  readonly connection: number
  readonly generation: number
  readonly state: 'connecting' | 'open' | 'closed'
  readonly role: 'line' | 'successor'
  readonly topicsCount: number
  readonly ackedCount: number
  /** Since it was opened; 0 while connecting. */
  readonly ageMs: number
  readonly paused: boolean
  /** Losses in a row without a stable time between them. */
  readonly attempt: number
}

export interface ConnectionsStatus {
  readonly connections: readonly ConnectionStatus[]
  readonly topics: readonly TopicStatus[]
  /** Not wanted any more, newest last, bounded. */
  readonly stopped: readonly { readonly topic: string; readonly stoppedAtUs: number }[]
  readonly staleTopicsCount: number
}

export function topicStatus(topic: Topic, nowMs: number, options: ConnectionsOptions): TopicStatus {
  const acked = topic.carriers.filter(({ phase }) => phase === 'acked')
  const isAcked = acked.length > 0
  const seenMs = Math.max(topic.freshness.seenMs, ...topic.carriers.map((carrier) => carrier.lastSeenMs))
  const state = topic.repair.stale !== null ? 'stale' : topic.flowing ? 'flowing' : isAcked ? 'acked' : 'requested'
  return {
    topic: topic.name,
    state,
    connections: topic.carriers.map((carrier) => carrier.line.slotId),
    requestedAtUs: topic.requestedAtUs,
    ackedAtUs: topic.ackedAtUs,
    flowingAtUs: topic.flowingAtUs,
    lastSeenAgoMs: seenMs === 0 ? null : Math.max(0, nowMs - seenMs),
    missingMs: isAcked
      ? missingMs(
          topic.freshness,
          seenMs > 0 ? seenMs : Math.min(...acked.map(({ ackedMs }) => ackedMs)),
          topic.witnesses.length > 0,
          nowMs,
          options,
        )
      : 0,
    errors: topic.errors,
  }
}

export function connectionStatus(slot: Slot, line: Line, paused: boolean, nowMs: number): ConnectionStatus {
  let ackedCount = 0
  for (const carrier of line.carriers.values()) if (carrier.phase === 'acked') ackedCount += 1
  return {
    connection: slot.id,
    generation: line.generation,
    state: line.state,
    role: line === slot.line ? 'line' : 'successor',
    topicsCount: line.carriers.size,
    ackedCount,
    ageMs: line.openedMs === 0 ? 0 : Math.max(0, nowMs - line.openedMs),
    paused,
    attempt: slot.attempt,
  }
}

/** Topics that were stopped and when, the newest `max` of them. */
export class StoppedTopics {
  readonly #max: number
  readonly #atUs = new Map<string, number>()

  constructor(max: number) {
    this.#max = max
  }

  add(name: string, atUs: number): void {
    this.#atUs.delete(name)
    this.#atUs.set(name, atUs)
    const oldest = this.#atUs.keys().next()
    if (this.#atUs.size > this.#max && !oldest.done) this.#atUs.delete(oldest.value)
  }

  delete(name: string): void {
    this.#atUs.delete(name)
  }

  list(): { topic: string; stoppedAtUs: number }[] {
    return [...this.#atUs].map(([topic, stoppedAtUs]) => ({ topic, stoppedAtUs }))
  }
}
