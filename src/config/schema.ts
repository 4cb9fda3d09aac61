import { z } from 'zod'

/**
 * The shape of the configuration. Values and their meaning stand in `config/meltica.yaml`; here is only what is admitted.
 * Every check carries the words for what was expected, so that a refusal reads `expected <these words>, found ...`.
 */
const integer = (from: number, to = Number.MAX_SAFE_INTEGER) => {
  const error = to === Number.MAX_SAFE_INTEGER ? `an integer of at least ${from}` : `an integer from ${from} to ${to}`
  return z.int({ error }).min(from, { error }).max(to, { error })
}
const number = (from: number, to: number) => {
  const error = `a number from ${from} to ${to}`
  return z.number({ error }).min(from, { error }).max(to, { error })
}
const flag = () => z.boolean({ error: 'true or false' })
const text = (words = 'a text that is not empty', pattern = /\S/) =>
  z.string({ error: words }).regex(pattern, { error: words })
const word = <const Words extends readonly [string, ...string[]]>(...words: Words) =>
  z.enum(words, { error: words.length === 1 ? words[0] : `one of ${words.join(', ')}` })
const address = (...schemes: string[]) =>
  text(
    `an address that begins with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`,
    new RegExp(`^(${schemes.join('|')})://[^\\s]+$`),
  )
const list = <Item extends z.ZodType>(item: Item, words: string) => z.array(item, { error: words })
const group = <Shape extends z.ZodRawShape>(shape: Shape) => z.strictObject(shape, { error: 'a group of settings' })

export const FILTER_OPERATORS = ['eq', 'neq', 'in', 'prefix', 'exists', 'gt', 'lt'] as const

const scalar = z.union([z.string(), z.number(), z.boolean()], { error: 'a text, a number, true or false' })
const filter = group({
  path: text('a dot path into the canonical event, for example data.price'),
  op: word(...FILTER_OPERATORS),
  value: z
    .union([scalar, z.array(scalar)], { error: 'a value, or a list of values for the operator in' })
    .exactOptional(),
})

const INTERVALS = '1s 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w 1M'.split(' ') as [string, ...string[]]

const route = group({
  type: word('TRADE', 'QUOTE', 'TICKER', 'KLINE', 'ORDERBOOK'),
  market: word('BINANCE-SPOT'),
  instruments: list(
    text('an instrument as BASE-QUOTE, * standing for any part', /^[^\s:{}]+$/),
    'a list of instruments as BASE-QUOTE',
  ).min(1, { error: 'at least one instrument' }),
  via: word('auto', 'trade', 'aggTrade').exactOptional(),
  intervals: list(word(...INTERVALS), 'a list of intervals, for example [1m, 1h]').exactOptional(),
  filters: list(filter, 'a list of filters {path, op, value}').exactOptional(),
  throttleMs: integer(0, 60_000).exactOptional(),
  polls: list(
    group({ type: word('ORDERBOOK.SNAPSHOT', 'TICKER'), everyMs: integer(1_000, 86_400_000) }),
    'a list of polls {type, everyMs}',
  ).exactOptional(),
})

const token = group({
  name: text('1 to 64 letters, digits and . _ : -', /^[A-Za-z0-9._:-]{1,64}$/),
  roles: list(word('read', 'operate', 'trade'), 'a list of roles').min(1, { error: 'at least one role' }),
  token: text(
    'a token of 16 or more letters, digits and - . _ ~ + / =, or sha256: and 64 hex digits',
    /^(sha256:[0-9a-f]{64}|(?!sha256:)[A-Za-z0-9._~+/=-]{16,512})$/,
  ),
})

const maxLength = group({ maxLength: integer(1).nullable() })
const port = integer(0, 65_535)
const timeoutMs = integer(1, 600_000)
const file = text('the path of a file')

