import { readFileSync } from 'node:fs'
import { isMap, isScalar, LineCounter, parse, parseDocument } from 'yaml'
import { z } from 'zod'
import { environmentNames, nearest, settings } from './settings.ts'

/** A value that is not taken, at a path, and where it came from. */
export interface Refusal {
  readonly path: string
  readonly message: string
  readonly origin: string
}

type Tree = { [key: string]: unknown }

/** Layers of settings, each above the one before, with the origin of every value that stands. */
export class Sources {
  readonly values: Tree = {}
  readonly refusals: Refusal[] = []
  #origins = new Map<string, string>()

  /** Lays the settings of a YAML file on top. A list replaces the list below it, a group is merged. */
  addFile(path: string, label: string): void {
    let source: string
    try {
      source = readFileSync(path, 'utf8')
    } catch (error) {
      this.refusals.push({
        path: label,
        message: `expected a YAML file that can be read, found ${words(error)}`,
        origin: path,
      })
      return
    }
    const lines = new LineCounter()
    const document = parseDocument(source, { lineCounter: lines })
    if (document.errors.length > 0) {
      for (const error of document.errors) {
        const line = lines.linePos(error.pos[0]).line
        const [reason] = error.message.split('\n')
        this.refusals.push({ path: label, message: `expected YAML, found: ${reason}`, origin: `${path}:${line}` })
      }
      return
    }
    const value: unknown = document.toJS() ?? {}
    if (!isTree(value)) {
      this.refusals.push({ path: label, message: 'expected groups of settings, found no mapping', origin: path })
      return
    }
    const originOf = (at: readonly string[]): string => {
      const node = at.length === 0 ? null : pairOf(document.contents, at)
      return node === null ? label : `${label}:${lines.linePos(node).line}`
    }
    this.#lay(this.values, value, [], originOf)
  }

  /** Takes every variable that begins with `MELTICA_`. */
  addEnvironment(environment: Readonly<Record<string, string | undefined>>, foreign: ReadonlySet<string>): void {
    for (const [name, raw] of Object.entries(environment)) {
      if (!name.startsWith('MELTICA_') || foreign.has(name) || raw === undefined) continue
      const path = environmentNames.get(name)
      if (path === undefined) {
        const known = nearest(name, environmentNames.keys(), '__')
        this.refusals.push({
          path: name,
          message: `no such setting, the nearest is ${known}`,
          origin: 'environment',
        })
      } else this.setText(path, raw, `environment ${name}`)
    }
  }

  /** Takes one `path=value` of the command line. */
  addAssignment(assignment: string, option: string): void {
    const equals = assignment.indexOf('=')
    if (equals < 1) {
      const message = `expected path=value, found "${assignment}"`
      this.refusals.push({ path: option, message, origin: 'command line' })
      return
    }
    const path = assignment.slice(0, equals).trim()
    if (settings.has(path)) this.setText(path, assignment.slice(equals + 1), option)
    else {
      const message = `no such setting, the nearest is ${nearest(path, settings.keys())}`
      this.refusals.push({ path, message, origin: option })
    }
  }

  /** Puts a value that came as text; a setting that is a text takes it as it stands, all others as YAML. */
  setText(path: string, raw: string, origin: string): void {
    const setting = settings.get(path)
    this.set(path, setting === undefined ? raw : typed(raw, setting.schema), origin)
  }

  set(path: string, value: unknown, origin: string): void {
    const nested = path.split('.').reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as Tree
    this.#lay(this.values, nested, [], () => origin)
  }

  /** Where the value at a path, or the group around it, came from. */
  origin(path: readonly PropertyKey[]): string {
    for (let length = path.length; length > 0; length--) {
      const origin = this.#origins.get(path.slice(0, length).join('.'))
      if (origin !== undefined) return origin
    }
    return 'config/meltica.yaml'
  }

  #lay(below: Tree, above: Tree, at: readonly string[], originOf: (path: readonly string[]) => string): void {
    for (const [key, value] of Object.entries(above)) {
      const path = [...at, key]
      const under = Object.hasOwn(below, key) ? below[key] : undefined
      this.#origins.set(path.join('.'), originOf(path))
      if (isTree(value)) {
        const inner: Tree = isTree(under) ? under : {}
        Object.defineProperty(below, key, { value: inner, enumerable: true, configurable: true, writable: true })
        this.#lay(inner, value, path, originOf)
      } else Object.defineProperty(below, key, { value, enumerable: true, configurable: true, writable: true })
    }
  }
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Offset of the key that a path ends in, null where the document has none (aliases, merged keys). */
function pairOf(contents: unknown, path: readonly string[]): number | null {
  let node = contents
  let offset: number | null = null
  for (const step of path) {
    if (!isMap(node)) return null
    const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === step)
    if (pair === undefined || !isScalar(pair.key)) return null
    offset = pair.key.range?.[0] ?? null
    node = pair.value
  }
  return offset
}

/**
 * The value a text means for a setting. Texts (passwords above all) are taken literally, because YAML would cut them at
 * ` #` or read them as numbers; only `null` and quotes around the whole keep their YAML meaning. A list may be given as
 * `a,b`.
 */
function typed(raw: string, schema: z.ZodType): unknown {
  const isQuoted = /^(".*"|'.*')$/s.test(raw)
  const isNull = raw === 'null' || raw === '~' || raw === ''
  if (!isQuoted && !isNull && schema.safeParse(raw).success) return raw
  let value: unknown
  try {
    value = parse(raw)
  } catch {
    return raw
  }
  const isWord = typeof value === 'string' || typeof value === 'number'
  if (isWord && schema instanceof z.ZodArray) return raw.split(',').map((item) => item.trim())
  return value
}

export function words(error: unknown): string {
  if (error instanceof Error && 'code' in error) return `${String(error.code)} (${error.message})`
  return error instanceof Error ? error.message : String(error)
}
