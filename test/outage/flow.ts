import { Dispatcher, type DispatcherIncident, type DispatcherLimits } from '../../src/dispatcher/dispatcher.ts'
import { Channel } from '../../src/domain/event.ts'
import { asInstrument } from '../../src/domain/instrument.ts'
import { SystemClock } from '../../src/lib/clock.ts'
import { RedisConnection, type RedisConnectionOptions } from '../../src/redis/connection.ts'
import { RedisEventBus } from '../../src/redis/event-bus.ts'
import { Keys } from '../../src/redis/keys.ts'
import { StreamReader } from '../../src/redis/stream-reader.ts'
import { info, market, ScriptedRest, tableOf, World } from '../dispatcher/world.ts'
import { eventually } from '../support/redis.ts'

const keys = new Keys('flow', 16)
const instrument = asInstrument('BTC-USDT')
const stream = keys.stream(market, instrument, Channel.Trade)

/** One instrument's trades on their way through a real dispatcher and a real connection into a real Redis. */
export class Flow {
  readonly incidents: DispatcherIncident[] = []
  readonly dispatcher: Dispatcher
  readonly connection: RedisConnection
  /** Leads to the same Redis, past what a test puts between it and the dispatcher. */
  readonly look: RedisConnection
  readonly #venue = new World()
  #id = 0

  private constructor(connection: RedisConnection, look: RedisConnection, limits: Partial<DispatcherLimits>) {
    this.connection = connection
    this.look = look
    this.dispatcher = new Dispatcher({
      market,
      table: tableOf([{ type: 'TRADE', market, instruments: ['*'] }], [info('BTC-USDT')]),
      bus: new RedisEventBus({ connection, keys, retention: {} }),
      rest: new ScriptedRest(),
      clock: new SystemClock(),
      partitions: 16,
      lanes: connection.isCluster ? 16 : 1,
      deadLetters: { append: async () => undefined },
      incident: (incident) => this.incidents.push(incident),
      limits: { retryDelayMs: 10, retryDelayMsMax: 100, ...limits },
    })
  }

  static async open(
    options: RedisConnectionOptions,
    look: RedisConnectionOptions = options,
    limits: Partial<DispatcherLimits> = {},
  ): Promise<Flow> {
    const connection: RedisConnection = new RedisConnection(options, 'command', {
      failed: () => undefined,
      ready: (_, again) => {
        if (again) flow.dispatcher.sinkReturned()
      },
    })
    const looking = new RedisConnection(look, 'command')
    await Promise.all([connection.ready(), looking.ready()])
    const flow: Flow = new Flow(connection, looking, limits)
    return flow
  }

  /** So many more trades come from the venue. */
  feed(count: number): void {
    for (let index = 0; index < count; index++) this.dispatcher.event(this.#venue.trade(++this.#id))
  }

  /** Waits until an incident of this kind was told. */
  async told(kind: DispatcherIncident['kind'], words: RegExp): Promise<void> {
    await eventually(() => this.incidents.some((one) => one.kind === kind && words.test(one.message)), 10_000)
  }

  /** Waits until all that was fed is in the stream; then answers whether it stands there once each, in order, `seq` dense. */
  async arrived(timeoutMs = 10_000): Promise<'whole' | string> {
    await eventually(async () => {
      const last = await this.#read('last').catch(() => [])
      return this.dispatcher.idle && last[0]?.venueSeq === `${this.#id}`
    }, timeoutMs)
    const entries = await this.#read('all')
    const wrong = entries.findIndex(({ venueSeq, type }, index) => venueSeq !== `${index + 1}` || type !== 'TRADE')
    const seqs = entries.map(({ seq }) => Number(seq))
    const dense = seqs.every((seq, index) => index === 0 || seq === (seqs[index - 1] as number) + 1)
    if (entries.length === this.#id && wrong === -1 && dense) return 'whole'
    return JSON.stringify(entries.slice(Math.max(0, wrong - 2), wrong + 3))
  }

  close(): void {
    this.dispatcher.close()
    this.connection.close()
    this.look.close()
  }

  async #read(which: 'all' | 'last'): Promise<Readonly<Record<string, string>>[]> {
    const reader = new StreamReader(this.look)
    const records = which === 'all' ? await reader.range(stream, '-', '+', 1_000_000) : await reader.newest(stream, 1)
    return records.map(({ fields }) => fields)
  }
}
