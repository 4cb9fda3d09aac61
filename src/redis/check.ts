import type { RedisConnection } from './connection.ts'
import { BusError } from './errors.ts'
import type { Keys } from './keys.ts'

/** One thing looked at: what was expected and what was found. `failure` makes Redis unfit, `warning` is for people to weigh. */
export interface CheckFinding {
  readonly name: string
  readonly severity: 'ok' | 'warning' | 'failure'
  readonly expected: string
  readonly found: string
}

const CLOCK_SKEW_MS_MAX = 1_000

/** What the scripts do, done once on a key of its own that is removed again. */
const PROBE = `
redis.call('TIME')
redis.call('INFO', 'server')
redis.call('HSET', KEYS[1], 'a', '1')
redis.call('HMGET', KEYS[1], 'a')
redis.call('DEL', KEYS[1])
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', 10, '*', 'a', '1')
redis.call('XDEL', KEYS[1], id)
redis.call('DEL', KEYS[1])
redis.call('ZADD', KEYS[1], 1, 'a')
redis.call('ZCARD', KEYS[1])
redis.call('ZREM', KEYS[1], 'a')
return 'OK'`

/**
 * Whether this Redis can keep the promises: version, eviction policy, persistence, clock, permissions. Throws: BusError if it
 * cannot be asked at all.
 */
export async function checkRedis(
  connection: RedisConnection,
  keys: Keys,
  nowMs: () => number,
): Promise<CheckFinding[]> {
  const infos = (await connection.sendToMasters('info', [])).map((text) => parseInfo(String(text)))
  return [
    worstOf(infos.map(checkVersion)),
    worstOf(infos.map(checkEviction)),
    worstOf(infos.map(checkMaxMemory)),
    worstOf(infos.map(checkPersistence)),
    await checkClock(connection, nowMs),
    await checkPermissions(connection, `${keys.prefix}:{ops}:check`),
  ]
}

/** The findings that make a start pointless, as one text; null when there are none. */
export function unfitness(findings: readonly CheckFinding[]): string | null {
  const failures = findings.filter((finding) => finding.severity === 'failure')
  if (failures.length === 0) return null
  return failures.map(({ name, expected, found }) => `Redis ${name}: expected ${expected}, found ${found}`).join('; ')
}

/** Of the masters of a cluster the one that is least fit. */
function worstOf(findings: readonly CheckFinding[]): CheckFinding {
  const [first] = findings
  if (first === undefined) throw new BusError('unreachable', 'no master of the cluster is known')
  const of = (severity: CheckFinding['severity']) => findings.find((finding) => finding.severity === severity)
  return of('failure') ?? of('warning') ?? first
}

function checkVersion(info: ReadonlyMap<string, string>): CheckFinding {
  const found = info.get('redis_version') ?? 'none'
  const fits = Number.parseInt(found, 10) >= 7
  return { name: 'version', severity: fits ? 'ok' : 'failure', expected: '7.0 or newer', found }
}

function checkEviction(info: ReadonlyMap<string, string>): CheckFinding {
  const found = info.get('maxmemory_policy') ?? 'none'
  const expected = 'noeviction, because an evicted key is data lost in silence'
  return { name: 'maxmemory-policy', severity: found === 'noeviction' ? 'ok' : 'failure', expected, found }
}

function checkMaxMemory(info: ReadonlyMap<string, string>): CheckFinding {
  const bytes = Number(info.get('maxmemory') ?? 0)
  const expected = 'a bound, because without one the machine ends Redis where it should have refused'
  return {
    name: 'maxmemory',
    severity: bytes > 0 ? 'ok' : 'warning',
    expected,
    found: info.get('maxmemory_human') ?? '0',
  }
}

function checkPersistence(info: ReadonlyMap<string, string>): CheckFinding {
  const expected = 'appendonly yes, so that a restart loses at most a second'
  if (info.get('aof_enabled') === '1') {
    const healthy = info.get('aof_last_write_status') === 'ok'
    return {
      name: 'persistence',
      severity: healthy ? 'ok' : 'warning',
      expected,
      found: healthy ? 'appendonly yes' : 'appendonly yes, but its last write failed',
    }
  }
  const failing = info.get('rdb_last_bgsave_status') === 'err'
  return {
    name: 'persistence',
    severity: 'warning',
    expected,
    found: failing ? 'appendonly no, and the last snapshot failed' : 'appendonly no',
  }
}

async function checkClock(connection: RedisConnection, nowMs: () => number): Promise<CheckFinding> {
  const beforeMs = nowMs()
  const [seconds, micros] = (await connection.send('time', [])) as [string, string]
  const middleMs = (beforeMs + nowMs()) / 2
  const skewMs = Math.round(Number(seconds) * 1_000 + Number(micros) / 1_000 - middleMs)
  const severity = Math.abs(skewMs) <= CLOCK_SKEW_MS_MAX ? 'ok' : 'warning'
  return { name: 'clock', severity, expected: `at most ${CLOCK_SKEW_MS_MAX} ms from ours`, found: `${skewMs} ms ahead` }
}

async function checkPermissions(connection: RedisConnection, key: string): Promise<CheckFinding> {
  const expected = `scripts may write below ${key.slice(0, key.indexOf('{'))}`
  try {
    await connection.send('eval', [PROBE, 1, key])
    return { name: 'permissions', severity: 'ok', expected, found: 'they may' }
  } catch (error) {
    if (!(error instanceof BusError) || error.outcomeUnknown) throw error
    // A Redis that is full or cannot persist refuses everybody for a while; that says nothing of the user's rights.
    const isPassing = error.code === 'oom' || error.code === 'misconfigured'
    return { name: 'permissions', severity: isPassing ? 'warning' : 'failure', expected, found: error.message }
  }
}

function parseInfo(text: string): Map<string, string> {
  const info = new Map<string, string>()
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) info.set(line.slice(0, colon), line.slice(colon + 1).trim())
  }
  return info
}
