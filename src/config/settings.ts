import { z } from 'zod'
import { configSchema } from './schema.ts'

/** A setting by its dotted path. Groups are settings too, so that a whole group can be given at once. */
export interface Setting {
  readonly path: string
  readonly schema: z.ZodType
  readonly isGroup: boolean
}

/** Every setting that exists, by path, in the order of the schema. */
export const settings: ReadonlyMap<string, Setting> = new Map(collect(configSchema, ''))

/** Environment name of every setting that is not a group, to its path. */
export const environmentNames: ReadonlyMap<string, string> = new Map(
  [...settings.values()].filter((setting) => !setting.isGroup).map(({ path }) => [environmentName(path), path]),
)

function* collect(schema: z.ZodObject, prefix: string): Generator<[string, Setting]> {
  for (const [key, child] of Object.entries(schema.shape) as [string, z.ZodType][]) {
    const path = prefix === '' ? key : `${prefix}.${key}`
    const isGroup = child instanceof z.ZodObject
    yield [path, { path, schema: child, isGroup }]
    if (child instanceof z.ZodObject) yield* collect(child, path)
  }
}

/** `venues.binance.streamUrl` is `MELTICA_VENUES__BINANCE__STREAM_URL`. */
export function environmentName(path: string): string {
  const levels = path.split('.').map((level) => level.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase())
  return `MELTICA_${levels.join('__')}`
}

/** Names of the keys that the object at `path` may have; the path may lead through lists, as in `routes.0.filters.1`. */
export function keysAt(path: readonly PropertyKey[]): readonly string[] {
  let schema: z.ZodType | undefined = configSchema
  for (const step of path) {
    schema = unwrap(schema)
    if (schema instanceof z.ZodObject) schema = schema.shape[String(step)] as z.ZodType | undefined
    else if (schema instanceof z.ZodArray) schema = schema.element as z.ZodType
    else return []
  }
  const found = unwrap(schema)
  return found instanceof z.ZodObject ? Object.keys(found.shape) : []
}

function unwrap(schema: z.ZodType | undefined): z.ZodType | undefined {
  let inner = schema
  while (inner instanceof z.ZodExactOptional || inner instanceof z.ZodNullable) inner = inner.unwrap() as z.ZodType
  return inner
}

/**
 * The known name closest to a mistaken one. The last level counts alone as well as the whole path, so that both a
 * misspelt level and a setting put into the wrong group find home.
 */
export function nearest(found: string, known: Iterable<string>, separator = '.'): string | null {
  let best: string | null = null
  let bestDistance = Number.POSITIVE_INFINITY
  const last = (name: string): string => name.slice(name.lastIndexOf(separator) + separator.length)
  const foundLower = found.toLowerCase()
  for (const name of known) {
    const lower = name.toLowerCase()
    const distance = Math.min(editDistance(foundLower, lower), editDistance(last(foundLower), last(lower)) + 1.5)
    if (distance < bestDistance) {
      best = name
      bestDistance = distance
    }
  }
  return best
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(replaced, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1))
    }
    previous = row
  }
  return previous[b.length] ?? 0
}
