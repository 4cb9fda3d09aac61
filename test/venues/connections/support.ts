import type { GapCause } from '../../../src/domain/event.ts'
import { asMarket, asVenueSymbol } from '../../../src/domain/instrument.ts'
import { SystemClock } from '../../../src/lib/clock.ts'
import { Connections, type ConnectionsHooks } from '../../../src/venues/connections/connections.ts'
import type { ConnectionsOptions } from '../../../src/venues/connections/options.ts'
import type { ConnectionLimits, Frame, StreamProtocol, VenueEvent, VenueSink } from '../../../src/venues/venue.ts'
import { FakeVenue } from './fake-venue.ts'

/** Speaks the fake venue's words. `n` of a frame becomes the update id of a quote, whatever the topic is called. */
export function fakeProtocol(venue: { readonly url: string }, limits: Partial<ConnectionLimits> = {}): StreamProtocol {
  return {
    market: asMarket('FAKE-SPOT'),
    limits: {
      topicsPerConnectionMax: 1_024,
      inboundMessagesPerSecondMax: 1_000,
      connectsPerWindowMax: 300,
      connectsWindowMs: 300_000,
      lifetimeMs: 3_600_000,
      pingIntervalMs: 20_000,
      subscribeTopicsPerMessageMax: 200,
      subscribeBytesPerMessageMax: 4_000,
      ...limits,
    },
    url: () => venue.url,
    encodeSubscribe: (id, params) => JSON.stringify({ method: 'SUBSCRIBE', params, id }),
    encodeUnsubscribe: (id, params) => JSON.stringify({ method: 'UNSUBSCRIBE', params, id }),
    encodeListSubscriptions: (id) => JSON.stringify({ method: 'LIST_SUBSCRIPTIONS', id }),
    parseFrame: parseFakeFrame,
    mustMoveWith: (topic, moved, sign) => sign === 'data' && topic.endsWith('@depth') && moved.endsWith('@quote'),
  }
}

function parseFakeFrame(text: string, receivedTimeUs: number): Frame {
  let value: { topic?: string; n?: number; id?: number; error?: string | null; listed?: string[]; shutdown?: boolean }
  try {
    value = JSON.parse(text)
  } catch {
    const sample = text.slice(0, 100)
    return { type: 'rejected', frame: { reason: 'malformed', topic: null, detail: 'no JSON', sample, receivedTimeUs } }
  }
  if (value.shutdown) return { type: 'shutdown' }
  if (value.topic === undefined) {
    return { type: 'reply', id: value.id ?? -1, error: value.error ?? null, topics: value.listed ?? null }
  }
  return {
    type: 'event',
    event: {
      kind: 'quote',
      topic: value.topic,
      symbol: asVenueSymbol(value.topic.slice(0, value.topic.indexOf('@'))),
      venueTimeUs: null,
      receivedTimeUs,
      source: 'fake.ws',
      updateId: value.n ?? 0,
      bidPrice: '1',
      bidQuantity: '1',
      askPrice: '2',
      askQuantity: '1',
    },
  }
}

/** Remembers all it is told. */
export class RecordingSink implements VenueSink {
  readonly numbers = new Map<string, number[]>()
  readonly interruptions: { topics: string[]; cause: GapCause }[] = []
  readonly #untold: string[] = []
  readonly #greatest = new Map<string, number>()
  readonly #interrupted = new Set<string>()
  rejections = 0
  saturated = false
  #drained: () => void = () => {}

  event(event: VenueEvent): void {
    if (event.kind !== 'quote') throw new Error(`expected a quote, found ${event.kind}`)
    this.#compare(event.topic, event.updateId)
    const numbers = this.numbers.get(event.topic)
    if (numbers) numbers.push(event.updateId)
    else this.numbers.set(event.topic, [event.updateId])
  }

  rejected(): void {
    this.rejections += 1
  }

  interrupted(topics: readonly string[], cause: GapCause): void {
    for (const topic of topics) this.#interrupted.add(topic)
    this.interruptions.push({ topics: [...topics].sort(), cause })
  }

