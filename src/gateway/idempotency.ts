import { createHash } from 'node:crypto'

/** What keys may be; the header counts for writes alone. */
export const IDEMPOTENCY_KEY = /^[!-~]{1,200}$/

/** How long a request with an Idempotency-Key is remembered. */
export const REMEMBER_MS = 86_400_000

/**
 * - `new`: nobody sent this key; it is remembered from now on.
 * - `same`: this very request was begun before; `answer` is what it was answered, null if that never became known.
 * - `different`: the key was sent with another request.
 * - `full`: more keys came lately than are remembered.
 */
export type Claim =
  | { readonly status: 'new' | 'different' }
  | { readonly status: 'same'; readonly answer: string | null }
  | { readonly status: 'full'; readonly retryAfterMs: number }

/** Requests that were made with an Idempotency-Key, shared by all gateways. Throws BusError. */
export interface RequestMemory {
  claim(key: string, fingerprint: string): Promise<Claim>
  /** Adds the answer to what was claimed. */
  keep(key: string, fingerprint: string, answer: string): Promise<void>
}

/** Keys of different callers are different keys. */
export const memoryKey = (caller: string, idempotencyKey: string): string => digest(['key', caller, idempotencyKey])

/** What makes two requests the same one: where it goes and what it says after it was admitted. */
export const fingerprintOf = (method: string, path: string, query: unknown, body: unknown): string =>
  digest([method, path, JSON.stringify(query) ?? '', JSON.stringify(body) ?? ''])

/** The id of the command that a remembered request issues, in the form of a UUID (version 8: our own making). */
export function commandIdFor(key: string): string {
  const hex = digest(['command', key]).slice(0, 32)
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20)].join('-')
}

function digest(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}
