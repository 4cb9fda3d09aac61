/** JSON Schema as the page writes it: close to the JSON it describes, with references as `@Name`. */

type Schema = Readonly<Record<string, unknown>>
const DEPTH_MAX = 6

export function schemaText(schema: unknown, indent = '', depth = 0): string {
  if (typeof schema !== 'object' || schema === null || depth > DEPTH_MAX) return 'anything'
  const { $ref, anyOf, oneOf, type, properties, items, additionalProperties } = schema as Schema
  if (typeof $ref === 'string') return `@${$ref.split('/').at(-1)}`
  const options = anyOf ?? oneOf
  if (Array.isArray(options)) return options.map((one) => schemaText(one, indent, depth + 1)).join(' | ')
  if ('const' in schema) return JSON.stringify(schema.const)
  const { enum: words } = schema as Schema
  if (Array.isArray(words)) return words.map((word) => JSON.stringify(word)).join(' | ')
  if (type === 'array') return `[${schemaText(items, indent, depth + 1)}, ...]`
  if (type === 'object') {
    const fields = Object.entries((properties ?? {}) as Record<string, unknown>)
    if (fields.length === 0) return `{ name: ${schemaText(additionalProperties, indent, depth + 1)}, ... }`
    return objectText(schema as Schema, fields, indent, depth)
  }
  const { description: _, pattern, ...rest } = schema as Schema
  const kinds = Array.isArray(type) ? type.join(' | ') : String(type ?? 'anything')
  return `${kinds}${pattern === undefined ? '' : ` ~ ${pattern}`}${boundsOf(rest)}`
}

function objectText(schema: Schema, fields: readonly [string, unknown][], indent: string, depth: number): string {
  const required = new Set(Array.isArray(schema.required) ? (schema.required as string[]) : [])
  const inner = `${indent}  `
  const lines = fields.map(([name, one]) => {
    const description = (one as { description?: string }).description
    const comment = description === undefined ? '' : `  // ${description}`
    return `${inner}${name}${required.has(name) ? '' : '?'}: ${schemaText(one, inner, depth + 1)}${comment}`
  })
  return `{\n${lines.join('\n')}\n${indent}}`
}

/** Bounds worth telling; that an integer fits a double is not. */
function boundsOf({ minimum, maximum, maxLength }: Schema): string {
  const upper = maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum
  const range = minimum !== undefined && upper !== undefined ? ` ${minimum}..${upper}` : ''
  return `${range}${maxLength === undefined ? '' : ` up to ${maxLength} characters`}`
}

export function curlOf(method: string, path: string, hasBody: boolean): string {
  const verb = method === 'get' ? '' : ` -X ${method.toUpperCase()}`
  const body = hasBody ? ` \\\n  -H 'Content-Type: application/json' -d '{ ... }'` : ''
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => `$${name.toUpperCase()}`)
  return `curl${verb} "$MELTICA${filled}" -H "Authorization: Bearer $TOKEN"${body}`
}
