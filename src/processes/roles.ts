import { hostname } from 'node:os'
import type { Config } from '../config/schema.ts'
import { Channel } from '../domain/event.ts'
import { UnavailableError, UsageError } from '../errors.ts'
import { type Clock, SystemClock } from '../lib/clock.ts'
import { type CheckFinding, checkRedis, unfitness } from '../redis/check.ts'
import { type ConnectionKind, RedisConnection, type RedisConnectionOptions } from '../redis/connection.ts'
import { Keys } from '../redis/keys.ts'
import { openKeyspace } from '../redis/keyspace.ts'
import { launchRedis } from '../redis/launcher.ts'
import { OpsLog } from '../redis/ops-log.ts'
import { trimStreams } from '../redis/retention.ts'
import { LatencyRecorder } from '../telemetry/latency.ts'
import { createLogger, type Logger } from '../telemetry/logger.ts'
import { metrics } from '../telemetry/metrics.ts'
import { startTelemetryServer } from '../telemetry/server.ts'
import type { Closings } from './closings.ts'
import { ControlPart } from './control-on-redis.ts'
import { watchHeapGrowth } from './heap-growth.ts'
import { everything } from './ingest.ts'
import { ingestOnRedis, retentionOf } from './ingest-on-redis.ts'
import { LiveForm, runLiveView } from './live.ts'
import { LiveLook } from './live-look.ts'
import { type OpsTeller, opsTeller } from './ops-teller.ts'
import { RedisWatch } from './redis-watch.ts'
import type { StartOptions } from './start-options.ts'
import { summaryOf } from './summary.ts'
import { untilEnd } from './until-end.ts'
import type { VenueAddress } from './venue-address.ts'
import { type OpenVenueRest, venueRestOnRedis } from './venue-rest.ts'

/** What is under way gets this long at the end; with the handover and the closing of sockets everything stays below 5 s. */
const GRACE_MS = 2_000
/** A heartbeat without an answer for half of the time that a member has to show itself is made again. */
const BEAT_TIMEOUT_SHARE = 0.5
/** Entries kept of what operators are told. */
const OPS_LENGTH_MAX = 10_000
/** Log lines below the live view. */
const INCIDENTS_SHOWN = 5

export interface RolesParts {
  readonly config: Config
  readonly options: StartOptions
  /** Null where no role needs a venue. */
  readonly opening: Promise<VenueAddress | null>
  readonly closings: Closings
  readonly startedMs: number
}

