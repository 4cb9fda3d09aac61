import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import type { Config } from '../config/schema.ts'
import { UnavailableError, UsageError } from '../errors.ts'
import type { CommandContext } from './context.ts'

/** Options of every command that speaks to the admin API. */
export interface ApiFlags {
  readonly api?: string
  readonly tokenFile?: string
}

/** A request without an answer counts as failed; what it asks to wait comes on top. */
const TIMEOUT_MS = 10_000
const PAGE_LIMIT = 500
/** What is shown of a list at most. */
const ITEMS_MAX = 100_000

export function addApiOptions(command: Command): Command {
  return command
    .option('--api <url>', 'address of the admin API (default: gateway.listen of the configuration)')
    .option('--token-file <file>', 'file that holds the bearer token')
}

interface Problem {
  readonly title?: string
  readonly detail?: string
  readonly errors?: readonly { readonly field: string; readonly found: string; readonly allowed: string }[]
}

interface Request {
  readonly method?: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  readonly body?: unknown
  /** How long the request itself asks to wait, ms. */
  readonly waitMs?: number
}

/** Speaks to the admin API for the command line. */
export class ApiClient {
  readonly #base: URL
  readonly #headers: Readonly<Record<string, string>>
  readonly #signal: AbortSignal

  constructor(base: string, token: string | null, signal: AbortSignal) {
    if (!/^https?:\/\//.test(base) || !URL.canParse(base)) {
      throw new UsageError(`--api: expected an address such as http://127.0.0.1:8080, found "${base}"`)
    }
    this.#base = new URL(base)
    this.#headers = token === null ? {} : { authorization: `Bearer ${token}` }
    this.#signal = signal
  }

  /** Throws: UsageError where the API refuses the request, UnavailableError where it cannot be reached or cannot serve. */
  async send(path: string, request: Request = {}): Promise<unknown> {
    const { method = 'GET', body, waitMs = 0 } = request
    const url = new URL(path, this.#base)
    let response: Response
    let text: string
    try {
      response = await fetch(url, {
        method,
        headers: { ...this.#headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.any([this.#signal, AbortSignal.timeout(TIMEOUT_MS + waitMs)]),
      })
      text = await response.text()
    } catch (cause) {
      const why = cause instanceof Error ? ((cause.cause as Error | undefined)?.message ?? cause.message) : `${cause}`
      throw new UnavailableError(`Expected the admin API at ${this.#base.origin}, found: ${why}`, { cause })
    }
    const answer = parse(text)
    if (response.ok) return answer
    const message = describe(response.status, (answer ?? {}) as Problem)
    if (response.status >= 500 || response.status === 429) throw new UnavailableError(message)
    throw new UsageError(message)
  }

  /** All pages of a list. */
  async *list(path: string): AsyncGenerator<Readonly<Record<string, unknown>>> {
    let cursor: string | null = null
    let count = 0
    do {
      const query = new URLSearchParams({ limit: String(PAGE_LIMIT), ...(cursor === null ? {} : { cursor }) })
      const page = (await this.send(`${path}${path.includes('?') ? '&' : '?'}${query}`)) as {
        items: Readonly<Record<string, unknown>>[]
        cursor: string | null
      }
      for (const item of page.items) {
        if (++count > ITEMS_MAX) throw new UsageError(`expected at most ${ITEMS_MAX} items; narrow the list`)
        yield item
      }
      cursor = page.cursor
    } while (cursor !== null)
  }
}

/** The API that the options or the configuration name. Throws: UsageError. */
export async function openApi(context: CommandContext, flags: ApiFlags): Promise<ApiClient> {
  const base = flags.api ?? addressOf((await context.load()).config)
  return new ApiClient(base, flags.tokenFile === undefined ? null : readToken(flags.tokenFile), context.signal)
}

function addressOf({ gateway }: Config): string {
  if (gateway.listen === 'off') throw new UsageError('expected --api URL, because gateway.listen is off')
  return `http://${gateway.listen}`
}

function readToken(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (cause) {
    throw new UsageError(`--token-file: expected a file that can be read, found "${file}"`, { cause })
  }
}

function parse(text: string): unknown {
  if (text === '') return null
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new UnavailableError('expected JSON from the admin API, found something else', { cause })
  }
}

function describe(status: number, { title, detail, errors = [] }: Problem): string {
  const fields = errors.map(({ field, found, allowed }) => `${field}: expected ${allowed}, found ${found}`)
  return fields.length > 0 ? fields.join('; ') : (detail ?? title ?? `the admin API answered with status ${status}`)
}
