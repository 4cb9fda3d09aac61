import { accessSync, constants, readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { z } from 'zod'
import { UsageError } from '../errors.ts'
import { HIDDEN, hideSecrets, isSecret } from '../lib/secrets.ts'
import { relations } from './relations.ts'
import { type Config, configSchema } from './schema.ts'
import { keysAt, nearest, settings } from './settings.ts'
import { type Refusal, Sources, words } from './sources.ts'
import { hashTokens, readTokenFile } from './tokens.ts'

/** Names beginning with `MELTICA_` that are no settings: where the tests find recordings. */
const FOREIGN_NAMES: ReadonlySet<string> = new Set(['MELTICA_RECORDINGS'])

export const DEFAULTS_FILE = fileURLToPath(new URL('../../config/meltica.yaml', import.meta.url))

/** Where settings may come from, weakest first: the defaults, the files in order, the environment, the command line. */
export interface ConfigInputs {
  readonly files?: readonly string[]
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** `path=value`, as given with `--set`. */
  readonly assignments?: readonly string[]
  /** `--redis URL` and `--prefix WORD`; they stand above `--set`. */
  readonly redis?: string | undefined
  readonly prefix?: string | undefined
}

export interface LoadedConfig {
  readonly config: Config
  /** Where the value of a setting came from, for example `environment MELTICA_PREFIX`. */
  origin(path: string): string
}

/**
 * Reads the configuration once.
 *
 * Throws: UsageError naming every refused value at once, each with its path, what was expected, what was found, and
 * where it came from.
 */
export function loadConfig(inputs: ConfigInputs): LoadedConfig {
  const sources = new Sources()
  sources.addFile(DEFAULTS_FILE, 'config/meltica.yaml')
  for (const file of inputs.files ?? []) sources.addFile(file, file)
  sources.addEnvironment(inputs.environment ?? {}, FOREIGN_NAMES)
  for (const assignment of inputs.assignments ?? []) sources.addAssignment(assignment, '--set')
  if (inputs.redis !== undefined) sources.setText('redis.url', inputs.redis, '--redis')
  if (inputs.prefix !== undefined) sources.setText('prefix', inputs.prefix, '--prefix')

  const refusals = [...sources.refusals]
  readPasswordFile(sources, refusals, 'password', 'passwordFile')
  readPasswordFile(sources, refusals, 'sentinelPassword', 'sentinelPasswordFile')
  readTokenFile(sources, refusals)
  const admitted = configSchema.safeParse(sources.values)
  const issues = admitted.success ? [] : admitted.error.issues
  refusals.push(...issues.flatMap((issue) => refusalsOf(issue, sources)))
  const config = sources.values as unknown as Config
  checkRelations(config, sources, refusals, issues)
  if (refusals.length === 0) checkFiles(config, sources, refusals)
  if (refusals.length > 0) throw new UsageError(describe(refusals))
  const whole = {
    ...config,
    worker: { id: config.worker.id ?? `${hostname()}-${process.pid}` },
    gateway: { ...config.gateway, tokens: hashTokens(config.gateway.tokens) },
  }
  return { config: freeze(whole), origin: (path) => sources.origin(path.split('.')) }
}

/** A password from a file counts as given where the name of the file was given. */
function readPasswordFile(sources: Sources, refusals: Refusal[], name: string, fileName: string): void {
  const redis = sources.values.redis
  if (typeof redis !== 'object' || redis === null) return
  const { [fileName]: passwordFile, [name]: password } = redis as Record<string, unknown>
  if (typeof passwordFile !== 'string') return
  const origin = sources.origin(['redis', fileName])
  const path = `redis.${fileName}`
  if (password !== null && password !== undefined) {
    refusals.push({ path, message: `expected either redis.${name} or ${path}, found both`, origin })
    return
  }
  try {
    const text = readFileSync(passwordFile, 'utf8').replace(/\r?\n$/, '')
    sources.set(`redis.${name}`, text, `${origin} (read from the file)`)
  } catch (error) {
    const message = `expected a file that can be read, found ${words(error)}`
    refusals.push({ path, message, origin })
  }
}

function refusalsOf(issue: z.core.$ZodIssue, sources: Sources): Refusal[] {
  const path = issue.path.join('.')
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const full = path === '' ? key : `${path}.${key}`
      const siblings = keysAt(issue.path).map((known) => (path === '' ? known : `${path}.${known}`))
      const known = nearest(full, [...siblings, ...settings.keys()])
      return {
        path: full,
        message: `no such setting, the nearest is ${known}`,
        origin: sources.origin([...issue.path, key]),
      }
    })
  }
  const found = valueAt(sources.values, issue.path)
  const shown = found === undefined ? 'nothing' : isSecret(path) ? HIDDEN : JSON.stringify(hideSecrets(found, path))
  return [{ path, message: `expected ${issue.message}, found ${shown}`, origin: sources.origin(issue.path) }]
}

function valueAt(tree: unknown, path: readonly PropertyKey[]): unknown {
  let value = tree
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = (value as Record<PropertyKey, unknown>)[step]
  }
  return value
}

function checkRelations(
  config: Config,
  sources: Sources,
  refusals: Refusal[],
  issues: readonly z.core.$ZodIssue[],
): void {
  const broken = issues.map((issue) => issue.path.join('.'))
  const isBroken = (path: string): boolean =>
    broken.some(
      (other) => other === path || other.startsWith(`${path}.`) || path.startsWith(`${other}.`) || other === '',
    )
  for (const { paths, check } of relations) {
    if (paths.some(isBroken)) continue
    const message = check(config)
    if (message !== null) refusals.push({ path: paths[0], message, origin: sources.origin(paths[0].split('.')) })
  }
}

function checkFiles(config: Config, sources: Sources, refusals: Refusal[]): void {
  for (const name of ['caFile', 'certFile', 'keyFile'] as const) {
    const file = config.redis.tls[name]
    if (file === null) continue
    try {
      accessSync(file, constants.R_OK)
    } catch (error) {
      const path = `redis.tls.${name}`
      const message = `expected a file that can be read, found ${words(error)}`
      refusals.push({ path, message, origin: sources.origin(path.split('.')) })
    }
  }
}

function describe(refusals: readonly Refusal[]): string {
  const seen = new Set(refusals.map(({ path, message, origin }) => `  ${path}: ${message} (${origin})`))
  return [`configuration refused, ${seen.size} ${seen.size === 1 ? 'error' : 'errors'}:`, ...seen].join('\n')
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) freeze(inner)
    Object.freeze(value)
  }
  return value
}
