import { z } from 'zod'
import type { ProblemKind } from './problems.ts'
import type { Caller, Role } from './tokens.ts'

/** What a handler is given; everything in it has been admitted. */
export interface Request<Params, Query, Body> {
  readonly params: Params
  readonly query: Query
  readonly body: Body
  readonly caller: Caller
  /** 32 hex digits: the caller's, where it sent a `traceparent`. */
  readonly trace: string
  /**
   * For the command that this request issues. A request that is repeated with its Idempotency-Key is given the same one, so
   * that repeating what was half done does it once.
   */
  readonly commandId: string
  /** Aborted when the caller went away or the gateway closes: stop waiting. */
  readonly signal: AbortSignal
}

/** What a handler answers: one of the statuses that its operation describes. */
export interface Answer {
  readonly status: number
  /** Absent: no body. A text goes out as it stands, anything else as JSON. */
  readonly body?: unknown
  /** Of a text; text/plain where it is not said. */
  readonly type?: string
  readonly headers?: Readonly<Record<string, string>>
}

interface AnswerShape {
  readonly description: string
  readonly schema?: z.ZodType
  /** application/json where it is not said. */
  readonly type?: string
  /** Header names and what they hold. */
  readonly headers?: Readonly<Record<string, string>>
}

interface Shape<Params extends z.ZodObject, Query extends z.ZodObject, Body extends z.ZodType> {
  /** Its name in the document, in metrics and in the log. */
  readonly id: string
  readonly method: 'get' | 'post' | 'patch' | 'delete'
  /** As OpenAPI writes it: `/v1/commands/{commandId}`. */
  readonly path: string
  readonly tag: string
  readonly summary: string
  readonly description?: string
  /** null: everybody may. */
  readonly role: Role | null
  readonly params?: Params
  readonly query?: Query
  readonly body?: Body
  readonly answers: Readonly<Record<number, AnswerShape>>
  /** Beside those that any operation of its form can answer. */
  readonly refusals?: readonly ProblemKind[]
  /** How long the admitted query asks to wait, on top of the time limit. */
  readonly waitMs?: (query: z.output<Query>) => number
  /** Throws: Problem, or a MelticaError, which is told as `unavailable` or, for wrong use, as `invalid-request`. */
  handle(request: Request<z.output<Params>, z.output<Query>, z.output<Body>>): Promise<Answer>
}

const nothing = z.strictObject({})
type Nothing = typeof nothing

/** One operation: the router, the document, the page and the tests are all made from it. */
export interface Operation extends Omit<Shape<z.ZodObject, z.ZodObject, z.ZodType>, 'handle' | 'waitMs'> {
  readonly params: z.ZodObject
  readonly query: z.ZodObject
  waitMs(query: unknown): number
  handle(request: Request<unknown, unknown, unknown>): Promise<Answer>
}

/** Types what the handler is given by the schemas that admit it. */
export function operation<
  Params extends z.ZodObject = Nothing,
  Query extends z.ZodObject = Nothing,
  Body extends z.ZodType = z.ZodUndefined,
>(shape: Shape<Params, Query, Body>): Operation {
  const { params, query, waitMs, handle } = shape
  return {
    ...shape,
    params: params ?? nothing,
    query: query ?? nothing,
    waitMs: (admitted) => waitMs?.(admitted as z.output<Query>) ?? 0,
    handle: (request) => handle(request as Request<z.output<Params>, z.output<Query>, z.output<Body>>),
  }
}

export const isWrite = ({ method }: Operation): boolean => method !== 'get'

/** Every problem that an operation can answer with, in the order of the statuses. */
export function problemsOf(one: Operation): ReadonlySet<ProblemKind> {
  const kinds = new Set<ProblemKind>(['invalid-request'])
  if (one.role !== null) kinds.add('unauthorized').add('forbidden')
  kinds.add('foreign-origin')
  if (isWrite(one)) kinds.add('request-timeout').add('body-too-large').add('unsupported-media-type').add('key-reused')
  for (const kind of one.refusals ?? []) kinds.add(kind)
  return kinds.add('too-many-requests').add('internal').add('unavailable')
}
