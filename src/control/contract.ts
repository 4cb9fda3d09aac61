import { z } from 'zod'

/**
 * The control plane as a contract: what a command is, what the dispatch table in Redis says, how a command was answered and
 * what became of it at the venue. Nothing here does anything.
 *
 * The way of a command: `submit` puts it on the control stream; some member of the consumer group applies it, strictly in
 * stream order, and answers; the owners of the instrument's partition follow the table and report per native topic.
 *
 * Units: times are integer microseconds since the Unix epoch, durations milliseconds, as the names say.
 */

const text = (words: string, pattern: RegExp) => z.string({ error: words }).regex(pattern, { error: words })
const word = <const Words extends readonly [string, ...string[]]>(...words: Words) =>
  z.enum(words, { error: words.length === 1 ? words[0] : `one of ${words.join(', ')}` })
const timeUs = z.int().nonnegative()

/** Bounds of the control plane; what is beyond is refused. */
export const ControlLimits = {
  /** Commands on the stream that nobody has applied yet; beyond, `submit` answers `full`. */
  commandsWaitingMax: 1_000,
  subscriptionsMax: 20_000,
  routesMax: 1_000,
  filtersMax: 16,
  throttleMsMax: 60_000,
  /** A command with all its fields, in bytes. */
  commandBytesMax: 16_384,
  /** How long the id of a command and its answer are remembered. */
  rememberMs: 86_400_000,
  /** Subscriptions or routes in one page. */
  pageMax: 1_000,
} as const

/** Ids of commands and subscriptions: chosen by whoever issues the command, unique for 24 h; a UUID does. */
export const idSchema = text('1 to 128 letters, digits and . _ : -', /^[A-Za-z0-9._:-]{1,128}$/)
export const consumerSchema = text('1 to 128 letters, digits and . _ : -', /^[A-Za-z0-9._:-]{1,128}$/)
/** Commands of conductors bear this and the name of their process. */
export const CONDUCTOR_ISSUER = 'conductor:'
/** A token's name, or the process: `conductor:host-17`. Never a secret. */
export const issuerSchema = text('1 to 128 letters, digits and . _ : @ -', /^[A-Za-z0-9._:@-]{1,128}$/)
export const traceSchema = text('32 hexadecimal digits', /^[0-9a-f]{32}$/)
export const marketSchema = text('a market such as BINANCE-SPOT', /^[A-Z0-9-]{1,32}$/)
export const instrumentSchema = text(
  'an instrument as BASE-QUOTE, for example BTC-USDT',
  /^[^\s:{}*|-]{1,32}-[^\s:{}*|-]{1,32}$/,
)
/** What the configuration seeds may stand for many: `*` for any part. */
export const instrumentPatternSchema = text('an instrument as BASE-QUOTE, * standing for any part', /^[^\s:{}|]{1,65}$/)
export const channelSchema = word('TRADE', 'QUOTE', 'TICKER', 'KLINE', 'ORDERBOOK')
export type ControlledChannel = z.infer<typeof channelSchema>

const scalar = z.union([z.string().max(256), z.number(), z.boolean()], { error: 'a text, a number, true or false' })
/** One rule on the canonical event; all rules of a list must hold. See `dispatcher/filters.ts`. */
export const filterSchema = z.strictObject({
  path: text('a dot path into the canonical event, for example data.price', /^[^\s.]{1,64}(\.[^\s.]{1,64}){0,7}$/),
  op: word('eq', 'neq', 'in', 'prefix', 'exists', 'gt', 'lt'),
  value: z
    .union([scalar, z.array(scalar).max(64)], { error: 'a value, or a list of values for the operator in' })
    .exactOptional(),
})
export const filtersSchema = z.array(filterSchema).max(ControlLimits.filtersMax)
export type ControlFilter = z.infer<typeof filterSchema>
/**
 * The consumer wants no more than one fused event (`ANALYTICS.FUSED`) of the instrument in so many milliseconds, 0: every
 * one, null: as usual. Of several consumers the smallest counts (`throttle.ts`). Only for channels that are fused; what
 * enters these channels themselves is never thinned out.
 */
