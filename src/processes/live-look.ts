import type { Conductor } from '../conductor/conductor.ts'
import { Channel } from '../domain/event.ts'
import { asInstrument, asMarket } from '../domain/instrument.ts'
import type { RedisConnection } from '../redis/connection.ts'
import type { Keys } from '../redis/keys.ts'
import { StreamReader, type StreamRecord } from '../redis/stream-reader.ts'
import type { LatencyRecorder } from '../telemetry/latency.ts'
import type { Ingest } from './ingest.ts'
import type { LiveModel, LiveRow } from './live-view.ts'

const ROWS_MAX = 20
/** Entries of a stream that a look takes for its latency. */
const LATENCY_ENTRIES_MAX = 32

export interface LiveLookParts {
  readonly connection: RedisConnection
  readonly keys: Keys
  readonly ingest: Ingest | null
  readonly conductor: Conductor | null
  readonly latency: LatencyRecorder
  /** What is shown as the title. */
  readonly environment: string
  readonly metricsUrl: string | null
  readonly apiUrl: string | null
  readonly incidents: () => readonly string[]
}

/** Looks at the pipeline as its users do: prices are read from the streams, counts from the dispatcher. */
export class LiveLook {
  readonly #parts: LiveLookParts
  readonly #reader: StreamReader
  readonly #startedMs = performance.now()
  #lastMs = performance.now()
  #lastCounts = new Map<string, number>()
  #lastFused = 0

  constructor(parts: LiveLookParts) {
    this.#parts = parts
    this.#reader = new StreamReader(parts.connection)
  }

  async take(): Promise<LiveModel> {
    const { connection, ingest, conductor, latency, environment, metricsUrl, apiUrl, incidents } = this.#parts
    const [host, port] = connection.address.split(':')
    const stats = ingest?.dispatcher?.stats()
    const nowMs = performance.now()
    const seconds = Math.max(0.001, (nowMs - this.#lastMs) / 1000)
    const sinceMs = Date.now() - seconds * 1000
    this.#lastMs = nowMs
    const counts = new Map<string, { events: number; gaps: number }>()
    for (const [market, instruments] of Object.entries(stats?.events ?? {})) {
      for (const [instrument, types] of Object.entries(instruments)) {
        let events = 0
        let gaps = 0
        for (const [type, count] of Object.entries(types)) {
          if (type.endsWith('.GAP')) gaps += count
          else events += count
        }
        counts.set(`${market}:${instrument}`, { events, gaps })
      }
    }
    const before = this.#lastCounts
    this.#lastCounts = new Map([...counts].map(([name, { events }]) => [name, events]))
    const busiest = [...counts].sort((a, b) => b[1].events - a[1].events)
    const rows = await Promise.all(
      busiest
        .slice(0, ROWS_MAX)
        .map(([name, count]) => this.#row(name, count, (count.events - (before.get(name) ?? 0)) / seconds, sinceMs)),
    )
    const total = [...counts.values()].reduce((sum, { events }) => sum + events, 0)
    const totalBefore = [...before.values()].reduce((sum, events) => sum + events, 0)
    const fused = conductor?.stats().commits ?? 0
    const fusedBefore = this.#lastFused
    this.#lastFused = fused
    return {
      environment,
      elapsedSeconds: (nowMs - this.#startedMs) / 1000,
      rows,
      more: Math.max(0, busiest.length - ROWS_MAX),
      totals: {
        eventsPerSecond: (total - totalBefore) / seconds,
        events: total,
        gaps: stats?.gaps ?? 0,
        deadLetters: stats?.deadLetters ?? 0,
        fusedPerSecond: conductor === null ? null : (fused - fusedBefore) / seconds,
      },
      latencyUs: latency.takeInterval(),
      incidents: incidents(),
      places: [
        ['redis', port === undefined ? connection.address : `redis-cli -h ${host} -p ${port}`],
        ...(metricsUrl === null ? [] : [['metrics', `${metricsUrl}/metrics`] as const]),
        ...(apiUrl === null ? [] : [['api', `${apiUrl}/docs`] as const]),
        ['docs', 'README.md, docs/contract.md, docs/simulator.md'],
      ],
    }
  }

  async #row(
    name: string,
    count: { events: number; gaps: number },
    eventsPerSecond: number,
    sinceMs: number,
  ): Promise<LiveRow> {
    const { keys, ingest } = this.#parts
    const at = name.indexOf(':')
    const market = asMarket(name.slice(0, at))
    const instrument = asInstrument(name.slice(at + 1))
    const [quotes, trades] = await Promise.all([
      this.#reader.newest(keys.stream(market, instrument, Channel.Quote), LATENCY_ENTRIES_MAX),
      this.#reader.newest(keys.stream(market, instrument, Channel.Trade), LATENCY_ENTRIES_MAX),
    ])
    const [quote] = quotes
    const [trade] = trades
    const bestOf =
      quote?.fields.type === 'QUOTE' ? (JSON.parse(quote.fields.data ?? '{}') as Record<string, string>) : {}
    const lastOf =
      trade?.fields.type === 'TRADE' ? (JSON.parse(trade.fields.data ?? '{}') as Record<string, string>) : {}
    return {
      instrument,
      eventsPerSecond,
      bid: shorten(bestOf.bidPrice),
      ask: shorten(bestOf.askPrice),
      lastTrade:
        lastOf.price === undefined ? '-' : `${lastOf.side} ${shorten(lastOf.quantity)} @ ${shorten(lastOf.price)}`,
      quality: ingest?.dispatcher?.bookShown(instrument)?.quality ?? '-',
      gaps: count.gaps,
      latencyMs: latencyOf([...quotes, ...trades], sinceMs),
    }
  }
}

/** What came by the venue's stream since then; what was fetched later arrived with its answer and says nothing of the stream. */
function latencyOf(records: readonly StreamRecord[], sinceMs: number): LiveRow['latencyMs'] {
  const latencies = records
    .filter(({ fields }) => fields.source?.includes('.ws.'))
    .map(({ id, fields }) => ({ atMs: Number.parseInt(id, 10), receivedMs: Number(fields.receivedTime) / 1000 }))
    .filter(({ atMs }) => atMs > sinceMs)
    .map(({ atMs, receivedMs }) => Math.max(0, atMs - Math.floor(receivedMs)))
    .sort((one, other) => one - other)
  const at = (share: number): number | undefined => latencies[Math.ceil(share * latencies.length) - 1]
  const p50 = at(0.5)
  const p99 = at(0.99)
  return p50 === undefined || p99 === undefined ? null : { p50, p99 }
}

/** Prices with the venue's padding zeros taken off, for the eye alone. */
function shorten(price: string | undefined): string {
  if (price === undefined) return '-'
  return price.includes('.') ? price.replace(/\.?0+$/, '') : price
}
