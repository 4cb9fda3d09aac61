import type { Channel } from '../domain/event.ts'
import type { LineKey } from './line.ts'
import type { DispatcherIncident } from './options.ts'

/**
 * Why something missing is fetched no further: more ids than are fetched, older than is fetched, the venue says again and
 * again that there is no such thing, it did not answer in time, its answers lag behind its stream, too many gaps wait.
 */
export type GivenUpReason = 'too-many' | 'too-old' | 'absent' | 'unanswered' | 'lagging' | 'queue-full'

/** What was given up so far, in plain numbers, by channel and reason. */
export class GivenUp {
  readonly ranges: Partial<Record<Channel, Partial<Record<GivenUpReason, number>>>> = {}
  /** How many ids the ranges of trades hold, by reason. */
  readonly trades: Partial<Record<GivenUpReason, number>> = {}

  /** `ids`: how many the range holds; 0 where it has none. */
  add(channel: Channel, reason: GivenUpReason, ids: number): void {
    const byReason = this.ranges[channel] ?? {}
    this.ranges[channel] = { ...byReason, [reason]: (byReason[reason] ?? 0) + 1 }
    if (ids > 0) this.trades[reason] = (this.trades[reason] ?? 0) + ids
  }
}

/** For the operators; `what` names the range. */
export function givenUpIncident(key: LineKey, what: string, reason: GivenUpReason): DispatcherIncident {
  const { instrument, channel } = key
  return { kind: 'given-up', message: `${what} of ${instrument} are not fetched: ${reason}`, instrument, channel }
}
