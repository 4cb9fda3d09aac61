/**
 * Binance's control messages on a stream connection, and its words for what is wrong with them.
 * Source: binance/binance-spot-api-docs web-socket-streams.md, "Live Subscribing/Unsubscribing to streams".
 */

/** The request's `id` as JSON text, echoed as it came: a signed 64-bit integer, a string of at most 36, or null. */
type IdText = string

export type ControlMessage =
  | { readonly method: 'SUBSCRIBE' | 'UNSUBSCRIBE'; readonly streams: readonly string[]; readonly id: IdText }
  | { readonly method: 'LIST_SUBSCRIPTIONS'; readonly id: IdText }
  | { readonly method: 'SET_PROPERTY'; readonly combined: boolean; readonly id: IdText }
  | { readonly method: 'GET_PROPERTY'; readonly id: IdText }
  | ControlError

export interface ControlError {
  readonly method: 'ERROR'
  readonly code: number
  readonly msg: string
  /** null where the message carried no usable id. */
  readonly id: IdText | null
}

/** `flat` as documented, `nested` as seen on the testnet: a client has to understand both. */
export type ErrorShape = 'flat' | 'nested'

const METHODS = ['SUBSCRIBE', 'UNSUBSCRIBE', 'LIST_SUBSCRIPTIONS', 'SET_PROPERTY', 'GET_PROPERTY'] as const
const INT64_MAX = 2n ** 63n - 1n

/** Never throws: what is wrong comes back as the venue's error. */
export function parseControl(text: string): ControlMessage {
  let value: unknown
  try {
    value = JSON.parse(text, keepIdDigits)
  } catch {
    return error(3, 'Invalid JSON: expected value at line 1 column 1', null)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return error(2, 'Invalid request: invalid type, expected struct Request at line 1 column 1', null)
  }
  const request = value as Record<string, unknown>
  const id = idText(request.id)
  if (id === null) return error(2, 'Invalid request: request ID must be an unsigned integer', null)
  const method = METHODS.find((known) => known === request.method)
  if (method === undefined) return error(2, unknownMethod(request.method), id)
  const params = request.params ?? []
  if (!Array.isArray(params)) return error(2, 'Invalid request: invalid type, expected a sequence', id)
  switch (method) {
    case 'SUBSCRIBE':
    case 'UNSUBSCRIBE': {
      const streams = params.filter((param) => typeof param === 'string')
      if (streams.length !== params.length) return error(2, 'Invalid request: stream name must be a string', id)
      return { method, streams, id }
    }
    case 'LIST_SUBSCRIPTIONS':
      return { method, id }
    case 'SET_PROPERTY':
    case 'GET_PROPERTY':
      return parseProperty(method, params, id)
  }
}

export function resultText(result: null | boolean | readonly string[], id: IdText): string {
  return `{"result":${JSON.stringify(result)},"id":${id}}`
}

export function errorText(problem: ControlError, shape: ErrorShape): string {
  const id = problem.id === null ? '' : `,"id":${problem.id}`
  const body = `"code":${problem.code},"msg":${JSON.stringify(problem.msg)}`
  return shape === 'flat' ? `{${body}${id}}` : `{"error":{${body}}${id}}`
}

export function error(code: number, msg: string, id: IdText | null): ControlError {
  return { method: 'ERROR', code, msg, id }
}

function parseProperty(
  method: 'SET_PROPERTY' | 'GET_PROPERTY',
  params: readonly unknown[],
  id: IdText,
): ControlMessage {
  const [name, value] = params
  if (typeof name !== 'string') return error(2, 'Invalid request: property name must be a string', id)
  if (params.length > (method === 'SET_PROPERTY' ? 2 : 1)) return error(2, 'Invalid request: too many parameters', id)
  if (name !== 'combined') return error(0, 'Unknown property', id)
  if (method === 'GET_PROPERTY') return { method, id }
  return typeof value === 'boolean'
    ? { method, combined: value, id }
    : error(1, 'Invalid value type: expected Boolean', id)
}

function unknownMethod(method: unknown): string {
  if (method === undefined) return 'Invalid request: missing field `method` at line 1 column 1'
  const known = METHODS.map((name) => `\`${name}\``).join(', ')
  return `Invalid request: unknown variant \`${String(method).slice(0, 100)}\`, expected one of ${known}`
}

/** 64-bit ids do not survive a double, so their source text is kept. */
function keepIdDigits(key: string, value: unknown, context?: { source?: string }): unknown {
  if (key !== 'id' || typeof value !== 'number' || context?.source === undefined) return value
  return /^-?\d+$/.test(context.source) ? BigInt(context.source) : value
}

function idText(id: unknown): IdText | null {
  if (id === undefined || id === null) return 'null'
  if (typeof id === 'bigint') return id <= INT64_MAX && id >= -INT64_MAX - 1n ? id.toString() : null
  if (typeof id === 'string' && /^[0-9A-Za-z_-]{1,36}$/.test(id)) return JSON.stringify(id)
  return null
}
