import { expect } from 'chai'
import { Channel } from '../../../src/domain/event.ts'
import { asMarket, asVenueSymbol } from '../../../src/domain/instrument.ts'
import { BinanceStreams, parseTopic, topicFor } from '../../../src/venues/binance/binance.ts'

const btc = asVenueSymbol('BTCUSDT')

function adapter(streamUrl: string, timeUnit: 'ms' | 'us' = 'ms'): BinanceStreams {
  return new BinanceStreams({ market: asMarket('BINANCE-SPOT'), streamUrl, timeUnit })
}

describe('Binance topics', () => {
  const cases = [
    [Channel.Trade, {}, 'btcusdt@trade', 'trade', null],
    [Channel.Trade, { via: 'aggTrade' }, 'btcusdt@aggTrade', 'aggTrade', null],
    [Channel.Quote, {}, 'btcusdt@bookTicker', null, null],
    [Channel.Ticker, {}, 'btcusdt@ticker', null, null],
    [Channel.Kline, { interval: '1M' }, 'btcusdt@kline_1M', null, '1M'],
    [Channel.OrderBook, {}, 'btcusdt@depth@100ms', null, null],
  ] as const
  for (const [channel, options, topic, numbering, interval] of cases) {
    it(`names ${topic} and reads it back`, () => {
      expect(topicFor(channel, btc, options)).to.equal(topic)
      expect(parseTopic(topic)).to.deep.equal({ topic, symbol: btc, channel, numbering, interval })
    })
  }

  it('reads the slow depth stream as the same channel', () => {
    expect(parseTopic('btcusdt@depth')?.channel).to.equal(Channel.OrderBook)
  })

  for (const topic of ['', '@trade', 'btcusdt', 'btcusdt@', 'btcusdt@depth5', 'btcusdt@miniTicker', '!ticker_1h@arr']) {
    it(`answers null for ${JSON.stringify(topic)}`, () => {
      expect(parseTopic(topic)).to.equal(null)
    })
  }

  it('leaves letters outside ASCII as they are', () => {
    const symbol = asVenueSymbol('İÉ币USDT')
    const topic = topicFor(Channel.Trade, symbol)
    expect(topic).to.equal('İÉ币usdt@trade')
    expect(parseTopic(topic)?.symbol).to.equal(symbol)
  })
})

describe('BinanceStreams', () => {
  it('opens combined connections and asks for microseconds where configured', () => {
    expect(adapter('wss://stream.binance.com:9443').url()).to.equal('wss://stream.binance.com:9443/stream')
    expect(adapter('ws://127.0.0.1:8080/', 'us').url()).to.equal('ws://127.0.0.1:8080/stream?timeUnit=MICROSECOND')
  })

  it('writes control messages in the form that the venue documents', () => {
    const streams = adapter('wss://stream.binance.com:9443')
    const topics = ['btcusdt@aggTrade', '币usdt@depth@100ms']
    expect(streams.encodeSubscribe(1, topics)).to.equal(
      '{"method":"SUBSCRIBE","params":["btcusdt@aggTrade","币usdt@depth@100ms"],"id":1}',
    )
    expect(JSON.parse(streams.encodeUnsubscribe(2, topics))).to.deep.equal({
      method: 'UNSUBSCRIBE',
      params: topics,
      id: 2,
    })
    expect(streams.encodeListSubscriptions(3)).to.equal('{"method":"LIST_SUBSCRIPTIONS","id":3}')
  })

  it('is sure of a stale neighbour only where the venue leaves no other way', () => {
    const streams = adapter('wss://stream.binance.com:9443')
    const proofs = [
      ['btcusdt@depth@100ms', 'btcusdt@bookTicker', 'data', true],
      ['btcusdt@bookTicker', 'btcusdt@depth@100ms', 'data', false],
      ['btcusdt@depth@100ms', 'btcusdt@trade', 'data', false],
      ['btcusdt@bookTicker', 'btcusdt@trade', 'data', false],
      ['btcusdt@aggTrade', 'btcusdt@trade', 'data', true],
      ['btcusdt@trade', 'btcusdt@aggTrade', 'data', true],
      ['btcusdt@kline_1m', 'btcusdt@trade', 'data', true],
      ['btcusdt@ticker', 'btcusdt@aggTrade', 'data', true],
      ['btcusdt@trade', 'btcusdt@ticker', 'data', false],
      ['btcusdt@trade', 'btcusdt@ticker', 'trades', true],
      ['btcusdt@trade', 'btcusdt@kline_1h', 'trades', true],
      ['btcusdt@kline_1m', 'btcusdt@ticker', 'trades', true],
      ['btcusdt@bookTicker', 'btcusdt@ticker', 'trades', false],
      ['btcusdt@bookTicker', 'btcusdt@ticker', 'best', true],
      ['btcusdt@depth@100ms', 'btcusdt@ticker', 'best', false],
    ] as const
    for (const [topic, moved, sign, sure] of proofs)
      expect(streams.mustMoveWith(topic, moved, sign), `${topic} with ${sign} of ${moved}`).to.equal(sure)
  })
})
