import type { Sign, VenueEvent, VenueKline, VenueTicker } from '../venue.ts'
import type { Freshness, Staleness } from './freshness.ts'
import { newFreshness } from './freshness.ts'
import type { Line } from './line.ts'

/** Events that a line holds back of one topic. */
const HELD_BACK_MAX = 1_000

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

export interface Witness {
  readonly topic: Topic
  readonly sign: Sign
}

/** What the line that had shown data of a topic last leaves behind where no other one has shown any; see `bequeath`. */
export interface Bequest {
  readonly lastSeenMs: number
  /** Who was acknowledged by then is an heir: it is to cover the topic from there on. */
  readonly lastReceivedMs: number
  /** It went in a planned change: how long the first data lets wait says nothing, a quiet stream does so too. */
  readonly isPlanned: boolean
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
  /** While nothing has shown data since; null: no such thing. */
  inherited: Bequest | null = null
  readonly freshness: Freshness = newFreshness()
  readonly repair: Repair = { stale: null, step: 'none', attempt: 0, nextAtMs: 0, mendedAtMs: 0 }
  /** Number of the sweep that found new data last. */
  observedAt = -1
  /** It was silent, and has not been well for long enough since. */
  ailing = false
  /** Error replies in a row. */
  errors = 0
  /** Topics of the same group that cannot show a sign without this one moving, and the sign. */
  witnesses: readonly Witness[] = []
  /** When this topic last showed each sign, or somewhat earlier; 0: not yet. */
  readonly shownMs: Record<Sign, number> = { data: 0, trades: 0, best: 0 }

  constructor(name: string, group: string, requestedAtUs: number) {
    this.name = name
    this.group = group
    this.requestedAtUs = requestedAtUs
  }

  /** When something was shown last that this topic cannot be silent to; 0 where nothing tells. */
  get witnessSeenMs(): number {
    let seenMs = 0
    for (const { topic, sign } of this.witnesses) seenMs = Math.max(seenMs, topic.shownMs[sign])
    return seenMs
  }

  /** What it carried was interrupted: the next data on any line counts as the first. Answers whether it had been flowing. */
  interrupt(): boolean {
    for (const carrier of this.carriers) {
      carrier.lastSeenMs = 0
      carrier.place = 0
      carrier.firstPlace = 0
      carrier.onProbation = false
      carrier.letGo()
    }
    this.inherited = null
    const wasFlowing = this.flowing
    this.flowing = false
    this.flowingAtUs = null
    return wasFlowing
  }
}

/** Interrupts them all; answers the names of those that had been flowing. */
export function interruptAll(topics: readonly Topic[]): string[] {
  return topics.filter((topic) => topic.interrupt()).map(({ name }) => name)
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
  /** Where its newest event stands in its stream (update id, or the venue's time); 0: unknown. */
  place = 0
  /** The same of its first event since the interruption, and while events are held back of the first of those. */
  firstPlace = 0
  /** Its line came while another one carried the topic, and that one has not shown data since; see `Connections.takesOver`. */
  onProbation = false
  /** Since when events are held back because of that; 0: none was. */
  heldBackSinceMs = 0
  #heldBack: VenueEvent[] = []
  /** See `Batchable`. */
  batchMax = Number.MAX_SAFE_INTEGER
  retryAtMs = 0

  /** By this time at the latest there were trades, and best price or quantity became others, as this line's data tells; 0: it does not. */
  tradesShownMs = 0
  bestShownMs = 0
  /** Changes with every trade. */
  #tradesMark = 0
  #ticker: VenueTicker | null = null

  constructor(topic: Topic, line: Line) {
    this.topic = topic
    this.line = line
    this.name = topic.name
  }

  /** Takes note of where an event stands, before `lastSeenMs` is that of this event. Best prices, statistics and bars alone are asked for it. */
  reach(place: number): void {
    if (this.lastSeenMs === 0) this.firstPlace = place
    this.place = place
  }

  /** Keeps the event until the other line has shown as much; at the bound the oldest goes, which that line has to show then. */
  holdBack(event: VenueEvent, nowMs: number): void {
    if (this.heldBackSinceMs === 0) this.heldBackSinceMs = nowMs
    this.#heldBack.push(event)
    if (this.#heldBack.length <= HELD_BACK_MAX) return
    this.#heldBack.splice(0, HELD_BACK_MAX / 2)
    this.firstPlace = placeOf(this.#heldBack[0] as VenueEvent)
  }

  /** Holds nothing back any more; answers what was held and has not come by another line, in order. */
  release(): readonly VenueEvent[] {
    this.onProbation = false
    let shown = 0
    for (const other of this.topic.carriers) {
      if (other !== this && other.heldBackSinceMs === 0) shown = Math.max(shown, other.place)
    }
    return this.letGo().filter((event) => shown === 0 || placeOf(event) > shown)
  }

  /** Ends the holding back; answers what was held. */
  letGo(): readonly VenueEvent[] {
    this.heldBackSinceMs = 0
    const held = this.#heldBack
    if (held.length > 0) this.#heldBack = []
    return held
  }

  /**
   * Takes note of what statistics and bars tell of other streams, before `lastSeenMs` is that of this event: what changed
   * did so after the event before it.
   */
  note(event: VenueTicker | VenueKline): void {
    const since = this.lastSeenMs
    this.reach(placeOf(event))
    const isTicker = event.kind === 'ticker'
    const mark = isTicker ? (event.lastTradeId ?? -1) : event.trades === 0 ? -1 : event.openTimeUs + event.trades
    if (mark > 0 && mark !== this.#tradesMark && this.#tradesMark !== 0) this.tradesShownMs = since
    this.#tradesMark = mark
    if (!isTicker) return
    const before = this.#ticker
    this.#ticker = event
    if (before === null) return
    const { bidPrice, bidQuantity, askPrice, askQuantity } = before
    if (
      event.bidPrice !== bidPrice ||
      event.askPrice !== askPrice ||
      event.bidQuantity !== bidQuantity ||
      event.askQuantity !== askQuantity
    )
      this.bestShownMs = since
  }
}

function placeOf(event: VenueEvent): number {
  return event.kind === 'quote' ? event.updateId : (event.venueTimeUs ?? 0)
}
