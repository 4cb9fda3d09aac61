import { loadConfig } from '../src/config/load.ts'
import { SystemClock } from '../src/lib/clock.ts'
import { Ingest } from '../src/processes/ingest.ts'
import { RedisConnection } from '../src/redis/connection.ts'
import { RedisDeadLetterLog } from '../src/redis/dead-letter-log.ts'
import { RedisEventBus } from '../src/redis/event-bus.ts'
import { writeInstruments } from '../src/redis/instruments.ts'
import { Keys } from '../src/redis/keys.ts'
import { LatencyRecorder } from '../src/telemetry/latency.ts'
import { createLogger } from '../src/telemetry/logger.ts'
import type { WorkerStart } from './messages.ts'
import { type BenchWorker, serveWorker } from './worker.ts'

/** Meltica's own ingest with its defaults, joined as `processes/start.ts` joins it, in a process of its own. */
class MelticaWorker implements BenchWorker {
  readonly #latency = new LatencyRecorder()
  #ingest: Ingest | null = null
  #calls = 0
  #batches: number[] = []

  async start({ ws, rest, streams, redisUrl, maxLength }: WorkerStart): Promise<void> {
    const clock = new SystemClock()
    const { config } = loadConfig({ redis: redisUrl, prefix: 'bench' })
    const connection = new RedisConnection(config.redis, 'command')
    await connection.ready()
    const keys = new Keys(config.prefix, config.partitions)
    const channels = ['TRADE', 'QUOTE', 'TICKER', 'KLINE', 'ORDERBOOK'] as const
    this.#ingest = new Ingest({
      config,
      venue: {
        environment: 'replay',
        label: 'bench',
        streamUrl: ws,
        restUrl: rest,
        available: new Set(streams),
        done: new Promise(() => {}),
        framesSent: async () => null,
        close: async () => {},
      },
      isCluster: false,
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
      deadLetters: new RedisDeadLetterLog(connection, keys, 1_000),
      keepInstruments: (infos) => writeInstruments(connection, keys, infos, clock.nowUs()),
      clock,
      latency: this.#latency,
      logger: createLogger({
        level: 'warn',
        format: 'json',
        clock,
        base: {},
        write: (line) => process.stderr.write(line),
      }),
      incident: ({ kind, message }) => process.stderr.write(`${kind}: ${message}\n`),
      signal: new AbortController().signal,
    })
    await this.#ingest.start()
  }

  frames(): number {
    return this.#ingest?.dispatcher?.stats().received ?? 0
  }

  idle(): boolean {
    return this.#ingest?.dispatcher?.idle ?? false
  }

  counts() {
    const stats = this.#ingest?.dispatcher?.stats()
    if (stats === undefined) throw new Error('expected the worker to have been started')
    const { gaps, duplicates, refused, deadLetters, filtered, stale, publishFailures, ...rest } = stats
    const counted = { gaps, duplicates, refused, deadLetters, filtered, stale, publishFailures }
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