export const throttleMsSchema = z.int().min(0).max(ControlLimits.throttleMsMax)
const intervals = '1s 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w 1M'.split(' ') as [string, ...string[]]
export const intervalsSchema = z
  .array(word(...intervals))
  .min(1)
  .max(16)

// Commands

export const payloadSchemas = {
  subscribe: z.strictObject({
    subscriptionId: idSchema,
    market: marketSchema,
    instrument: instrumentSchema,
    type: channelSchema,
    filters: filtersSchema.default([]),
    throttleMs: throttleMsSchema.nullable().default(null),
    /** KLINE only; null takes the route's. */
    intervals: intervalsSchema.nullable().default(null),
  }),
  unsubscribe: z.strictObject({ subscriptionId: idSchema }),
  updateFilters: z.strictObject({
    subscriptionId: idSchema,
    filters: filtersSchema.exactOptional(),
    throttleMs: throttleMsSchema.nullable().exactOptional(),
  }),
  pause: z.strictObject({ market: marketSchema, instrument: instrumentSchema }),
  resume: z.strictObject({ market: marketSchema, instrument: instrumentSchema }),
  /** A new snapshot of the book is fetched and takes the place of what is there. */
  resync: z.strictObject({
    market: marketSchema,
    instrument: instrumentSchema,
    reason: z.string().max(200).default('asked for'),
  }),
  /** The worker hands its partitions over and ends. */
  drain: z.strictObject({ worker: text('the name of a worker', /^[A-Za-z0-9._-]{1,128}$/) }),
  mergedSubscribe: z.looseObject({}),
  setTradingMode: z.looseObject({}),
} as const

export const commandTypes = [
  'subscribe',
  'unsubscribe',
  'updateFilters',
  'pause',
  'resume',
  'resync',
  'drain',
  'mergedSubscribe',
  'setTradingMode',
] as const
export type CommandType = (typeof commandTypes)[number]

const command = <Type extends CommandType, Payload extends z.ZodType>(type: Type, payload: Payload) =>
  z.strictObject({
    id: idSchema,
    type: z.literal(type),
    issuer: issuerSchema,
    consumer: consumerSchema,
    trace: traceSchema,
    issuedAtUs: timeUs,
    payload,
  })

/** A command as it stands on the control stream; there every field is text and `payload` is JSON. */
export const commandSchema = z.discriminatedUnion('type', [
  command('subscribe', payloadSchemas.subscribe),
  command('unsubscribe', payloadSchemas.unsubscribe),
  command('updateFilters', payloadSchemas.updateFilters),
  command('pause', payloadSchemas.pause),
  command('resume', payloadSchemas.resume),
  command('resync', payloadSchemas.resync),
  command('drain', payloadSchemas.drain),
  command('mergedSubscribe', payloadSchemas.mergedSubscribe),
  command('setTradingMode', payloadSchemas.setTradingMode),
])
/** As admitted, with defaults filled in. */
export type Command = z.output<typeof commandSchema>
/** As a caller writes it. */
export type CommandInput = z.input<typeof commandSchema>

// The dispatch table

export const pollSchema = z.strictObject({
  type: word('ORDERBOOK.SNAPSHOT', 'TICKER'),
  everyMs: z.int().min(1_000).max(86_400_000),
})
export type Poll = z.infer<typeof pollSchema>

/** How a canonical type of some instruments is had from the venue. The first route that matches counts. */
export const routeSchema = z.strictObject({
  routeId: idSchema,
  type: channelSchema,
  market: marketSchema,
  instruments: z.array(instrumentPatternSchema).min(1).max(10_000),
  filters: filtersSchema,
  /** TRADE: which of the venue's numberings; null elsewhere. */
  via: word('auto', 'trade', 'aggTrade').nullable(),
  /** KLINE: the venue's words; null elsewhere. */
  intervals: z.array(z.string()).max(32).nullable(),
  /** Native topics, `<symbol>` standing for the venue's name of the instrument. For people; the adapter has the names. */
  topics: z.array(z.string()).max(32),
  /** Functions of the venue's REST adapter that fill what the topics leave open: `fetchBookSnapshot`. */
  rest: z.array(z.string()).max(8),
  throttleMs: throttleMsSchema.nullable(),
  /** What is fetched on a schedule for every instrument of this route that somebody is subscribed to. */
  polls: z.array(pollSchema).max(8),
  /** Table version since which it is so. */
  sinceVersion: z.int().positive(),
})
export type Route = z.infer<typeof routeSchema>

