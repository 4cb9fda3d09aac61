import type { Config } from '../config/schema.ts'
import type { CheckFinding } from '../redis/check.ts'
import type { RedisConnection } from '../redis/connection.ts'
import type { CommandContext, CommandHost } from './context.ts'
import { table } from './table.ts'

const CLOCK_SKEW_MS_MAX = 500
/** Measured: from here on a join or a leave moves at most 1.2 times the least on average. */
const PARTITIONS_PER_MEMBER_MIN = 8
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
    const members = await checkMembers(config, connection)
    const reached = { name: 'redis', severity: 'ok', expected: 'an answer', found: connection.address } as const
    return [reached, ...findings.map((finding) => ({ ...finding, name: `redis ${finding.name}` })), ...members]
  } catch (error) {
    return [failure('redis', `an answer from ${connection.address}`, error)]
  } finally {
    connection.close()
  }
}

/** Whether the partitions are enough for those who share them. */
async function checkMembers(config: Config, connection: RedisConnection): Promise<CheckFinding[]> {
  const [{ RedisMembers }, { Keys }] = await Promise.all([import('../redis/members.ts'), import('../redis/keys.ts')])
  const { partitions, ingest, cluster } = config
  const list = await new RedisMembers(connection, new Keys(config.prefix, partitions)).list('ingest')
  const count = list.filter(({ ageMs }) => ageMs < cluster.expiryMs).length
  const findings: CheckFinding[] = []
  if (count > 0) {
    const severity = partitions >= PARTITIONS_PER_MEMBER_MIN * count ? 'ok' : 'warning'
    const expected = `at least ${PARTITIONS_PER_MEMBER_MIN} partitions a member, so that loads are even and few move`
    findings.push({ name: 'partitions', severity, expected, found: `${partitions} for ${count} members` })
  }
  if (count > 0 && ingest.redundancy > count) {
    const expected = `at least ${ingest.redundancy} members for ingest.redundancy ${ingest.redundancy}`
    findings.push({ name: 'members', severity: 'warning', expected, found: `${count}` })
  }
  return findings
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
