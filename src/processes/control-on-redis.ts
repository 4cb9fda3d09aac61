import type { Config } from '../config/schema.ts'
import type { ChannelGate } from '../control/channel-gate.ts'
import { type ControlIncident, ControlMember } from '../control/member.ts'
import { isAsConfigured, type SeedRoute, seedOf, type VenueOffer } from '../control/seed.ts'
import type { Change, TableData } from '../control/table-data.ts'
import { filterOf } from '../dispatcher/table.ts'
import { asVenueSymbol } from '../domain/instrument.ts'
import { UsageError } from '../errors.ts'
import type { Clock } from '../lib/clock.ts'
import { type ConnectionKind, RedisConnection, type RedisConnectionOptions } from '../redis/connection.ts'
import { RedisChannelGate } from '../redis/control-gate.ts'
import { RedisTopicReports } from '../redis/control-reports.ts'
import { RedisControlStore } from '../redis/control-store.ts'
import { RedisControlWorld } from '../redis/control-world.ts'
import type { Keys } from '../redis/keys.ts'
import type { Logger } from '../telemetry/logger.ts'
import { topicFor } from '../venues/binance/binance.ts'
import type { FollowedTable } from './control-follow.ts'
import type { ReportSink } from './control-reporter.ts'
import { MARKET } from './market.ts'
import type { OpsTeller } from './ops-teller.ts'

export interface ControlOnRedisParts {
  readonly config: Config
  /** What the configuration names, or what a replay holds. */
  readonly routes: readonly SeedRoute[]
  readonly options: RedisConnectionOptions
  readonly keys: Keys
  readonly worker: string
  readonly clock: Clock
  readonly logger: Logger
  readonly tellOps: OpsTeller
  readonly signal: AbortSignal
}

/** This process's part in the control plane, with Redis behind it, and what the role ingest needs of it. */
export class ControlPart implements FollowedTable {
  readonly gate: ChannelGate
  readonly reports: ReportSink
  readonly #parts: ControlOnRedisParts
  readonly #member: ControlMember
  readonly #connections: readonly RedisConnection[]
  readonly #callbacks: ((table: TableData, changes: readonly Change[] | null) => void)[] = []
  readonly #aborted: Promise<void>
  #started: Promise<void> | null = null

  constructor(parts: ControlOnRedisParts) {
    this.#parts = parts
    const { config, keys, clock, worker, logger, tellOps, signal } = parts
    this.#aborted = new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    const open = (kind: ConnectionKind): RedisConnection => new RedisConnection(parts.options, kind)
    // Commands and reports wait behind no append, and the two that wait inside Redis are used by nobody else.
    const [connection, takeConnection, followConnection] = [open('command'), open('blocking'), open('blocking')]
    this.#connections = [connection, takeConnection, followConnection]
    this.gate = new RedisChannelGate(connection, keys)
    this.reports = new RedisTopicReports(connection, keys)
    this.#member = new ControlMember({
      store: new RedisControlStore({ connection, takeConnection, followConnection, keys, clock, worker }),
      world: new RedisControlWorld(connection, keys, config.cluster.expiryMs),
      name: worker,
      clock,
      seed: (version, nowUs) => seedOf(parts.routes, [BINANCE], version, nowUs),
      checkFilters: (type, filters) => {
        try {
          filterOf({ type, filters })
          return null
        } catch (error) {
          if (error instanceof UsageError) return error.message
          throw error
        }
      },
      changed: (table, changes) => {
        for (const callback of this.#callbacks) callback(table, changes)
      },
      tell: (incident) => {
        tell(logger, incident)
        tellOps({ ...incident })
      },
    })
  }

  get table(): TableData | null {
    return this.#member.table
  }

  onChanged(callback: (table: TableData, changes: readonly Change[] | null) => void): void {
    this.#callbacks.push(callback)
  }

  /** Resolves when there is a table, or this process is to end; later calls wait for the same. */
  start(): Promise<void> {
    this.#started ??= Promise.race([this.#begin(), this.#aborted])
    return this.#started
  }

  async close(): Promise<void> {
    await this.#member.close()
    for (const connection of this.#connections) connection.close()
    await this.#member.ended
  }

  async #begin(): Promise<void> {
    await Promise.all(this.#connections.map((connection) => connection.ready()))
    await this.#member.start()
    const { table } = this
    const { routes, logger } = this.#parts
    if (table === null || isAsConfigured(routes, table.subscriptions.values())) return
    const message =
      'the dispatch table in Redis is in force; it differs from the routes of the configuration, which seed it once'
    logger.warn('routes-differ', message, { version: table.version })
  }
}

/** What Binance streams of any instrument, for people; the adapter makes the names. */
const symbol = asVenueSymbol('<symbol>')
const BINANCE: VenueOffer = {
  market: MARKET,
  topics: {
    TRADE: [topicFor('TRADE', symbol), topicFor('TRADE', symbol, { via: 'aggTrade' })],
    QUOTE: [topicFor('QUOTE', symbol)],
    TICKER: [topicFor('TICKER', symbol)],
    KLINE: [topicFor('KLINE', symbol, { interval: '<interval>' })],
    ORDERBOOK: [topicFor('ORDERBOOK', symbol)],
  },
  rest: { TRADE: ['fetchTrades'], QUOTE: [], TICKER: [], KLINE: ['fetchKlines'], ORDERBOOK: ['fetchBookSnapshot'] },
}

function tell(logger: Logger, { kind, severity, message, error }: ControlIncident): void {
  logger[severity === 'info' ? 'info' : 'warn'](kind, message, error === undefined ? {} : { error })
}
