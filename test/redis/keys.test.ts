import { expect } from 'chai'
import { asInstrument, asMarket } from '../../src/domain/instrument.ts'
import { matchesPattern } from '../../src/redis/catalog.ts'
import { Keys } from '../../src/redis/keys.ts'

const market = asMarket('BINANCE-SPOT')
const btc = asInstrument('BTC-USDT')

describe('keys', () => {
  const keys = new Keys('meltica', 16)

  it('are those of the wire contract', () => {
    expect([
      keys.stream(market, btc, 'TRADE'),
      keys.gaps(market, btc, 'TRADE'),
      keys.book(market, btc),
      keys.instrument(market, btc),
      keys.state(market, btc),
      keys.bell(7),
      keys.catalog,
      keys.meta,
    ]).to.deep.equal([
      'meltica:{7}:BINANCE-SPOT:BTC-USDT:TRADE',
      'meltica:{7}:BINANCE-SPOT:BTC-USDT:TRADE:gaps',
      'meltica:{7}:BINANCE-SPOT:BTC-USDT:book',
      'meltica:{7}:BINANCE-SPOT:BTC-USDT:instrument',
      'meltica:{7}:BINANCE-SPOT:BTC-USDT:state',
      'meltica:{7}:bell',
      'meltica:catalog',
      'meltica:meta',
    ])
    expect(
      [asInstrument('ETH-USDT'), asInstrument('BNB-USDT')].map((one) => keys.partition(market, one)),
    ).to.deep.equal([13, 2])
  })

  it('of streams are read back, and of nothing else', () => {
    const odd = asInstrument('币安-人生:X')
    for (const instrument of [btc, odd]) {
      const name = { market, instrument, channel: 'ORDERBOOK' } as const
      expect(keys.parseStream(keys.stream(market, instrument, 'ORDERBOOK'))).to.deep.equal(name)
      expect(Keys.parseCatalogField(Keys.catalogField(name))).to.deep.equal(name)
    }
    for (const key of [
      keys.bell(7),
      keys.state(market, btc),
      keys.gaps(market, btc, 'TRADE'),
      'other:{7}:BINANCE-SPOT:BTC-USDT:TRADE',
      'meltica:{3}:BINANCE-SPOT:BTC-USDT:TRADE',
      '',
    ]) {
      expect(keys.parseStream(key), key).to.equal(null)
    }
    for (const field of ['TRADE', 'A:TRADE', '::TRADE', 'A:B:NOTHING'])
      expect(Keys.parseCatalogField(field), field).to.equal(null)
  })
})

describe('pattern over the catalog', () => {
  it('takes * for any characters, several times', () => {
    const name = 'BINANCE-SPOT:BTC-USDT:TRADE'
    for (const pattern of [
      name,
      '*',
      '*:TRADE',
      'BINANCE-SPOT:*',
      '*BTC*',
      '*:BTC-*:*',
      '**TRADE',
      'BINANCE-SPOT:BTC-USDT:TRADE*',
    ]) {
      expect(matchesPattern(name, pattern), pattern).to.equal(true)
    }
    for (const pattern of [
      '',
      'TRADE',
      '*:QUOTE',
      'BINANCE-SPOT:BTC-USDT:TRADE*E',
      '*USDT*BTC*',
      'BINANCE-SPOT:BTC-USDT:TRADE-',
    ]) {
      expect(matchesPattern(name, pattern), pattern).to.equal(false)
    }
    expect(matchesPattern('aba', 'ab*ba')).to.equal(false)
  })
})
