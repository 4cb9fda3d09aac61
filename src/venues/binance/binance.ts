import type { Market } from '../../domain/instrument.ts'
import type { ConnectionLimits, Frame, StreamProtocol } from '../venue.ts'
import { FrameParser } from './frames.ts'

export { BinanceRest, type BinanceRestOptions } from './rest.ts'
export { KLINE_INTERVALS, parseTopic, type StreamedChannel, type Topic, type TopicOptions, topicFor } from './topics.ts'

export interface BinanceStreamsOptions {
  readonly market: Market
  /** Base address without path, for example `wss://stream.binance.com:9443`. */
  readonly streamUrl: string
  /** Unit of the times that the connections ask for; `ms` when absent. */
  readonly timeUnit?: 'ms' | 'us'
  /** A longer frame is rejected unread; 4 MiB when absent. */
  readonly frameBytesMax?: number
}

/**
 * Binance Spot market streams over combined connections: every payload comes with its topic, which alone tells what
 * `bookTicker` payloads are.
 *
 * Source: binance/binance-spot-api-docs web-socket-streams.md "General WSS information", "WebSocket Limits", read 2026-07.
 */
export class BinanceStreams implements StreamProtocol {
  readonly market: Market
  readonly limits: ConnectionLimits = {
    topicsPerConnectionMax: 1_024,
    inboundMessagesPerSecondMax: 5,
    connectsPerWindowMax: 300,
    connectsWindowMs: 300_000,
    lifetimeMs: 24 * 3_600_000,
    pingIntervalMs: 20_000,
    subscribeTopicsPerMessageMax: 200,
    // Undocumented: a message above 4,088 bytes is never answered (binance/binance-connector-rust issue 27).
    subscribeBytesPerMessageMax: 4_000,
  }
  readonly #url: string
  readonly #parser: FrameParser

  constructor(options: BinanceStreamsOptions) {
    this.market = options.market
    const base = options.streamUrl.replace(/\/$/, '')
    this.#url = options.timeUnit === 'us' ? `${base}/stream?timeUnit=MICROSECOND` : `${base}/stream`
    this.#parser = new FrameParser({
      usPerUnit: options.timeUnit === 'us' ? 1 : 1_000,
      frameBytesMax: options.frameBytesMax ?? 4 * 1_024 * 1_024,
    })
  }

  url(): string {
    return this.#url
  }

  encodeSubscribe(id: number, topics: readonly string[]): string {
    return JSON.stringify({ method: 'SUBSCRIBE', params: topics, id })
  }

  encodeUnsubscribe(id: number, topics: readonly string[]): string {
    return JSON.stringify({ method: 'UNSUBSCRIBE', params: topics, id })
  }

  encodeListSubscriptions(id: number): string {
    return JSON.stringify({ method: 'LIST_SUBSCRIPTIONS', id })
  }

  /**
   * The best price has an update id that some depth update must cover, and both trade streams tell the same trades. Nothing
   * else is sure: a deep level moves no best price, and an iceberg order may trade without a level moving.
   */
  mustMoveWith(topic: string, moved: string): boolean {
    const word = topic.slice(topic.indexOf('@') + 1)
    switch (moved.slice(moved.indexOf('@') + 1)) {
      case 'bookTicker':
        return word === 'depth@100ms' || word === 'depth'
      case 'trade':
        return word === 'aggTrade'
      case 'aggTrade':
        return word === 'trade'
      default:
        return false
    }
  }

  parseFrame(text: string, receivedTimeUs: number): Frame {
    return this.#parser.parse(text, receivedTimeUs)
  }
}
