import { MelticaError } from '../errors.ts'
import { Problem, type ProblemKind, refusedField } from './problems.ts'

/** What the parts under us say when a request cannot be read, by their word for it. */
const READING: Readonly<Record<string, ProblemKind>> = {
  'entity.too.large': 'body-too-large',
  'charset.unsupported': 'unsupported-media-type',
  'encoding.unsupported': 'unsupported-media-type',
}

/** The problem that an error is told as. What nobody foresaw is `internal`, and its own words stay in the log. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (error instanceof MelticaError) {
    const isMistake = error.code === 'usage'
    return new Problem(isMistake ? 'invalid-request' : 'unavailable', error.message)
  }
  const { status, type, message } = error as { status?: unknown; type?: unknown; message?: unknown }
  const kind = READING[String(type)]
  if (kind !== undefined) return new Problem(kind, `${String(message)}`)
  if (type === 'entity.parse.failed') return refusedField('body', 'a JSON object', 'something else')
  if (error instanceof URIError) return refusedField('path', 'percent-encoded UTF-8', 'something else')
  // Read in part, of another length than was said, and the like.
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return new Problem('invalid-request', `the request could not be read: ${String(message)}`)
  }
  return new Problem(
    'internal',
    'The request met an error that should not occur; what it changed, if anything, is unknown',
  )
}