/** One consumer's wish. A channel flows while at least one subscription wants it and its instrument is not paused. */
export const subscriptionSchema = z.strictObject({
  subscriptionId: idSchema,
  /** `config` for what the configuration seeded. */
  consumer: consumerSchema,
  market: marketSchema,
  /** A pattern only where the configuration seeded it. */
  instrument: instrumentPatternSchema,
  type: channelSchema,
  filters: filtersSchema,
  throttleMs: throttleMsSchema.nullable(),
  intervals: z.array(z.string()).max(32).nullable(),
  createdAtUs: timeUs,
  /** Table version that its last command made. */
  sinceVersion: z.int().positive(),
})
export type Subscription = z.infer<typeof subscriptionSchema>

export const pausedSchema = z.strictObject({
  market: marketSchema,
  instrument: instrumentSchema,
  issuer: issuerSchema,
  atUs: timeUs,
  sinceVersion: z.int().positive(),
})
export type PausedInstrument = z.infer<typeof pausedSchema>

/**
 * A channel of an instrument that commands have started or stopped. `version` is the table version under which its events
 * are offered to the append script; while it is closed nothing older enters the stream.
 */
export const channelStateSchema = z.strictObject({
  market: marketSchema,
  instrument: instrumentSchema,
  type: channelSchema,
  open: z.boolean(),
  version: z.int().positive(),
})
export type ChannelState = z.infer<typeof channelStateSchema>

export interface Table {
  /** Rises by one with every command that changed something. */
  readonly version: number
  /** Entry id of the last command applied, `0-0` if none. */
  readonly appliedId: string
  /** Another word means another table: it was lost and written anew. */
  readonly lineage: string
  readonly routes: readonly Route[]
  readonly subscriptions: readonly Subscription[]
  readonly paused: readonly PausedInstrument[]
  readonly channels: readonly ChannelState[]
}

// Answers

/** What happened on a native topic at the venue; a time is null until it happened since the last request. */
export const topicReportSchema = z.strictObject({
  topic: z.string(),
  type: channelSchema,
  /** KLINE, else ''. */
  interval: z.string(),
  state: word('requested', 'acked', 'flowing', 'stopped'),
  requestedAtUs: timeUs.nullable(),
  ackedAtUs: timeUs.nullable(),
  flowingAtUs: timeUs.nullable(),
  stoppedAtUs: timeUs.nullable(),
  /** Who reports. */
  worker: z.string(),
  /** Table version that the worker had followed when it reported. */
  version: z.int().nonnegative(),
})
export type TopicReport = z.infer<typeof topicReportSchema>

/** Why a command failed; `null` where it did not. */
export const AnswerCode = {
  /** The entry on the stream is no command: fields missing, unknown or of the wrong form. It is among the dead letters. */
  Malformed: 'malformed',
  NotImplemented: 'not-implemented',
  UnknownSubscription: 'unknown-subscription',
  SubscriptionExists: 'subscription-exists',
  /** The venue does not list the instrument. */
  UnknownInstrument: 'unknown-instrument',
  UnknownMarket: 'unknown-market',
  /** No route says how the type is had from the venue. */
  NoRoute: 'no-route',
  /** It would make holes in a channel that has none, or its value does not fit its operator. */
  FilterRefused: 'filter-refused',
  ThrottleRefused: 'throttle-refused',
  IntervalsRefused: 'intervals-refused',
  NotPaused: 'not-paused',
  AlreadyPaused: 'already-paused',
  NotSubscribed: 'not-subscribed',
  UnknownWorker: 'unknown-worker',
  TableFull: 'table-full',
  /** Not a failure: a later command undid this one before it had taken effect at the venue. Status is `effective`. */
  Superseded: 'superseded',
} as const
export type AnswerCode = (typeof AnswerCode)[keyof typeof AnswerCode]

