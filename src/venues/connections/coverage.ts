import type { Line, LineEnd } from './line.ts'
import type { ConnectionsOptions } from './options.ts'
import type { Carrier, Topic } from './topic.ts'

/** When one line may stand in for another. Pure. */

export function carrierOn(topic: Topic, line: Line | null): Carrier | null {
  if (line === null) return null
  for (const carrier of topic.carriers) if (carrier.line === line) return carrier
  return null
}

/**
 * Whether what `lost` carried of a topic came by another line all the time, since the interruption told last: either the
 * other subscription was acknowledged while `lost` still delivered, or all the data since then is the other's. A line
 * that the venue or a planned change closed delivered until its end; one found half-open, only until its last frame.
 */
export function coveredWithout(topic: Topic, lost: Line, end: LineEnd): boolean {
  const deliveredUntilMs = end === 'disconnect' || end === 'retired' ? Number.POSITIVE_INFINITY : lost.lastReceivedMs
  const lostGaveNothing = (carrierOn(topic, lost)?.lastSeenMs ?? 0) === 0
  for (const carrier of topic.carriers) {
    if (carrier.line === lost || carrier.line.state !== 'open' || carrier.phase !== 'acked') continue
    if (carrier.ackedMs <= deliveredUntilMs || (lostGaveNothing && carrier.lastSeenMs > 0)) return true
  }
  return false
}

/**
 * Whether `next` may take a topic over from `previous` in a planned change: it is acknowledged, and it shows data if
 * the other does, or has had `overlapMs` to do so and the topic counts as quiet.
 */
export function handedOver(
  topic: Topic,
  previous: Line | null,
  next: Line | null,
  nowMs: number,
  options: ConnectionsOptions,
): boolean {
  const old = carrierOn(topic, previous)
  if (old === null || old.phase !== 'acked') return true
  const carrier = carrierOn(topic, next)
  if (carrier === null || carrier.phase !== 'acked') return false
  return carrier.lastSeenMs > 0 || old.lastSeenMs === 0 || nowMs - carrier.ackedMs >= options.overlapMs
}
