import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect } from 'chai'
import { asMarket, asVenueSymbol } from '../../../src/domain/instrument.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import { BinanceRest, type BinanceRestOptions } from '../../../src/venues/binance/binance.ts'
import { depthWeight } from '../../../src/venues/binance/weights.ts'
import { type BudgetReport, type Permit, type RequestBudget, RequestPriority } from '../../../src/venues/budget.ts'
import { VenueConnectionError, VenueProtocolError, VenueRateLimitError } from '../../../src/venues/errors.ts'

const btc = asVenueSymbol('BTCUSDT')
const START_MS = 1_723_161_255_000

/** A budget that grants everything and remembers what it was told. */
class RecordingBudget implements RequestBudget {
  readonly paid: { weight: number; priority: number }[] = []
  readonly reports: BudgetReport[] = []
  limit: number | null = null
  offsetUs: number | null = null

  acquire(weight: number, priority: 0 | 1 | 2): Promise<Permit> {
    this.paid.push({ weight, priority })
    return Promise.resolve({ weight, minute: 0 })
  }

  report(_permit: Permit, report: BudgetReport): void {
    this.reports.push(report)
  }

  learnLimit(weightPerMinute: number): void {
    this.limit = weightPerMinute
  }

  learnClock(offsetUs: number): void {
    this.offsetUs = offsetUs
  }
}

async function failureOf<T>(call: Promise<T>): Promise<unknown> {
  try {
    await call
  } catch (error) {
    return error
  }
  throw new Error('a failure expected, found an answer')
}

/** A row of `/klines` for the minute `at`. */
function bar(at: number): unknown[] {
  const openMs = START_MS + at * 60_000
  return [openMs, '1', '3', '0.5', '2.10', '10', openMs + 59_999, '15', 3, '5', '7', '0']
}

