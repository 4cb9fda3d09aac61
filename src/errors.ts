/** The base of every error that Meltica throws on purpose: the world failed, and callers decide by `code`. */
export abstract class MelticaError extends Error {
  abstract readonly code: string
  /** Whether the same call may succeed later without anybody changing anything. */
  abstract readonly retryable: boolean

  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = new.target.name
  }
}

/** Wrong use: configuration, arguments, or an environment that does not fit. The command line exits 2 with the message alone. */
export class UsageError extends MelticaError {
  readonly code = 'usage'
  readonly retryable = false
}

/** A thing Meltica needs is not there: Redis, a port, a file. The command line exits 1 with the message alone. */
export class UnavailableError extends MelticaError {
  readonly code = 'unavailable'
  readonly retryable = true
}
