import { randomBytes, randomUUID } from 'node:crypto'
import type { Request, RequestHandler, Response } from 'express'
import type { z } from 'zod'
import type { Logger } from '../telemetry/logger.ts'
import { metrics } from '../telemetry/metrics.ts'
import type { GatewayLimits } from './gateway.ts'
import { commandIdFor, fingerprintOf, IDEMPOTENCY_KEY, memoryKey, type RequestMemory } from './idempotency.ts'
import { type Answer, isWrite, type Operation } from './operation.ts'
import { Problem, refused, refusedField } from './problems.ts'
import type { Caller } from './tokens.ts'

export interface DeskOptions {
  readonly memory: RequestMemory
  readonly limits: GatewayLimits
  readonly logger: Logger
  /** Aborted when the gateway closes. */
  readonly closing: AbortSignal
}

const NOBODY: Caller = { name: 'anonymous', roles: new Set() }

/** Where an admitted request is handled: once for its Idempotency-Key, and within its time. */
export function createDesk(options: DeskOptions): (one: Operation) => RequestHandler {
  const { memory, limits, logger, closing } = options
  let waiting = 0

  return (one) => async (request, response) => {
    const params = admit('path', one.params, request.params)
    const query = admit('query', one.query, request.query)
    const body = one.body === undefined ? undefined : admit('body', one.body, request.body)
    const caller: Caller = response.locals.caller ?? NOBODY
    const key = isWrite(one) ? keyOf(request, caller) : null
    const trace = traceOf(request)

    const waitMs = one.waitMs(query)
    // Beyond the bound one is answered at once, as if it had not asked to wait.
    const mayWait = waitMs > 0 && waiting < limits.waitingMax && !closing.aborted
    const signal = mayWait ? untilGone(response, closing) : AbortSignal.abort()
    if (mayWait) metrics.gatewayWaiting.set(++waiting)
    try {
      const timeoutMs = limits.requestTimeoutMs + (mayWait ? waitMs : 0)
      const commandId = key === null ? randomUUID() : commandIdFor(key)
      const run = () => one.handle({ params, query, body, caller, trace, commandId, signal })
      const handled = key === null ? run() : once(memory, key, fingerprintOf(one.id, request.path, query, body), run)
      send(response, await within(handled, timeoutMs))
    } finally {
      if (mayWait) metrics.gatewayWaiting.set(--waiting)
    }
    if (isWrite(one)) {
      const facts = { operation: one.id, caller: caller.name, status: response.statusCode, trace }
      logger.info('gateway-write', `${one.summary}`, facts)
    }
  }
}

function admit(where: string, schema: z.ZodType, input: unknown): unknown {
  const admitted = schema.safeParse(input)
  if (!admitted.success) throw refused(where, admitted.error, input)
  return admitted.data
}

function keyOf(request: Request, caller: Caller): string | null {
  const given = request.headers['idempotency-key']
  if (given === undefined) return null
  if (typeof given !== 'string' || !IDEMPOTENCY_KEY.test(given)) {
    throw refusedField('header.idempotency-key', '1 to 200 printable ASCII characters', given)
  }
  return memoryKey(caller.name, given)
}

/** W3C trace context: `00-<32 hex>-<16 hex>-<2 hex>`; anything else begins a trace of its own. */
function traceOf(request: Request): string {
  const given = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/.exec(String(request.headers.traceparent ?? ''))
  return given?.[1] ?? randomBytes(16).toString('hex')
}

function untilGone(response: Response, closing: AbortSignal): AbortSignal {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  return AbortSignal.any([gone.signal, closing])
}

/** Remembers the request before it is handled and its answer afterwards; a repeated one is answered from memory. */
async function once(
  memory: RequestMemory,
  key: string,
  fingerprint: string,
  run: () => Promise<Answer>,
): Promise<Answer> {
  const claim = await memory.claim(key, fingerprint)
  if (claim.status === 'full') {
    const headers = { 'retry-after': String(Math.ceil(claim.retryAfterMs / 1_000)) }
    throw new Problem('too-many-requests', 'more requests with an Idempotency-Key came lately than are remembered', {
      headers,
    })
  }
  if (claim.status === 'different') {
    const error = { field: 'header.idempotency-key', found: 'the key of another request', allowed: 'a new key' }
    throw new Problem('key-reused', 'header.idempotency-key: expected a new key, found that of another request', {
      errors: [error],
    })
  }
  if (claim.status === 'same' && claim.answer !== null) {
    metrics.gatewayRepeated.inc()
    return JSON.parse(claim.answer) as Answer
  }
  // Begun before and never answered: it is made again, with the same command id, so what was done is not done twice.
  const answer = await run()
  await memory.keep(key, fingerprint, JSON.stringify(answer))
  return answer
}

async function within(handled: Promise<Answer>, timeoutMs: number): Promise<Answer> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    late.reject(
      new Problem('unavailable', `expected an answer within ${timeoutMs} ms, found none; its outcome is unknown`),
    )
  }, timeoutMs)
  try {
    return await Promise.race([handled, late.promise])
  } finally {
    clearTimeout(timer)
  }
}

function send(response: Response, { status, body, type = 'text/plain', headers = {} }: Answer): void {
  response.status(status).set(headers)
  if (body === undefined) response.end()
  else if (typeof body === 'string') response.type(type).send(body)
  else response.type('application/json').send(JSON.stringify(body))
}
