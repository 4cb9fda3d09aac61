import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import type { Config } from './schema.ts'
import { type Refusal, type Sources, words } from './sources.ts'

const HASHED = 'sha256:'

/** Tokens from a file count as given where the name of the file was given. What stands in the file is never shown. */
export function readTokenFile(sources: Sources, refusals: Refusal[]): void {
  const { gateway } = sources.values
  if (typeof gateway !== 'object' || gateway === null) return
  const { tokenFile, tokens } = gateway as { tokenFile?: unknown; tokens?: unknown }
  if (typeof tokenFile !== 'string') return
  const origin = sources.origin(['gateway', 'tokenFile'])
  const isGivenTwice = Array.isArray(tokens) && tokens.length > 0
  const read = isGivenTwice ? 'expected either gateway.tokens or gateway.tokenFile, found both' : readList(tokenFile)
  if (typeof read === 'string') refusals.push({ path: 'gateway.tokenFile', message: read, origin })
  else sources.set('gateway.tokens', read, `${origin} (read from the file)`)
}

/** The list in the file, or what is wrong with it. */
function readList(file: string): readonly unknown[] | string {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    return `expected a file that can be read, found ${words(error)}`
  }
  try {
    const list: unknown = parse(text)
    return Array.isArray(list) && list.length > 0 ? list : 'expected a YAML list of {name, roles, token}, found none'
  } catch {
    // The reason quotes the line, and in the line stands a token.
    return 'expected a YAML list of {name, roles, token}, found no YAML'
  }
}

/** The same with every token replaced by its hash, so that nothing holds one in plain after the configuration was read. */
export function hashTokens(tokens: Config['gateway']['tokens']): Config['gateway']['tokens'] {
  return tokens.map(({ name, roles, token }) => ({ name, roles, token: hashToken(token) }))
}

function hashToken(token: string): string {
  return token.startsWith(HASHED) ? token : `${HASHED}${createHash('sha256').update(token).digest('hex')}`
}
