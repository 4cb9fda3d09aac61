import type { RequestHandler } from 'express'
import { Problem, refusedField } from './problems.ts'
import type { RateLimit } from './rate-limit.ts'
import type { Role, Tokens } from './tokens.ts'

const CHALLENGE = { 'www-authenticate': 'Bearer realm="meltica"' }

/**
 * A page of another origin could make the browser of somebody on this machine ask us; a browser always says where such a
 * request comes from. A name that leads to loopback only (DNS rebinding) shows in the Host header.
 */
export const refuseForeignOrigin: RequestHandler = (request, _, next) => {
  const { origin, host } = request.headers
  if (host === undefined && request.httpVersion === '1.1') throw refusedField('header.host', 'a host', undefined)
  const site = request.headers['sec-fetch-site']
  const isOwn = origin === undefined || origin === `http://${host}` || origin === `https://${host}`
  const isAsked = site === undefined || site === 'same-origin' || site === 'none' || request.method === 'GET'
  if (!isOwn || !isAsked) throw new Problem('foreign-origin', 'expected a request of this origin or of no page at all')
  next()
}

/** Knows the caller, counts the request against its rate, and looks at its role; null lets everybody pass. */
export function authorize(role: Role | null, tokens: Tokens, rate: RateLimit): RequestHandler {
  return (request, response, next) => {
    const caller = tokens.callerOf(request.headers.authorization)
    const waitMs = rate.take(caller?.name ?? `address ${request.socket.remoteAddress}`)
    if (waitMs > 0) {
      const headers = { 'retry-after': String(Math.ceil(waitMs / 1_000)) }
      throw new Problem('too-many-requests', `expected the next request in ${waitMs} ms at the earliest`, { headers })
    }
    if (role !== null) {
      if (tokens.isOpen && !isLocalName(request.headers.host)) {
        const detail = 'expected a Host of this machine while no token is configured'
        throw new Problem('foreign-origin', detail)
      }
      if (caller === null) {
        const found = request.headers.authorization === undefined ? 'no Authorization header' : 'one that names nobody'
        throw new Problem('unauthorized', `expected Authorization: Bearer with a known token, found ${found}`, {
          headers: CHALLENGE,
        })
      }
      if (!caller.roles.has(role)) {
        const roles = [...caller.roles].join(', ')
        throw new Problem('forbidden', `expected a token with the role ${role}, found ${caller.name} with ${roles}`)
      }
    }
    response.locals.caller = caller
    next()
  }
}

function isLocalName(host: string | undefined): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?$/i.test(host ?? '')
}