describe('Binance REST', () => {
  let handler: (request: IncomingMessage, response: ServerResponse) => void
  let asked: string[]
  let rest: BinanceRest
  let budget: RecordingBudget
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    handler(request, response)
  })

  function client(options: Partial<BinanceRestOptions> = {}): BinanceRest {
    const { port } = server.address() as AddressInfo
    return new BinanceRest({
      market: asMarket('BINANCE-SPOT'),
      restUrl: `http://127.0.0.1:${port}`,
      clock: new ManualClock(START_MS),
      budget,
      ...options,
    })
  }

  function answer(body: unknown, status = 200, headers: Record<string, string> = {}): void {
    handler = (_request, response) => {
      response.writeHead(status, headers).end(typeof body === 'string' ? body : JSON.stringify(body))
    }
  }

  before((done) => {
    server.listen(0, '127.0.0.1', done)
  })
  after((done) => {
    server.closeAllConnections()
    server.close(done)
  })
  beforeEach(() => {
    asked = []
    budget = new RecordingBudget()
    rest = client()
  })
  afterEach(() => rest.close())

  it('fetches a book with the levels asked for and reports what it cost', async () => {
    answer({ lastUpdateId: 9, bids: [['1.10', '2.0']], asks: [] }, 200, { 'X-MBX-USED-WEIGHT-1M': '57' })
    expect(await rest.fetchBookSnapshot(btc)).to.deep.equal({
      kind: 'snapshot',
      topic: 'rest:depth:BTCUSDT',
      symbol: btc,
      venueTimeUs: null,
      receivedTimeUs: START_MS * 1_000,
      source: 'binance.rest.depth',
      last: 9,
      bids: [['1.10', '2.0']],
      asks: [],
      depth: 1_000,
    })
    expect(asked).to.deep.equal(['/api/v3/depth?symbol=BTCUSDT&limit=1000'])
    expect(budget.paid).to.deep.equal([{ weight: 50, priority: RequestPriority.Resync }])
    expect(budget.reports).to.deep.equal([{ status: 200, usedWeight: 57, retryAfterMs: null }])
  })

  it('percent-encodes symbols outside ASCII and keeps the path of the test network', async () => {
    answer({ lastUpdateId: 0, bids: [], asks: [] })
    const { port } = server.address() as AddressInfo
    const testnet = client({ restUrl: `http://127.0.0.1:${port}/api/`, depthLimit: 5_000 })
    expect((await testnet.fetchBookSnapshot(asVenueSymbol('币USDT'))).last).to.equal(0)
    await testnet.close()
    expect(asked).to.deep.equal(['/api/v3/depth?symbol=%E5%B8%81USDT&limit=5000'])
    expect(budget.paid[0]?.weight).to.equal(250)
  })

  it('fetches trades of either numbering from an id on', async () => {
    answer([
      { id: 6, price: '1.0', qty: '2', quoteQty: '2', time: START_MS, isBuyerMaker: true, isBestMatch: true },
      { id: 7, price: '1.10', qty: '3', quoteQty: '3', time: START_MS + 1, isBuyerMaker: false, isBestMatch: true },
    ])
    const trades = await rest.fetchTrades(btc, 'trade', 7, 5_000)
    expect(trades).to.have.length(1)
    expect(trades[0]).to.include({
      id: 7,
      price: '1.10',
      side: 'buy',
      numbering: 'trade',
      venueTimeUs: (START_MS + 1) * 1_000,
    })
    expect(trades[0]?.source).to.equal('binance.rest.historicalTrades')
    answer([{ a: 3, p: '1', q: '2', f: 1, l: 2, T: START_MS, m: true, M: true }])
    const aggregates = await rest.fetchTrades(btc, 'aggTrade', 3, 10)
    expect(aggregates[0]).to.include({ id: 3, side: 'sell', numbering: 'aggTrade', source: 'binance.rest.aggTrades' })
    expect(asked).to.deep.equal([
      '/api/v3/historicalTrades?symbol=BTCUSDT&fromId=7&limit=1000',
      '/api/v3/aggTrades?symbol=BTCUSDT&fromId=3&limit=10',
    ])
    expect(budget.paid).to.deep.equal([
      { weight: 25, priority: RequestPriority.Backfill },
      { weight: 4, priority: RequestPriority.Backfill },
    ])
  })

  it('refuses trades whose ids do not rise', async () => {
    const trade = { id: 6, price: '1.0', qty: '2', time: START_MS, isBuyerMaker: true }
    answer([trade, trade])
    const failure = await failureOf(rest.fetchTrades(btc, 'trade', 1, 10))
    expect(failure).to.be.instanceOf(VenueProtocolError)
    expect((failure as Error).message).to.contain('rising ids expected, found 6 after 6')
  })

  it('fetches bars page by page and says which are closed by the clock of the venue', async () => {
    handler = (request, response) => {
      const query = new URL(request.url ?? '', 'http://x').searchParams
      const first = Math.ceil((Number(query.get('startTime')) - START_MS) / 60_000)
      const last = Math.floor((Number(query.get('endTime')) - START_MS) / 60_000)
      const count = Math.min(1_000, last - first + 1)
      response.end(JSON.stringify(Array.from({ length: count }, (_, index) => bar(first + index))))
    }
    const bars = await rest.fetchKlines(btc, '1m', (START_MS - 60_000) * 1_000, (START_MS + 1_500 * 60_000) * 1_000)
    expect(bars).to.have.length(1_502)
    expect(bars.map((each) => (each.openTimeUs / 1_000 - START_MS) / 60_000)).to.deep.equal(
      Array.from({ length: 1_502 }, (_, index) => index - 1),
    )
    expect(bars.filter((each) => each.closed)).to.have.length(1)
    expect(bars[1]).to.include({ close: '2.10', trades: 3, takerBuyVolume: '5', closed: false, interval: '1m' })
    expect(asked).to.have.length(2)
  })

  it('learns the limit and the clock from exchangeInfo, and leaves out what it cannot understand', async () => {
    const filters = [
      { filterType: 'PRICE_FILTER', tickSize: '0.01000000' },
      { filterType: 'LOT_SIZE', stepSize: '0.00001000' },
      { filterType: 'NOTIONAL', minNotional: '5.00000000' },
    ]
    answer({
      serverTime: START_MS + 250,
      rateLimits: [
        { rateLimitType: 'ORDERS', interval: 'MINUTE', intervalNum: 1, limit: 50 },
        { rateLimitType: 'REQUEST_WEIGHT', interval: 'MINUTE', intervalNum: 1, limit: 1_200 },
      ],
      symbols: [
        { symbol: 'BTCUSDT', status: 'TRADING', baseAsset: 'BTC', quoteAsset: 'USDT', filters },
        { symbol: 'ETHUSDT', status: 'A_NEW_WORD', baseAsset: 'ETH', quoteAsset: 'USDT' },
        { symbol: 'BAD', baseAsset: 'a b', quoteAsset: 'USDT' },
        null,
      ],
    })
    const instruments = await rest.fetchInstruments()
    expect(instruments).to.deep.equal([
      {
        ...{ market: 'BINANCE-SPOT', instrument: 'BTC-USDT', symbol: 'BTCUSDT', base: 'BTC', quote: 'USDT' },
        ...{ tickSize: '0.01000000', stepSize: '0.00001000', minNotional: '5.00000000', status: 'TRADING' },
      },
      {
        ...{ market: 'BINANCE-SPOT', instrument: 'ETH-USDT', symbol: 'ETHUSDT', base: 'ETH', quote: 'USDT' },
        ...{ tickSize: '', stepSize: '', minNotional: '', status: 'A_NEW_WORD' },
      },
    ])
    expect(budget).to.include({ limit: 1_200, offsetUs: 250_000 })
    expect(budget.paid).to.deep.equal([{ weight: 20, priority: RequestPriority.Reconcile }])
  })

  it('tells the time of the venue', async () => {
    answer({ serverTime: START_MS - 1_000 })
    expect(await rest.fetchTime()).to.equal((START_MS - 1_000) * 1_000)
    expect(budget.offsetUs).to.equal(-1_000_000)
  })

  for (const status of [429, 418]) {
    it(`says after ${status} how long to stay away`, async () => {
      answer({ code: -1003, msg: 'Too many requests.' }, status, { 'Retry-After': '7' })
      const failure = await failureOf(rest.fetchTime())
      expect(failure).to.be.instanceOf(VenueRateLimitError)
      expect(failure).to.include({ retryAfterMs: 7_000, status })
      expect(budget.reports).to.deep.equal([{ status, usedWeight: null, retryAfterMs: 7_000 }])
    })
  }

  it('understands a Retry-After that is a date', async () => {
    answer('', 429, { 'Retry-After': new Date(START_MS + 90_000).toUTCString() })
    expect(await failureOf(rest.fetchTime())).to.include({ retryAfterMs: 90_000 })
  })

  const troubles: [number, unknown][] = [
    [500, ''],
    [503, '<html>unavailable</html>'],
    [403, '<html>firewall</html>'],
    [400, { code: -1008, msg: 'Server is currently overloaded' }],
  ]
  for (const [status, body] of troubles) {
    it(`calls ${status} ${JSON.stringify(body)} trouble of the venue, to be tried again`, async () => {
      answer(body, status)
      const failure = await failureOf(rest.fetchTime())
      expect(failure).to.be.instanceOf(VenueConnectionError)
      expect(failure).to.include({ status, retryable: true })
    })
  }

  const wrong: [string, number, unknown, Record<string, string>][] = [
    ['a refusal', 400, { code: -1121, msg: 'Invalid symbol.' }, {}],
    ['a redirection, which is not followed', 302, '', { Location: 'http://127.0.0.1:1/elsewhere' }],
    ['an answer that is not JSON', 200, '{"serverTime":', {}],
    ['an answer without the time', 200, { serverTime: 'now' }, {}],
    ['an answer of another kind', 200, [], {}],
  ]
  for (const [name, status, body, headers] of wrong) {
    it(`calls ${name} a breach of the protocol`, async () => {
      answer(body, status, headers)
      const failure = await failureOf(rest.fetchTime())
      expect(failure).to.be.instanceOf(VenueProtocolError)
      expect((failure as Error).message)
        .to.match(/expected/)
        .and.match(/found/)
      expect(asked).to.have.length(1)
    })
  }

  it('keeps the number of the error and bounds what it quotes', async () => {
    answer({ code: -1121, msg: 'x'.repeat(2_000) }, 400)
    const failure = await failureOf(rest.fetchTime())
    expect(failure).to.include({ venueCode: -1121, status: 400, retryable: false })
    expect((failure as Error).message.length).to.be.below(500)
  })

  it('cuts off an answer above the bound', async () => {
    answer(`{"serverTime":${'1'.repeat(200_000)}}`)
    const small = client({ responseBytesMax: 10_000 })
    expect(await failureOf(small.fetchTime())).to.be.instanceOf(VenueProtocolError)
    await small.close()
  })

  it('does not wait longer than its time-out, and waits longer for a book than for anything else', async () => {
    handler = (request, response) => {
      if (request.url?.includes('depth')) setTimeout(() => response.end('{"lastUpdateId":1,"bids":[],"asks":[]}'), 150)
    }
    const hasty = client({ timeoutMs: 50, depthTimeoutMs: 5_000 })
    expect(await failureOf(hasty.fetchTime())).to.be.instanceOf(VenueConnectionError)
    expect(budget.reports).to.deep.equal([{ status: null, usedWeight: null, retryAfterMs: null }])
    expect((await hasty.fetchBookSnapshot(btc)).last).to.equal(1)
    await hasty.close()
  })

  it('asks for many books at once, because a simulated venue holds their answers back', async () => {
    const held: ServerResponse[] = []
    handler = (_request, response) => {
      held.push(response)
      if (held.length === 40) for (const each of held) each.end('{"lastUpdateId":1,"bids":[],"asks":[]}')
    }
    const books = await Promise.all(
      Array.from({ length: 40 }, (_, index) => rest.fetchBookSnapshot(asVenueSymbol(`S${index}`))),
    )
    expect(books).to.have.length(40)
  })

  it('says that nobody answers at the address', async () => {
    const nobody = client({ restUrl: 'http://127.0.0.1:1' })
    expect(await failureOf(nobody.fetchTime())).to.be.instanceOf(VenueConnectionError)
    await nobody.close()
  })

  it('breaks off what is under way when closed, and may be closed twice', async () => {
    handler = () => rest.close()
    expect(await failureOf(rest.fetchTime())).to.be.instanceOf(VenueConnectionError)
    await rest.close()
  })

  it('pays for a book by its depth', () => {
    const weights = [1, 100, 101, 500, 501, 1_000, 1_001, 5_000].map(depthWeight)
    expect(weights).to.deep.equal([5, 5, 25, 25, 50, 50, 250, 250])
  })
})
