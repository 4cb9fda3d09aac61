import type { Offer } from '../src/bus/publish.ts'
import { type Level, Quality } from '../src/domain/event.ts'
import { asInstrument, asMarket, partitionOf } from '../src/domain/instrument.ts'
import { RedisConnection, redisAt } from '../src/redis/connection.ts'
import { RedisEventBus } from '../src/redis/event-bus.ts'
import type { Keys } from '../src/redis/keys.ts'

export const MARKET = asMarket('BINANCE-SPOT')
export const INSTRUMENT = asInstrument('BTC-USDT')
export const PARTITIONS = 16
export const PARTITION = partitionOf(MARKET, INSTRUMENT, PARTITIONS)
/** Levels a side. */
export const LEVELS = 1_000
const DELTAS_PER_CALL = 100
const TICK = 0.01
const MIDDLE = 60_000
/** Changes lie within so many levels of the top, as the venue's do. */
const REACH = 200

/** A book and its changes, the same every time. */
export class BookStory {
  #state = 42

  snapshot(): { bids: Level[]; asks: Level[] } {
    const side = (sign: number): Level[] =>
      Array.from({ length: LEVELS }, (_, index) => [priceAt(sign, index), this.#quantity()])
    return { bids: side(-1), asks: side(1) }
  }

  /** So many different levels, half of them bids; one in five goes. */
  changes(count: number): { bids: Level[]; asks: Level[] } {
    const side = (sign: number, levels: number): Level[] => {
      const places = new Set<number>()
      while (places.size < levels) places.add(this.#below(REACH))
      return [...places].map((index) => [priceAt(sign, index), this.#below(5) === 0 ? '0.00000000' : this.#quantity()])
    }
    return { bids: side(-1, Math.floor(count / 2)), asks: side(1, Math.ceil(count / 2)) }
  }

  #quantity(): string {
    return `${this.#below(9)}.${String(10_000_000 + this.#below(89_999_999))}`
  }

  #below(bound: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((this.#state / 2 ** 32) * bound)
  }
}

const priceAt = (sign: number, index: number): string => (MIDDLE + sign * (index + 1) * TICK).toFixed(8)

export async function openConnections(url: string) {
  const connection = new RedisConnection(redisAt(url), 'command')
  const waiting = new RedisConnection(redisAt(url), 'blocking')
  await Promise.all([connection.ready(), waiting.ready()])
  const close = (): void => {
    connection.close()
    waiting.close()
  }
  return { connection, waiting, close }
}

/** A snapshot of 1,000 levels a side and so many deltas of 10 levels, as the dispatcher would append them. */
export async function publishDeltas(connection: RedisConnection, keys: Keys, count: number): Promise<void> {
  const bus = new RedisEventBus({ connection, keys, retention: {} })
  const story = new BookStory()
  const base = {
    trace: '0af7651916cd43dd8448eb211c80319c',
    declare: '',
    refresh: false,
    receivedTimeUs: 1723161254087891,
  } as const
  const whole = JSON.stringify({ last: '1000', ...story.snapshot(), depth: LEVELS })
  const offers: Offer[] = [
    { ...base, kind: 'SNAPSHOT', id: '1000', first: '', venueTimeUs: null, source: 'binance.rest.depth', data: whole },
  ]
  for (let index = 0; index < count; index++) {
    const last = String(1_001 + index)
    const data = JSON.stringify({ first: last, last, ...story.changes(10) })
    offers.push({
      ...base,
      kind: 'DELTA',
      id: last,
      first: last,
      venueTimeUs: 1723161254087000,
      source: 'binance.ws.depth',
      data,
    })
  }
  const batch = {
    market: MARKET,
    instrument: INSTRUMENT,
    channel: 'ORDERBOOK',
    tableVersion: 1,
    numbering: '',
    quality: Quality.Live,
    epoch: '',
  } as const
  for (let at = 0; at < offers.length; at += DELTAS_PER_CALL) {
    await bus.publish([{ ...batch, offers: offers.slice(at, at + DELTAS_PER_CALL) }])
  }
}
