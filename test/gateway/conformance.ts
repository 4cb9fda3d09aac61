import { Ajv2020 } from 'ajv/dist/2020.js'
import type { ApiDocument } from '../../src/gateway/openapi.ts'

/** One operation as the served document describes it. */
export interface Described {
  readonly path: string
  readonly method: string
  readonly operationId: string
  readonly security?: readonly unknown[]
  readonly parameters?: readonly {
    readonly name: string
    readonly in: 'path' | 'query' | 'header'
    readonly required?: boolean
    readonly schema: Readonly<Record<string, unknown>>
  }[]
  readonly requestBody?: {
    readonly content: Readonly<Record<string, { readonly schema: Readonly<Record<string, unknown>> }>>
  }
  readonly responses: Readonly<
    Record<
      string,
      { readonly content?: Readonly<Record<string, { readonly schema: Readonly<Record<string, unknown>> }>> }
    >
  >
  readonly description: string
}

export function operationsOf(document: ApiDocument): Described[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, one]) => ({ ...(one as Omit<Described, 'path' | 'method'>), path, method })),
  )
}

export interface Told {
  readonly status: number
  /** Without parameters. */
  readonly type: string
  readonly text: string
}

/** Compares answers with the document by a validator that is not ours. */
export class Conformance {
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true })
  readonly #checks = new Map<string, (value: unknown) => string | null>()
  readonly components: Readonly<Record<string, Readonly<Record<string, unknown>>>>

  constructor(document: ApiDocument) {
    this.components = (document.components as { schemas: Conformance['components'] }).schemas
    this.#ajv.addSchema({ $id: 'api', components: document.components })
  }

  /** What is wrong with an answer; null: nothing. `operation` null: nothing is described there, so a problem is expected. */
  wrong(operation: Described | null, { status, type, text }: Told, hasBody = true): string | null {
    if (operation === null) {
      if (![400, 401, 403, 404, 405, 429].includes(status)) return `${status} where nothing is described`
      return hasBody ? this.#check('problem', { $ref: '#/components/schemas/Problem' }, type, text) : null
    }
    const response = operation.responses[String(status)]
    if (response === undefined) return `${operation.operationId} answered ${status}, which is not described`
    if (!hasBody) return null
    if (response.content === undefined) return text === '' ? null : `${status} with a body that is not described`
    const shape = response.content[type]
    if (shape === undefined) return `${operation.operationId} answered ${status} as ${type}, which is not described`
    return this.#check(`${operation.operationId} ${status} ${type}`, shape.schema, type, text)
  }

  #check(name: string, schema: Readonly<Record<string, unknown>>, type: string, text: string): string | null {
    if (!type.endsWith('json')) return null
    let check = this.#checks.get(name)
    if (check === undefined) {
      const validate = this.#ajv.compile(pointed(schema))
      check = (value) => (validate(value) ? null : this.#ajv.errorsText(validate.errors))
      this.#checks.set(name, check)
    }
    const problem = check(JSON.parse(text))
    return problem === null ? null : `${name}: ${problem} in ${text.slice(0, 300)}`
  }
}

/** References of the document, by the name it was given to the validator under. */
function pointed(schema: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return JSON.parse(JSON.stringify(schema).replaceAll('"$ref":"#/', '"$ref":"api#/')) as Readonly<
    Record<string, unknown>
  >
}
