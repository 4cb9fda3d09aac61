import type { z } from 'zod'
import { hideSecrets } from '../lib/secrets.ts'

/**
 * Every way in which the API says no, as problem documents (RFC 9457). The word is the last part of the problem's `type`,
 * which is an address on the page at /docs; callers decide by it or by the status, never by the text.
 */
export const PROBLEMS = {
  'invalid-request': { status: 400, title: 'The request is not as the document describes it' },
  unauthorized: { status: 401, title: 'A bearer token is needed' },
  forbidden: { status: 403, title: 'The token does not have the role that this needs' },
  'foreign-origin': { status: 403, title: 'Pages of other origins may not use this API' },
  'not-found': { status: 404, title: 'There is no such thing' },
  'method-not-allowed': { status: 405, title: 'This address does not know that method' },
  'request-timeout': { status: 408, title: 'The request did not arrive in time' },
  conflict: { status: 409, title: 'What is there now does not allow it' },
  'body-too-large': { status: 413, title: 'The body is larger than is taken' },
  'unsupported-media-type': { status: 415, title: 'The body must be application/json' },
  'key-reused': { status: 422, title: 'The Idempotency-Key was used for another request' },
  'too-many-requests': { status: 429, title: 'More requests than this caller may make' },
  'headers-too-large': { status: 431, title: 'The headers are larger than is taken' },
  internal: { status: 500, title: 'An error of Meltica itself; it is in the log' },
  unavailable: { status: 503, title: 'Something that this needs cannot be reached now' },
} as const satisfies Readonly<Record<string, { readonly status: number; readonly title: string }>>
export type ProblemKind = keyof typeof PROBLEMS

/** One field that was refused. */
export interface FieldProblem {
  /** For example `body.filters.0.op`, `query.limit`, `header.idempotency-key`. */
  readonly field: string
  /** What was there, as JSON, cut to 80 characters; `nothing` where nothing was. */
  readonly found: string
  /** What may be there, in words. */
  readonly allowed: string
}

/** A refusal on its way to the caller; what a handler throws. */
export class Problem extends Error {
  readonly kind: ProblemKind
  readonly errors: readonly FieldProblem[]
  readonly headers: Readonly<Record<string, string>>

  constructor(
    kind: ProblemKind,
    detail: string,
    options: { errors?: readonly FieldProblem[]; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(detail)
    this.name = 'Problem'
    this.kind = kind
    this.errors = options.errors ?? []
    this.headers = options.headers ?? {}
  }
}

export const PROBLEM_TYPE = 'application/problem+json'

/** The address of a kind of problem, relative to the API. */
export const problemType = (kind: ProblemKind): string => `/docs#problem-${kind}`

/** The document that is sent. */
export function problemDocument({ kind, message, errors }: Problem): Readonly<Record<string, unknown>> {
  const { status, title } = PROBLEMS[kind]
  return { type: problemType(kind), title, status, detail: message, ...(errors.length === 0 ? {} : { errors }) }
}

const FOUND_CHARACTERS_MAX = 80
const ERRORS_MAX = 20

/** One problem for everything that a schema refused; `where` is `body`, `query`, `path` or `header`. */
export function refused(where: string, error: z.ZodError, input: unknown): Problem {
  const errors = error.issues.flatMap((issue) => fieldProblems(where, issue, input)).slice(0, ERRORS_MAX)
  const [first] = errors
  const detail = first ? `${first.field}: expected ${first.allowed}, found ${first.found}` : `${where} was refused`
  return new Problem('invalid-request', detail, { errors })
}

/** One problem for one field. */
export function refusedField(field: string, allowed: string, found: unknown): Problem {
  const error = { field, allowed, found: shown(found, field) }
  return new Problem('invalid-request', `${field}: expected ${allowed}, found ${error.found}`, { errors: [error] })
}

function fieldProblems(where: string, issue: z.core.$ZodIssue, input: unknown): FieldProblem[] {
  const field = [where, ...issue.path.map(String)].join('.')
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      field: cut(`${field}.${key}`),
      found: shown(valueAt(input, [...issue.path, key]), key),
      allowed: 'no such field',
    }))
  }
  return [{ field: cut(field), found: shown(valueAt(input, issue.path), field), allowed: allowedBy(issue) }]
}

/** What a refused field may hold, in words. Schemas that carry words of their own are taken at their word. */
function allowedBy(issue: z.core.$ZodIssue): string {
  const isOwnWords = !/^(Invalid|Too (small|big)|Unrecognized)/.test(issue.message)
  if (isOwnWords) return issue.message
  switch (issue.code) {
    case 'invalid_type':
      return `a value of type ${issue.expected}`
    case 'invalid_value':
      return `one of ${issue.values.map(String).join(', ')}`
    case 'invalid_format':
      return issue.pattern === undefined ? issue.format : `a text that matches ${issue.pattern}`
    case 'too_small':
      return `at least ${issue.minimum}${unitOf(issue.origin)}`
    case 'too_big':
      return `at most ${issue.maximum}${unitOf(issue.origin)}`
    default:
      return issue.message
  }
}

function unitOf(origin: string): string {
  if (origin === 'string') return ' characters'
  if (origin === 'array') return ' items'
  return ''
}

function valueAt(tree: unknown, path: readonly PropertyKey[]): unknown {
  let value = tree
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined
    value = (value as Record<PropertyKey, unknown>)[step]
  }
  return value
}

function shown(found: unknown, field: string): string {
  return found === undefined ? 'nothing' : cut(JSON.stringify(hideSecrets(found, field)) ?? 'nothing')
}

const cut = (text: string): string =>
  text.length > FOUND_CHARACTERS_MAX ? `${text.slice(0, FOUND_CHARACTERS_MAX - 3)}...` : text
