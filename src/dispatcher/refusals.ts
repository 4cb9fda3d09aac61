import type { RefusalReason } from '../bus/publish.ts'
import type { Clock } from '../lib/clock.ts'
import type { VenueEvent } from '../venues/venue.ts'
import { payloadOf } from './canonical.ts'
import type { DeadLetters } from './dead-letters.ts'
import type { LineKey } from './line.ts'
import type { LineOffer } from './line-offer.ts'
import type { DispatcherIncident } from './options.ts'
import { TableLag } from './table-lag.ts'

export interface RefusalsOptions {
  readonly deadLetters: DeadLetters
  readonly clock: Clock
  /** Refusals because of an older table are the ordinary delay for so long. */
  readonly tableLagMs: number
  tell(incident: DispatcherIncident): void
}

/** What enters no stream and ought to have: each becomes a dead letter. */
export class Refusals {
  readonly #options: RefusalsOptions
  readonly #tableLag: TableLag

  constructor(options: RefusalsOptions) {
    this.#options = options
    this.#tableLag = new TableLag(options.tableLagMs)
  }

  /** Another table is in force here. */
  tableChanged(): void {
    this.#tableLag.clear()
  }

  /** The data bus refused it for good. */
  refused(key: LineKey, offer: LineOffer, reason: RefusalReason, error: string | null): void {
    const { deadLetters, clock, tell } = this.#options
    if (reason === 'table-version' && this.#tableLag.tolerates(key, clock.monotonicMs())) return
    const { instrument, channel } = key
    const detail = `${instrument} ${offer.kind} ${offer.id}: ${error ?? reason}`
    deadLetters.add(`refused-${reason}`, `${instrument}:${channel}`, detail, offer.data, offer.receivedTimeUs)
    tell({ kind: 'refused', message: `the data bus refused an event for good: ${detail}`, instrument, channel })
  }

  /** Nothing is routed by its topic. */
  unmapped(event: VenueEvent): void {
    const detail = `expected an event of a routed topic, found ${event.kind} of ${event.symbol} by ${event.topic}`
    this.#options.deadLetters.add('unmapped', event.topic, detail, payloadOf(event), event.receivedTimeUs)
  }
}
