import express, { type RequestHandler } from 'express'
import type { Operation } from './operation.ts'
import { Problem, refusedField } from './problems.ts'

/** Reads the body of a write as JSON within its bound. Types other than application/json, and packed ones, are refused. */
export function admitBody(one: Operation, bytesMax: number): RequestHandler[] {
  if (one.body === undefined) return [refuseBody]
  return [requireJson, express.json({ limit: bytesMax, inflate: false, type: 'application/json' })]
}

const refuseBody: RequestHandler = (request, _, next) => {
  if (hasBody(request)) throw refusedField('body', 'no body', 'a body')
  next()
}

const requireJson: RequestHandler = (request, _, next) => {
  if (!hasBody(request)) throw refusedField('body', 'a JSON object', undefined)
  if (!request.is('application/json')) {
    const found = String(request.headers['content-type'] ?? 'none').slice(0, 60)
    throw new Problem('unsupported-media-type', `expected content-type application/json, found ${found}`)
  }
  next()
}

function hasBody({ headers }: Parameters<RequestHandler>[0]): boolean {
  return Number(headers['content-length'] ?? 0) > 0 || headers['transfer-encoding'] !== undefined
}
