import { randomBytes, randomUUID } from 'node:crypto'
import type { CommandInput, ControlledChannel } from '../../src/control/contract.ts'
import { type ControlIncident, ControlMember } from '../../src/control/member.ts'
import { type SeedRoute, seedOf } from '../../src/control/seed.ts'
import type { Change, TableData } from '../../src/control/table-data.ts'
import { asInstrument, asMarket } from '../../src/domain/instrument.ts'
import { SystemClock } from '../../src/lib/clock.ts'
import { RedisConnection, type RedisConnectionOptions, redisAt } from '../../src/redis/connection.ts'
import { RedisControlClient } from '../../src/redis/control-client.ts'
import { RedisTableReader } from '../../src/redis/control-reader.ts'
import { RedisTopicReports } from '../../src/redis/control-reports.ts'
import { RedisControlStore } from '../../src/redis/control-store.ts'
import { RedisControlWorld } from '../../src/redis/control-world.ts'
import { Keys } from '../../src/redis/keys.ts'

export const MARKET = 'BINANCE-SPOT'
const channels = (topic: string) => ({
  ...{ TRADE: [topic], QUOTE: [topic], TICKER: [topic], KLINE: [topic], ORDERBOOK: [topic] },
})
const OFFER = { market: MARKET, topics: channels('<symbol>@x'), rest: channels('fetch') }

type PayloadOf<Type extends CommandInput['type']> = Extract<CommandInput, { type: Type }>['payload']

/** A command as any caller may write it. */
export function command<Type extends CommandInput['type']>(
  type: Type,
  payload: PayloadOf<Type>,
  more: Partial<Pick<CommandInput, 'id' | 'issuer' | 'consumer'>> = {},
): CommandInput {
  return {
    ...{ id: randomUUID(), issuer: 'tester', consumer: 'strategy', trace: randomBytes(16).toString('hex') },
    ...{ issuedAtUs: Date.now() * 1_000, ...more },
    ...{ type, payload },
  } as CommandInput
}

export function subscribe(subscriptionId: string, instrument: string, type: ControlledChannel): CommandInput {
  return command('subscribe', { subscriptionId, market: MARKET, instrument, type })
}

/** A keyspace of a real Redis with instruments listed, and any number of members of its control plane. */
export class ControlBench {
  readonly keys: Keys
  readonly connection: RedisConnection
  readonly client: RedisControlClient
  readonly reader: RedisTableReader
  readonly reports: RedisTopicReports
  readonly incidents: ControlIncident[] = []
  readonly clock = new SystemClock()
  readonly #options: RedisConnectionOptions
  readonly #open: RedisConnection[] = []
  readonly #members: ControlMember[] = []
  /** Where nobody holds a copy there is nothing to wait for. */
  settleMs = 0

  constructor(where: string | RedisConnectionOptions, prefix: string) {
    this.#options = typeof where === 'string' ? redisAt(where) : where
    this.keys = new Keys(prefix, 16)
    this.connection = this.connect('command')
    const { connection, keys, clock } = this
    this.client = new RedisControlClient({ connection, keys, clock, expiryMs: 2_000 })
    this.reader = new RedisTableReader(connection, keys)
    this.reports = new RedisTopicReports(connection, keys)
  }

  connect(kind: 'command' | 'blocking'): RedisConnection {
    const connection = new RedisConnection(this.#options, kind)
    this.#open.push(connection)
    return connection
  }

  async list(...instruments: string[]): Promise<void> {
    await this.connection.ready()
    for (const instrument of instruments) {
      await this.connection.send('hset', [
        this.keys.instrument(asMarket(MARKET), asInstrument(instrument)),
        'base',
        'X',
      ])
    }
  }

  store(worker: string): RedisControlStore {
    const [connection, takeConnection, followConnection] = [
      this.connect('command'),
      this.connect('blocking'),
      this.connect('blocking'),
    ]
    return new RedisControlStore({
      ...{ connection, takeConnection, followConnection, keys: this.keys, clock: this.clock, worker },
      settleMs: this.settleMs,
    })
  }

  /** `routes`: what the configuration says. */
  async member(
    name: string,
    routes: readonly SeedRoute[] = [],
    changed: (table: TableData, changes: readonly Change[] | null) => void = () => {},
  ): Promise<ControlMember> {
    const { keys, clock } = this
    const connection = this.connect('command')
    const member = new ControlMember({
      ...{ store: this.store(name), world: new RedisControlWorld(connection, keys, 2_000), name, clock, changed },
      seed: (version, nowUs) => seedOf(routes, [OFFER], version, nowUs),
      checkFilters: () => null,
      tell: (incident) => this.incidents.push(incident),
    })
    await connection.ready()
    this.#members.push(member)
    await member.start()
    return member
  }

  async close(): Promise<void> {
    await Promise.all(this.#members.map((member) => member.close()))
    for (const connection of this.#open) connection.close()
    await Promise.all(this.#members.map((member) => member.ended))
  }
}
