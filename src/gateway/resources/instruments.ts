import { z } from 'zod'
import { channelSchema, instrumentSchema, type TopicReports } from '../../control/contract.ts'
import { Channel, Quality } from '../../domain/event.ts'
import { type Operation, operation } from '../operation.ts'
import { Problem, refusedField } from '../problems.ts'
import type { GapReader, InstrumentReader } from '../readers.ts'
import { pageOf, pageQuery, queryFlag, queryTime, timeUs, withoutUnits } from '../schemas.ts'
import { ACCEPTED, accepted, type CommandParts, issue, topicSchema } from './commands.ts'

export interface InstrumentParts extends CommandParts {
  readonly instruments: InstrumentReader
  readonly gaps: GapReader
  readonly topics: TopicReports
  readonly markets: readonly [string, ...string[]]
}

const channels = Object.values(Channel) as [Channel, ...Channel[]]
const qualities = Object.values(Quality) as [Quality, ...Quality[]]
const decimal = z.string().meta({ description: "Decimal text with the venue's digits, empty where it tells nothing." })
const edge = z.union([z.string(), z.int()]).nullable()

const instrument = z
  .strictObject({
    market: z.string(),
    instrument: z.string(),
    partition: z.int().nonnegative(),
    base: z.string(),
    quote: z.string(),
    tickSize: decimal,
    stepSize: decimal,
    minNotional: decimal,
    status: z.string().meta({ description: "The venue's word." }),
    updatedAt: timeUs.nullable(),
    quality: z
      .strictObject({ state: z.enum(qualities), reason: z.string(), since: timeUs.nullable() })
      .meta({ id: 'Quality', description: 'The worst of what owner, stream and book say.' }),
    channels: z.array(z.enum(channels)),
    openGaps: z.int().nonnegative(),
  })
  .meta({ id: 'Instrument' })

const instrumentWithTopics = instrument.extend({ topics: z.array(topicSchema) }).meta({ id: 'InstrumentDetail' })

const gap = z
  .strictObject({
    channel: z.enum(channels),
    from: edge.meta({ description: 'First missing id, or microseconds; null where the venue began anew.' }),
    to: edge.meta({ description: 'Last missing, included.' }),
    cause: z.string(),
    openedAt: timeUs,
    filledAt: timeUs.nullable(),
    how: z.string().nullable().meta({ description: 'What became of it; null while it is open.' }),
  })
  .meta({ id: 'Gap' })

const completeness = z
  .strictObject({
    market: z.string(),
    instrument: z.string(),
    channel: z.enum(channels),
    from: timeUs.nullable(),
    to: timeUs.nullable(),
    complete: z
      .boolean()
      .meta({ description: 'Nothing in the window is missing, and the stream still holds all of it.' }),
    retained: z
      .boolean()
      .meta({ description: 'The stream still holds its entries from the beginning of the window on.' }),
    firstAt: timeUs.nullable(),
    lastAt: timeUs.nullable(),
    firstVenueSeq: z.string().nullable(),
    lastVenueSeq: z.string().nullable(),
    gaps: z
      .record(z.string(), z.int().nonnegative())
      .meta({ description: 'Told in the window, by what became of them.' }),
    missing: z
      .int()
      .nonnegative()
      .meta({ description: 'Ids, or for QUOTE, TICKER, KLINE microseconds, that nothing covers.' }),
    holes: z.array(gap).meta({ description: 'The oldest of what is missing, at most 100.' }),
  })
  .meta({ id: 'Completeness' })

const tag = 'instruments'

