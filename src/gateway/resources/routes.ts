import { z } from 'zod'
import { routeSchema, type TableReader } from '../../control/contract.ts'
import { type Operation, operation } from '../operation.ts'
import { pageOf, pageQuery } from '../schemas.ts'

const route = routeSchema.meta({
  id: 'Route',
  description: 'How a canonical type of some instruments is had from the venue.',
})

export function routeOperations(table: TableReader): Operation[] {
  return [
    operation({
      id: 'listRoutes',
      method: 'get',
      path: '/v1/routes',
      tag: 'routes',
      summary: 'The dispatch table: from canonical types to native topics and REST functions',
      description: 'In the order in which they are tried; the first that matches counts.',
      role: 'read',
      query: z.strictObject(pageQuery),
      answers: { 200: { description: 'A page of them.', schema: pageOf(route) } },
      handle: async ({ query: { limit, cursor = null } }) => ({
        status: 200,
        body: await table.routes({ limit, cursor }),
      }),
    }),
  ]
}
