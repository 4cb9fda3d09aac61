import { randomBytes } from 'node:crypto'
import type { Config } from '../config/schema.ts'
import { channelVersion } from '../dispatcher/controlled-table.ts'
import { PolledEvents } from '../dispatcher/polled.ts'
import { backoffMs } from '../lib/backoff.ts'
import type { Clock } from '../lib/clock.ts'
import { BullQueue } from '../pollers/bull-queue.ts'
import { Poller } from '../pollers/poller.ts'
import { wantedPolls } from '../pollers/wanted-polls.ts'
import { RedisBookTail } from '../redis/book-tail.ts'
import { openQueueClient, type RedisConnection, type RedisConnectionOptions } from '../redis/connection.ts'
import { RedisEventBus } from '../redis/event-bus.ts'
import type { Keys } from '../redis/keys.ts'
import { RedisPollClaims } from '../redis/poll-claims.ts'
import type { Logger } from '../telemetry/logger.ts'
import { SymbolTable } from '../venues/binance/symbols.ts'
import type { ControlPart } from './control-on-redis.ts'
import { busHooks, retentionOf } from './ingest-on-redis.ts'
import { MARKET } from './market.ts'
import type { OpsTeller } from './ops-teller.ts'
import type { OpenVenueRest } from './venue-rest.ts'

const VENUE = 'binance'
const POLLS_AT_ONCE_MAX = 16
const INSTRUMENTS_RETRY = { baseMs: 500, maxMs: 30_000 }

export interface PollerOnRedisParts {
  readonly config: Config
  readonly options: RedisConnectionOptions
  /** For offers and claims. */
  readonly connection: RedisConnection
  readonly keys: Keys
  readonly venue: OpenVenueRest
  readonly control: ControlPart
  readonly clock: Clock
  readonly logger: Logger
  readonly tellOps: OpsTeller
  readonly signal: AbortSignal
}

/** The role `poller` with Redis behind each of its contracts. */
export class PollerRole {
  readonly #parts: PollerOnRedisParts
  readonly #symbols = new SymbolTable()
  readonly #poller: Poller
  #cancelRefresh: () => void = () => {}
  #isReady = false
  #closed = false

  constructor(parts: PollerOnRedisParts) {
    const { config, options, connection, keys, venue, control, clock, logger, tellOps } = parts
    this.#parts = parts
    let traces = 0
    const tracePrefix = randomBytes(8).toString('hex')
    const source = new PolledEvents({
      venue: venue.polls,
      bus: new RedisEventBus({
        ...{ connection, keys, retention: retentionOf(config) },
        ...busHooks(logger),
      }),
      tail: new RedisBookTail(connection, keys),
      clock,
      symbolOf: (instrument) => this.#symbols.symbolOf(instrument),
      versionOf: (instrument, channel) =>
        control.table === null ? null : channelVersion(control.table, MARKET, instrument, channel),
      trace: () => tracePrefix + (traces++).toString(16).padStart(16, '0'),
    })
    this.#poller = new Poller({
      queue: new BullQueue({
        client: openQueueClient(options, 'orders'),
        waitingClient: openQueueClient(options, 'waits'),
        ...{ prefix: keys.queue('polls'), venue: VENUE, atOnceMax: POLLS_AT_ONCE_MAX },
        failed: (error) => logger.warn('queue-failed', 'the queue of polls failed, it goes on trying', { error }),
      }),
      claims: new RedisPollClaims(connection, keys),
      source,
      wanted: async () =>
        control.table === null ? null : wantedPolls(control.table, MARKET, this.#symbols.instruments()),
      clock,
      incident: ({ kind, message, ...facts }) => {
        logger.warn(kind, message, facts)
        tellOps({ severity: 'warning', kind, message, ...facts })
      },
    })
    control.onChanged(() => void (this.#isReady && this.#poller.keep()))
  }

  /** Learns the instruments and takes part in the schedule. Waits for the venue's list however long it takes. */
  async start(): Promise<void> {
    await this.#parts.control.start()
    for (let attempt = 0; !this.#parts.signal.aborted; attempt++) {
      if (await this.#learnInstruments()) break
      const delayMs = backoffMs(attempt, INSTRUMENTS_RETRY, Math.random)
      await new Promise<void>((resolve) => this.#parts.clock.after(delayMs, resolve))
    }
    if (this.#parts.signal.aborted || this.#closed) return
    this.#isReady = true
    await this.#poller.start()
    this.#refreshLater()
  }

  obstacles(): string[] {
    return this.#isReady ? [] : ['the list of instruments has not come from the venue yet']
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#cancelRefresh()
    // Whoever waits for weight or for an answer fails now, and another process has its turn.
    await this.#parts.venue.close()
    await this.#poller.close()
  }

  async #learnInstruments(): Promise<boolean> {
    try {
      this.#symbols.update(await this.#parts.venue.rest.fetchInstruments())
      return true
    } catch (error) {
      this.#parts.logger.warn('instruments-failed', 'the list of instruments could not be had, trying again', { error })
      return false
    }
  }

  #refreshLater(): void {
    const seconds = this.#parts.config.venues.binance.instrumentsRefreshSeconds
    this.#cancelRefresh = this.#parts.clock.after(seconds * 1_000, async () => {
      await this.#learnInstruments()
      if (!this.#closed) this.#refreshLater()
    })
  }
}
