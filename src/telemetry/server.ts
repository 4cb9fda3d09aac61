import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { collectDefaultMetrics } from 'prom-client'
import { UnavailableError } from '../errors.ts'
import { registry } from './metrics.ts'

/** Whether this process can do its work now, and what stands in the way. */
export interface Readiness {
  readonly ready: boolean
  readonly reasons: readonly string[]
}

export interface TelemetryServer {
  /** For example `http://127.0.0.1:9464`. */
  readonly url: string
  close(): Promise<void>
}

const REQUEST_TIMEOUT_MS = 10_000
const CONNECTIONS_MAX = 64

let hasDefaultMetrics = false

/**
 * Serves `/metrics` (Prometheus), `/livez` (the process runs) and `/readyz` (it can do its work, else 503 with reasons).
 *
 * `listen` is `host:port`, port 0 any free one, or `off`, which answers null.
 * Throws: UnavailableError if the port is taken or the host is none of this machine.
 */
export async function startTelemetryServer(
  listen: string,
  readiness: () => Readiness,
): Promise<TelemetryServer | null> {
  if (listen === 'off') return null
  if (!hasDefaultMetrics) collectDefaultMetrics({ register: registry })
  hasDefaultMetrics = true
  const colon = listen.lastIndexOf(':')
  const host = listen.slice(0, colon).replace(/^\[(.*)\]$/, '$1')
  const server = createServer((request, response) => {
    answer(request, response, readiness).catch((error: unknown) => {
      response
        .writeHead(500, { 'content-type': 'text/plain' })
        .end(`${error instanceof Error ? error.message : error}\n`)
    })
  })
  server.requestTimeout = REQUEST_TIMEOUT_MS
  server.headersTimeout = REQUEST_TIMEOUT_MS
  server.maxConnections = CONNECTIONS_MAX
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const found = cause.code === 'EADDRINUSE' ? 'it taken' : `${cause.code}`
      const advice = 'Give another with --set telemetry.listen=host:port (port 0 is any free one), or off.'
      reject(
        new UnavailableError(`telemetry.listen: expected to listen on ${listen}, found ${found}. ${advice}`, { cause }),
      )
    })
    server.listen(Number(listen.slice(colon + 1)), host, resolve)
  })
  const { address, family, port } = server.address() as AddressInfo
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function answer(request: IncomingMessage, response: ServerResponse, readiness: () => Readiness): Promise<void> {
  const { pathname } = new URL(request.url ?? '/', 'http://localhost')
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.writeHead(405, { allow: 'GET, HEAD' }).end()
  } else if (pathname === '/metrics') {
    const text = await registry.metrics()
    response.writeHead(200, { 'content-type': registry.contentType }).end(text)
  } else if (pathname === '/livez') {
    response.writeHead(200, { 'content-type': 'text/plain' }).end('ok\n')
  } else if (pathname === '/readyz') {
    const { ready, reasons } = readiness()
    response.writeHead(ready ? 200 : 503, { 'content-type': 'application/json' })
    response.end(`${JSON.stringify({ ready, reasons })}\n`)
  } else {
    response.writeHead(404, { 'content-type': 'text/plain' }).end('expected /metrics, /livez or /readyz\n')
  }
}