/** Builds the parts, joins them, and runs until it is to end. Answers the exit code. */
export async function runRoles({ config, options, opening, closings, startedMs }: RolesParts): Promise<number> {
  const clock = new SystemClock()
  const incidents: string[] = []
  const logger = openLogger(config, clock, (line) => {
    if (!options.terminal) process.stderr.write(line)
    else if (incidents.push(line) > INCIDENTS_SHOWN) incidents.shift()
  })
  closings.add(() => logger.flush())
  closings.add(watchHeapGrowth())

  const has = (role: Config['roles'][number]): boolean => config.roles.includes(role)
  const redis = await openRedis(config, clock, logger, closings)
  const tellOps = opsTeller(new OpsLog(redis.connection, redis.keys, OPS_LENGTH_MAX), redis.worker, clock)
  const latency = new LatencyRecorder()
  // What a process does not do it does not load; the rest while a venue of our own reads what it is to replay.
  const servesApi = has('gateway') && config.gateway.listen !== 'off'
  const poll = has('poller') ? await import('./poller-on-redis.ts') : null
  const conduct = has('conductor') ? await import('./conductor-on-redis.ts') : null
  const serve = servesApi ? await import('./gateway.ts') : null
  const venue = await opening
  const environments: Record<string, string> = venue === null ? {} : { binance: venue.environment }
  const keyspace = await watchRedis(redis, environments, { clock, logger, tellOps })
  closings.add(() => keyspace.close())
  if (has('ingest') || has('conductor')) await trimToRetention(redis, config, logger)
  const routes = options.replay === null ? config.routes : everything()
  const control = new ControlPart({ config, routes, ...redis, clock, logger, tellOps, signal: options.signal })
  closings.add(() => control.close())
  const common = { config, ...redis, clock, logger, tellOps, control, signal: options.signal }
  const restFor = ({ restUrl }: VenueAddress): OpenVenueRest => {
    const opened = venueRestOnRedis({ ...common, connection: redis.beatConnection, restUrl })
    closings.add(() => opened.close())
    return opened
  }
  const ingest =
    venue !== null && has('ingest') ? ingestOnRedis({ ...common, venue, asking: restFor(venue), latency }) : null
  const poller = venue !== null && poll !== null ? new poll.PollerRole({ ...common, venue: restFor(venue) }) : null
  const conductor =
    conduct?.conductorOnRedis({
      ...{ config, ...(await conductorConnections(redis, closings)), ...redis, clock, logger, tellOps, control },
    }) ?? null
  const obstacles = (): string[] => [keyspace, ingest, conductor, poller].flatMap((role) => role?.obstacles() ?? [])
  const api =
    serve === null
      ? null
      : await serveApi(serve, { config, redis, clock, logger, obstacles, isNamed: options.gatewayNamed }, closings)
  const closeRoles = (): Promise<unknown> =>
    Promise.all([api?.gateway.close(GRACE_MS), ingest?.close(GRACE_MS), conductor?.close(), poller?.close()])
  closings.add(async () => void (await closeRoles()))

  const metricsUrl = await serveTelemetry(config, redis.connection, obstacles, closings)
  await conductor?.start()
  await ingest?.start()
  await poller?.start()
  await control.start()

  const look = new LiveLook({
    ...{ ...redis, ingest, conductor: conductor?.conductor ?? null, latency, metricsUrl, apiUrl: api?.url ?? null },
    environment: venue?.label ?? config.roles.join(', '),
    incidents: () => incidents,
  })
  const ends = options.untilDone || options.forMs !== null
  const form = options.terminal ? LiveForm.Screen : options.json ? LiveForm.Json : LiveForm.Line
  // A program that waits for the summary is given nothing else to read.
  const live = options.json && ends ? null : runLiveView(() => look.take(), options.write, form)
  closings.add(() => live?.stop())

  await Promise.race([
    ingest?.drained ?? keyspace.lost,
    untilEnd(options, venue, ingest, conductor?.conductor ?? null),
    keyspace.lost,
  ])
  live?.stop()
  if (ends) await ingest?.close(GRACE_MS)
  await closeRoles()
  if (ends) {
    const summary = summaryOf({
      stats: ingest?.dispatcher?.stats() ?? null,
      ingests: ingest !== null,
      seconds: (performance.now() - startedMs) / 1000,
      redis: `redis://${redis.connection.address}`,
      prefix: config.prefix,
      latencyUs: latency.whole(),
    })
    options.write(`${JSON.stringify(summary)}\n`)
  }
  return 0
}

/** The admin API. Nothing of the data path goes over its connection. */
async function serveApi(
  { gatewayOnRedis, openGateway }: typeof import('./gateway.ts'),
  parts: {
    readonly config: Config
    readonly redis: OpenRedis
    readonly clock: Clock
    readonly logger: Logger
    readonly obstacles: () => string[]
    readonly isNamed: boolean
  },
  closings: Closings,
) {
  const { redis, ...rest } = parts
  const connection = new RedisConnection(redis.options, 'command')
  closings.add(() => connection.close())
  await connection.ready()
  const gateway = gatewayOnRedis({ ...rest, keys: redis.keys, connection })
  closings.add(() => gateway.close(GRACE_MS))
  return { gateway, url: await openGateway(gateway, parts) }
}

/** Reads and commits of the conductor wait for nobody else, and nobody waits behind them. */
async function conductorConnections({ options }: OpenRedis, closings: Closings) {
  const open = async (kind: ConnectionKind): Promise<RedisConnection> => {
    const opened = new RedisConnection(options, kind)
    closings.add(() => opened.close())
    await opened.ready()
    return opened
  }
  return { conductorConnection: await open('command'), waitingConnection: await open('blocking') }
}

function openLogger(config: Config, clock: Clock, write: (line: string) => void): Logger {
  const { logLevel, logFormat } = config.telemetry
  const format = logFormat === 'auto' ? (process.stderr.isTTY ? 'pretty' : 'json') : logFormat
  return createLogger({ level: logLevel, format, clock, base: { worker: workerId(config) }, write })
}

