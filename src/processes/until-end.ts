import type { Conductor } from '../conductor/conductor.ts'
import type { Ingest } from './ingest.ts'
import type { StartOptions } from './start-options.ts'
import type { VenueAddress } from './venue-address.ts'

/** A replay is over when all it sent has arrived, or when nothing has come for this long. */
const QUIET_MS = 250
const LOOK_MS = 20

/** Resolves when this process is to end: it was told to, its time is over, or the replay was taken in whole. */
export function untilEnd(
  options: StartOptions,
  venue: VenueAddress | null,
  ingest: Ingest | null,
  conductor: Conductor | null,
): Promise<void> {
  const { signal, forMs, untilDone } = options
  if (signal.aborted) return Promise.resolve()
  const ends: Promise<void>[] = [
    new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true })),
  ]
  if (forMs !== null) ends.push(new Promise((resolve) => setTimeout(resolve, forMs)))
  if (untilDone && venue !== null && ingest !== null) {
    ends.push(venue.done.then(() => untilDrained(venue, ingest, signal)).then(() => conductor?.catchUp()))
  }
  return Promise.race(ends)
}

/** Waits until all that was sent has arrived, and nothing waits or is under way. */
async function untilDrained(venue: VenueAddress, ingest: Ingest, signal: AbortSignal): Promise<void> {
  let seen = -1
  let seenMs = performance.now()
  while (!signal.aborted) {
    await ingest.dispatcher?.whenIdle()
    const stats = ingest.dispatcher?.stats()
    const received = stats?.received ?? 0
    const taken = received + (stats?.deadLetters ?? 0)
    if (taken !== seen) seenMs = performance.now()
    seen = taken
    const sent = await venue.framesSent()
    const arrived = sent !== null && received >= sent
    const quiet = performance.now() - seenMs >= QUIET_MS
    if ((arrived || quiet) && ingest.dispatcher?.idle !== false) return
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
}