export function instrumentOperations(parts: InstrumentParts): Operation[] {
  const { instruments, gaps, topics } = parts
  const market = z.enum(parts.markets, { error: `one of ${parts.markets.join(', ')}` })
  const params = z.strictObject({ market, instrument: instrumentSchema })
  const known = async (name: z.output<typeof params>) => {
    const found = await instruments.one(name.market, name.instrument)
    if (found !== null) return found
    throw new Problem('not-found', `expected an instrument of ${name.market}, found none called ${name.instrument}`)
  }
  const path = '/v1/instruments/{market}/{instrument}'
  const order = (type: 'pause' | 'resume' | 'resync', summary: string, description: string) =>
    operation({
      id: type,
      method: 'post',
      path: `${path}/${type}`,
      tag,
      summary,
      description,
      role: 'operate',
      params,
      answers: { 202: { ...ACCEPTED, schema: accepted } },
      refusals: ['not-found'],
      handle: async (request) => {
        await known(request.params)
        return issue<typeof type>(parts, request, { type, payload: request.params })
      },
    })
  return [
    operation({
      id: 'listInstruments',
      method: 'get',
      path: '/v1/instruments',
      tag,
      summary: 'Instruments that have streams, with their quality',
      role: 'read',
      query: z.strictObject({ market: market.optional(), ...pageQuery }),
      answers: { 200: { description: 'A page of them, ascending.', schema: pageOf(instrument) } },
      handle: async ({ query: { limit, cursor = null, market: of } }) => {
        const { items, cursor: next } = await instruments.list({ limit, cursor, ...(of ? { market: of } : {}) })
        return { status: 200, body: { items: items.map(told), cursor: next } }
      },
    }),
    operation({
      id: 'getInstrument',
      method: 'get',
      path,
      tag,
      summary: 'One instrument, its quality and its native topics',
      role: 'read',
      params,
      answers: { 200: { description: 'How it is now.', schema: instrumentWithTopics } },
      refusals: ['not-found'],
      handle: async ({ params: name }) => {
        const [found, reports] = await Promise.all([known(name), topics.of(name.market, name.instrument)])
        return { status: 200, body: { ...told(found), topics: withoutUnits(reports) } }
      },
    }),
    operation({
      id: 'listGaps',
      method: 'get',
      path: `${path}/gaps`,
      tag,
      summary: 'The gap ledger of one channel',
      role: 'read',
      params,
      query: z.strictObject({
        channel: channelSchema,
        open: queryFlag('true: only what is neither filled nor given up.').optional(),
        ...pageQuery,
      }),
      answers: { 200: { description: 'A page of it, ascending by first missing id.', schema: pageOf(gap) } },
      refusals: ['not-found'],
      handle: async ({ params: name, query: { channel, open = false, limit, cursor = null } }) => {
        await known(name)
        const page = await gaps.list(name.market, name.instrument, channel, { limit, cursor, openOnly: open })
        if (page === 'invalid-cursor') throw refusedField('query.cursor', 'the cursor of the page before', cursor)
        return { status: 200, body: { items: page.items.map(withoutUnits), cursor: page.cursor } }
      },
    }),
    operation({
      id: 'getCompleteness',
      method: 'get',
      path: '/v1/completeness',
      tag,
      summary: 'Whether anything is missing from a channel in a window of time',
      description: 'From the gap ledger: a gap counts where it was told, or where its time lies, within the window.',
      role: 'read',
      query: z.strictObject({
        market: market.optional().meta({ description: `${parts.markets[0]} where it is not said.` }),
        instrument: instrumentSchema,
        channel: channelSchema,
        from: queryTime('Begin of the window: microseconds, or ISO 8601 in UTC.').optional(),
        to: queryTime('End of the window.').optional(),
      }),
      answers: { 200: { description: 'What the ledger says.', schema: completeness } },
      refusals: ['not-found'],
      handle: async ({
        query: { market: of = parts.markets[0], instrument: name, channel, from = null, to = null },
      }) => {
        if (from !== null && to !== null && from > to) throw refusedField('query.to', `at least ${from}`, to)
        await known({ market: of, instrument: name })
        const found = await gaps.completeness(of, name, channel, from, to)
        const { firstAtUs: firstAt, lastAtUs: lastAt, holes, ...rest } = found
        const window = { market: of, instrument: name, channel, from, to }
        return { status: 200, body: { ...window, firstAt, lastAt, ...rest, holes: holes.map(withoutUnits) } }
      },
    }),
    order(
      'pause',
      'Stop taking an instrument',
      'Its subscriptions stay; nothing of it enters the streams until resumed.',
    ),
    order('resume', 'Take a paused instrument again', 'What was missed meanwhile is told as not-subscribed.'),
    order('resync', 'Fetch a new snapshot of a book', 'It takes the place of what is there.'),
  ]
}

function told({
  updatedAtUs: updatedAt,
  quality,
  ...rest
}: Awaited<ReturnType<InstrumentReader['list']>>['items'][number]) {
  const { sinceUs: since, ...how } = quality
  return { ...rest, updatedAt, quality: { ...how, since } }
}
