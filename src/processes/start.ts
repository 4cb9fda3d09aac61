import { hostname } from 'node:os'
import type { StartOptions } from '../cli/start.ts'
import type { Config } from '../config/schema.ts'
import type { DispatcherIncident } from '../dispatcher/dispatcher.ts'
import { UnavailableError } from '../errors.ts'
import { SystemClock } from '../lib/clock.ts'
import { checkRedis, unfitness } from '../redis/check.ts'
import { RedisConnection } from '../redis/connection.ts'
import { RedisDeadLetterLog } from '../redis/dead-letter-log.ts'
import { RedisEventBus } from '../redis/event-bus.ts'
import { writeInstruments } from '../redis/instruments.ts'
import { Keys } from '../redis/keys.ts'
import { openKeyspace } from '../redis/keyspace.ts'
import { launchRedis } from '../redis/launcher.ts'
import { OpsLog } from '../redis/ops-log.ts'
import { LatencyRecorder } from '../telemetry/latency.ts'
import { createLogger } from '../telemetry/logger.ts'
import { metrics } from '../telemetry/metrics.ts'
import { startTelemetryServer } from '../telemetry/server.ts'
import { Ingest } from './ingest.ts'
import { type LiveLoop, runLiveView } from './live.ts'
import { LiveLook } from './live-look.ts'
import { summaryOf } from './summary.ts'
import { openVenue, type VenueAddress } from './venue-address.ts'

/** What is under way gets this long at the end; everything together stays below 5 s. */
const GRACE_MS = 3_000
const OPS_LENGTH_MAX = 10_000
/** A replay is over when all it sent has arrived, or when nothing has come for this long. */
const QUIET_MS = 250
const DRAIN_LOOK_MS = 20

type Closing = () => Promise<void> | void

/**
 * `meltica start`: builds the parts and joins them, runs until it is told to end, and takes everything down in the
 * opposite order. Answers the exit code.
 */
export async function runStart(config: Config, options: StartOptions): Promise<number> {
  const startedMs = performance.now()
  const clock = new SystemClock()
  const closings: Closing[] = []
  const closeAll = async (): Promise<void> => {
    for (const close of closings.splice(0).reverse()) await close()
  }
  try {
    const worker = config.worker.id ?? `${hostname()}-${process.pid}`
    const logFormat =
      config.telemetry.logFormat === 'auto' ? (process.stderr.isTTY ? 'pretty' : 'json') : config.telemetry.logFormat
    const logger = createLogger({
      level: config.telemetry.logLevel,
      format: logFormat,
      clock,
      base: { worker },
      write: (line) => process.stderr.write(line),
    })
    closings.push(() => logger.flush())

    const redisOptions = await redisFor(config, closings)
    const connection = new RedisConnection(redisOptions, 'command', {
      failed: (kind, message) => logger.error('redis-failed', message, { connection: kind }),
      ready: (kind, again) => {
        if (!again) return
        metrics.redisReconnects.inc({ connection: kind })
        void reopen()
      },
    })
    closings.push(() => connection.close())
    await connection.ready()
    const keys = new Keys(config.prefix, config.partitions)
    const unfit = unfitness(await checkRedis(connection, keys, () => clock.nowUs() / 1000))
    if (unfit !== null) throw new UnavailableError(unfit)

    const venue = await openVenue(config, options.replay)
    closings.push(() => venue.close())
    const environments = { binance: venue.environment }
    await openKeyspace(connection, keys, environments)
    const fatal = Promise.withResolvers<never>()
    fatal.promise.catch(() => {})
    // The Redis that comes back may be another keyspace than the one this process was started on.
    const reopen = async (): Promise<void> => {
      try {
        await openKeyspace(connection, keys, environments)
        logger.info('redis-back', 'Redis is back')
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'usage') fatal.reject(error)
      }
    }

    const latency = new LatencyRecorder()
    const opsLog = new OpsLog(connection, keys, OPS_LENGTH_MAX)
    const ingest = new Ingest({
      config,
      venue,
      isCluster: connection.isCluster,
      bus: new RedisEventBus({
        connection,
        keys,
        retention: Object.fromEntries(
          (['TRADE', 'QUOTE', 'TICKER', 'KLINE', 'ORDERBOOK'] as const).map((channel) => [
            channel,
            config.retention[channel].maxLength,
          ]),
        ),
        onBellFailed: (message) => logger.warn('bell-failed', message),
      }),
      deadLetters: new RedisDeadLetterLog(connection, keys, config.retention.deadLetters.maxLength ?? OPS_LENGTH_MAX),
      keepInstruments: (infos) => writeInstruments(connection, keys, infos, clock.nowUs()),
      clock,
      latency,
      logger,
      incident: (incident) => {
        const { kind, message, error, ...facts } = incident
        logger[kind === 'drained' ? 'info' : 'warn'](kind, message, {
          ...facts,
          ...(error === undefined ? {} : { error }),
        })
        tellOps(opsLog, worker, incident, clock.nowUs())
      },
      signal: options.signal,
    })
    closings.push(() => ingest.close(GRACE_MS))

    const telemetry = await startTelemetryServer(config.telemetry.listen, () => {
      const reasons = ingest.obstacles()
      if (!connection.isReady) reasons.push('Redis cannot be reached')
      return { ready: reasons.length === 0, reasons }
    })
    if (telemetry !== null) closings.push(() => telemetry.close())
    await ingest.start()

    const look = new LiveLook({
      connection,
      keys,
      ingest,
      latency,
      venue,
      redisAddress: connection.address,
      metricsUrl: telemetry?.url ?? null,
    })
    const live: LiveLoop | null = options.json ? null : runLiveView(() => look.take(), options.write, options.terminal)
    closings.push(() => live?.stop())

    await Promise.race([until(options, venue, ingest), fatal.promise])
    live?.stop()
    await ingest.close(GRACE_MS)
    if (options.untilDone || options.forMs !== null) {
      const summary = summaryOf({
        stats: ingest.dispatcher?.stats() ?? null,
        seconds: (performance.now() - startedMs) / 1000,
        redis: `redis://${connection.address}`,
        prefix: config.prefix,
        latencyUs: latency.whole(),
      })
      options.write(`${JSON.stringify(summary)}\n`)
    }
    return 0
  } finally {
    await closeAll()
  }
}

