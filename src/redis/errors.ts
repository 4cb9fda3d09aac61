import { MelticaError } from '../errors.ts'

/**
 * Why Redis could not do it.
 * - `unreachable`: no connection, or it was lost. `timeout`: no answer in time. `loading`: reading its file, or its master is down.
 * - `readonly`: a replica. `oom`: at `maxmemory`. `misconfigured`: it refuses writes (failing disk, too few replicas).
 * - `noscript`: the script cache was emptied. `moved`: the cluster's slots are changing. `busy`: a script runs too long.
 * - `noauth`, `noperm`: user or password, or the user's rights. `other`: its own words are in the message.
 */
export type BusErrorCode =
  | 'unreachable'
  | 'timeout'
  | 'loading'
  | 'readonly'
  | 'oom'
  | 'misconfigured'
  | 'noscript'
  | 'moved'
  | 'busy'
  | 'noauth'
  | 'noperm'
  | 'other'

/** Redis failed; offering the same again is always safe, also when the outcome is unknown. */
export class BusError extends MelticaError {
  readonly code: BusErrorCode
  readonly retryable: boolean
  /** True when the command may have been carried out although no answer came. */
  readonly outcomeUnknown: boolean

  constructor(code: BusErrorCode, message: string, options: { outcomeUnknown?: boolean; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.retryable = code !== 'noauth' && code !== 'noperm' && code !== 'other'
    this.outcomeUnknown = options.outcomeUnknown ?? false
  }
}

/** The first word of a Redis error reply, and what it means. */
const REPLIES: Readonly<Record<string, BusErrorCode>> = {
  LOADING: 'loading',
  MASTERDOWN: 'loading',
  READONLY: 'readonly',
  OOM: 'oom',
  MISCONF: 'misconfigured',
  NOREPLICAS: 'misconfigured',
  NOSCRIPT: 'noscript',
  MOVED: 'moved',
  ASK: 'moved',
  TRYAGAIN: 'moved',
  CLUSTERDOWN: 'moved',
  BUSY: 'busy',
  NOAUTH: 'noauth',
  WRONGPASS: 'noauth',
  NOPERM: 'noperm',
}

const SOCKET_CODES = new Set([
  ...['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ECONNABORTED'],
  ...['ENOENT', 'EACCES', 'ETIMEDOUT', 'CERT_HAS_EXPIRED', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN'],
  ...['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'ERR_TLS_CERT_ALTNAME_INVALID'],
])

/** What a command inside a script is told that the user may not call, by Redis 7.0 and by newer ones: no word of its own. */
const SCRIPT_RIGHTS = /The user executing the script can't|ACL failure in script/

/**
 * The one place where the client's errors get their meaning. ioredis tells most failures of a connection by text alone,
 * so this is also the one place that looks at text.
 */
export function toBusError(error: unknown): BusError {
  if (error instanceof BusError) return error
  // ioredis attaches the command with all its arguments: payloads, and passwords where it was AUTH.
  if (error instanceof Error && 'command' in error) delete error.command
  const { message, name, code } = describe(error)
  // A redirection that was followed too often stands in words of the client's own.
  const said = message.replace(/^Too many Cluster redirections\. Last error: (?:ReplyError: )?/, '')
  const reply = REPLIES[/^(?:ERR )?([A-Z]+)/.exec(said)?.[1] ?? '']
  if (reply !== undefined) return new BusError(reply, `Redis answered: ${message}`, { cause: error })
  if (SCRIPT_RIGHTS.test(said)) return new BusError('noperm', `Redis answered: ${message}`, { cause: error })
  // Not sent: the client has no connection to send it on.
  if (/isn't writeable and enableOfflineQueue|Cluster isn't ready/.test(message)) {
    return new BusError('unreachable', 'Redis is not connected', { cause: error })
  }
  if (message === 'Command timed out') {
    return new BusError('timeout', 'Redis did not answer in time', { outcomeUnknown: true, cause: error })
  }
  const lost =
    /Connection is closed|connection close|Socket closed|max retries per request|Failed to refresh slots|sentinels are unreachable/i
  if (SOCKET_CODES.has(code) || name === 'MaxRetriesPerRequestError' || lost.test(message)) {
    return new BusError('unreachable', 'The connection to Redis was lost', { outcomeUnknown: true, cause: error })
  }
  return new BusError('other', `Redis answered: ${message}`, { cause: error })
}

/** What an error of the client says. */
export function describe(error: unknown): { message: string; name: string; code: string } {
  if (!(error instanceof Error)) return { message: String(error), name: '', code: '' }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  return { message: error.message || code || error.name, name: error.name, code }
}
