import express, { type Express, type NextFunction, type Request, type RequestHandler, type Response } from 'express'
import helmet from 'helmet'
import type { Logger } from '../telemetry/logger.ts'
import { metrics } from '../telemetry/metrics.ts'
import { authorize, refuseForeignOrigin } from './access.ts'
import { admitBody } from './body.ts'
import { createDesk, type DeskOptions } from './desk.ts'
import { docsPage } from './docs-page.ts'
import { apiDocument } from './openapi.ts'
import { isWrite, type Operation } from './operation.ts'
import { PROBLEM_TYPE, PROBLEMS, Problem, problemDocument } from './problems.ts'
import type { RateLimit } from './rate-limit.ts'
import { problemOf } from './refusals.ts'
import { documentOperations } from './resources/document.ts'
import type { Tokens } from './tokens.ts'

export interface AppOptions extends DeskOptions {
  readonly operations: readonly Operation[]
  readonly tokens: Tokens
  readonly rate: RateLimit
}

/**
 * The way of a request: is it from here, who asks, how often, may they, is it as described, was it made before, and only
 * then its handler. What is refused on the way has touched nothing.
 */
export function createApp(options: AppOptions): Express {
  const { tokens, rate, limits, closing } = options
  const operations = [...options.operations, ...documentOperations(() => ({ document, html: page.html }))]
  const document = apiDocument(operations, { isOpen: tokens.isOpen })
  const page = docsPage(document)
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.enable('case sensitive routing')
  app.enable('strict routing')
  app.set('query parser', 'simple')
  app.use(measure)
  app.use(
    helmet({ contentSecurityPolicy: { useDefaults: false, directives: page.policy }, strictTransportSecurity: false }),
  )
  app.use((_, response, next) => {
    response.set('cache-control', 'no-store')
    if (closing.aborted) response.set('connection', 'close')
    next()
  })
  app.use(refuseForeignOrigin)

  const desk = createDesk(options)
  const handlers = (one: Operation): RequestHandler[] => [
    named(one.id),
    authorize(one.role, tokens, rate),
    ...(isWrite(one) ? admitBody(one, limits.bodyBytesMax) : []),
    desk(one),
  ]
  const paths = Map.groupBy(operations, ({ path }) => path)
  for (const [path, group] of paths) {
    const route = app.route(path.replace(/\{(\w+)\}/g, ':$1'))
    for (const one of group) route[one.method](...handlers(one))
    route.all(otherMethod(group.flatMap(({ method }) => (method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()]))))
  }
  app.use(authorize(null, tokens, rate), () => {
    throw new Problem('not-found', 'There is nothing at this address; /docs says what there is')
  })
  app.use(answerProblem(options.logger))
  return app
}

function named(operation: string): RequestHandler {
  return (_, response, next) => {
    response.locals.operation = operation
    next()
  }
}

function otherMethod(allowed: readonly string[]): RequestHandler {
  return ({ method }) => {
    const detail = `expected ${allowed.join(', ')}, found ${method.slice(0, 20)}`
    throw new Problem('method-not-allowed', detail, { headers: { allow: allowed.join(', ') } })
  }
}

function measure(_: Request, response: Response, next: NextFunction): void {
  const beganMs = performance.now()
  response.once('close', () => {
    const operation = String(response.locals.operation ?? 'none')
    metrics.gatewayRequests.inc({ operation, status: String(response.statusCode) })
    metrics.gatewayRequestSeconds.observe({ operation }, (performance.now() - beganMs) / 1_000)
  })
  next()
}

/** The last handler: whatever was thrown on the way becomes a problem document. */
function answerProblem(logger: Logger) {
  return (error: unknown, request: Request, response: Response, _: NextFunction): void => {
    const problem = problemOf(error)
    const { status } = PROBLEMS[problem.kind]
    const facts = { operation: response.locals.operation ?? 'none', caller: response.locals.caller?.name ?? 'nobody' }
    if (problem.kind === 'internal')
      logger.error('gateway-failed', 'a request met an error of ours', { ...facts, error })
    else if (problem.kind === 'unavailable') logger.warn('gateway-unavailable', problem.message, facts)
    else if (status === 401 || status === 403) logger.warn('gateway-refused', problem.message, facts)
    if (response.headersSent) {
      response.destroy()
      return
    }
    // What is left of the body is read and thrown away, within the time a request has: a socket that is closed with
    // something unread takes the answer with it.
    if (!request.complete) request.resume()
    response
      .status(status)
      .set(problem.headers)
      .type(PROBLEM_TYPE)
      .send(JSON.stringify(problemDocument(problem)))
  }
}