async function redisFor(config: Config, closings: Closing[]): Promise<Config['redis']> {
  const { redis } = config
  if (redis.url !== null || redis.nodes.length > 0) return redis
  const launched = await launchRedis()
  closings.push(() => launched.stop())
  return { ...redis, url: launched.url }
}

/** Resolves when this process is to end: told to, its time is over, or the replay was taken in whole. */
function until(options: StartOptions, venue: VenueAddress, ingest: Ingest): Promise<void> {
  const ends: Promise<void>[] = [
    new Promise((resolve) => options.signal.addEventListener('abort', () => resolve(), { once: true })),
  ]
  if (options.signal.aborted) return Promise.resolve()
  if (options.forMs !== null) ends.push(new Promise((resolve) => setTimeout(resolve, options.forMs ?? 0)))
  if (options.untilDone) ends.push(venue.done.then(() => drained(venue, ingest, options.signal)))
  return Promise.race(ends)
}

/** Waits until all that was sent has arrived, and nothing waits or is under way. */
async function drained(venue: VenueAddress, ingest: Ingest, signal: AbortSignal): Promise<void> {
  let received = -1
  let sinceMs = performance.now()
  while (!signal.aborted) {
    await ingest.dispatcher?.whenIdle()
    const stats = ingest.dispatcher?.stats()
    const nowReceived = (stats?.received ?? 0) + (stats?.deadLetters ?? 0)
    if (nowReceived !== received) sinceMs = performance.now()
    received = nowReceived
    const sent = await venue.framesSent()
    const arrived = sent !== null && stats !== undefined && stats.received >= sent
    const quiet = performance.now() - sinceMs >= QUIET_MS
    if ((arrived || quiet) && ingest.dispatcher?.idle !== false) return
    await new Promise((resolve) => setTimeout(resolve, DRAIN_LOOK_MS))
  }
}

const toldAt = new Map<string, number>()

/** One entry a kind and second on the ops stream; a Redis that cannot take it has been told by its own connection. */
function tellOps(opsLog: OpsLog, worker: string, incident: DispatcherIncident, nowUs: number): void {
  const { kind, message, error, ...facts } = incident
  if (nowUs - (toldAt.get(kind) ?? 0) < 1_000_000) return
  toldAt.set(kind, nowUs)
  const severity = kind === 'drained' ? 'info' : kind === 'refused' ? 'error' : 'warning'
  const cause = error instanceof Error ? { error: error.message } : {}
  opsLog
    .append({ kind, severity, message, worker, time: String(nowUs), facts: JSON.stringify({ ...facts, ...cause }) })
    .catch(() => metrics.opsLost.inc())
}
