import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { UnavailableError } from '../errors.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../telemetry/logger.ts'
import { metrics } from '../telemetry/metrics.ts'
import { createApp } from './app.ts'
import type { RequestMemory } from './idempotency.ts'
import type { Operation } from './operation.ts'
import { PROBLEM_TYPE, PROBLEMS, Problem, type ProblemKind, problemDocument } from './problems.ts'
import { RateLimit } from './rate-limit.ts'
import { type KnownToken, Tokens } from './tokens.ts'

export interface GatewayLimits {
  readonly bodyBytesMax: number
  readonly rate: { readonly perSecond: number; readonly burst: number }
  readonly requestTimeoutMs: number
  readonly waitingMax: number
  readonly connectionsMax: number
}

export interface GatewayOptions {
  readonly tokens: readonly KnownToken[]
  readonly limits: GatewayLimits
  readonly operations: readonly Operation[]
  readonly memory: RequestMemory
  readonly clock: Clock
  readonly logger: Logger
}

const CALLERS_MAX = 10_000
const HEADER_BYTES_MAX = 16_384
const KEEP_ALIVE_MS = 30_000
/** How often connections are looked through for requests that did not arrive in time. */
const ARRIVAL_CHECK_MS = 500

/** The admin API: an Express application made from operations, on a server with bounds. */
export class Gateway {
  readonly #server: Server
  readonly #closing = new AbortController()
  #closed: Promise<void> | null = null

  constructor(options: GatewayOptions) {
    const { limits, clock, logger, operations, memory } = options
    const tokens = new Tokens(options.tokens)
    const app = createApp({
      operations,
      tokens,
      memory,
      logger,
      limits,
      rate: new RateLimit({ clock, ...limits.rate, callersMax: CALLERS_MAX }),
      closing: this.#closing.signal,
    })
    this.#server = createServer(
      {
        maxHeaderSize: HEADER_BYTES_MAX,
        requestTimeout: limits.requestTimeoutMs,
        headersTimeout: limits.requestTimeoutMs,
        keepAliveTimeout: KEEP_ALIVE_MS,
        connectionsCheckingInterval: ARRIVAL_CHECK_MS,
        // The application refuses such a request itself, with a problem document.
        requireHostHeader: false,
      },
      app,
    )
    this.#server.maxConnections = limits.connectionsMax
    this.#server.on('request', (_, response) => {
      response.once('close', () => {
        // What was under way when the gateway began to close leaves its connection idle.
        if (this.#closing.signal.aborted) setImmediate(() => this.#server.closeIdleConnections())
      })
    })
    // An expectation that nobody knows may be left out of account, and then the request is like any other.
    this.#server.on('checkExpectation', app)
    this.#server.on('drop', () => metrics.gatewayConnectionsRefused.inc())
    this.#server.on('clientError', answerBroken)
    // Neither tunnels nor other protocols; without a listener Node would drop the connection without a word.
    this.#server.on('connect', (_: IncomingMessage, socket: Socket) => refuseRaw(socket, 'method-not-allowed'))
  }

  /**
   * Begins to serve at `host:port`, port 0 being any free one, and answers where: `http://127.0.0.1:8080`.
   *
   * Throws: UnavailableError if the port is taken or the host is none of this machine.
   */
  async open(listen: string): Promise<string> {
    const colon = listen.lastIndexOf(':')
    const host = listen.slice(0, colon).replace(/^\[(.*)\]$/, '$1')
    const server = this.#server
    await new Promise<void>((resolve, reject) => {
      const failed = (cause: NodeJS.ErrnoException): void => {
        const found = cause.code === 'EADDRINUSE' ? 'it taken' : `${cause.code}`
        const advice = 'Give another with --set gateway.listen=host:port (port 0 is any free one), or off.'
        reject(
          new UnavailableError(`gateway.listen: expected to listen on ${listen}, found ${found}. ${advice}`, { cause }),
        )
      }
      server.once('error', failed)
      server.listen(Number(listen.slice(colon + 1)), host, () => {
        server.off('error', failed)
        resolve()
      })
    })
    const { address, family, port } = server.address() as AddressInfo
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`
  }

  /** Takes nothing new, ends what waits, lets what is under way finish until `graceMs` is over. Closing twice is harmless. */
  close(graceMs: number): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      this.#closing.abort()
      const timer = setTimeout(() => this.#server.closeAllConnections(), graceMs)
      this.#server.close(() => {
        clearTimeout(timer)
        resolve()
      })
      this.#server.closeIdleConnections()
    })
    return this.#closed
  }
}

/** What Node could not read as a request, told in the same form as everything else. */
function answerBroken(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const kinds: Readonly<Record<string, ProblemKind>> = {
    HPE_HEADER_OVERFLOW: 'headers-too-large',
    ERR_HTTP_REQUEST_TIMEOUT: 'request-timeout',
  }
  refuseRaw(socket, kinds[error.code ?? ''] ?? 'invalid-request')
}

function refuseRaw(socket: Socket, kind: ProblemKind): void {
  const { status, title } = PROBLEMS[kind]
  metrics.gatewayRequests.inc({ operation: 'none', status: String(status) })
  const body = JSON.stringify(problemDocument(new Problem(kind, `${title}.`)))
  const head = [
    `HTTP/1.1 ${status} ${STATUS_WORDS[status] ?? 'Refused'}`,
    `Content-Type: ${PROBLEM_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

const STATUS_WORDS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
}
