import type { Clock } from '../../lib/clock.ts'
import type { StreamProtocol, VenueEvent, VenueSink } from '../venue.ts'
import type { Line } from './line.ts'
import type { ConnectionsOptions } from './options.ts'
import type { Carrier } from './topic.ts'

/** Why a line ended. `disconnect`: the other side closed it; the others are ours. */
export type LineEnd =
  | 'connect-failed'
  | 'disconnect'
  | 'half-open'
  | 'reply-timeout'
  | 'overflow'
  | 'retired'
  | 'closed'

/** Time as of the latest sweep or acknowledgement, shared by all lines, so that the hot path reads a number instead of a clock. */
export interface Tick {
  nowMs: number
  /** Silence before this moment does not count: the process stood still, or the sockets were paused. */
  rebaseMs: number
  /** Carriers that have shown data since the sweep looked last; what has shown none it need not look at. */
  readonly shown: Carrier[]
}

/** Counted per message, carried over to Prometheus by the sweep. */
export interface LineCounts {
  frames: number
  bytes: number
  messagesSent: number
  /** Events of topics this line does not carry, for example the tail after an UNSUBSCRIBE. */
  strayEvents: number
  repliesUnmatched: number
  /** Events of a replacement that were held back while the line it replaces had not shown that it still delivers. */
  heldBackEvents: number
}

/** What a line reports to the one who owns it. */
export interface LineOwner {
  lineOpened(line: Line): void
  lineEnded(line: Line, end: LineEnd, detail: string): void
  lineShutdown(line: Line): void
  topicAcked(carrier: Carrier): void
  /** The first data of a topic on this line; told before the event goes to the sink. */
  topicFlowed(carrier: Carrier): void
  /** Data of a topic on probation: what was held back of it and goes to the sink now, before anything else of it; null: it is held back. */
  takesOver(carrier: Carrier): readonly VenueEvent[] | null
  /** `together` is how many shared the refused message; one of them may be to blame. */
  topicRefused(carrier: Carrier, error: string, together: number): void
  topicsUnsubscribed(line: Line, names: readonly string[]): void
  unsubscribeRefused(line: Line, names: readonly string[], error: string): void
  sinkSaturated(): void
  /** The venue believes otherwise: it carries `strangers`, and does not carry `missing`; both are mended behind this call. */
  subscriptionsDiffer(line: Line, strangers: readonly string[], missing: readonly Carrier[]): void
  /** The venue answered the handshake with 429 or 418. */
  connectsRefused(status: number, retryAfterMs: number | null): void
}

export interface LineParts {
  readonly protocol: StreamProtocol
  readonly sink: VenueSink
  readonly clock: Clock
  readonly options: ConnectionsOptions
  readonly owner: LineOwner
  readonly tick: Tick
  readonly counts: LineCounts
}
