import { z } from 'zod'
import type { ApiDocument } from '../openapi.ts'
import { type Operation, operation } from '../operation.ts'

/** The description of the API by itself. `told` is asked when a request comes, because it describes these two as well. */
export function documentOperations(told: () => { readonly document: ApiDocument; readonly html: string }): Operation[] {
  return [
    operation({
      id: 'getDocument',
      method: 'get',
      path: '/v1/openapi.json',
      tag: 'description',
      summary: 'This API as an OpenAPI document',
      role: null,
      answers: { 200: { description: 'OpenAPI 3.1.', schema: z.looseObject({ openapi: z.string() }) } },
      handle: async () => ({ status: 200, body: told().document }),
    }),
    operation({
      id: 'getPage',
      method: 'get',
      path: '/docs',
      tag: 'description',
      summary: 'The same for people',
      role: null,
      answers: {
        200: { description: 'One page, which needs nothing from elsewhere.', type: 'text/html', schema: z.string() },
      },
      handle: async () => ({ status: 200, type: 'text/html', body: told().html }),
    }),
  ]
}
