import type { Market } from '../../domain/instrument.ts'
import type { ConnectionLimits, Frame, Sign, StreamProtocol } from '../venue.ts'
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
   * The best price has an update id that some depth update must cover; all streams of trades, statistics and bars show a
   * trade within the 2 s of the slowest; the statistics carry the best price, so another one there must be told by
   * `bookTicker`. Nothing else is sure: a deep level moves no best price, an iceberg order may trade without a level
   * moving, and statistics move without a trade when one leaves their window.
   */
  mustMoveWith(topic: string, moved: string, sign: Sign): boolean {
    const word = wordOf(topic)
    const by = wordOf(moved)
    switch (sign) {
      case 'data':
        if (by === 'bookTicker') return word === 'depth@100ms' || word === 'depth'
        return (by === 'trade' || by === 'aggTrade') && by !== word && tellsTrades(word)
      case 'trades':
        return (by === 'ticker' || isKline(by)) && by !== word && tellsTrades(word)
      case 'best':
        return by === 'ticker' && word === 'bookTicker'
    }
  }

  parseFrame(text: string, receivedTimeUs: number): Frame {
    return this.#parser.parse(text, receivedTimeUs)
  }
}

function wordOf(topic: string): string {
  return topic.slice(topic.indexOf('@') + 1)
}

function isKline(word: string): boolean {
  return word.startsWith('kline_')
}

function tellsTrades(word: string): boolean {
  return word === 'trade' || word === 'aggTrade' || word === 'ticker' || isKline(word)
}
