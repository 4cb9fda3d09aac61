/** Every number of the connection manager. What the venue prescribes stands in `ConnectionLimits`; this is our choice. */
export interface ConnectionsOptions {
  /**
   * Packing bound below the venue's own. As many as can be subscribed at once after a loss, four messages of Binance's 4,000
   * bytes: more would be missing for longer, and fewer make more reads of fewer frames each.
   */
  readonly topicsPerConnection: number
  readonly handshakeTimeoutMs: number
  /** Silence after a SUBSCRIBE or UNSUBSCRIBE for this long means the line is opened anew. */
  readonly replyTimeoutMs: number
  /** How long a closing handshake may take before the socket is destroyed. */
  readonly closeTimeoutMs: number
  /** A frame beyond this ends its line; below it even an absurd frame costs only itself. */
  readonly payloadBytesMax: number
  /** Window of the message limit; longer than the venue's second because messages bunch up on their way. */
  readonly outboundWindowMs: number
  /** Messages of the window kept free for pongs. */
  readonly outboundReserve: number
  /** Connection attempts per the venue's window; null takes the venue's number. */
  readonly connectsPerWindowMax: number | null
  readonly reconnectBaseMs: number
  readonly reconnectMsMax: number
  /** A line that was up this long starts again from the first back-off step when it is lost. */
  readonly stableMs: number
  /** Pause of all connection attempts after a 429 or 418 without `Retry-After`. */
  readonly refusedHoldMs: number
  /** Period of the checks; the resolution of every freshness measure. */
  readonly sweepMs: number
  /** A sweep this late means that the process stood still: silence is counted from now on, not from before. */
  readonly sweepLateMs: number
  /** Not a byte for this many ping intervals of the venue: half-open. */
  readonly transportSilenceFactor: number
  /** Not a byte for this long: we ping, so that a half-open line is found before the venue's next ping is missed. */
  readonly probeAfterMs: number
  readonly probeTimeoutMs: number
  /** No topic is stale before it was silent for this long. */
  readonly staleFloorMs: number
  /** Silent for this many usual intervals: stale by rate. */
  readonly staleFactor: number
  /** Intervals seen before the rate counts as learnt; with fewer, the silence that is odd is so much longer. */
  readonly staleSamplesMin: number
  /** A topic without any data is suspect once a sibling has had this many intervals with data. */
  readonly neverFlowedSiblingSamplesMin: number
  /** How far a topic may lag behind a sibling that proves it should move. */
  readonly staleGraceMs: number
  /** Something of this market must have arrived within this time, else nothing is called stale by rate. */
  readonly neighbourMs: number
  /** At least this many, and half of a line's topics, stale at once: the line is opened anew instead of mended. */
  readonly staleTopicsReconnectMin: number
  /** From resubscribing a silent topic to moving its symbol to another line. */
  readonly repairWaitMs: number
  readonly repairBaseMs: number
  readonly repairMsMax: number
  /** The same for topics that have never shown data; many of them are just quiet. */
  readonly repairNeverFlowedBaseMs: number
  readonly repairNeverFlowedMsMax: number
  readonly movesPerMinuteMax: number
  /** Back-off of topics whose subscription was answered with an error. */
  readonly errorRetryBaseMs: number
  readonly errorRetryMsMax: number
  /** In an overlap of two lines: wait this long after the acknowledgement for data on a topic before it counts as quiet. */
  readonly overlapMs: number
  /** In an overlap: data of the new line that the old one does not show within this time means that the old one is silent. */
  readonly probationMs: number
  /** The old line stays this much longer than needed, for what it still has under way. */
  readonly lingerMs: number
  /** Life of a connection; null takes the venue's (shorten it to see renewals, or when the venue has). */
  readonly lifetimeMs: number | null
  /** A line is renewed at a random point this share of its lifetime before the end. */
  readonly renewMarginShareMin: number
  readonly renewMarginShareMax: number
  /** And at least so long before it, as far as half of a short life allows: a renewal needs time until every stream shows data. */
  readonly renewMarginMsMin: number
  /** Lines in overlap because of their age, at a time; a shutdown told by the venue does not wait. */
  readonly renewalsConcurrentMax: number
  /** A socket paused for longer, because the sink is full, is closed. */
  readonly pausedMsMax: number
  /** A connection that carries nothing is kept this long, so that stopping and starting costs no attempts to connect. */
  readonly idleMs: number
  /** Between two questions to the venue what it believes a connection is subscribed to. */
  readonly reconcileMs: number
  /** Stopped topics remembered for `status()`; at the bound the oldest is forgotten. */
  readonly stoppedTopicsMax: number
}

export const defaultConnectionsOptions: ConnectionsOptions = Object.freeze({
  topicsPerConnection: 600,
  handshakeTimeoutMs: 10_000,
  replyTimeoutMs: 10_000,
  closeTimeoutMs: 2_000,
  payloadBytesMax: 64 * 1024 * 1024,
  outboundWindowMs: 1_500,
  outboundReserve: 1,
  connectsPerWindowMax: null,
  reconnectBaseMs: 250,
  reconnectMsMax: 30_000,
  stableMs: 2_000,
  refusedHoldMs: 30_000,
  sweepMs: 250,
  sweepLateMs: 1_500,
  transportSilenceFactor: 2.5,
  probeAfterMs: 3_000,
  probeTimeoutMs: 4_000,
  staleFloorMs: 5_000,
  staleFactor: 20,
  staleSamplesMin: 8,
  neverFlowedSiblingSamplesMin: 16,
  staleGraceMs: 2_500,
  neighbourMs: 2_000,
  staleTopicsReconnectMin: 10,
  repairWaitMs: 2_000,
  repairBaseMs: 10_000,
  repairMsMax: 600_000,
  repairNeverFlowedBaseMs: 60_000,
  repairNeverFlowedMsMax: 3_600_000,
  movesPerMinuteMax: 30,
  errorRetryBaseMs: 1_000,
  errorRetryMsMax: 60_000,
  overlapMs: 30_000,
  probationMs: 1_000,
  lingerMs: 1_000,
  lifetimeMs: null,
  renewMarginShareMin: 0.02,
  renewMarginShareMax: 0.15,
  renewMarginMsMin: 6_000,
  renewalsConcurrentMax: 2,
  pausedMsMax: 20_000,
  idleMs: 10_000,
  reconcileMs: 180_000,
  stoppedTopicsMax: 1_000,
})

/** How long a line lives before its successor is made: a random point, so that lines of one age are not renewed at once. */
export function renewalDelayMs(lifetimeMs: number, options: ConnectionsOptions, random: () => number): number {
  const { renewMarginShareMin: min, renewMarginShareMax: max, renewMarginMsMin } = options
  const share = min + random() * (max - min)
  return lifetimeMs - Math.max(lifetimeMs * share, Math.min(renewMarginMsMin, lifetimeMs / 2))
}