function workerId(config: Config): string {
  return config.worker.id ?? `${hostname()}-${process.pid}`
}

interface OpenRedis {
  /** How it was reached: as configured, or the private one. */
  readonly options: RedisConnectionOptions
  readonly connection: RedisConnection
  readonly beatConnection: RedisConnection
  readonly keys: Keys
  readonly worker: string
  /** Called every time the connection stands again after it was lost. */
  onBack(callback: () => void): void
}

/** The configured Redis, or a private one where none is configured and that is allowed. */
async function openRedis(config: Config, clock: Clock, logger: Logger, closings: Closings): Promise<OpenRedis> {
  let options = config.redis
  if (options.url === null && options.nodes.length === 0) {
    if (options.embedded === 'never')
      throw new UsageError('expected redis.url or redis.nodes, because redis.embedded is never')
    const launched = await launchRedis()
    closings.add(() => launched.stop())
    options = { ...options, url: launched.url }
  }
  const callbacks: (() => void)[] = []
  const beatTimeoutMs = Math.min(options.commandTimeoutMs, Math.ceil(config.cluster.expiryMs * BEAT_TIMEOUT_SHARE))
  const beatConnection = new RedisConnection({ ...options, commandTimeoutMs: beatTimeoutMs }, 'command')
  closings.add(() => beatConnection.close())
  const connection = new RedisConnection(options, 'command', {
    failed: (kind, message) => logger.error('redis-failed', message, { connection: kind }),
    ready: (kind, again) => {
      if (!again) return
      metrics.redisReconnects.inc({ connection: kind })
      logger.info('redis-back', 'Redis can be reached again', { connection: kind })
      for (const callback of callbacks) callback()
    },
  })
  closings.add(() => connection.close())
  await connection.ready()
  await beatConnection.ready()
  const keys = new Keys(config.prefix, config.partitions)
  const unfit = unfitness(await checkRedis(connection, keys, () => clock.nowUs() / 1000))
  if (unfit !== null) throw new UnavailableError(unfit)
  const worker = workerId(config)
  return { options, connection, beatConnection, keys, worker, onBack: (callback) => callbacks.push(callback) }
}

/** Opens the keyspace, and looks again whenever Redis comes back. */
async function watchRedis(
  redis: OpenRedis,
  environments: Readonly<Record<string, string>>,
  parts: { readonly clock: Clock; readonly logger: Logger; readonly tellOps: OpsTeller },
): Promise<RedisWatch> {
  const { connection, keys } = redis
  const open = (): Promise<void> => openKeyspace(connection, keys, environments)
  await open()
  const check = (): Promise<readonly CheckFinding[]> => checkRedis(connection, keys, () => parts.clock.nowUs() / 1000)
  const watch = new RedisWatch({ ...parts, openKeyspace: open, check })
  redis.onBack(() => watch.back())
  return watch
}

/** What a shorter retention than before leaves too much goes at the start: at `maxmemory` nothing else makes room. */
async function trimToRetention({ connection, keys }: OpenRedis, config: Config, logger: Logger): Promise<void> {
  const maxLengths = { ...retentionOf(config), [Channel.Analytics]: config.retention.ANALYTICS.maxLength }
  try {
    const entries = await trimStreams(connection, keys, maxLengths)
    if (entries > 0)
      logger.info('streams-trimmed', 'entries beyond the retention were taken from the streams', { entries })
  } catch (error) {
    logger.warn('streams-untrimmed', 'the streams could not be trimmed to their retention', { error })
  }
}

/** Where /metrics is, null when it is off. */
async function serveTelemetry(
  config: Config,
  connection: RedisConnection,
  obstacles: () => string[],
  closings: Closings,
): Promise<string | null> {
  const telemetry = await startTelemetryServer(config.telemetry.listen, () => {
    const reasons = obstacles()
    if (!connection.isReady) reasons.push('Redis cannot be reached')
    return { ready: reasons.length === 0, reasons }
  })
  if (telemetry === null) return null
  closings.add(() => telemetry.close())
  return telemetry.url
}
