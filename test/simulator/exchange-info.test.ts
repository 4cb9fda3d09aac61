import { expect } from 'chai'
import { splitSymbol } from '../../src/simulator/exchange-info.ts'

describe('splitSymbol', () => {
  const cases = {
    BTCUSDT: 'BTC-USDT',
    USDTTRY: 'USDT-TRY',
    LRCBTC: 'LRC-BTC',
    BLZETH: 'BLZ-ETH',
    RUNEEUR: 'RUNE-EUR',
    ADAEUR: 'ADA-EUR',
    BTCFDUSD: 'BTC-FDUSD',
    BTCUSD1: 'BTC-USD1',
    '1000SATSUSDT': '1000SATS-USDT',
  }
  for (const [symbol, instrument] of Object.entries(cases)) {
    it(`splits ${symbol} into ${instrument}`, () => {
      const { base, quote } = splitSymbol(symbol) ?? {}
      expect(`${base}-${quote}`).to.equal(instrument)
    })
  }

  it('answers null for a symbol without a known quote, or with nothing before it', () => {
    expect(splitSymbol('ABCXYZ')).to.equal(null)
    expect(splitSymbol('USDT')).to.equal(null)
  })
})
