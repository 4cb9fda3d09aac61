import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** One request as it passed on its way to the venue. Times by `performance.now()`. */
export interface PassedRequest {
  readonly path: string
  readonly beganMs: number
  readonly status: number
  readonly answeredMs: number
  /** The venue's own count for the minute. */
  readonly usedWeight: number
}

const PASSED_ON = ['content-type', 'retry-after', 'x-mbx-used-weight', 'x-mbx-used-weight-1m']

/** Stands before the venue's REST, passes everything on and remembers what was asked when. */
export class RestRecorder {
  readonly passed: PassedRequest[] = []
  readonly #rest: string
  readonly #server: Server

  private constructor(rest: string) {
    this.#rest = rest
    this.#server = createServer((request, response) => void this.#pass(request, response))
  }

  static async before(rest: string): Promise<RestRecorder> {
    const recorder = new RestRecorder(rest)
    recorder.#server.listen(0, '127.0.0.1')
    await once(recorder.#server, 'listening')
    return recorder
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const beganMs = performance.now()
    const path = request.url ?? '/'
    try {
      const answer = await fetch(`${this.#rest}${path}`, { signal: AbortSignal.timeout(30_000) })
      const body = Buffer.from(await answer.arrayBuffer())
      for (const name of PASSED_ON) {
        const value = answer.headers.get(name)
        if (value !== null) response.setHeader(name, value)
      }
      response.writeHead(answer.status).end(body)
      const usedWeight = Number(answer.headers.get('x-mbx-used-weight-1m'))
      this.passed.push({ path, beganMs, status: answer.status, answeredMs: performance.now(), usedWeight })
    } catch {
      response.destroy()
    }
  }
}
