import { z } from 'zod'
import {
  channelSchema,
  consumerSchema,
  filtersSchema,
  idSchema,
  instrumentPatternSchema,
  instrumentSchema,
  intervalsSchema,
  type Subscription,
  type TableReader,
  throttleMsSchema,
} from '../../control/contract.ts'
import { type Operation, operation } from '../operation.ts'
import { Problem, refusedField } from '../problems.ts'
import { pageOf, pageQuery, timeUs, withoutUnits } from '../schemas.ts'
import { ACCEPTED, accepted, type CommandParts, issue } from './commands.ts'

export interface SubscriptionParts extends CommandParts {
  readonly table: TableReader
  readonly markets: readonly [string, ...string[]]
}

const subscription = z
  .strictObject({
    subscriptionId: idSchema,
    consumer: consumerSchema.meta({ description: '`config` for what the configuration seeded.' }),
    market: z.string(),
    instrument: instrumentPatternSchema.meta({ description: 'A pattern only where the configuration seeded it.' }),
    type: channelSchema,
    filters: filtersSchema,
    throttleMs: throttleMsSchema.nullable(),
    intervals: z.array(z.string()).nullable().meta({ description: 'KLINE only, else null.' }),
    createdAt: timeUs,
    sinceVersion: z.int().positive().meta({ description: 'Table version that its last command made.' }),
  })
  .meta({ id: 'Subscription', description: "One consumer's wish; a channel flows while somebody wants it." })

const acceptedSubscription = accepted.extend({ subscriptionId: idSchema }).meta({ id: 'AcceptedSubscription' })
const params = z.strictObject({ subscriptionId: idSchema })
const tag = 'subscriptions'

