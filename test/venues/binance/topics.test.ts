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
    expect(streams.mustMoveWith('btcusdt@depth@100ms', 'btcusdt@bookTicker')).to.equal(true)
    expect(streams.mustMoveWith('btcusdt@aggTrade', 'btcusdt@trade')).to.equal(true)
    expect(streams.mustMoveWith('btcusdt@trade', 'btcusdt@aggTrade')).to.equal(true)
    expect(streams.mustMoveWith('btcusdt@bookTicker', 'btcusdt@depth@100ms')).to.equal(false)
    expect(streams.mustMoveWith('btcusdt@depth@100ms', 'btcusdt@trade')).to.equal(false)
    expect(streams.mustMoveWith('btcusdt@kline_1m', 'btcusdt@trade')).to.equal(false)
    expect(streams.mustMoveWith('btcusdt@depth@100ms', 'btcusdt@ticker')).to.equal(false)
  })
})
