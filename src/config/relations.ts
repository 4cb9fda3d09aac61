import type { Config } from './schema.ts'

/** The venue sends a delta every 100 ms at most. */
export const DELTAS_PER_SECOND_MAX = 10
/** The newest snapshot stays in the stream although one refresh failed. */
export const REFRESHES_KEPT = 2

/** What must hold between settings. It is looked at only when every setting it reads was admitted by itself. */
interface Relation {
  /** The settings it reads; the first one is named in the refusal. */
  readonly paths: readonly [string, ...string[]]
  /** What was expected and found, null when it holds. */
  check(config: Config): string | null
}

export const relations: readonly Relation[] = [
  {
    paths: ['redis.nodes', 'redis.mode'],
    check: ({ redis }) =>
      redis.mode === 'single' && redis.nodes.length > 0
        ? `expected none with redis.mode single, found ${redis.nodes.length}`
        : redis.mode !== 'single' && redis.nodes.length === 0
          ? `expected at least one host:port with redis.mode ${redis.mode}, found none`
          : null,
  },
  {
    paths: ['redis.url', 'redis.mode'],
    check: ({ redis }) =>
      redis.url !== null && redis.mode !== 'single'
        ? `expected null with redis.mode ${redis.mode}, which uses redis.nodes, found an address`
        : null,
  },
  {
    paths: ['redis.url', 'redis.embedded', 'redis.mode'],
    check: ({ redis }) =>
      redis.url === null && redis.mode === 'single' && redis.embedded === 'never'
        ? 'expected an address, because redis.embedded is never, found null'
        : null,
  },
  {
    paths: ['redis.sentinelName', 'redis.mode'],
    check: ({ redis }) =>
      (redis.mode === 'sentinel') === (redis.sentinelName !== null)
        ? null
        : redis.mode === 'sentinel'
          ? 'expected the name of the master with redis.mode sentinel, found null'
          : `expected null with redis.mode ${redis.mode}, found "${redis.sentinelName}"`,
  },
  {
    paths: ['redis.sentinelPassword', 'redis.sentinelUsername', 'redis.mode'],
    check: ({ redis: { mode, sentinelPassword, sentinelUsername } }) => {
      if (mode !== 'sentinel' && (sentinelPassword !== null || sentinelUsername !== null)) {
        return `expected null with redis.mode ${mode}, which asks no sentinels, found a user or a password for them`
      }
      return sentinelUsername !== null && sentinelPassword === null
        ? 'expected the password of redis.sentinelUsername, found null'
        : null
    },
  },
  {
    paths: ['redis.tls', 'redis.tls.enabled', 'redis.tls.caFile', 'redis.tls.certFile', 'redis.tls.keyFile'],
    check: ({ redis: { tls, url } }) => {
      const isGiven = tls.caFile !== null || tls.certFile !== null || tls.keyFile !== null
      if (isGiven && !tls.enabled && !url?.startsWith('rediss:')) {
        return 'expected redis.tls.enabled true or a rediss:// address where files for TLS are given, found neither'
      }
      return (tls.certFile === null) === (tls.keyFile === null)
        ? null
        : 'expected redis.tls.certFile and redis.tls.keyFile together, found only one'
    },
  },
  {
    paths: ['venues.binance', 'venues.binance.environment', 'venues.binance.streamUrl', 'venues.binance.restUrl'],
    check: ({ venues: { binance } }) => {
      const given = [binance.streamUrl, binance.restUrl].filter((url) => url !== null).length
      if (given === 1) return 'expected streamUrl and restUrl both given or both null, found only one'
      return given === 0 && binance.environment !== 'simulated'
        ? `expected streamUrl and restUrl with environment ${binance.environment}, found null`
        : null
    },
  },
  atLeast('ingest.earlyToleranceMs', 'ingest.latenessToleranceMs', ({ ingest }) => [
    ingest.earlyToleranceMs,
    ingest.latenessToleranceMs,
  ]),
  atLeast('ingest.queueEventsMax', 'ingest.eventsPerCallMax', ({ ingest }) => [
    ingest.queueEventsMax,
    ingest.eventsPerCallMax,
  ]),
  atLeast('ingest.queueBytesMax', 'ingest.bytesPerCallMax', ({ ingest }) => [
    ingest.queueBytesMax,
    ingest.bytesPerCallMax,
  ]),
  atLeast('ingest.bookBuffersEventsMax', 'ingest.bookBufferEventsMax', ({ ingest }) => [
    ingest.bookBuffersEventsMax,
    ingest.bookBufferEventsMax,
  ]),
  atLeast('ingest.queueBytesMax', 'ingest.frameBytesMax', ({ ingest }) => [ingest.queueBytesMax, ingest.frameBytesMax]),
  {
    paths: ['retention.ORDERBOOK.maxLength', 'ingest.books.refreshSeconds', 'ingest.books.proved'],
    check: ({ retention, ingest: { books } }) => {
      const { maxLength } = retention.ORDERBOOK
      const needed = REFRESHES_KEPT * books.refreshSeconds * DELTAS_PER_SECOND_MAX
      return maxLength === null || !books.proved || maxLength >= needed
        ? null
        : `expected at least ${needed}, what ingest.books.refreshSeconds ${books.refreshSeconds} brings of deltas between ${REFRESHES_KEPT + 1} snapshots, so that a book can be rebuilt from its stream, found ${maxLength}`
    },
  },
  {
    paths: ['cluster.expiryMs', 'cluster.heartbeatMs'],
    check: ({ cluster: { expiryMs, heartbeatMs } }) =>
      expiryMs >= 2 * heartbeatMs
        ? null
        : `expected at least twice cluster.heartbeatMs, which is ${heartbeatMs}, found ${expiryMs}`,
  },
  {
    paths: ['gateway.listen', 'gateway.tokens', 'roles'],
    check: ({ gateway: { listen, tokens }, roles }) =>
      tokens.length > 0 || listen === 'off' || isLoopback(listen) || !roles.includes('gateway')
        ? null
        : `expected loopback (127.0.0.1, ::1 or localhost) while gateway.tokens is empty, because without a token whoever reaches it may do everything, found "${listen}"`,
  },
  {
    paths: ['gateway.tokens'],
    check: ({ gateway: { tokens } }) => {
      const names = tokens.map(({ name }) => name)
      const twice = names.find((name, index) => names.indexOf(name) !== index)
      return twice === undefined ? null : `expected a name of its own for each token, found "${twice}" twice`
    },
  },
  {
    paths: ['routes'],
    check: ({ routes }) => {
      const found: string[] = []
      routes.forEach((route, index) => {
        const { type, intervals, via, throttleMs, filters = [] } = route
        const hasIntervals = intervals !== undefined && intervals.length > 0
        if (type === 'KLINE' && !hasIntervals) found.push(`routes.${index} of type KLINE without intervals`)
        if (type !== 'KLINE' && intervals !== undefined) found.push(`routes.${index} of type ${type} with intervals`)
        if (type !== 'TRADE' && via !== undefined) found.push(`routes.${index} of type ${type} with via`)
        const isFused = type === 'TRADE' || type === 'QUOTE' || type === 'ORDERBOOK'
        if (!isFused && throttleMs !== undefined) found.push(`routes.${index} of type ${type} with throttleMs`)
        filters.forEach(({ op, value }, at) => {
          const isFit = op === 'exists' ? value === undefined || typeof value === 'boolean' : value !== undefined
          if (!isFit || (op === 'in') !== Array.isArray(value)) {
            found.push(`routes.${index}.filters.${at} with a value that does not fit ${op}`)
          }
        })
      })
      return found.length === 0
        ? null
        : `expected intervals on KLINE alone, via on TRADE alone, throttleMs on TRADE, QUOTE and ORDERBOOK alone, and a list for the operator in alone, found ${found.join('; ')}`
    },
  },
]

function atLeast(greater: string, smaller: string, read: (config: Config) => [number, number]): Relation {
  return {
    paths: [greater, smaller],
    check: (config) => {
      const [upper, lower] = read(config)
      return upper >= lower ? null : `expected at least ${smaller}, which is ${lower}, found ${upper}`
    },
  }
}

/** Whether `host:port` can be reached from this machine alone. */
function isLoopback(listen: string): boolean {
  const host = listen.slice(0, listen.lastIndexOf(':'))
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host)
}
