import { z } from 'zod'
import { instrumentSchema, marketSchema } from '../../control/contract.ts'
import { Channel } from '../../domain/event.ts'
import { type Operation, operation } from '../operation.ts'
import type { StreamCatalogReader } from '../readers.ts'
import { pageOf, pageQuery } from '../schemas.ts'

const channel = z.enum(Object.values(Channel) as [Channel, ...Channel[]], {
  error: `one of ${Object.values(Channel).join(', ')}`,
})
const id = z.string().nullable()

const stream = z
  .strictObject({
    name: z.string().meta({ description: 'MARKET:INSTRUMENT:CHANNEL' }),
    market: z.string(),
    instrument: z.string(),
    channel,
    key: z.string().meta({ description: 'Its key in Redis.' }),
    entries: z.int().nonnegative(),
    added: z.int().nonnegative().meta({ description: 'Ever, those trimmed since included.' }),
    firstId: id,
    lastId: id,
    epoch: id.meta({ description: 'Of its newest entry.' }),
    seq: z.int().nullable().meta({ description: 'Of its newest entry.' }),
    groups: z.array(
      z.strictObject({
        name: z.string(),
        consumers: z.int().nonnegative(),
        pending: z.int().nonnegative(),
        lastDeliveredId: z.string(),
        lag: z.int().nonnegative().nullable().meta({
          description: 'Entries behind, by seq; null where what was delivered last is trimmed or of another epoch.',
        }),
      }),
    ),
  })
  .meta({ id: 'Stream' })

export function streamOperations(streams: StreamCatalogReader): Operation[] {
  return [
    operation({
      id: 'listStreams',
      method: 'get',
      path: '/v1/streams',
      tag: 'streams',
      summary: 'The event streams and who reads them',
      role: 'read',
      query: z.strictObject({
        market: marketSchema.optional(),
        instrument: instrumentSchema.optional(),
        channel: channel.optional(),
        ...pageQuery,
      }),
      answers: { 200: { description: 'A page of them, ascending by name.', schema: pageOf(stream) } },
      handle: async ({ query: { limit, cursor = null, market, instrument, channel: only } }) => ({
        status: 200,
        body: await streams.list({
          ...{ limit, cursor },
          ...(market === undefined ? {} : { market }),
          ...(instrument === undefined ? {} : { instrument }),
          ...(only === undefined ? {} : { channel: only }),
        }),
      }),
    }),
  ]
}
