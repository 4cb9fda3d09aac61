import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../lib/clock.ts'
import { normalPath } from './binance-lines.ts'
import { REQUEST_WEIGHT_MAX } from './exchange-info.ts'
import { requestWeight, WeightAccount } from './request-weight.ts'
import type { MarketSource, RestAnswer } from './source.ts'

/** What faults may do to a request that the venue's limits let in. */
export interface RestFaults {
  /** Answers through `ask`, which asks the source. */
  answer(path: string, query: URLSearchParams, ask: () => Promise<RestAnswer | null>): Promise<RestAnswer | null>
}

/** A request of the simulator's own, not of the venue: its state and its faults. */
export type OwnRequest = (method: string, path: string, body: string) => RestAnswer | null

const PATHS_MAX = 1000
const BODY_BYTES_MAX = 64 * 1024
const OWN_PREFIX = '/simulator/'

/** The REST side of the venue: limits by weight, then faults, then the source. */
export class VenueRestDesk {
  readonly weights: WeightAccount
  readonly requests = new Map<string, { count: number; weight: number }>()
  readonly #source: MarketSource
  readonly #clock: Clock
  readonly #faults: RestFaults
  readonly #own: OwnRequest

  constructor(source: MarketSource, clock: Clock, faults: RestFaults, own: OwnRequest) {
    this.weights = new WeightAccount(source.requestWeightMax ?? REQUEST_WEIGHT_MAX)
    this.#source = source
    this.#clock = clock
    this.#faults = faults
    this.#own = own
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let answer: RestAnswer
    try {
      answer = await this.#answer(request)
    } catch (cause) {
      // The source failed: the client sees what a failing venue shows, and the request count tells it.
      answer = {
        status: 500,
        body: JSON.stringify({ code: -1000, msg: `An unknown error occurred: ${String(cause)}` }),
      }
    }
    send(response, answer, this.weights.used)
  }

  async #answer(request: IncomingMessage): Promise<RestAnswer> {
    const url = URL.parse(request.url ?? '/', 'http://localhost')
    if (url === null) return { status: 400, body: '{"code":-1100,"msg":"Illegal characters found in a parameter."}' }
    const method = request.method ?? 'GET'
    if (url.pathname.startsWith(OWN_PREFIX)) {
      return this.#own(method, url.pathname, await readBody(request)) ?? NOT_FOUND
    }
    const path = normalPath(url.pathname)
    const query = url.searchParams
    const weight = requestWeight(path, query)
    this.#count(path, weight)
    const refusal = this.weights.charge(weight, this.#clock.nowUs() / 1000)
    if (refusal !== null) return refusal
    if (method !== 'GET') return NOT_FOUND
    return (await this.#faults.answer(path, query, () => this.#source.rest(path, query))) ?? NOT_FOUND
  }

  #count(path: string, weight: number): void {
    const key = this.requests.has(path) || this.requests.size < PATHS_MAX ? path : 'other'
    const counted = this.requests.get(key) ?? { count: 0, weight: 0 }
    counted.count++
    counted.weight += weight
    this.requests.set(key, counted)
  }
}

const NOT_FOUND: RestAnswer = { status: 404, body: '{"code":-1000,"msg":"There is no such endpoint here."}' }

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length
    if (bytes > BODY_BYTES_MAX) throw new RangeError(`expected a body of at most ${BODY_BYTES_MAX} bytes`)
    chunks.push(chunk as Buffer)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function send(response: ServerResponse, answer: RestAnswer, weightUsed: number): void {
  let settled = false
  const settle = (delivered: boolean): void => {
    if (settled) return
    settled = true
    answer.written?.(delivered)
  }
  if (response.destroyed) {
    settle(false)
    return
  }
  response.on('finish', () => settle(true))
  response.on('close', () => settle(false))
  response.writeHead(answer.status, {
    'Content-Type': 'application/json;charset=UTF-8',
    'X-MBX-USED-WEIGHT': String(weightUsed),
    'X-MBX-USED-WEIGHT-1M': String(weightUsed),
    ...answer.headers,
  })
  response.end(answer.body)
}
