import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { splitSymbol } from '../../../src/simulator/exchange-info.ts'
import { chooseInstruments, standardSymbols } from '../../../src/simulator/market/instruments.ts'
import { recordings } from '../../support/capture.ts'
import { scaled } from '../../support/oracle.ts'
import { type MarketRun, runMarket } from './run-market.ts'

/** The kinds of the values, with the lengths of decimals behind the point. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? [] : [shapeOf(value[0])]
  if (typeof value === 'string') return /^-?\d+\.\d+$/.test(value) ? `decimal.${value.split('.')[1]?.length}` : 'string'
  if (typeof value !== 'object' || value === null) return typeof value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, shapeOf(one)]))
}

function recorded(test: Mocha.Context, name: string): unknown {
  const file = join(recordings, 'fixtures', 'binance', 'rest', 'recorded', name)
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')).body
  console.log(`    skipped: no ${file}; set MELTICA_RECORDINGS to the folder that holds fixtures/`)
  return test.skip()
}

describe('REST answers of the generated market', () => {
  let run: MarketRun
  before(() => {
    run = runMarket({ rate: 300 })
    run.clock.advance(50_000)
  })

  it('have the shape of recorded depth, trades and aggregate trades', async function () {
    const cases = [
      ['depth-get-0.json', 'depth?symbol=BTCUSDT'],
      ['historicalTrades-get-0.json', 'historicalTrades?symbol=BTCUSDT&limit=5'],
      ['historicalTrades-get-0.json', 'trades?symbol=BTCUSDT&limit=5'],
    ] as const
    for (const [name, request] of cases) {
      expect(shapeOf(await run.rest(request))).to.deep.equal(shapeOf(recorded(this, name)))
    }
    const [aggregate] = await run.rest('aggTrades?symbol=BTCUSDT&limit=3')
    // The recorder mangled the name of `m`.
    const { '': maker, ...known } = (recorded(this, 'aggTrades-get-3.json') as Record<string, unknown>[])[0] ?? {}
    expect(shapeOf(aggregate)).to.deep.equal(shapeOf({ ...known, m: maker }))
  })

  it('tell in exchangeInfo all that a recorded one tells of a symbol', async function () {
    const real = recorded(this, 'exchangeInfo-get-0.json') as { symbols: object[]; rateLimits: object[] }
    const made = await run.rest('exchangeInfo')
    expect(made).to.include.keys(...Object.keys(real))
    expect(made.symbols[0]).to.include.keys(...Object.keys(real.symbols[0] as object))
    expect(made.rateLimits.map(shapeOf)).to.deep.equal(real.rateLimits.map(shapeOf))
    expect(made.rateLimits[0]).to.include({ rateLimitType: 'REQUEST_WEIGHT', limit: 6000 })
  })

  it('keep every price to the tick and every quantity to the step that exchangeInfo tells', async () => {
    const { symbols } = await run.rest('exchangeInfo')
    for (const { symbol, filters } of symbols) {
      const tick = scaled(filters[0].tickSize)
      const step = scaled(filters[1].stepSize)
      const { bids, asks } = await run.rest(`depth?symbol=${symbol}&limit=5000`)
      for (const [price, quantity] of [...bids, ...asks]) {
        expect([scaled(price) % tick, scaled(quantity) % step]).to.deep.equal([0n, 0n])
      }
    }
  })

  it('give depth the limit asked for, 100 by default, clipped at 5000', async () => {
    const whole = await run.rest('depth?symbol=BTCUSDT&limit=99999')
    expect(whole.bids.length).to.be.above(20)
    const { bids, asks } = await run.rest('depth?symbol=BTCUSDT&limit=7')
    expect([bids.length, asks.length]).to.deep.equal([7, 7])
  })

  it('page through all trades by id, and begin with the oldest where an id is too low', async () => {
    const told = run.frames
      .filter(({ stream }) => stream === 'btcusdt@trade')
      .map(({ data }) => [data.t, data.p, data.q, data.T, data.m])
    const paged: unknown[] = []
    let fromId = 0
    for (;;) {
      const rows = await run.rest(`historicalTrades?symbol=BTCUSDT&fromId=${fromId}&limit=100`)
      if (rows.length === 0) break
      for (const { id, price, qty, time, isBuyerMaker } of rows) paged.push([id, price, qty, time, isBuyerMaker])
      fromId = rows.at(-1).id + 1
    }
    expect(paged).to.deep.equal(told)
    const newest = await run.rest('trades?symbol=BTCUSDT&limit=3')
    expect(newest.map(({ id }: { id: number }) => id)).to.deep.equal(told.slice(-3).map(([id]) => id))
  })

  it('find aggregate trades by id and by time, ends included', async () => {
    const told = run.frames.filter(({ stream }) => stream === 'ethusdt@aggTrade').map(({ data }) => data)
    const fields = ({ a, p, q, f, l, T, m, M }: Record<string, unknown>): object => ({ a, p, q, f, l, T, m, M })
    const middle = told[20]
    expect(await run.rest(`aggTrades?symbol=ETHUSDT&fromId=${middle.a}&limit=4`)).to.deep.equal(
      told.slice(20, 24).map(fields),
    )
    const from = told[10].T
    const to = told[30].T
    const within = told.filter(({ T }) => T >= from && T <= to).map(fields)
    expect(await run.rest(`aggTrades?symbol=ETHUSDT&startTime=${from}&endTime=${to}&limit=1000`)).to.deep.equal(within)
    expect(await run.rest(`aggTrades?symbol=ETHUSDT&endTime=${to}&limit=2`)).to.deep.equal(within.slice(-2))
    expect(await run.rest('aggTrades?symbol=ETHUSDT&limit=2')).to.deep.equal(told.slice(-2).map(fields))
  })

  it('fill the times without trades with flat bars, and end with the open one', async () => {
    const quiet = runMarket({ rate: 0.2, instruments: 1 })
    quiet.clock.advance(400_000)
    const rows = await quiet.rest('klines?symbol=BTCUSDT&interval=1s&limit=1000')
    for (const [index, row] of rows.entries()) {
      expect(row).to.have.length(12)
      if (index === 0) continue
      expect(row[0]).to.equal(rows[index - 1][0] + 1000)
      if (row[8] === 0) expect(new Set(row.slice(1, 5))).to.deep.equal(new Set([rows[index - 1][4]]))
    }
    expect(rows.at(-1)[6]).to.be.at.least(quiet.clock.monotonicMs())
    expect(rows.some((row: unknown[]) => row[8] === 0)).to.equal(true)
    expect(await quiet.rest('klines?symbol=BTCUSDT&interval=1s&limit=3')).to.deep.equal(rows.slice(-3))
  })

  it('agree with the streams in tickers, best prices and the average', async () => {
    const last = run.frames.findLast(({ stream }) => stream === 'btcusdt@bookTicker')?.data
    const { bidPrice, bidQty, askPrice, askQty } = await run.rest('ticker/bookTicker?symbol=BTCUSDT')
    expect([bidPrice, bidQty, askPrice, askQty]).to.deep.equal([last.b, last.B, last.a, last.A])
    const trades = run.frames.filter(({ stream }) => stream === 'btcusdt@trade')
    const day = await run.rest('ticker/24hr?symbol=BTCUSDT')
    expect(day).to.include({ count: trades.length, lastPrice: trades.at(-1)?.data.p, openPrice: trades[0]?.data.p })
    expect((await run.rest('avgPrice?symbol=BTCUSDT')).price).to.equal(day.weightedAvgPrice)
    expect(await run.rest('ticker/24hr?type=MINI')).to.have.length(3)
    expect(await run.rest('ticker/price?symbols=["BTCUSDT","ETHUSDT"]')).to.have.length(2)
    expect(await run.rest('ping')).to.deep.equal({})
  })

  it('refuse with the codes of the venue', async () => {
    const code = async (request: string): Promise<unknown> => (await run.rest(request)).code
    expect(await code('depth')).to.equal(-1102)
    expect(await code('depth?symbol=NOPE')).to.equal(-1121)
    expect(await code('depth?symbol=BTCUSDT&limit=x')).to.equal(-1100)
    expect(await code('trades?symbol=BTCUSDT&limit=0')).to.equal(-1130)
    expect(await code('klines?symbol=BTCUSDT&interval=7m')).to.equal(-1120)
    expect(await code('aggTrades?symbol=BTCUSDT&fromId=1&startTime=2')).to.equal(-1128)
    expect(await code('exchangeInfo?symbols=nonsense')).to.equal(-1100)
    expect(await run.rest('order')).to.equal(null)
  })
})

describe('instruments of the generated market', () => {
  it('have names that split in one way only, the same for any count', () => {
    const symbols = standardSymbols(3000)
    expect(new Set(symbols).size).to.equal(3000)
    expect(symbols.slice(0, 3)).to.deep.equal(['BTCUSDT', 'ETHUSDT', 'BNBUSDT'])
    expect(standardSymbols(50)).to.deep.equal(symbols.slice(0, 50))
    const specs = chooseInstruments({ instruments: symbols })
    for (const { symbol, base, quote, priceDecimals, quantityDecimals, startTicks, levels } of specs) {
      expect(splitSymbol(symbol)).to.deep.equal({ base, quote })
      expect(base + quote).to.equal(symbol)
      // More decimals together would make quote volumes inexact in the venue's eight places.
      expect(priceDecimals + quantityDecimals).to.be.at.most(8)
      expect(levels * 10).to.be.at.most(startTicks)
    }
  })
})
