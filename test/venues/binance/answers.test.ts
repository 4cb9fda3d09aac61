import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { asMarket, asVenueSymbol } from '../../../src/domain/instrument.ts'
import { parseDepth, parseExchangeInfo, parseKlines, parseTrades } from '../../../src/venues/binance/answers.ts'
import { VenueProtocolError } from '../../../src/venues/errors.ts'
import {
  binanceCaptures,
  capturePath,
  expectedPath,
  needRecording,
  readCapture,
  recordings,
} from '../../support/capture.ts'

const btc = asVenueSymbol('BTCUSDT')
const market = asMarket('BINANCE-SPOT')

/** A recorded answer, grade A; skips the test in words where the fixtures are absent. */
function recorded(test: Mocha.Context, name: string): unknown {
  const path = join(recordings, 'fixtures', 'binance', 'rest', 'recorded', `${name}.json`)
  if (!existsSync(path)) {
    console.log(`    skipped: no ${path}; set MELTICA_RECORDINGS to the folder that holds fixtures/`)
    test.skip()
  }
  const file = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
  return file.body ?? file
}

interface BookOracle {
  readonly books: Record<string, { snapshots: { lastUpdateId: number; bids: number; asks: number }[] }>
}

describe('Binance answers', () => {
  for (const name of binanceCaptures) {
    it(`admits every book of ${name} whole`, function () {
      needRecording(this, name)
      const oracle = JSON.parse(readFileSync(expectedPath(name), 'utf8')) as BookOracle
      const found: Record<string, unknown[]> = {}
      for (const line of readCapture(capturePath(name))) {
        if (line.kind !== 'http' || !line.url.includes('/depth')) continue
        const symbol = asVenueSymbol(new URL(line.url).searchParams.get('symbol') ?? '')
        const book = parseDepth(JSON.parse(line.msg), symbol, 1_000, 1)
        found[symbol] ??= []
        found[symbol].push({ lastUpdateId: book.last, bids: book.bids.length, asks: book.asks.length })
        for (const level of [...book.bids, ...book.asks]) {
          if (!line.msg.includes(`["${level[0]}","${level[1]}"]`)) expect.fail(`${level} is not in the answer`)
        }
      }
      const expected = Object.entries(oracle.books).map(([symbol, book]) => [
        symbol,
        book.snapshots.map(({ lastUpdateId, bids, asks }) => ({ lastUpdateId, bids, asks })),
      ])
      expect(found).to.deep.equal(Object.fromEntries(expected))
    })
  }

  it('reads the whole exchangeInfo of a capture', function () {
    const name = 'binance-spot-4sym-20211012'
    needRecording(this, name)
    const line = readCapture(capturePath(name)).find((each) => each.url.includes('exchangeInfo'))
    const info = parseExchangeInfo(JSON.parse(line?.msg ?? ''), market)
    expect(info).to.include({ skipped: 0, weightPerMinute: 1_200, serverTimeUs: 1_633_998_511_098_000 })
    expect(info.instruments.length).to.be.above(1_000)
    const lrc = info.instruments.find((each) => each.symbol === 'LRCBTC')
    expect(lrc).to.include({ instrument: 'LRC-BTC', tickSize: '0.00000001', status: 'TRADING' })
  })

  it('reads recorded listings of two years', function () {
    const old = parseExchangeInfo(recorded(this, 'exchangeInfo-2021-10'), market)
    expect(old.instruments[0]).to.include({
      instrument: 'BTC-USDT',
      tickSize: '0.01000000',
      minNotional: '10.00000000',
    })
    const recent = parseExchangeInfo(recorded(this, 'exchangeInfo-get-0'), market)
    expect(recent).to.include({ skipped: 0, weightPerMinute: 6_000 })
    expect(recent.instruments[0]).to.include({ quote: 'BTC', stepSize: '0.00010000', minNotional: '0.00010000' })
  })

  it('reads a recorded book and recorded trades', function () {
    const book = parseDepth(recorded(this, 'depth-get-0'), btc, 1_000, 1)
    expect(book.asks[0]).to.deep.equal(['32085.66000000', '2.04843700'])
    const trades = parseTrades(recorded(this, 'historicalTrades-get-0'), 'historicalTrades', btc, 870_281_751, 1)
    expect(trades[0]).to.include({ id: 870_281_751, price: '38172.11000000', quantity: '0.01000000', side: 'sell' })
  })

  it('refuses the recorded aggregates whose field m their recorder lost', function () {
    for (const name of ['aggTrades-get-1', 'aggTrades-get-3']) {
      const answer = recorded(this, name) as Record<string, unknown>[]
      expect(() => parseTrades(answer, 'aggTrades', btc, 0, 1)).to.throw(
        VenueProtocolError,
        'm: true or false expected',
      )
      const mended = answer.map((row) => ({ ...row, m: row[''] }))
      expect(parseTrades(mended, 'aggTrades', btc, 303_004_096, 1)[0]).to.include({ id: 303_004_096, side: 'buy' })
    }
  })

  const wrong: [string, () => unknown, string][] = [
    ['a book that is an array', () => parseDepth([], btc, 5, 1), 'an object expected, found []'],
    [
      'a book with a broken level',
      () => parseDepth({ lastUpdateId: 1, bids: [['1']], asks: [] }, btc, 5, 1),
      'bids[0]',
    ],
    [
      'a book with an unsafe id',
      () => parseDepth({ lastUpdateId: 2 ** 60, bids: [], asks: [] }, btc, 5, 1),
      'lastUpdateId',
    ],
    ['trades that are an object', () => parseTrades({}, 'trades', btc, 0, 1), 'an array expected'],
    ['a trade that is a number', () => parseTrades([1], 'trades', btc, 0, 1), 'row: an object expected, found 1'],
    ['bars that are null', () => parseKlines(null, btc, '1m', 1, 1), 'an array expected, found null'],
    ['a short bar', () => parseKlines([[1, 2]], btc, '1m', 1, 1), 'at least 11 values'],
    ['listings without symbols', () => parseExchangeInfo({}, market), 'an array of symbols'],
    ['listings of which none is understood', () => parseExchangeInfo({ symbols: [{}] }, market), 'symbols[0]'],
  ]
  for (const [name, call, detail] of wrong) {
    it(`refuses ${name}`, () => {
      expect(call).to.throw(VenueProtocolError, detail)
    })
  }
})
