import { z } from 'zod'
import {
  createDocument,
  type ZodOpenApiOperationObject,
  type ZodOpenApiPathsObject,
  type ZodOpenApiResponseObject,
} from 'zod-openapi'
import { IDEMPOTENCY_KEY } from './idempotency.ts'
import { isWrite, type Operation, problemsOf } from './operation.ts'
import { PROBLEM_TYPE, PROBLEMS, type ProblemKind, problemType } from './problems.ts'

/** The document as far as the page and the tests read it. */
export interface ApiDocument {
  readonly openapi: string
  readonly info: { readonly title: string; readonly version: string; readonly description?: string }
  readonly tags?: readonly { readonly name: string; readonly description?: string }[]
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  readonly components: Readonly<Record<string, unknown>>
}

const problem = z
  .strictObject({
    type: z.string().meta({ description: 'Where the kind of problem is described, relative to this API.' }),
    title: z.string().meta({ description: 'The same for every problem of its kind.' }),
    status: z.int().min(400).max(599),
    detail: z.string().meta({ description: 'What was expected and what was found.' }),
    errors: z
      .array(
        z.strictObject({
          field: z.string().meta({ description: 'For example body.instrument, query.limit, path.commandId.' }),
          found: z.string().meta({ description: 'What was there as JSON, cut; nothing where nothing was.' }),
          allowed: z.string().meta({ description: 'What may be there.' }),
        }),
      )
      .optional()
      .meta({ description: 'Every field that was refused, at most 20.' }),
  })
  .meta({ id: 'Problem', description: 'A problem document (RFC 9457).' })

/** Header parameters are told, and looked at by the desk. */
const idempotencyHeader = z.object({
  'Idempotency-Key': z.string().regex(IDEMPOTENCY_KEY).optional().meta({
    description:
      'Chosen by the caller. The same request sent again with it within 24 h is done once and answered alike; another request with it is refused.',
  }),
})

/** OpenAPI 3.1, made from the operations and their zod schemas. */
export function apiDocument(operations: readonly Operation[], { isOpen }: { isOpen: boolean }): ApiDocument {
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {}
  for (const one of operations) {
    const path = paths[one.path] ?? {}
    path[one.method] = describe(one)
    paths[one.path] = path
  }
  const document = createDocument({
    openapi: '3.1.0',
    info: {
      title: 'Meltica admin API',
      version: '1',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description:
        'Steers what is taken from the venues, and shows how it is. Times are integer microseconds since the Unix epoch. ' +
        'A change is answered 202 with the id of a command; GET /v1/commands/{commandId}?wait=2s tells what became of it.' +
        (isOpen ? ' No token is configured: it listens on loopback only, and everybody there may do everything.' : ''),
    },
    security: [{ bearer: [] }],
    tags: [...new Set(operations.map(({ tag }) => tag))].map((name) => ({ name })),
    paths: paths as ZodOpenApiPathsObject,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'A token with the role that the operation names.' },
      },
    },
  })
  return document as unknown as ApiDocument
}

function describe(one: Operation): ZodOpenApiOperationObject {
  const { id, tag, summary, description, role, params, query, body, answers } = one
  const responses: ZodOpenApiOperationObject['responses'] = {}
  for (const [status, { description, schema, type = 'application/json', headers = {} }] of Object.entries(answers)) {
    const head = Object.entries(headers).map(([name, meaning]) => [
      name,
      { description: meaning, schema: { type: 'string' } },
    ])
    responses[status as '200'] = {
      description,
      ...(head.length === 0 ? {} : { headers: Object.fromEntries(head) }),
      ...(schema === undefined ? {} : { content: { [type]: { schema } } }),
    }
  }
  for (const [status, kinds] of Map.groupBy(problemsOf(one), (kind) => PROBLEMS[kind].status)) {
    const other = responses[String(status) as '400'] as ZodOpenApiResponseObject | undefined
    const told = describeProblems(kinds)
    responses[String(status) as '400'] =
      other === undefined
        ? told
        : {
            ...told,
            description: `${other.description} ${told.description}`,
            content: { ...other.content, ...told.content },
          }
  }
  const parameters = {
    ...(Object.keys(params.shape).length === 0 ? {} : { path: params }),
    ...(Object.keys(query.shape).length === 0 ? {} : { query }),
    ...(isWrite(one) ? { header: idempotencyHeader } : {}),
  }
  const needs = role === null ? 'Needs no token.' : `Needs the role \`${role}\`.`
  return {
    operationId: id,
    tags: [tag],
    summary,
    description: description === undefined ? needs : `${description} ${needs}`,
    ...(role === null ? { security: [] } : {}),
    ...(Object.keys(parameters).length === 0 ? {} : { requestParams: parameters }),
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: body } } } }),
    responses,
  }
}

function describeProblems(kinds: readonly ProblemKind[]) {
  const [first] = kinds as [ProblemKind]
  const headers =
    first === 'unauthorized'
      ? { headers: { 'WWW-Authenticate': { description: 'Bearer.', schema: { type: 'string' as const } } } }
      : first === 'too-many-requests'
        ? { headers: { 'Retry-After': { description: 'Seconds to wait.', schema: { type: 'integer' as const } } } }
        : {}
  return {
    description: kinds.map((kind) => `${PROBLEMS[kind].title} (${problemType(kind)})`).join('; '),
    content: { [PROBLEM_TYPE]: { schema: problem } },
    ...headers,
  }
}
