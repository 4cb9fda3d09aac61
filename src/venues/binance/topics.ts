import { Channel, type TradeNumbering } from '../../domain/event.ts'
import { asVenueSymbol, type VenueSymbol } from '../../domain/instrument.ts'

/** Every kline interval the venue knows. */
export const KLINE_INTERVALS = [
  '1s',
  '1m',
  '3m',
  '5m',
  '15m',
  '30m',
  '1h',
  '2h',
  '4h',
  '6h',
  '8h',
  '12h',
  '1d',
  '3d',
  '1w',
  '1M',
] as const

const intervals: ReadonlySet<string> = new Set(KLINE_INTERVALS)

export type StreamedChannel = Exclude<Channel, typeof Channel.Analytics>

/** What a native topic carries. */
export interface Topic {
  readonly topic: string
  readonly symbol: VenueSymbol
  readonly channel: StreamedChannel
  /** `TRADE` only. */
  readonly numbering: TradeNumbering | null
  /** `KLINE` only. */
  readonly interval: string | null
}

export interface TopicOptions {
  /** Which of the venue's two trade streams; `trade` when absent. */
  readonly via?: TradeNumbering
  /** Kline interval; `1m` when absent. */
  readonly interval?: string
}

/** The native topic of a channel, for example `btcusdt@depth@100ms`. */
export function topicFor(channel: StreamedChannel, symbol: VenueSymbol, options: TopicOptions = {}): string {
  const name = lowerCaseAscii(symbol)
  switch (channel) {
    case Channel.Trade:
      return `${name}@${options.via ?? 'trade'}`
    case Channel.Quote:
      return `${name}@bookTicker`
    case Channel.Ticker:
      return `${name}@ticker`
    case Channel.Kline:
      return `${name}@kline_${options.interval ?? '1m'}`
    case Channel.OrderBook:
      return `${name}@depth@100ms`
  }
}

/**
 * What a topic carries, null for those that have no canonical type here: partial books (`@depth20`), mini tickers, rolling
 * windows, klines of a shifted day (`@kline_1d@+08:00`, whose bars would stand beside the UTC ones under one name).
 */
export function parseTopic(topic: string): Topic | null {
  const at = topic.indexOf('@')
  if (at <= 0 || topic.charCodeAt(0) === EXCLAMATION) return null
  const word = topic.slice(at + 1)
  const symbol = asVenueSymbol(upperCaseAscii(topic.slice(0, at)))
  switch (word) {
    case 'trade':
    case 'aggTrade':
      return { topic, symbol, channel: Channel.Trade, numbering: word, interval: null }
    case 'bookTicker':
      return { topic, symbol, channel: Channel.Quote, numbering: null, interval: null }
    case 'ticker':
      return { topic, symbol, channel: Channel.Ticker, numbering: null, interval: null }
    case 'depth':
    case 'depth@100ms':
      return { topic, symbol, channel: Channel.OrderBook, numbering: null, interval: null }
  }
  if (!word.startsWith('kline_')) return null
  const interval = word.slice('kline_'.length)
  if (!intervals.has(interval)) return null
  return { topic, symbol, channel: Channel.Kline, numbering: null, interval }
}

const EXCLAMATION = 33

/** Some symbols hold letters outside ASCII, and the venue changes the case of none of those. */
export function lowerCaseAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

function upperCaseAscii(text: string): string {
  return text.replace(/[a-z]+/g, (letters) => letters.toUpperCase())
}