/**
 * - `pending`: on the control stream, not applied yet.
 * - `applied`: the table says so; the venue is being told.
 * - `effective`: data flows (TICKER, KLINE: acknowledged), or the venue was told and the channel is closed.
 * - `failed`: nothing was changed; `code` and `message` say why.
 */
export const commandStatusSchema = word('pending', 'applied', 'effective', 'failed')
export type CommandStatus = z.infer<typeof commandStatusSchema>

export const answerSchema = z.strictObject({
  commandId: idSchema,
  type: z.string(),
  status: commandStatusSchema,
  code: z.string().nullable(),
  message: z.string().nullable(),
  /** Entry id on the control stream: commands take effect in this order. */
  entryId: z.string(),
  issuer: z.string(),
  consumer: z.string(),
  trace: z.string(),
  /** What stood in the table before and after: a Subscription, a PausedInstrument ...; null where nothing. */
  before: z.unknown(),
  after: z.unknown(),
  /** Of the table after the command; null while pending. */
  version: z.int().nonnegative().nullable(),
  issuedAtUs: timeUs.nullable(),
  appliedAtUs: timeUs.nullable(),
  effectiveAtUs: timeUs.nullable(),
})
export type Answer = z.infer<typeof answerSchema>
export interface CommandStory extends Answer {
  /** Native topics that the command is about, of every worker that carries or carried them. */
  readonly topics: readonly TopicReport[]
}

/**
 * - `accepted`: on the stream.
 * - `repeated`: a command with this id and content was submitted before; `entryId` is that one's.
 * - `different`: the id belongs to a command with other content.
 * - `full`: too many commands wait; try again later.
 */
export type SubmitResult =
  | { readonly status: 'accepted' | 'repeated'; readonly entryId: string }
  | { readonly status: 'different' }
  | { readonly status: 'full'; readonly waiting: number }

/** Every method throws BusError when Redis cannot be reached; submitting the same command again is then safe. */
export interface ControlClient {
  /** Throws UsageError where the command does not fit `commandSchema`. */
  submit(command: CommandInput): Promise<SubmitResult>
  /** null: no such command within 24 h. */
  status(commandId: string): Promise<CommandStory | null>
  /** Waits until the command is effective or failed, or the time is over; answers as `status` does. */
  waitFor(commandId: string, timeoutMs: number): Promise<CommandStory | null>
}

export interface Page<Item> {
  readonly items: readonly Item[]
  /** Give it to read on; null: that was all. */
  readonly cursor: string | null
}

export interface PageRequest {
  /** As the page before said; null for the first. Any text is safe. */
  readonly cursor: string | null
  readonly limit: number
}

/** Reads the table where it stands, so an applied command is seen. Throws BusError. */
export interface TableReader {
  /** null: there is none (not seeded yet, or lost). */
  current(): Promise<Table | null>
  subscription(subscriptionId: string): Promise<Subscription | null>
  /** Ascending by subscriptionId; what is added or removed meanwhile may be seen or not, everything else exactly once. */
  subscriptions(
    page: PageRequest & { readonly consumer?: string; readonly market?: string; readonly instrument?: string },
  ): Promise<Page<Subscription>>
  /** In the order in which they are tried. */
  routes(page: PageRequest): Promise<Page<Route>>
}

/** What the owners said of an instrument's native topics, the newest report of each worker and topic. Throws BusError. */
export interface TopicReports {
  of(market: string, instrument: string): Promise<readonly TopicReport[]>
}

/** Entries that can never be applied, and inputs that could not be understood (source `venue`). Throws BusError. */
export interface DeadLetterBox {
  list(page: PageRequest): Promise<Page<DeadLetter>>
  /** Puts a control entry on the control stream again. `not-requeueable`: what came from a venue, or no control entry. */
  requeue(id: string): Promise<'requeued' | 'unknown' | 'not-requeueable'>
  drop(id: string): Promise<'dropped' | 'unknown'>
}

export interface DeadLetter {
  /** `control:<entry id>` or `venue:<entry id>`. */
  readonly id: string
  readonly source: 'control' | 'venue'
  readonly reason: string
  readonly detail: string
  /** What it was, at most 1,000 characters. */
  readonly sample: string
  readonly atUs: number
}
