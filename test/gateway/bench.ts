import { createHash } from 'node:crypto'
import { loadConfig } from '../../src/config/load.ts'
import type { Gateway } from '../../src/gateway/gateway.ts'
import type { ApiDocument } from '../../src/gateway/openapi.ts'
import { gatewayOnRedis } from '../../src/processes/gateway.ts'
import { RedisEventBus } from '../../src/redis/event-bus.ts'
import { createLogger, type Logger } from '../../src/telemetry/logger.ts'
import { ControlBench } from '../control/world.ts'
import { bar, batch, delta, quote, snapshot, trade } from '../support/offers.ts'
import { startRedis } from '../support/redis.ts'

export const TOKENS = {
  read: 'read-token-of-the-tests',
  operate: 'operate-token-of-the-tests',
  all: 'all-token-of-the-tests',
} as const
const ROLES: Readonly<Record<keyof typeof TOKENS, string>> = {
  read: '[read]',
  operate: '[operate]',
  all: '[read, operate, trade]',
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly type: string
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever was answered.
  readonly body: any
}

export interface GatewayBenchOptions {
  readonly withTokens?: boolean
  readonly settings?: readonly string[]
}

/** A gateway on a free port before a real Redis, with a member that applies commands and a market in the streams. */
export class GatewayBench {
  readonly control: ControlBench
  readonly log: string[] = []
  readonly url: string
  readonly #gateways: Gateway[]
  readonly #logger: Logger
  readonly #options: GatewayBenchOptions

  private constructor(control: ControlBench, options: GatewayBenchOptions) {
    this.control = control
    this.#options = options
    this.#gateways = []
    this.url = ''
    this.#logger = createLogger({
      ...{ level: 'debug', format: 'json', clock: control.clock, base: {} },
      write: (line) => this.log.push(line),
    })
  }

  static async open(options: GatewayBenchOptions = {}): Promise<GatewayBench> {
    const redis = await startRedis()
    const control = new ControlBench(redis.url, redis.uniquePrefix())
    await control.list('BTC-USDT', 'ETH-USDT')
    await control.member('applier', [{ type: 'TRADE', market: 'BINANCE-SPOT', instruments: ['*'] }])
    const bench = new GatewayBench(control, options)
    Object.assign(bench, { url: await bench.gateway() })
    return bench
  }

  /** One more gateway of the same keyspace; answers where it is. */
  async gateway(): Promise<string> {
    const tokens = Object.entries(TOKENS).map(([name, token]) => ({ name, roles: ROLES[name as 'read'], token }))
    const list = tokens.map(({ name, roles, token }) => `{name: ${name}, roles: ${roles}, token: ${token}}`)
    const { config } = loadConfig({
      assignments: [
        'gateway.listen=127.0.0.1:0',
        ...(this.#options.withTokens ? [`gateway.tokens=[${list.join(', ')}]`] : []),
        ...(this.#options.settings ?? []),
      ],
    })
    const { connection, keys, clock } = this.control
    const gateway = gatewayOnRedis({ config, connection, keys, clock, logger: this.#logger, obstacles: () => [] })
    if (gateway === null) throw new Error('the gateway is off')
    this.#gateways.push(gateway)
    return gateway.open()
  }

  /** Trades 1 to 20 with 6 to 9 missing, a book, quotes and a bar of BTC-USDT. */
  async fill(): Promise<void> {
    const { connection, keys } = this.control
    const bus = new RedisEventBus({ connection, keys, retention: {} })
    const trades = [1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20].map((id) =>
      trade(id, id / 1000, id === 10 ? { declare: 'lost' } : {}),
    )
    await bus.publish([
      ...[
        batch(trades),
        batch([snapshot(100), delta(101, 105)]),
        batch([quote(1), quote(2)]),
        batch([bar(1, 5, true)]),
      ],
    ])
  }

  async ask(
    method: string,
    path: string,
    more: { token?: string; body?: unknown; headers?: Record<string, string>; url?: string } = {},
  ): Promise<Answer> {
    const { token, body, headers = {}, url = this.url } = more
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    const type = (response.headers.get('content-type') ?? '').split(';')[0] as string
    return {
      status: response.status,
      headers: response.headers,
      type,
      text,
      body: type.endsWith('json') ? JSON.parse(text) : undefined,
    }
  }

  async document(): Promise<ApiDocument> {
    return (await this.ask('GET', '/v1/openapi.json')).body as ApiDocument
  }

  /** Everything of the control plane as one text: equal texts, nothing changed. */
  async tableText(): Promise<string> {
    const { connection, keys } = this.control
    const reader = this.control.reader
    const commands = await connection.send('xlen', [keys.control('commands')])
    return createHash('sha256')
      .update(JSON.stringify([await reader.current(), commands]))
      .digest('hex')
  }

  async close(): Promise<void> {
    await Promise.all(this.#gateways.map((gateway) => gateway.close(200)))
    await this.control.close()
  }

  get gateways(): readonly Gateway[] {
    return this.#gateways
  }
}