export const configSchema = group({
  prefix: text('letters, digits and : . - _', /^[A-Za-z0-9:._-]+$/),
  partitions: integer(1, 16_384),
  roles: list(word('ingest', 'conductor', 'poller', 'gateway'), 'a list of roles').min(1, {
    error: 'at least one role',
  }),
  worker: group({ id: text('letters, digits, . - and _', /^[A-Za-z0-9._-]{1,128}$/).nullable() }),
  redis: group({
    url: address('redis', 'rediss', 'unix').nullable(),
    mode: word('single', 'sentinel', 'cluster'),
    nodes: list(text('host:port', /^\S+:\d{1,5}$/), 'a list of host:port'),
    sentinelName: text().nullable(),
    sentinelUsername: text().nullable(),
    sentinelPassword: text().nullable(),
    sentinelPasswordFile: file.nullable(),
    username: text().nullable(),
    password: text().nullable(),
    passwordFile: file.nullable(),
    tls: group({
      enabled: flag(),
      caFile: file.nullable(),
      certFile: file.nullable(),
      keyFile: file.nullable(),
      servername: text().nullable(),
    }),
    connectTimeoutMs: timeoutMs,
    commandTimeoutMs: timeoutMs,
    embedded: word('auto', 'never'),
  }),
  venues: group({
    binance: group({
      environment: word('simulated', 'production', 'testnet', 'demo'),
      streamUrl: address('wss', 'ws').nullable(),
      restUrl: address('https', 'http').nullable(),
      apiUrl: address('wss', 'ws').nullable(),
      timeUnit: word('ms', 'us'),
      depthLimit: integer(1, 5000),
      requestWeightShare: number(0.01, 1),
      egress: text('letters, digits, . - and _', /^[A-Za-z0-9._-]{1,128}$/).nullable(),
      restTimeoutMs: timeoutMs,
      depthTimeoutMs: timeoutMs,
      instrumentsRefreshSeconds: integer(1, 86_400),
    }),
  }),
  routes: list(route, 'a list of routes'),
  ingest: group({
    redundancy: integer(1, 4),
    latenessToleranceMs: integer(0, 60_000),
    earlyToleranceMs: integer(1, 60_000),
    queueEventsMax: integer(1),
    queueBytesMax: integer(1024),
    eventsPerCallMax: integer(1, 10_000),
    bytesPerCallMax: integer(1024, 64 * 1024 * 1024),
    heldPerLineMax: integer(1),
    bookBufferEventsMax: integer(1),
    bookBuffersEventsMax: integer(1),
    frameBytesMax: integer(1024, 64 * 1024 * 1024),
    backfill: group({
      ageMsMax: integer(0, 86_400_000),
      idsPerGapMax: integer(0, 10_000_000),
      gapsAtOnceMax: integer(1, 1000),
      gapsWaitingMax: integer(0, 1_000_000),
    }),
    ring: group({
      bytesMax: integer(0, 16 * 1024 * 1024 * 1024),
      ageMsMax: integer(0, 600_000),
    }),
    books: group({
      proved: flag(),
      refreshSeconds: integer(10, 86_400),
      refreshWeightShare: number(0.001, 1),
      silentSeconds: integer(10, 86_400),
      quarantine: group({
        failures: integer(1, 1_000),
        withinSeconds: integer(1, 86_400),
        forSeconds: integer(1, 86_400),
      }),
    }),
    connections: group({
      topicsPerConnection: integer(1, 1024),
      connectsPerWindowMax: integer(1).nullable(),
      lifetimeMs: integer(1_000, 604_800_000).nullable(),
      reconnectMsMax: integer(100, 600_000),
      staleFloorMs: integer(100, 600_000),
      pausedMsMax: integer(100, 600_000),
      overlapMs: integer(100, 3_600_000),
      reconcileMs: integer(1_000, 86_400_000),
    }),
  }),
  cluster: group({
    heartbeatMs: integer(50, 60_000),
    expiryMs: integer(100, 600_000),
    handoverMs: integer(0, 600_000),
    drainMs: integer(0, 3_500),
  }),
  book: group({ levels: integer(20, 20_000), ttlMs: integer(1_000, 86_400_000) }),
  conductor: group({
    throttleMs: integer(0, 60_000),
    redundancy: integer(1, 4),
    staleMs: integer(100, 600_000),
  }),
  retention: group({
    TRADE: maxLength,
    QUOTE: maxLength,
    TICKER: maxLength,
    KLINE: maxLength,
    ORDERBOOK: maxLength,
    ANALYTICS: maxLength,
    deadLetters: maxLength,
  }),
  simulator: group({
    instruments: integer(1, 5000),
    seed: integer(0, 4_294_967_295),
    rate: z.union([z.literal('max'), number(0.01, 10_000_000)], { error: 'a number from 0.01 to 10000000, or max' }),
    requestWeight: integer(1, 1_000_000),
    port,
  }),
  gateway: group({
    listen: text('host:port, or off', /^(off|\S+:\d{1,5})$/),
    tokens: list(token, 'a list of tokens {name, roles, token}').max(1_000, { error: 'at most 1000 tokens' }),
    tokenFile: file.nullable(),
    bodyBytesMax: integer(1024, 1024 * 1024),
    rate: group({ perSecond: number(0.1, 1_000_000), burst: integer(1, 1_000_000) }),
    requestTimeoutMs: integer(100, 600_000),
    waitMsMax: integer(0, 60_000),
    waitingMax: integer(0, 100_000),
    connectionsMax: integer(1, 100_000),
  }),
  telemetry: group({
    listen: text('host:port, or off', /^(off|\S+:\d{1,5})$/),
    logLevel: word('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    logFormat: word('auto', 'json', 'pretty'),
  }),
})

type DeepReadonly<T> = T extends (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T

/** The configuration as admitted: complete, checked and frozen. */
export type Config = DeepReadonly<z.infer<typeof configSchema>>
export type RouteConfig = Config['routes'][number]