  onDrained(callback: () => void): void {
    this.#drained = callback
  }

  drain(): void {
    this.saturated = false
    this.#drained()
  }

  count(topic: string): number {
    return this.numbers.get(topic)?.length ?? 0
  }

  /** Holes that no interruption announced, as `topic from..to`. */
  untold(): readonly string[] {
    return this.#untold
  }

  #compare(topic: string, n: number): void {
    const greatest = this.#greatest.get(topic) ?? n - 1
    if (n <= greatest) return
    if (n > greatest + 1 && !this.#interrupted.has(topic)) this.#untold.push(`${topic} ${greatest + 1}..${n - 1}`)
    this.#interrupted.delete(topic)
    this.#greatest.set(topic, n)
  }

  /** Numbers between the first and the last that never came. */
  missing(topic: string): number[] {
    const seen = new Set(this.numbers.get(topic) ?? [])
    const sorted = [...seen].sort((a, b) => a - b)
    const missing: number[] = []
    for (let n = sorted[0] ?? 0; n < (sorted.at(-1) ?? 0); n++) if (!seen.has(n)) missing.push(n)
    return missing
  }
}

/** Short times, so that a test waits for conditions and not for seconds. */
const quickOptions: Partial<ConnectionsOptions> = {
  sweepMs: 10,
  sweepLateMs: 60,
  reconnectBaseMs: 20,
  reconnectMsMax: 100,
  replyTimeoutMs: 200,
  closeTimeoutMs: 100,
  outboundWindowMs: 100,
  stableMs: 200,
  probeAfterMs: 150,
  probeTimeoutMs: 150,
  staleFloorMs: 200,
  staleGraceMs: 80,
  neighbourMs: 100,
  repairWaitMs: 150,
  repairBaseMs: 400,
  repairNeverFlowedBaseMs: 400,
  errorRetryBaseMs: 20,
  errorRetryMsMax: 50,
  overlapMs: 300,
  probationMs: 80,
  renewMarginMsMin: 0,
  lingerMs: 30,
  pausedMsMax: 300,
}

export interface Bench {
  readonly connections: Connections
  readonly sink: RecordingSink
  readonly acked: string[]
  readonly flowing: string[]
  readonly stopped: string[]
  readonly logs: string[]
}

function bench(
  venue: FakeVenue,
  options: Partial<ConnectionsOptions> = {},
  limits: Partial<ConnectionLimits> = {},
): Bench {
  const sink = new RecordingSink()
  const acked: string[] = []
  const flowing: string[] = []
  const stopped: string[] = []
  const logs: string[] = []
  const hooks: ConnectionsHooks = {
    onTopicAcked: (topic) => acked.push(topic),
    onTopicFlowing: (topic) => flowing.push(topic),
    onTopicStopped: (topic) => stopped.push(topic),
  }
  const connections = new Connections({
    protocol: fakeProtocol(venue, limits),
    sink,
    clock: new SystemClock(),
    random: Math.random,
    log: (_level, message, facts) => logs.push(`${message} ${JSON.stringify(facts)}`),
    options: { ...quickOptions, ...options },
    hooks,
  })
  return { connections, sink, acked, flowing, stopped, logs }
}

/** A fake venue for every test of a suite, and everything started on it closed behind it. */
export function useVenue(): {
  venue: () => FakeVenue
  start: (options?: Partial<ConnectionsOptions>, limits?: Partial<ConnectionLimits>) => Bench
} {
  let venue: FakeVenue
  let started: Bench[] = []
  beforeEach(async () => {
    venue = await FakeVenue.start()
    started = []
  })
  afterEach(async () => {
    for (const { connections } of started) await connections.close()
    await venue.close()
  })
  return {
    venue: () => venue,
    start: (options, limits) => {
      const next = bench(venue, options, limits)
      started.push(next)
      return next
    },
  }
}

/** Resolves when `condition` holds; throws with its text when it does not within `timeoutMs`. */
export async function until(condition: () => boolean, timeoutMs = 5_000): Promise<void> {
  const endMs = performance.now() + timeoutMs
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`expected within ${timeoutMs} ms: ${condition}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
