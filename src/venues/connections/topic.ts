import type { Freshness, Staleness } from './freshness.ts'
import { newFreshness } from './freshness.ts'
import type { Line } from './line.ts'

/** How far the mending of a silent topic has come. */
export interface Repair {
  /** Why it counts as stale, from the finding until data comes; null: it does not. */
  stale: Staleness | null
  step: 'none' | 'resubscribed' | 'moved'
  attempt: number
  /** No further step before this; monotonic. */
  nextAtMs: number
  /** Of the last step. */
  mendedAtMs: number
}

/** A native topic that is wanted, whichever lines carry it at the moment. */
export class Topic {
  readonly name: string
  /** Key of its group. */
  readonly group: string
  readonly requestedAtUs: number
  /** Of the present subscription; null while there is none. */
  ackedAtUs: number | null = null
  flowingAtUs: number | null = null
  /** Data was delivered since the last interruption that was told. */
  flowing = false
  readonly carriers: Carrier[] = []
  readonly freshness: Freshness = newFreshness()
  readonly repair: Repair = { stale: null, step: 'none', attempt: 0, nextAtMs: 0, mendedAtMs: 0 }
  /** Error replies in a row. */
  errors = 0
  /** Topics of the same group that cannot move without this one. */
  witnesses: readonly Topic[] = []

  constructor(name: string, group: string, requestedAtUs: number) {
    this.name = name
    this.group = group
    this.requestedAtUs = requestedAtUs
  }

  /** What it carried was interrupted: the next data on any line counts as the first. Answers whether it had been flowing. */
  interrupt(): boolean {
    for (const carrier of this.carriers) {
      carrier.lastSeenMs = 0
      carrier.onProbation = false
      carrier.heldBackSinceMs = 0
    }
    const wasFlowing = this.flowing
    this.flowing = false
    this.flowingAtUs = null
    return wasFlowing
  }
}

/** One topic on one line. */
export class Carrier {
  readonly topic: Topic
  readonly line: Line
  readonly name: string
  phase: 'queued' | 'sent' | 'acked' = 'queued'
  /** Monotonic; 0: not acknowledged. */
  ackedMs = 0
  /** Written for every event, at the resolution of the sweep; 0: no data on this line yet. */
  lastSeenMs = 0
  /** Its line came while another one carried the topic, and that one has not shown data since; see `Connections.takesOver`. */
  onProbation = false
  /** Since when data is left out because of that; 0: none was. */
  heldBackSinceMs = 0
  /** See `Batchable`. */
  batchMax = Number.MAX_SAFE_INTEGER
  retryAtMs = 0

  constructor(topic: Topic, line: Line) {
    this.topic = topic
    this.line = line
    this.name = topic.name
  }
}
