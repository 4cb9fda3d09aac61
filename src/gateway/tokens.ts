import { createHash, timingSafeEqual } from 'node:crypto'

/** What a token allows: `read` looks, `operate` changes what is taken and how, `trade` will change orders; all may look. */
export const ROLES = ['read', 'operate', 'trade'] as const
export type Role = (typeof ROLES)[number]

/** Who asks. */
export interface Caller {
  /** The name of the token, `local` where no token is configured, `anonymous` without a valid one. It stands in the audit. */
  readonly name: string
  readonly roles: ReadonlySet<Role>
}

/** A token as configured; the token itself is not kept. */
export interface KnownToken {
  readonly name: string
  readonly roles: readonly Role[]
  /** SHA-256 of the token, 64 hex digits. */
  readonly sha256: string
}

const LOCAL: Caller = { name: 'local', roles: new Set(ROLES) }

/**
 * Knows callers by their bearer tokens. Every configured hash is compared in constant time whichever matches, so the time
 * it takes tells nothing; hashes of equal length make comparing lengths unnecessary.
 */
export class Tokens {
  readonly #known: readonly { readonly hash: Buffer; readonly caller: Caller }[]

  constructor(known: readonly KnownToken[]) {
    this.#known = known.map(({ name, roles, sha256 }) => ({
      hash: Buffer.from(sha256, 'hex'),
      caller: { name, roles: new Set(['read', ...roles]) },
    }))
  }

  /** Without a token configured whoever reaches the API may do everything; it listens on loopback alone then. */
  get isOpen(): boolean {
    return this.#known.length === 0
  }

  /** `authorization` as the header stands; null when it names nobody. */
  callerOf(authorization: string | undefined): Caller | null {
    if (this.isOpen) return LOCAL
    const presented = /^Bearer +([^\s]+) *$/i.exec(authorization ?? '')?.[1]
    if (presented === undefined) return null
    const hash = createHash('sha256').update(presented).digest()
    let found: Caller | null = null
    for (const { hash: known, caller } of this.#known) {
      const isEqual = timingSafeEqual(hash, known)
      if (isEqual && found === null) found = caller
    }
    return found
  }
}
