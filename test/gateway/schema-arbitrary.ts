import fc from 'fast-check'

type Schema = Readonly<Record<string, unknown>>

/** Values that a JSON Schema of the served document admits. An unknown word would be a hole in the test, so it throws. */
export function valuesOf(schema: Schema, components: Readonly<Record<string, Schema>>): fc.Arbitrary<unknown> {
  const inner = (one: unknown): fc.Arbitrary<unknown> => valuesOf(one as Schema, components)
  const { $ref, anyOf, type, properties, items } = schema
  if (typeof $ref === 'string') return inner(components[$ref.split('/').at(-1) as string])
  if (Array.isArray(anyOf)) return fc.oneof(...anyOf.map(inner))
  if ('const' in schema) return fc.constant(schema.const)
  if (Array.isArray(schema.enum)) return fc.constantFrom(...(schema.enum as unknown[]))
  if (Array.isArray(type)) return fc.oneof(...type.map((one) => inner({ ...schema, type: one })))
  switch (type) {
    case undefined:
      return fc.jsonValue()
    case 'null':
      return fc.constant(null)
    case 'boolean':
      return fc.boolean()
    case 'integer':
      return fc.integer(boundsOf(schema))
    case 'number':
      return fc.double({ noNaN: true, noDefaultInfinity: true })
    case 'string':
      return textsOf(schema)
    case 'array':
      return fc.array(inner(items), { minLength: Number(schema.minItems ?? 0), maxLength: 3 })
    case 'object': {
      const fields = Object.entries((properties ?? {}) as Record<string, Schema>)
      const required = Array.isArray(schema.required) ? (schema.required as string[]) : []
      return fc.record(Object.fromEntries(fields.map(([name, one]) => [name, inner(one)])), { requiredKeys: required })
    }
    default:
      throw new Error(`the generator does not know the type ${String(type)}`)
  }
}

function boundsOf({ minimum, maximum }: Schema): { min: number; max: number } {
  const max = Math.min(Number(maximum ?? 2 ** 31), 2 ** 31)
  return { min: Math.max(Number(minimum ?? -(2 ** 31)), -(2 ** 31)), max }
}

function textsOf({ pattern, minLength, maxLength }: Schema): fc.Arbitrary<string> {
  if (typeof pattern === 'string') return fc.stringMatching(new RegExp(pattern))
  return fc.string({
    minLength: Number(minLength ?? 0),
    maxLength: Math.min(Number(maxLength ?? 40), 300),
    unit: 'binary',
  })
}