export function subscriptionOperations(parts: SubscriptionParts): Operation[] {
  const { table } = parts
  const market = z.enum(parts.markets, { error: `one of ${parts.markets.join(', ')}` })
  return [
    operation({
      id: 'listSubscriptions',
      method: 'get',
      path: '/v1/subscriptions',
      tag,
      summary: 'All subscriptions, ascending by id',
      role: 'read',
      query: z.strictObject({
        consumer: consumerSchema.optional(),
        market: market.optional(),
        instrument: instrumentPatternSchema.optional(),
        ...pageQuery,
      }),
      answers: { 200: { description: 'A page of them.', schema: pageOf(subscription) } },
      handle: async ({ query: { limit, cursor = null, ...given } }) => {
        const { items, cursor: next } = await table.subscriptions({ limit, cursor, ...present(given) })
        return { status: 200, body: { items: items.map(withoutUnits), cursor: next } }
      },
    }),
    operation({
      id: 'subscribe',
      method: 'post',
      path: '/v1/subscriptions',
      tag,
      summary: 'Subscribe a consumer to a channel of an instrument',
      role: 'operate',
      body: z
        .strictObject({
          consumer: consumerSchema.meta({ description: 'Who wants it; a name of your own choice.' }),
          market,
          instrument: instrumentSchema,
          type: channelSchema.meta({ description: 'The channel.' }),
          filters: filtersSchema.optional().meta({ description: 'Only events that meet all of them.' }),
          throttleMs: throttleMsSchema
            .nullable()
            .optional()
            .meta({
              description:
                'TRADE, QUOTE and ORDERBOOK: no more than one ANALYTICS.FUSED of the instrument in so many milliseconds, ' +
                '0: all. The shortest that a consumer of the instrument wants counts; null: the usual one.',
            }),
          intervals: intervalsSchema
            .nullable()
            .optional()
            .meta({ description: "KLINE: which; where it is not said, the route's." }),
        })
        .meta({ id: 'NewSubscription' }),
      answers: { 202: { ...ACCEPTED, schema: acceptedSubscription } },
      handle: (request) => {
        const { consumer, filters = [], throttleMs = null, intervals = null, ...what } = request.body
        // One id for both: so an unsubscribe that overtakes its subscribe finds what it is about.
        const subscriptionId = request.commandId
        const payload = { subscriptionId, ...what, filters, throttleMs, intervals }
        return issue<'subscribe'>(parts, request, { type: 'subscribe', consumer, payload }, { subscriptionId })
      },
    }),
    operation({
      id: 'getSubscription',
      method: 'get',
      path: '/v1/subscriptions/{subscriptionId}',
      tag,
      summary: 'One subscription',
      role: 'read',
      params,
      answers: { 200: { description: 'As the table has it.', schema: subscription } },
      refusals: ['not-found'],
      handle: async ({ params: { subscriptionId } }) => {
        const found = await table.subscription(subscriptionId)
        if (found === null) throw unknown(subscriptionId)
        return { status: 200, body: withoutUnits(found) }
      },
    }),
    operation({
      id: 'changeSubscription',
      method: 'patch',
      path: '/v1/subscriptions/{subscriptionId}',
      tag,
      summary: 'Change filters or throttle',
      role: 'operate',
      params,
      body: z
        .strictObject({ filters: filtersSchema.optional(), throttleMs: throttleMsSchema.nullable().optional() })
        .meta({
          id: 'SubscriptionChange',
          description: 'What is not given stays as it is.',
          override: ({ jsonSchema }) => {
            jsonSchema.minProperties = 1
          },
        }),
      answers: { 202: { ...ACCEPTED, schema: acceptedSubscription } },
      refusals: ['not-found'],
      handle: async (request) => {
        const { subscriptionId } = request.params
        if (Object.keys(present(request.body)).length === 0) {
          throw refusedField('body', 'filters, throttleMs or both', request.body)
        }
        const consumer = await consumerOf(parts, request.commandId, subscriptionId)
        const payload = { subscriptionId, ...present(request.body) }
        return issue<'updateFilters'>(
          parts,
          request,
          { type: 'updateFilters', ...consumer, payload },
          { subscriptionId },
        )
      },
    }),
    operation({
      id: 'unsubscribe',
      method: 'delete',
      path: '/v1/subscriptions/{subscriptionId}',
      tag,
      summary: 'End a subscription',
      description: 'When nobody wants a channel any more its stream at the venue and its polls end.',
      role: 'operate',
      params,
      answers: { 202: { ...ACCEPTED, schema: acceptedSubscription } },
      refusals: ['not-found'],
      handle: async (request) => {
        const { subscriptionId } = request.params
        const consumer = await consumerOf(parts, request.commandId, subscriptionId)
        const payload = { subscriptionId }
        return issue<'unsubscribe'>(parts, request, { type: 'unsubscribe', ...consumer, payload }, { subscriptionId })
      },
    }),
  ]
}

/**
 * The consumer of a subscription that is in the table, or on its way there. The command is looked at first: what is
 * applied between the two looks is then seen in the table.
 */
async function consumerOf(
  { control, table }: SubscriptionParts,
  commandId: string,
  subscriptionId: string,
): Promise<{ readonly consumer?: string }> {
  // A repeated request whose command was issued, and has ended the subscription, when nobody could be told any more.
  const issued = await control.status(commandId)
  if (issued !== null) return { consumer: issued.consumer }
  const made = await control.status(subscriptionId)
  if (made?.status === 'pending' && made.type === 'subscribe') return { consumer: made.consumer }
  const found: Subscription | null = await table.subscription(subscriptionId)
  if (found === null) throw unknown(subscriptionId)
  return { consumer: found.consumer }
}

function unknown(subscriptionId: string): Problem {
  return new Problem('not-found', `expected a subscription, found none with the id ${subscriptionId}`)
}

type Present<Given> = { [Name in keyof Given]?: Exclude<Given[Name], undefined> }

/** Without what was not given. */
function present<Given extends object>(given: Given): Present<Given> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Present<Given>
}
