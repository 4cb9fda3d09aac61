import { loadConfig } from '../../src/config/load.ts'
import type { Gateway } from '../../src/gateway/gateway.ts'
import type { ApiDocument } from '../../src/gateway/openapi.ts'
import { gatewayOnRedis } from '../../src/processes/gateway.ts'
import { RedisEventBus } from '../../src/redis/event-bus.ts'
import { RedisMembers } from '../../src/redis/members.ts'
import { createLogger, type Logger } from '../../src/telemetry/logger.ts'
import { ControlBench } from '../control/world.ts'
import { factsOf } from '../support/member-facts.ts'
import { bar, batch, delta, quote, snapshot, trade } from '../support/offers.ts'
import { startPrivateRedis, startRedis, type TestRedis } from '../support/redis.ts'

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
  /** A Redis that the test may stop. */
  readonly ownRedis?: boolean
}

/** A gateway on a free port before a real Redis, with a member that applies commands and a market in the streams. */
export class GatewayBench {
  readonly control: ControlBench
  readonly log: string[] = []
  readonly url: string
  readonly #redis: TestRedis
  readonly #gateways: Gateway[]
  readonly #logger: Logger
  readonly #options: GatewayBenchOptions

  private constructor(control: ControlBench, redis: TestRedis, options: GatewayBenchOptions) {
    this.control = control
    this.#redis = redis
    this.#options = options
    this.#gateways = []
    this.url = ''
    this.#logger = createLogger({
      ...{ level: 'debug', format: 'json', clock: control.clock, base: {} },
      write: (line) => this.log.push(line),
    })
  }

  static async open(options: GatewayBenchOptions = {}): Promise<GatewayBench> {
    const redis = await (options.ownRedis ? startPrivateRedis() : startRedis())
    const control = new ControlBench(redis.url, redis.uniquePrefix())
    await control.list('BTC-USDT', 'ETH-USDT')
    await control.member('applier', [{ type: 'TRADE', market: 'BINANCE-SPOT', instruments: ['*'] }])
    const bench = new GatewayBench(control, redis, options)
    Object.assign(bench, { url: await bench.gateway() })
    return bench
  }

  /** One more gateway of the same keyspace; answers where it is. */
  async gateway(): Promise<string> {
    const tokens = Object.entries(TOKENS).map(([name, token]) => ({ name, roles: ROLES[name as 'read'], token }))
    const list = tokens.map(({ name, roles, token }) => `{name: ${name}, roles: ${roles}, token: ${token}}`)
    const { config } = loadConfig({
      assignments: [
        ...(this.#options.withTokens ? [`gateway.tokens=[${list.join(', ')}]`] : []),
        ...(this.#options.settings ?? []),
      ],
    })
    const { connection, keys, clock } = this.control
    const gateway = gatewayOnRedis({ config, connection, keys, clock, logger: this.#logger, obstacles: () => [] })
    this.#gateways.push(gateway)
    return gateway.open('127.0.0.1:0')
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

  /** Entries ever written to the control stream. */
  async written(): Promise<number> {
    const { connection, keys } = this.control
    const flat = await connection.send('xinfo', ['STREAM', keys.control('commands')])
    const info = flat as unknown[]
    return Number(info[info.indexOf('entries-added') + 1])
  }

  /** Commands that were answered. */
  async appliedCount(): Promise<number> {
    const { connection, keys } = this.control
    const acks = (await connection.send('xrange', [keys.control('acks'), '-', '+'])) as unknown[]
    return acks.length
  }

  /** Dead letters of both kinds. */
  async letters(count: number): Promise<void> {
    const { connection, keys } = this.control
    for (let at = 0; at < count; at++) {
      await connection.send('xadd', [
        keys.control('dead-letters'),
        '*',
        'reason',
        'malformed: x',
        'id',
        `d${at}`,
        'type',
        'drain',
        'payload',
        '{}',
      ])
      await connection.send('xadd', [keys.deadLetters, '*', 'reason', 'malformed', 'detail', 'x', 'sample', '{}'])
    }
  }

  /** A worker that is there for a minute and does nothing. */
  async worker(id: string, partitions: readonly number[] = []): Promise<void> {
    const owns = new Set(partitions)
    const facts = factsOf({ version: '0', owns, flows: owns })
    const { connection, keys } = this.control
    await new RedisMembers(connection, keys).beat('ingest', {
      ...{
        id,
        incarnation: id,
        startedUs: null,
        number: 1,
        state: 'active',
        facts,
        expiryMs: 60_000,
        outageMs: 60_000,
      },
    })
  }

  stopRedis(): Promise<void> {
    return this.#redis.stop()
  }

  async letterIds(): Promise<string[]> {
    const { body } = await this.ask('GET', '/v1/dead-letters', { token: TOKENS.all })
    return (body.items as { id: string }[]).map(({ id }) => id)
  }

  async close(): Promise<void> {
    await Promise.all(this.#gateways.map((gateway) => gateway.close(200)))
    await this.control.close()
  }

  get gateways(): readonly Gateway[] {
    return this.#gateways
  }
}
