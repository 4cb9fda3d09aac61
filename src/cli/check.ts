import type { ClusterRole } from '../cluster/member-store.ts'
import type { Config } from '../config/schema.ts'
import type { Channel } from '../domain/event.ts'
import type { CheckFinding } from '../redis/check.ts'
import type { RedisConnection } from '../redis/connection.ts'
import type { CommandContext, CommandHost } from './context.ts'
import { table } from './table.ts'

const CLOCK_SKEW_MS_MAX = 500
/** Who shares the partitions. */
const ROLES: readonly ClusterRole[] = ['ingest', 'conductor', 'reader']
const CONNECT_TIMEOUT_MS = 10_000

export function registerCheck({ program, run }: CommandHost): void {
  const command = program
    .command('check')
    .description('Looks whether all that the configuration names is there and fit; exit code 1 when something is not.')
    .addHelpText(
      'after',
      '\nExamples:\n  $ meltica check\n  $ meltica check --config config/binance.yaml --redis redis://localhost:6379\n' +
        '  $ meltica check --json',
    )
  run(command, check)
}

async function check(context: CommandContext): Promise<number> {
  const { config } = await context.load()
  const findings: CheckFinding[] = [
    { name: 'configuration', severity: 'ok', expected: 'settings that fit together', found: 'they do' },
    ...(await checkRedisRoom(config)),
    ...(await checkVenue(config)),
  ]
  if (context.json) for (const finding of findings) context.write(`${JSON.stringify(finding)}\n`)
  else {
    const rows = findings.map(({ name, severity, expected, found }) => [
      severity,
      name,
      found,
      severity === 'ok' ? '' : expected,
    ])
    context.write(table(['', 'what', 'found', 'expected'], rows))
  }
  return findings.some(({ severity }) => severity === 'failure') ? 1 : 0
}

async function checkRedisRoom(config: Config): Promise<CheckFinding[]> {
  const [{ RedisConnection }, { checkRedis }, { Keys }, { findRedisServer }] = await Promise.all([
    import('../redis/connection.ts'),
    import('../redis/check.ts'),
    import('../redis/keys.ts'),
    import('../redis/launcher.ts'),
  ])
  if (config.redis.mode === 'single' && config.redis.url === null) {
    const program = findRedisServer()
    const expected = 'redis-server or valkey-server on the PATH, because redis.url is null'
    return [
      { name: 'redis-server', severity: program === null ? 'failure' : 'ok', expected, found: program ?? 'neither' },
    ]
  }
  const connection = new RedisConnection(config.redis, 'command')
  try {
    await connection.ready()
    const findings = await checkRedis(connection, new Keys(config.prefix, config.partitions), Date.now)
    const members = await checkKeyspace(config, connection)
    const reached = { name: 'redis', severity: 'ok', expected: 'an answer', found: connection.address } as const
    return [reached, ...findings.map((finding) => ({ ...finding, name: `redis ${finding.name}` })), ...members]
  } catch (error) {
    return [failure('redis', `an answer from ${connection.address}`, error)]
  } finally {
    connection.close()
  }
}

/** Who and what is there already, against the settings. */
async function checkKeyspace(config: Config, connection: RedisConnection): Promise<CheckFinding[]> {
  const [{ RedisMembers }, { Keys }, { readCatalog }, { checkSizes }, { bookLimits }, { WEIGHT_PER_MINUTE }] =
    await Promise.all([
      import('../redis/members.ts'),
      import('../redis/keys.ts'),
      import('../redis/catalog.ts'),
      import('./check-sizes.ts'),
      import('../processes/book-limits.ts'),
      import('../processes/venue-rest.ts'),
    ])
  const keys = new Keys(config.prefix, config.partitions)
  const store = new RedisMembers(connection, keys)
  const members: Partial<Record<ClusterRole, number>> = {}
  for (const role of ROLES) {
    members[role] = (await store.list(role)).filter(({ ageMs }) => ageMs < config.cluster.expiryMs).length
  }
  const streams: Partial<Record<Channel, number>> = {}
  for (const { channel } of await readCatalog(connection, keys)) streams[channel] = (streams[channel] ?? 0) + 1
  const infos = (await connection.sendToMasters('info', ['memory'])).map(String)
  const bounds = infos.map((info) => Number(/^maxmemory:(\d+)/m.exec(info)?.[1] ?? 0))
  const maxMemoryBytes = bounds.includes(0) ? 0 : bounds.reduce((sum, bytes) => sum + bytes, 0)
  const { refreshesPerMinuteMax } = bookLimits(config, {
    weightPerMinute: () => WEIGHT_PER_MINUTE,
    processes: () => 1,
  })
  return checkSizes(config, { members, streams, refreshesPerMinuteMax, maxMemoryBytes })
}

async function checkVenue(config: Config): Promise<CheckFinding[]> {
  const { environment, restUrl, streamUrl, restTimeoutMs } = config.venues.binance
  if (restUrl === null || streamUrl === null) {
    return [{ name: 'venue', severity: 'ok', expected: 'a venue', found: `${environment}, started inside \`start\`` }]
  }
  return [await checkVenueClock(config, restUrl, restTimeoutMs), await checkVenueStreams(streamUrl)]
}

async function checkVenueClock(config: Config, restUrl: string, timeoutMs: number): Promise<CheckFinding> {
  const [{ BinanceRest }, { LocalRequestBudget }, { SystemClock }, { asMarket }] = await Promise.all([
    import('../venues/binance/binance.ts'),
    import('../venues/budget.ts'),
    import('../lib/clock.ts'),
    import('../domain/instrument.ts'),
  ])
  const clock = new SystemClock()
  const market = asMarket('BINANCE-SPOT')
  const usableShare = config.venues.binance.requestWeightShare
  const budget = new LocalRequestBudget({ clock, market, weightPerMinute: 6_000, usableShare, waitingMax: 1 })
  const rest = new BinanceRest({ market, restUrl, clock, budget, timeoutMs })
  const expected = `the venue's clock within ${CLOCK_SKEW_MS_MAX} ms of ours`
  try {
    const beforeUs = clock.nowUs()
    const venueUs = await rest.fetchTime()
    const skewMs = Math.round((venueUs - (beforeUs + clock.nowUs()) / 2) / 1000)
    const severity = Math.abs(skewMs) <= CLOCK_SKEW_MS_MAX ? 'ok' : 'warning'
    return { name: 'venue clock', severity, expected, found: `${skewMs} ms ahead` }
  } catch (error) {
    return failure('venue clock', `an answer from ${restUrl}`, error)
  } finally {
    await rest.close()
  }
}

async function checkVenueStreams(streamUrl: string): Promise<CheckFinding> {
  const { WebSocket } = await import('ws')
  const expected = `a WebSocket at ${streamUrl}`
  const socket = new WebSocket(`${streamUrl.replace(/\/$/, '')}/stream`, { handshakeTimeout: CONNECT_TIMEOUT_MS })
  try {
    await new Promise<void>((resolve, reject) => socket.once('open', resolve).once('error', reject))
    return { name: 'venue streams', severity: 'ok', expected, found: 'it opened' }
  } catch (error) {
    return failure('venue streams', expected, error)
  } finally {
    socket.on('error', () => undefined).terminate()
  }
}

function failure(name: string, expected: string, error: unknown): CheckFinding {
  const found = error instanceof Error ? error.message || error.name : String(error)
  return { name, severity: 'failure', expected, found }
}
