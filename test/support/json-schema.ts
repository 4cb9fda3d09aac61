/**
 * A small validator of the JSON Schema words that `schemas/` uses, so that the generated files themselves are tested and
 * not the code they came from. An unknown word is an error: a word that is not checked would be a hole in the test.
 */
type Schema = Readonly<Record<string, unknown>>

const notes = new Set(['$schema', 'title', 'description'])

/** The problems of `value`, each with its path; empty when it is valid. */
export function schemaProblems(schema: Schema, value: unknown, path = '$'): string[] {
  const problems: string[] = []
  const wrong = (what: string): void => {
    problems.push(`${path}: ${what}, found ${JSON.stringify(value)?.slice(0, 80)}`)
  }
  const object = typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Schema) : undefined
  const array = Array.isArray(value) ? (value as unknown[]) : undefined
  for (const [word, rule] of Object.entries(schema)) {
    if (notes.has(word)) continue
    switch (word) {
      case 'type':
        if (!hasType(rule as string, value)) wrong(`expected ${rule}`)
        break
      case 'const':
        if (value !== rule) wrong(`expected ${JSON.stringify(rule)}`)
        break
      case 'enum':
        if (!(rule as unknown[]).includes(value)) wrong(`expected one of ${JSON.stringify(rule)}`)
        break
      case 'pattern':
        if (typeof value === 'string' && !new RegExp(rule as string, 'u').test(value)) wrong(`expected ${rule}`)
        break
      case 'minLength':
        if (typeof value === 'string' && value.length < (rule as number)) wrong(`expected length >= ${rule}`)
        break
      case 'minimum':
        if (typeof value === 'number' && value < (rule as number)) wrong(`expected >= ${rule}`)
        break
      case 'maximum':
        if (typeof value === 'number' && value > (rule as number)) wrong(`expected <= ${rule}`)
        break
      case 'exclusiveMinimum':
        if (typeof value === 'number' && value <= (rule as number)) wrong(`expected > ${rule}`)
        break
      case 'minItems':
        if (array && array.length < (rule as number)) wrong(`expected at least ${rule} items`)
        break
      case 'maxItems':
        if (array && array.length > (rule as number)) wrong(`expected at most ${rule} items`)
        break
      case 'prefixItems':
        for (const [at, item] of (rule as Schema[]).entries())
          if (array && at < array.length) problems.push(...schemaProblems(item, array[at], `${path}[${at}]`))
        break
      case 'items': {
        const from = Array.isArray(schema.prefixItems) ? schema.prefixItems.length : 0
        for (let at = from; array && at < array.length; at += 1)
          if (rule === false) wrong(`no item ${at} allowed`)
          else problems.push(...schemaProblems(rule as Schema, array[at], `${path}[${at}]`))
        break
      }
      case 'required':
        for (const name of rule as string[]) if (object && !(name in object)) wrong(`expected a field ${name}`)
        break
      case 'properties':
        for (const [name, field] of Object.entries(rule as Record<string, Schema>))
          if (object && name in object) problems.push(...schemaProblems(field, object[name], `${path}.${name}`))
        break
      case 'anyOf':
        if (!(rule as Schema[]).some((option) => schemaProblems(option, value, path).length === 0))
          wrong('expected one of the alternatives')
        break
      default:
        throw new Error(`the validator does not know the word ${word}`)
    }
  }
  return problems
}

function hasType(type: string, value: unknown): boolean {
  if (type === 'integer') return Number.isInteger(value)
  if (type === 'array') return Array.isArray(value)
  if (type === 'null') return value === null
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value)
  return typeof value === type
}
