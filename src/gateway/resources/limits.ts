import { z } from 'zod'
import { type Operation, operation } from '../operation.ts'
import type { LimitReader } from '../readers.ts'

const ms = z.int().nonnegative()
const limit = z
  .strictObject({
    venue: z.string(),
    egress: z
      .string()
      .meta({ description: 'The address that the venue sees, by the name the configuration gives it.' }),
    weightPerMinute: z.int().positive().meta({ description: "The venue's own limit." }),
    spent: z.int().nonnegative().meta({ description: 'In the present minute, by all processes.' }),
    inFlight: z.int().nonnegative().meta({ description: 'Granted and not answered yet.' }),
    known: z.boolean().meta({
      description: 'Whether the count of the present minute is known; if not, one request goes out at a time.',
    }),
    minuteEndsInMs: ms,
    bannedForMs: ms.meta({ description: 'Above 0: the venue asked to be left alone for so long, and everybody does.' }),
    connectsInWindow: z
      .int()
      .nonnegative()
      .meta({ description: "Attempts to open a stream connection within the venue's window, by all processes." }),
    connectsMax: z.int().positive().nullable().meta({
      description: 'How many of them the venue allows; null until somebody connected.',
    }),
    connectsHeldForMs: ms.meta({
      description: 'Above 0: the venue refused a connection, and nobody tries for so long.',
    }),
  })
  .meta({ id: 'Limit' })

export function limitOperations(limits: LimitReader): Operation[] {
  return [
    operation({
      id: 'listLimits',
      method: 'get',
      path: '/v1/limits',
      tag: 'limits',
      summary: 'What the venues allow, and what all processes together have spent of it',
      description: 'At most 200 egresses.',
      role: 'read',
      answers: { 200: { description: 'All of them.', schema: z.strictObject({ items: z.array(limit) }) } },
      handle: async () => ({ status: 200, body: { items: await limits.all() } }),
    }),
  ]
}
