import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { BucketHistogram } from './bucket-histogram.ts'

/**
 * Every metric Meltica exports, named once, with its unit. The hot path counts in plain numbers and a `collect` hook
 * carries them over when Prometheus asks; everything else increments directly.
 */
class ScrapedRegistry extends Registry {
  override metrics(): Promise<string> {
    for (const carry of beforeScrape) carry()
    return super.metrics()
  }
}

/** Called when Prometheus asks, before the numbers are read: who counts in plain numbers carries them over here. */
export const beforeScrape = new Set<() => void>()
export const registry = new ScrapedRegistry()
const registers = [registry]

export const metrics = {
  events: new Counter({
    name: 'meltica_events_total',
    help: 'Entries appended to the event streams, gaps included',
    labelNames: ['market', 'instrument', 'type'] as const,
    registers,
  }),
  eventsReceived: new Counter({
    name: 'meltica_venue_events_total',
    help: 'Events taken from the venue, before anything was decided of them',
    labelNames: ['market'] as const,
    registers,
  }),
  eventsLeftOut: new Counter({
    name: 'meltica_events_left_out_total',
    help: 'Events that were not appended and are no loss: duplicate, stale (a snapshot stood for them), filtered, ignored',
    labelNames: ['market', 'reason'] as const,
    registers,
  }),
  eventsMerged: new Counter({
    name: 'meltica_events_merged_total',
    help: 'Events for which a newer one stands (its `merged`), because the data bus could not keep up',
    labelNames: ['market', 'channel'] as const,
    registers,
  }),
  eventsRestored: new Counter({
    name: 'meltica_events_restored_total',
    help: 'Events that were in the streams of another Redis process and are appended again',
    labelNames: ['market'] as const,
    registers,
  }),
  offersRefused: new Counter({
    name: 'meltica_offers_refused_total',
    help: 'Offers that the append script refused, by reason; unjoined and snapshot-too-old are offered again',
    labelNames: ['market', 'reason'] as const,
    registers,
  }),
  publishFailures: new Counter({
    name: 'meltica_publish_failures_total',
    help: 'Calls to the data bus that failed and were made again, by reason (docs/redis-failures.md)',
    labelNames: ['market', 'reason'] as const,
    registers,
  }),
  queueEvents: new Gauge({
    name: 'meltica_dispatcher_queue_events',
    help: 'Events that wait for the data bus, are held, or are in a call',
    labelNames: ['market'] as const,
    registers,
  }),
  queueBytes: new Gauge({
    name: 'meltica_dispatcher_queue_bytes',
    help: 'The same in bytes',
    labelNames: ['market'] as const,
    registers,
  }),
  bookBufferEvents: new Gauge({
    name: 'meltica_book_buffer_events',
    help: 'Deltas that wait for the snapshot of their book',
    labelNames: ['market'] as const,
    registers,
  }),
  bookBufferRestarts: new Counter({
    name: 'meltica_book_buffer_restarts_total',
    help: "Times the older half of an unjoined book's buffer was thrown away at its bound",
    labelNames: ['market'] as const,
    registers,
  }),
  bookSnapshotRequests: new Counter({
    name: 'meltica_book_snapshot_requests_total',
    help: 'Book snapshots asked of the venue',
    labelNames: ['market'] as const,
    registers,
  }),
  bookSnapshotFailures: new Counter({
    name: 'meltica_book_snapshot_failures_total',
    help: 'Requests for book snapshots that failed; they are made again',
    labelNames: ['market'] as const,
    registers,
  }),
  backfillTrades: new Counter({
    name: 'meltica_backfill_trades_total',
    help: 'Trades fetched to fill gaps',
    labelNames: ['market'] as const,
    registers,
  }),
  backfillFailures: new Counter({
    name: 'meltica_backfill_failures_total',
    help: 'Requests for missing trades and bars that failed and were made again',
    labelNames: ['market'] as const,
    registers,
  }),
  deadLettersUntold: new Counter({
    name: 'meltica_dead_letters_untold_total',
    help: 'Dead letters that were counted and not written, because their log was full or away',
    labelNames: ['market'] as const,
    registers,
  }),
  deadLetters: new Counter({
    name: 'meltica_dead_letters_total',
    help: 'Inputs that could not be mapped or admitted, by reason',
    labelNames: ['reason'] as const,
    registers,
  }),
  logLinesSuppressed: new Counter({
    name: 'meltica_log_lines_suppressed_total',
    help: 'Log lines left out because their kind had said enough',
    registers,
  }),
  opsLost: new Counter({
    name: 'meltica_ops_events_lost_total',
    help: 'Entries of the ops stream that Redis did not take',
    registers,
  }),
  redisReconnects: new Counter({
    name: 'meltica_redis_reconnects_total',
    help: 'Times a Redis connection was opened again after it was lost',
    labelNames: ['connection'] as const,
    registers,
  }),
  gatewayRequests: new Counter({
    name: 'meltica_gateway_requests_total',
    help: 'Requests to the admin API by operation and the status of the answer; none: no operation was found',
    labelNames: ['operation', 'status'] as const,
    registers,
  }),
  gatewayRequestSeconds: new Histogram({
    name: 'meltica_gateway_request_duration_seconds',
    help: 'From the arrival of a request to the end of its answer, what it asked to wait included',
    labelNames: ['operation'] as const,
    buckets: [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  }),
  gatewayWaiting: new Gauge({
    name: 'meltica_gateway_waiting_requests',
    help: 'Requests that asked to wait for a command and do',
    registers,
  }),
  gatewayWaitsAbandoned: new Counter({
    name: 'meltica_gateway_waits_abandoned_total',
    help: 'Waits for a command that failed after their caller had gone',
    registers,
  }),
  gatewayRepeated: new Counter({
    name: 'meltica_gateway_repeated_requests_total',
    help: 'Requests answered from memory because their Idempotency-Key had been answered before',
    registers,
  }),
  gatewayConnectionsRefused: new Counter({
    name: 'meltica_gateway_connections_refused_total',
    help: 'Connections closed at once because gateway.connectionsMax were open',
    registers,
  }),
  clusterMembers: new Gauge({
    name: 'meltica_cluster_members',
    help: 'Live members of the role as this process sees them',
    labelNames: ['role'] as const,
    registers,
  }),
  partitionsHeld: new Gauge({
    name: 'meltica_partitions_held',
    help: 'Partitions that this process works on, those included that it is handing over',
    labelNames: ['role'] as const,
    registers,
  }),
  partitionsFlowing: new Gauge({
    name: 'meltica_partitions_flowing',
    help: 'Those of them whose streams all flow or are quiet',
    labelNames: ['role'] as const,
    registers,
  }),
  handovers: new Counter({
    name: 'meltica_partition_handovers_total',
    help: 'Partitions taken and given away',
    labelNames: ['role', 'direction'] as const,
    registers,
  }),
  beatsFailed: new Counter({
    name: 'meltica_beats_failed_total',
    help: 'Heartbeats that Redis did not answer',
    labelNames: ['role'] as const,
    registers,
  }),
  lineOffers: new Counter({
    name: 'meltica_line_offers_total',
    help: "Events offered by this process's lines: won, it was the first copy and was appended; lost, another line was first",
    labelNames: ['market', 'channel', 'outcome'] as const,
    registers,
  }),
  lineBehindSeconds: new Histogram({
    name: 'meltica_line_behind_seconds',
    help: "By how much the first copy arrived before this process's, of sampled events that another line won",
    labelNames: ['market'] as const,
    buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    registers,
  }),
  venueConnections: new Gauge({
    name: 'meltica_venue_connections',
    help: 'Open stream connections',
    labelNames: ['market'] as const,
    registers,
  }),
  venueConnectAttempts: new Counter({
    name: 'meltica_venue_connect_attempts_total',
    help: 'Attempts to open a stream connection, by the budget that granted them: the shared one, or that of this process alone',
    labelNames: ['market', 'budget'] as const,
    registers,
  }),
  venueConnectWaits: new Counter({
    name: 'meltica_venue_connect_waits_total',
    help: 'Times an attempt to connect was put off because the venue allows no more of them now',
    labelNames: ['market'] as const,
    registers,
  }),
  venueReconnects: new Counter({
    name: 'meltica_venue_reconnects_total',
    help: 'Stream connections lost and opened again, by the reason of the loss',
    labelNames: ['market', 'reason'] as const,
    registers,
  }),
  venueRenewals: new Counter({
    name: 'meltica_venue_renewals_total',
    help: 'Stream connections replaced without interruption, by reason',
    labelNames: ['market', 'reason'] as const,
    registers,
  }),
  venueResubscribes: new Counter({
    name: 'meltica_venue_resubscribes_total',
    help: 'Silent topics subscribed again on their connection, by the evidence',
    labelNames: ['market', 'reason'] as const,
    registers,
  }),
  venueMoves: new Counter({
    name: 'meltica_venue_moves_total',
    help: 'Instruments moved to another stream connection, by reason',
    labelNames: ['market', 'reason'] as const,
    registers,
  }),
  venueStaleTopics: new Gauge({
    name: 'meltica_venue_stale_topics',
    help: 'Topics acknowledged by the venue and silent although they should flow',
    labelNames: ['market'] as const,
    registers,
  }),
  venueSubscribeErrors: new Counter({
    name: 'meltica_venue_subscribe_errors_total',
    help: 'Error replies to SUBSCRIBE and UNSUBSCRIBE',
    labelNames: ['market'] as const,
    registers,
  }),
  venueInterruptedTopics: new Counter({
    name: 'meltica_venue_interrupted_topics_total',
    help: 'Topics interrupted without another connection covering them, by cause',
    labelNames: ['market', 'cause'] as const,
    registers,
  }),
  venueMessagesSent: new Counter({
    name: 'meltica_venue_messages_sent_total',
    help: 'Messages sent to the venue, pings and pongs counted',
    labelNames: ['market'] as const,
    registers,
  }),
  venueFrames: new Counter({
    name: 'meltica_venue_frames_total',
    help: 'Frames received on stream connections',
    labelNames: ['market'] as const,
    registers,
  }),
  venueReceivedBytes: new Counter({
    name: 'meltica_venue_received_bytes_total',
    help: 'Payload bytes received on stream connections',
    labelNames: ['market'] as const,
    registers,
  }),
  venueSubscriptionsDiffering: new Counter({
    name: 'meltica_venue_subscriptions_differing_total',
    help: 'Topics that the venue listed and we did not want, or the other way round, when it was asked',
    labelNames: ['market'] as const,
    registers,
  }),
  venueStrayEvents: new Counter({
    name: 'meltica_venue_stray_events_total',
    help: 'Events of topics that their connection did not carry any more',
    labelNames: ['market'] as const,
    registers,
  }),
  venueHeldBackEvents: new Counter({
    name: 'meltica_venue_held_back_events_total',
    help: 'Events of a replacing connection held back until the one it replaces has shown that it still delivers',
    labelNames: ['market'] as const,
    registers,
  }),
  venueRepliesUnmatched: new Counter({
    name: 'meltica_venue_replies_unmatched_total',
    help: 'Replies that answered no request of ours',
    labelNames: ['market'] as const,
    registers,
  }),
  venueRequests: new Counter({
    name: 'meltica_venue_requests_total',
    help: 'REST requests sent, by endpoint and HTTP status (none: no answer came)',
    labelNames: ['market', 'endpoint', 'status'] as const,
    registers,
  }),
  venueRequestSeconds: new Histogram({
    name: 'meltica_venue_request_seconds',
    help: 'From the sending of a REST request to its whole answer',
    labelNames: ['market', 'endpoint'] as const,
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  }),
  venueWeightUsed: new Gauge({
    name: 'meltica_venue_weight_used',
    help: 'Request weight counted in the present minute of the venue',
    labelNames: ['market'] as const,
    registers,
  }),
  venueRequestWaits: new Counter({
    name: 'meltica_venue_request_waits_total',
    help: 'REST requests that had to wait for the budget',
    labelNames: ['market'] as const,
    registers,
  }),
  venueRequestRefusals: new Counter({
    name: 'meltica_venue_request_refusals_total',
    help: 'REST requests that the budget refused to send',
    labelNames: ['market'] as const,
    registers,
  }),
  venueSnapshotsShared: new Counter({
    name: 'meltica_venue_snapshots_shared_total',
    help: 'Book snapshots not asked for because another process was asking for the same',
    labelNames: ['market'] as const,
    registers,
  }),
  polls: new Counter({
    name: 'meltica_polls_total',
    help: 'Polls whose answer entered the stream',
    labelNames: ['market', 'type'] as const,
    registers,
  }),
  pollsSkipped: new Counter({
    name: 'meltica_polls_skipped_total',
    help: 'Due times of polls without an entry: late, missed by everybody, failed, lost with a process, or unneeded',
    labelNames: ['market', 'type', 'reason'] as const,
    registers,
  }),
  pollsScheduled: new Gauge({
    name: 'meltica_polls_scheduled',
    help: 'Polls that the dispatch table wants, of all processes',
    registers,
  }),
  pollLateSeconds: new Histogram({
    name: 'meltica_poll_late_seconds',
    help: 'From the due time of a poll until it was taken up',
    labelNames: ['market', 'type'] as const,
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  }),
  venueBans: new Counter({
    name: 'meltica_venue_bans_total',
    help: 'Answers 429 and 418, after which the venue is left alone for as long as it says',
    labelNames: ['market', 'status'] as const,
    registers,
  }),
  venueInstrumentsSkipped: new Gauge({
    name: 'meltica_venue_instruments_skipped',
    help: 'Listings of the newest exchangeInfo that could not be understood and were left out',
    labelNames: ['market'] as const,
    registers,
  }),
  conductorEntries: new Counter({
    name: 'meltica_conductor_entries_total',
    help: 'Entries of source streams that the conductor folded',
    registers,
  }),
  conductorSuppressed: new Counter({
    name: 'meltica_conductor_suppressed_total',
    help: 'Of them those that a fused event stands for beyond the one it is',
    registers,
  }),
  conductorCommits: new Counter({
    name: 'meltica_conductor_commits_total',
    help: 'Commits of a book with its fused event',
    registers,
  }),
  conductorConflicts: new Counter({
    name: 'meltica_conductor_conflicts_total',
    help: 'Commits that lost a race; they are loaded and made again',
    registers,
  }),
  conductorFailures: new Counter({
    name: 'meltica_conductor_failures_total',
    help: 'Calls and commits of the conductor that failed and were made again',
    registers,
  }),
  conductorLost: new Counter({
    name: 'meltica_conductor_lost_total',
    help: 'Source entries that were trimmed before the conductor read them',
    registers,
  }),
  conductorCorrupt: new Counter({
    name: 'meltica_conductor_corrupt_total',
    help: 'Source entries that do not keep the contract',
    registers,
  }),
  conductorRebuilt: new Counter({
    name: 'meltica_conductor_rebuilt_total',
    help: 'Books made anew from their stream because their record was not there',
    registers,
  }),
  conductorRecordsUnavailable: new Counter({
    name: 'meltica_conductor_records_unavailable_total',
    help: 'Attempts to use a snapshot record in vain',
    registers,
  }),
  controlCommands: new Counter({
    name: 'meltica_control_commands_total',
    help: 'Commands that this process applied or refused',
    labelNames: ['status'] as const,
    registers,
  }),
  controlTableVersion: new Gauge({
    name: 'meltica_control_table_version',
    help: 'Version of the dispatch table that this process follows',
    registers,
  }),
  controlFailures: new Counter({
    name: 'meltica_control_failures_total',
    help: 'Tries to reach the control plane that failed',
    registers,
  }),
  controlReportsLost: new Counter({
    name: 'meltica_control_reports_lost_total',
    help: 'Reports of native topics that could not be written and are written again later',
    registers,
  }),
  conductorResyncs: new Counter({
    name: 'meltica_conductor_resyncs_total',
    help: 'Resyncs of books that the conductor asked for, by reason',
    labelNames: ['reason'] as const,
    registers,
  }),
  conductorInstruments: new Gauge({
    name: 'meltica_conductor_instruments',
    help: 'Instruments that this conductor works on',
    registers,
  }),
  conductorStalePartitions: new Gauge({
    name: 'meltica_conductor_stale_partitions',
    help: 'Partitions without entries and without a live owner that flows',
    registers,
  }),
  receivedToFusedSeconds: new BucketHistogram({
    name: 'meltica_received_to_fused_seconds',
    help: 'From the arrival of the newest event in it until a fused event stands in its stream',
    buckets: [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registry,
  }),
  socketToAppendSeconds: new BucketHistogram({
    name: 'meltica_socket_to_append_seconds',
    help: 'From the arrival of a frame to the reply of the append script',
    buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registry,
  }),
}
