import type { DeadLetter } from '../../src/dispatcher/dead-letters.ts'
import {
  Dispatcher,
  type DispatcherIncident,
  type DispatcherLimits,
  defaultDispatcherLimits,
} from '../../src/dispatcher/dispatcher.ts'
import { buildDispatchTable, type RouteRule } from '../../src/dispatcher/table.ts'
import type { GapCause, Level, TradeNumbering } from '../../src/domain/event.ts'
import {
  asInstrument,
  asMarket,
  asVenueSymbol,
  type InstrumentInfo,
  type VenueSymbol,
} from '../../src/domain/instrument.ts'
import type { ShownQuality } from '../../src/domain/quality.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { parseTopic, topicFor } from '../../src/venues/binance/topics.ts'
import type {
  VenueBookDelta,
  VenueBookSnapshot,
  VenueKline,
  VenueQuote,
  VenueRest,
  VenueTicker,
  VenueTrade,
} from '../../src/venues/venue.ts'
import { NaiveBus } from './naive-bus.ts'

export const market = asMarket('BINANCE-SPOT')

export function info(instrument: string, status = 'TRADING'): InstrumentInfo {
  const [base = '', quote = ''] = instrument.split('-')
  return {
    market,
    instrument: asInstrument(instrument),
    symbol: asVenueSymbol(base + quote),
    base,
    quote,
    tickSize: '0.01',
    stepSize: '0.00001',
    minNotional: '5',
    status,
  }
}

export const allRules: readonly RouteRule[] = [
  { type: 'TRADE', market, instruments: ['*'] },
  { type: 'QUOTE', market, instruments: ['*'] },
  { type: 'TICKER', market, instruments: ['*'] },
  { type: 'KLINE', market, instruments: ['*'], intervals: ['1m', '5m'] },
  { type: 'ORDERBOOK', market, instruments: ['*'] },
]

const names = { topicFor, parseTopic }

export function tableOf(rules = allRules, instruments = [info('BTC-USDT'), info('ETH-USDT')], available?: string[]) {
  const set = available === undefined ? null : new Set(available)
  return buildDispatchTable({ version: 1, market, rules, instruments, names, available: set })
}

/** A request that the test answers when it likes. */
export interface Asked<Answer> {
  readonly symbol: VenueSymbol
  readonly args: readonly unknown[]
  readonly answer: (answer: Answer) => void
  readonly fail: (error: unknown) => void
}

export class ScriptedRest implements VenueRest {
  readonly snapshots: Asked<VenueBookSnapshot>[] = []
  readonly trades: Asked<readonly VenueTrade[]>[] = []
  readonly klines: Asked<readonly VenueKline[]>[] = []

  fetchInstruments = async () => []
  fetchTime = async () => 0
  fetchBookSnapshot = (symbol: VenueSymbol) => ask(this.snapshots, symbol, [])
  fetchTrades = (symbol: VenueSymbol, numbering: TradeNumbering, fromId: number, limit: number) =>
    ask(this.trades, symbol, [numbering, fromId, limit])
  fetchKlines = (symbol: VenueSymbol, interval: string, from: number, to: number) =>
    ask(this.klines, symbol, [interval, from, to])
}

function ask<Answer>(list: Asked<Answer>[], symbol: VenueSymbol, args: readonly unknown[]): Promise<Answer> {
  return new Promise((answer, fail) => list.push({ symbol, args, answer, fail }))
}

/** Levels and best prices of most tests here are made up and prove nothing. */
export const unproved = { ...defaultDispatcherLimits.books, proved: false }

type TickerBase = Pick<VenueTicker, 'topic' | 'symbol' | 'venueTimeUs' | 'receivedTimeUs' | 'source'>

/** Statistics of a day, always the same ones. */
export function tickerOf(base: TickerBase, closeTimeUs: number): VenueTicker {
  const numbers = {
    openTimeUs: closeTimeUs - 86_400_000_000,
    closeTimeUs,
    firstTradeId: 1,
    lastTradeId: 9,
    trades: 9,
  }
  const prices = {
    open: '1',
    high: '3',
    low: '0.5',
    last: '2',
    lastQuantity: '4',
    change: '-1',
    changePercent: '-0.1',
  }
  const more = {
    vwap: '1.2',
    volume: '7',
    quoteVolume: '8',
    bidPrice: '1',
    bidQuantity: '2',
    askPrice: '3',
    askQuantity: '4',
  }
  return { ...base, kind: 'ticker', ...numbers, ...prices, ...more }
}

/** A dispatcher between a scripted venue and the naive bus, on a manual clock. */
export class World {
  readonly clock = new ManualClock()
  readonly bus: NaiveBus
  readonly rest = new ScriptedRest()
  readonly letters: DeadLetter[] = []
  readonly incidents: DispatcherIncident[] = []
  readonly latencies: number[] = []
  readonly qualities: string[] = []
  /** What stands where qualities are said, whoever said it. */
  readonly standing: Map<string, ShownQuality>
  /** How many books each read asked for. */
  readonly qualityReads: number[] = []
  /** Whether another process's lines feed the same streams. */
  covered: boolean
  /** Whether a read is answered; it may reject too. */
  readQualities: () => Promise<boolean> = async () => true
  readonly dispatcher: Dispatcher

