import { loadConfig } from '../src/config/load.ts'
import { offerOf, payloadOf } from '../src/dispatcher/canonical.ts'
import { Channel, Quality } from '../src/domain/event.ts'
import { asInstrument, asMarket, asVenueSymbol } from '../src/domain/instrument.ts'
import { RedisConnection } from '../src/redis/connection.ts'
import { RedisEventBus } from '../src/redis/event-bus.ts'
import { Keys } from '../src/redis/keys.ts'
import type { VenueEvent } from '../src/venues/venue.ts'
import { openRedis } from './runs.ts'

export interface Sizes {
  /** Bytes of Redis memory an event. */
  readonly trade: number
  readonly quote: number
  readonly delta20: number
  readonly nodeMaxBytes: string
  readonly nodeMaxEntries: string
}

const EVENTS = 10_000
const EVENTS_A_CALL = 200
const START_US = 1_723_161_254_087_891
const market = asMarket('BINANCE-SPOT')
const instrument = asInstrument('BTC-USDT')
const symbol = asVenueSymbol('BTCUSDT')

/** What an event weighs in a stream that is written as Meltica writes it and never trimmed, by MEMORY USAGE of the whole stream. */
export async function measureSizes(): Promise<Sizes> {
  const redis = await openRedis()
  const connection = new RedisConnection(loadConfig({ redis: redis.url }).config.redis, 'command')
  try {
    await connection.ready()
    const keys = new Keys('sizes', 16)
    const bus = new RedisEventBus({ connection, keys, retention: {} })
    const measure = async (channel: Channel, eventAt: (index: number) => VenueEvent): Promise<number> => {
      for (let at = 0; at < EVENTS; at += EVENTS_A_CALL) {
        const offers = Array.from({ length: EVENTS_A_CALL }, (_, index) => {
          const event = eventAt(at + index)
          return offerOf(event, payloadOf(event), (at + index).toString(16).padStart(32, '0'))
        })
        const batch = { market, instrument, channel, tableVersion: 1, quality: Quality.Live, epoch: '', offers }
        await bus.publish([{ ...batch, numbering: channel === Channel.Trade ? 'trade' : '' }])
      }
      const stream = keys.stream(market, instrument, channel)
      const entries = await redis.client.xlen(stream)
      const bytes = (await redis.client.memory('USAGE', stream, 'SAMPLES', 0)) ?? 0
      return bytes / entries
    }
    const common = (index: number, topic: string) => ({
      topic,
      symbol,
      venueTimeUs: START_US + index * 1000,
      receivedTimeUs: START_US + index * 1000 + 731,
      source: `binance.ws.${topic.slice(topic.indexOf('@') + 1).replace('@100ms', '')}`,
    })
    const trade = await measure(Channel.Trade, (index) => ({
      ...common(index, 'btcusdt@trade'),
      kind: 'trade',
      numbering: 'trade',
      id: 3_735_683_259 + index,
      price: `${61_000 + (index % 900)}.63000000`,
      quantity: '0.02000000',
      side: index % 2 === 0 ? 'sell' : 'buy',
    }))
    const quote = await measure(Channel.Quote, (index) => ({
      ...common(index, 'btcusdt@bookTicker'),
      venueTimeUs: null,
      kind: 'quote',
      updateId: 50_093_239_212 + index,
      bidPrice: '61837.63000000',
      bidQuantity: '3.78826000',
      askPrice: '61837.64000000',
      askQuantity: '1.54698000',
    }))
    const side = (index: number) =>
      Array.from({ length: 10 }, (_, at) => [`${61_000 + at}.63000000`, `${index % 9}.54698000`] as const)
    const delta20 = await measure(Channel.OrderBook, (index) =>
      index === 0
        ? { ...common(0, 'btcusdt@depth@100ms'), kind: 'snapshot', last: 1_000, bids: [], asks: [], depth: 1_000 }
        : {
            ...common(index, 'btcusdt@depth@100ms'),
            kind: 'delta',
            first: 1_000 + index * 16 - 15,
            last: 1_000 + index * 16,
            bids: side(index),
            asks: side(index + 1),
          },
    )
    const setting = async (name: string) => ((await redis.client.config('GET', name)) as string[])[1] ?? ''
    return {
      trade,
      quote,
      delta20,
      nodeMaxBytes: await setting('stream-node-max-bytes'),
      nodeMaxEntries: await setting('stream-node-max-entries'),
    }
  } finally {
    connection.close()
    await redis.stop()
  }
}
