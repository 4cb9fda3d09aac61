import { hidesLoss } from './freshness.ts'
import type { Line } from './line.ts'
import type { ConnectionsOptions } from './options.ts'
import type { Group } from './slot.ts'
import type { Carrier, Topic } from './topic.ts'

/** When one line may stand in for another. Pure. */

export function carrierOn(topic: Topic, line: Line | null): Carrier | null {
  if (line === null) return null
  for (const carrier of topic.carriers) if (carrier.line === line) return carrier
  return null
}

/**
 * Whether what this line has shown first came by another line too, so that nothing is missing between the two. One line may lag
 * behind the other by more than the time between two events: what shows it is the very event, not the time. Where events do
 * not say where they stand, data since the acknowledgement must do. A line that holds back itself shows nothing: it came
 * later too.
 */
export function overlaps(carrier: Carrier): boolean {
  const { firstPlace, ackedMs, topic } = carrier
  for (const other of topic.carriers) {
    if (other === carrier || other.heldBackSinceMs > 0) continue
    const isThere =
      firstPlace > 0 && other.place > 0 ? other.place >= firstPlace : ackedMs > 0 && other.lastSeenMs >= ackedMs
    if (isThere) return true
  }
  return false
}

/**
 * What is lost where another line proved silent beside `carrier`: its topic, and if that line has shown nothing at all
 * since, everything else on it too, but for what a third line carries.
 */
export function silencedBeside(carrier: Carrier): readonly Topic[] {
  const silenced = new Set([carrier.topic])
  for (const { line } of carrier.topic.carriers) {
    if (line === carrier.line || line.lastEventMs >= carrier.ackedMs) continue
    for (const { topic } of line.carriers.values()) {
      if (topic.carriers.every((other) => other.line === line || other.line === carrier.line)) silenced.add(topic)
    }
  }
  return [...silenced]
}

/**
 * Whether what `lost` carried of a topic came by another line all the time, since the interruption told last: either the
 * other subscription was acknowledged while `lost` still delivered, or all the data since then is the other's. Whatever
 * ended it, a line is known to have delivered until its last byte and no longer; where the line goes on without the topic,
 * until the topic's last data.
 */
export function coveredWithout(topic: Topic, lost: Line, untilMs = lost.lastReceivedMs): boolean {
  const lostGaveNothing = (carrierOn(topic, lost)?.lastSeenMs ?? 0) === 0
  for (const carrier of topic.carriers) {
    if (carrier.line === lost || carrier.line.state !== 'open' || carrier.phase !== 'acked') continue
    if (carrier.heldBackSinceMs > 0 && !overlaps(carrier)) continue
    if (carrier.ackedMs <= untilMs || (lostGaveNothing && carrier.lastSeenMs > 0)) return true
  }
  return false
}

/**
 * The only line that had shown data of the topic goes, and what covers it does so by its acknowledgement alone: it may
 * have been silent all the time, as a line is that turned deaf before, or in a planned change one to which the topic was
 * handed over as quiet. The next data shows it, see `hidesHole`.
 */
export function bequeath(from: Carrier, isPlanned = false, lastReceivedMs = from.line.lastReceivedMs): void {
  const { topic, lastSeenMs } = from
  if (topic.carriers.some((other) => other !== from && hasDelivered(other))) return
  if (lastSeenMs > 0) topic.inherited = { lastSeenMs, lastReceivedMs, isPlanned }
  // An heir that has had nothing to show covers the time until its own end.
  else if (topic.inherited?.isPlanned && isHeir(from))
    topic.inherited = { ...topic.inherited, lastReceivedMs, isPlanned }
}

/** What is held back while on probation shows nothing yet. */
function hasDelivered(carrier: Carrier): boolean {
  return carrier.lastSeenMs > 0 && (carrier.heldBackSinceMs === 0 || overlaps(carrier))
}

function isHeir({ topic: { inherited }, phase, ackedMs }: Carrier): boolean {
  return inherited !== null && phase === 'acked' && ackedMs <= inherited.lastReceivedMs
}

/**
 * Whether the first data of a topic comes by a line that came later, beside one that is to cover it since a planned change
 * and has shown nothing: because it is silent, or because the other socket was read first.
 */
export function besideHeir(carrier: Carrier): boolean {
  const { inherited, carriers } = carrier.topic
  return inherited?.isPlanned === true && !isHeir(carrier) && carriers.some(isHeir)
}

/**
 * Whether the first data since a line went follows a hole. By a line that was to cover it: if the other was lost, and it
 * let wait for longer than is usual. By one that came later: always, because those that were to cover the time between
 * have shown nothing; unless one of them is still there to do so.
 */
export function hidesHole(carrier: Carrier, nowMs: number, options: ConnectionsOptions): boolean {
  const { inherited, freshness, carriers } = carrier.topic
  if (inherited === null) return false
  if (!inherited.isPlanned) return !isHeir(carrier) || hidesLoss(freshness, nowMs - inherited.lastSeenMs, options)
  return !carriers.some((other) => isHeir(other) || (other !== carrier && hasDelivered(other)))
}

/**
 * Whether `next` may take a topic over from `previous` in a planned change: it is acknowledged, and it shows data if
 * the other does, or has had `overlapMs` to do so and the topic counts as quiet. And the other line must have shown life
 * since: one that fell silent before the acknowledgement left a hole that nobody would tell.
 */
export function handedOver(
  topic: Topic,
  previous: Line | null,
  next: Line | null,
  nowMs: number,
  options: ConnectionsOptions,
): boolean {
  const old = carrierOn(topic, previous)
  // Data may come before the acknowledgement.
  if (old === null || (old.phase !== 'acked' && old.lastSeenMs === 0)) return true
  const carrier = carrierOn(topic, next)
  if (carrier === null || carrier.phase !== 'acked' || previous === null) return false
  if (previous.lastReceivedMs < carrier.ackedMs || carrier.heldBackSinceMs > 0) return false
  if (carrier.lastSeenMs > 0 || old.lastSeenMs === 0) return true
  // Where the old line has fallen silent too, there is nothing to wait for.
  const silentMs = nowMs - Math.max(old.lastSeenMs, carrier.ackedMs)
  return silentMs >= Math.min(options.overlapMs, options.staleFloorMs) || nowMs - carrier.ackedMs >= options.overlapMs
}

/** Whether the line that takes over shows all that these groups want. */
export function areHandedOver(
  groups: Iterable<Group>,
  old: Line | null,
  next: Line | null,
  nowMs: number,
  options: ConnectionsOptions,
): boolean {
  for (const group of groups) {
    for (const topic of group.topics.values()) if (!handedOver(topic, old, next, nowMs, options)) return false
  }
  return true
}

/** What lines hold back of these topics, oldest first; `without`: a line that is lost. They hold nothing back any more. */
export function releaseHeld(topics: readonly Topic[], without: Line | null) {
  return topics
    .flatMap(({ carriers }) => carriers.filter(({ line, heldBackSinceMs }) => line !== without && heldBackSinceMs > 0))
    .sort((one, other) => one.firstPlace - other.firstPlace)
    .map((carrier) => ({ carrier, events: carrier.release() }))
}

/** Sends on what other lines hold back of a topic and the lost one has shown, while that one is there to say so. */
export function sendOnShown({ carriers }: Topic, lost: Line): void {
  for (const carrier of carriers) {
    if (carrier.line !== lost && carrier.heldBackSinceMs > 0 && overlaps(carrier))
      carrier.line.sendOn(carrier.release())
  }
}