  constructor(
    options: {
      limits?: Partial<DispatcherLimits>
      books?: DispatcherLimits['books']
      bus?: NaiveBus
      table?: ReturnType<typeof tableOf>
      covered?: boolean
      standing?: Map<string, ShownQuality>
    } = {},
  ) {
    this.standing = options.standing ?? new Map()
    this.covered = options.covered ?? false
    this.bus = options.bus ?? new NaiveBus()
    this.dispatcher = new Dispatcher({
      market,
      table: options.table ?? tableOf(),
      bus: this.bus,
      rest: this.rest,
      clock: this.clock,
      partitions: 16,
      lanes: 1,
      deadLetters: { append: async (letter) => void this.letters.push(letter) },
      latency: { record: (us) => this.latencies.push(us) },
      incident: (incident) => this.incidents.push(incident),
      random: () => 0.5,
      covered: () => this.covered,
      qualities: {
        write: async (told) => {
          for (const { instrument, shown } of told) {
            this.qualities.push(`${instrument} ${shown.quality} ${shown.reason}`.trim())
            this.standing.set(instrument, shown)
          }
        },
        read: async (books) => {
          this.qualityReads.push(books.length)
          const answer = await this.readQualities()
          return answer ? books.map(({ instrument }) => this.standing.get(instrument) ?? null) : new Promise(() => {})
        },
      },
      limits: { ...options.limits, books: options.books ?? unproved },
    })
  }

  /** Lets everything happen that can happen without time passing. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 40; turn++) await new Promise((resolve) => setImmediate(resolve))
  }

  async advance(ms: number): Promise<void> {
    await this.settle()
    this.clock.advance(ms)
    await this.settle()
  }

  base(topic: string, symbol: string, source = `binance.ws.${topic.split('@')[1]}`) {
    const receivedTimeUs = this.clock.nowUs()
    return { topic, symbol: asVenueSymbol(symbol), venueTimeUs: receivedTimeUs - 5_000, receivedTimeUs, source }
  }

  trade(id: number, symbol = 'BTCUSDT', numbering: TradeNumbering = 'trade'): VenueTrade {
    const topic = `${symbol.toLowerCase()}@${numbering}`
    return { ...this.base(topic, symbol), kind: 'trade', numbering, id, price: '1.50', quantity: '2.00', side: 'buy' }
  }

  restTrade(id: number, symbol = 'BTCUSDT'): VenueTrade {
    return {
      ...this.trade(id, symbol),
      topic: `rest:historicalTrades:${symbol}`,
      source: 'binance.rest.historicalTrades',
    }
  }

  quote(updateId: number, symbol = 'BTCUSDT'): VenueQuote {
    const base = this.base(`${symbol.toLowerCase()}@bookTicker`, symbol)
    const prices = { bidPrice: '1.0', bidQuantity: '2', askPrice: '1.1', askQuantity: '3' }
    return { ...base, venueTimeUs: null, kind: 'quote', updateId, ...prices }
  }

  ticker(closeTimeUs: number, symbol = 'BTCUSDT'): VenueTicker {
    return tickerOf(this.base(`${symbol.toLowerCase()}@ticker`, symbol), closeTimeUs)
  }

  kline(openTimeUs: number, trades: number, closed: boolean, interval = '1m', symbol = 'BTCUSDT'): VenueKline {
    const base = this.base(`${symbol.toLowerCase()}@kline_${interval}`, symbol)
    const prices = { open: '1', high: '3', low: '0.5', close: '2', volume: '7', quoteVolume: '8' }
    const taker = { takerBuyVolume: '3', takerBuyQuoteVolume: '4' }
    const closeTimeUs = openTimeUs + (interval === '1m' ? 60_000_000 : 300_000_000) - 1_000
    const ids = { firstTradeId: null, lastTradeId: null }
    return { ...base, kind: 'kline', interval, openTimeUs, closeTimeUs, trades, closed, ...prices, ...taker, ...ids }
  }

  delta(first: number, last: number, symbol = 'BTCUSDT', bids: Level[] = [['1.0', `${last}`]]): VenueBookDelta {
    const base = this.base(`${symbol.toLowerCase()}@depth@100ms`, symbol)
    return { ...base, kind: 'delta', first, last, bids, asks: [['2.0', '1']] }
  }

  snapshot(last: number, symbol = 'BTCUSDT', bids: Level[] = [['1.0', `${last}`]]): VenueBookSnapshot {
    const base = this.base(`rest:depth:${symbol}`, symbol, 'binance.rest.depth')
    return { ...base, venueTimeUs: null, kind: 'snapshot', last, bids, asks: [['2.0', '1']], depth: 1000 }
  }

  interrupted(topic: string, cause: GapCause = 'disconnect'): void {
    this.dispatcher.interrupted([topic], cause)
  }
}
