import { expect } from 'chai'
import { asInstrument, asMarket, asVenueSymbol, type InstrumentInfo } from '../../../src/domain/instrument.ts'
import { SymbolTable } from '../../../src/venues/binance/symbols.ts'

function info(base: string, quote: string, status = 'TRADING'): InstrumentInfo {
  return {
    market: asMarket('BINANCE-SPOT'),
    instrument: asInstrument(`${base}-${quote}`),
    symbol: asVenueSymbol(`${base}${quote}`),
    base,
    quote,
    tickSize: '0.01',
    stepSize: '0.001',
    minNotional: '5',
    status,
  }
}

describe('SymbolTable', () => {
  it('maps both ways by what the venue told, never by looking at the symbol', () => {
    const table = new SymbolTable()
    table.update([info('USDT', 'TRY'), info('1000SATS', 'USDT')])
    expect(table.instrumentOf(asVenueSymbol('USDTTRY'))).to.equal('USDT-TRY')
    expect(table.symbolOf(asInstrument('1000SATS-USDT'))).to.equal('1000SATSUSDT')
    expect(table.size).to.equal(2)
  })

  it('knows nothing of a symbol that was never told, and joins base and quote for an instrument that was not', () => {
    const table = new SymbolTable()
    expect(table.instrumentOf(asVenueSymbol('BTCUSDT'))).to.equal(null)
    expect(table.symbolOf(asInstrument('BTC-USDT'))).to.equal('BTCUSDT')
    expect(table.infoOf(asInstrument('BTC-USDT'))).to.equal(null)
  })

  it('keeps what is no longer listed and takes the newest word on what is', () => {
    const table = new SymbolTable()
    table.update([info('BTC', 'USDT'), info('OLD', 'BTC')])
    table.update([info('BTC', 'USDT', 'HALT')])
    expect(table.instrumentOf(asVenueSymbol('OLDBTC'))).to.equal('OLD-BTC')
    expect(table.infoOf(asInstrument('BTC-USDT'))?.status).to.equal('HALT')
  })
})
