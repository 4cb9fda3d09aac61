import { loadConfig } from '../src/config/load.ts'
import { Dispatcher } from '../src/dispatcher/dispatcher.ts'
import { buildDispatchTable, type RouteRule } from '../src/dispatcher/table.ts'
import { Channel } from '../src/domain/event.ts'
import { asMarket } from '../src/domain/instrument.ts'
import { SystemClock } from '../src/lib/clock.ts'
import { bookLimits } from '../src/processes/book-limits.ts'
import { watchHeapGrowth } from '../src/processes/heap-growth.ts'
import { RedisConnection } from '../src/redis/connection.ts'
import { RedisDeadLetterLog } from '../src/redis/dead-letter-log.ts'
import { RedisEventBus } from '../src/redis/event-bus.ts'
import { Keys } from '../src/redis/keys.ts'
import { LatencyRecorder } from '../src/telemetry/latency.ts'
import { BinanceRest, BinanceStreams, parseTopic, topicFor } from '../src/venues/binance/binance.ts'
import { LocalRequestBudget } from '../src/venues/budget.ts'
import { Connections } from '../src/venues/connections/connections.ts'
import type { WorkerStart } from './messages.ts'
import { type BenchWorker, serveWorker } from './worker.ts'

const MARKET = asMarket('BINANCE-SPOT')
const WEIGHT_PER_MINUTE = 100_000_000
const HOUR_MS = 3_600_000

/** The data path of one process with its defaults, joined as `processes/ingest.ts` joins it. */
class MelticaWorker implements BenchWorker {
  readonly #latency = new LatencyRecorder()
  #dispatcher: Dispatcher | null = null
  #calls = 0
  #batches: number[] = []

  async start({ ws, rest, streams, redisUrl, maxLength }: WorkerStart): Promise<void> {
    const clock = new SystemClock()
    watchHeapGrowth()
    const { config } = loadConfig({ redis: redisUrl, prefix: 'bench' })
    const { timeUnit, depthLimit, depthTimeoutMs, restTimeoutMs } = config.venues.binance
    const { connections: options, frameBytesMax, redundancy: _, books: __, ...limits } = config.ingest
    const connection = new RedisConnection(config.redis, 'command')
    await connection.ready()
    const keys = new Keys(config.prefix, config.partitions)
    const budget = { clock, market: MARKET, weightPerMinute: WEIGHT_PER_MINUTE, usableShare: 1, waitingMax: 10_000 }
    const venueRest = new BinanceRest({
      market: MARKET,
      restUrl: rest,
      clock,
      depthLimit,
      depthTimeoutMs,
      timeoutMs: restTimeoutMs,
      budget: new LocalRequestBudget(budget),
    })
    const channels = [Channel.Trade, Channel.Quote, Channel.Ticker, Channel.Kline, Channel.OrderBook] as const
    const rules: RouteRule[] = channels.map((type) => ({ type, market: MARKET, instruments: ['*'], intervals: ['*'] }))
    const infos = await venueRest.fetchInstruments()
    const table = buildDispatchTable({
      version: 1,
      market: MARKET,
      rules,
      instruments: infos,
      names: { topicFor, parseTopic },
      available: new Set(streams),
    })
    const dispatcher = new Dispatcher({
      market: MARKET,
      table,
      bus: new RedisEventBus({
        connection,
        keys,
        retention: Object.fromEntries(channels.map((channel) => [channel, maxLength])),
        onPublished: (batches) => {
          this.#calls++
          let offers = 0
          for (const batch of batches) offers += batch.offers.length
          this.#batches.push(offers)
        },
      }),
      rest: venueRest,
      clock,
      partitions: config.partitions,
      lanes: 1,
      deadLetters: new RedisDeadLetterLog(connection, keys, 1_000),
      limits: {
        ...limits,
        books: bookLimits(config, { weightPerMinute: () => WEIGHT_PER_MINUTE, processes: () => 1 }),
      },
      latency: this.#latency,
      incident: ({ kind, message }) => process.stderr.write(`${kind}: ${message}\n`),
    })
    this.#dispatcher = dispatcher
    const connections = new Connections({
      protocol: new BinanceStreams({ market: MARKET, streamUrl: ws, timeUnit, frameBytesMax }),
      sink: dispatcher,
      clock,
      random: Math.random,
      // Dealt frames keep mix and sizes, not what streams show of each other in time, so none of them is ever called silent.
      // Two thousand books begin at once, as no venue's budget would let them, and what is sent meanwhile comes once.
      options: { ...options, staleFloorMs: HOUR_MS, pausedMsMax: HOUR_MS },
      log: (level, message) => level !== 'info' && process.stderr.write(`${message}\n`),
      hooks: { onTopicAcked: (topic) => dispatcher.topicAcked(topic) },
    })
    connections.setTopics(new Set(table.topics))
  }

  frames(): number {
    return this.#dispatcher?.stats().received ?? 0
  }

  idle(): boolean {
    return this.#dispatcher?.idle ?? false
  }

  counts() {
    const stats = this.#dispatcher?.stats()
    if (stats === undefined) throw new Error('expected the worker to have been started')
    const { gaps, duplicates, refused, deadLetters, filtered, stale, publishFailures, ...rest } = stats
    const merged = Object.values(rest.merged).reduce((sum, count) => sum + count, 0)
    const wrongBooks = rest.books.checks.wrong
    const counted = { gaps, duplicates, refused, deadLetters, filtered, stale, publishFailures, merged, wrongBooks }
    const batches = this.#batches
    this.#batches = []
    return {
      frames: rest.received,
      appended: rest.appended,
      calls: this.#calls,
      batches,
      latencyUs: this.#latency.takeInterval(),
      oddities: Object.fromEntries(Object.entries(counted).filter(([, count]) => count > 0)),
    }
  }
}

serveWorker(new MelticaWorker())
