import { expect } from 'chai'
import { ManualClock } from '../../src/lib/clock.ts'
import { openReplay } from '../../src/simulator/replay.ts'
import { binanceCaptures, capturePath, needRecording, readCapture } from '../support/capture.ts'
import {
  attempt,
  CaptureMaker,
  closeAll,
  delta,
  get,
  range,
  replayVenue,
  trade,
  turns,
  until,
  VenueClient,
} from './venue-client.ts'

describe('the replay of a capture', () => {
  afterEach(closeAll)

  it('begins when every stream that is named or has a frame is subscribed, over whichever connections', async () => {
    const file = new CaptureMaker(['aeth@trade', 'abtc@bookTicker']).trades('abtc', 1, 5).write()
    const venue = await replayVenue(file)
    const one = await VenueClient.open(`${venue.ws}/stream?streams=abtc@trade`)
    const other = await VenueClient.open(`${venue.ws}/ws`)
    await turns()
    expect(one.frames).to.deep.equal([])
    await other.ask({ method: 'SUBSCRIBE', params: ['aeth@trade'], id: 1 })
    expect(one.frames).to.deep.equal([])
    await other.ask({ method: 'SUBSCRIBE', params: ['abtc@bookTicker', 'abtc@trade'], id: 2 })
    await venue.done
    await until(() => one.frames.length === 5 && other.tradeIds.length === 5)
    expect(one.tradeIds).to.deep.equal(range(1, 5))
    expect(other.tradeIds).to.deep.equal(range(1, 5))
  })

  it('begins after startAfterMs whatever is subscribed, and sends nobody what he did not ask for', async () => {
    const clock = new ManualClock()
    const file = new CaptureMaker().trades('abtc', 1, 3).trades('aeth', 1, 2).write()
    const venue = await replayVenue(file, { startAfterMs: 3000, clock })
    const client = await VenueClient.open(`${venue.ws}/stream?streams=aeth@trade`)
    clock.advance(2999)
    await turns()
    expect(client.frames).to.deep.equal([])
    clock.advance(1)
    await venue.done
    await until(() => client.frames.length === 2)
  })

  it('keeps the recorded pace, times its speed, and sends lines without a time at once', async () => {
    const clock = new ManualClock()
    const file = new CaptureMaker([], 1000)
      .trades('abtc', 1, 2)
      .frame('abtc@trade', trade('abtc', 3), null)
      .trades('abtc', 4, 5)
      .write()
    const venue = await replayVenue(file, { speed: 2, clock })
    const client = await VenueClient.open(`${venue.ws}/stream?streams=abtc@trade`)
    await until(() => client.frames.length === 1)
    clock.advance(499)
    await turns()
    expect(client.tradeIds).to.deep.equal([1])
    clock.advance(1)
    await until(() => client.frames.length === 3)
    clock.advance(500)
    await until(() => client.frames.length === 4)
    clock.advance(500)
    await venue.done
    await until(() => client.frames.length === 5)
  })

  it('holds a depth answer until its line is reached, waits there, and goes on when it was written', async () => {
    const clock = new ManualClock()
    const file = new CaptureMaker([], 1000)
      .frame('abtc@depth@100ms', delta('abtc', 1, 5))
      .frame('abtc@depth@100ms', delta('abtc', 6, 9))
      .depth('abtc', 7)
      .frame('abtc@depth@100ms', delta('abtc', 10, 12))
      .write()
    const venue = await replayVenue(file, { speed: 1, clock })
    let answered = false
    const early = get(`${venue.rest}/api/v3/depth?symbol=ABTC&limit=5000`).then((answer) => {
      answered = true
      return answer
    })
    const client = await VenueClient.open(`${venue.ws}/stream?streams=abtc@depth@100ms`)
    await until(() => client.frames.length === 1)
    clock.advance(1000)
    await until(() => client.frames.length === 2)
    expect(answered).to.equal(false)
    clock.advance(1000)
    expect(((await early).body as { lastUpdateId: number }).lastUpdateId).to.equal(7)
    expect(client.frames.length).to.equal(2)
    clock.advance(1000)
    await until(() => client.frames.length === 3)
    await venue.done
  })

  it('passes a depth line that nobody asks for after 5 s, keeps it, and lets recorded time stand still meanwhile', async () => {
    const clock = new ManualClock()
    const file = new CaptureMaker([], 1000)
      .trades('abtc', 1, 1)
      .depth('abtc', 7)
      .trades('abtc', 2, 2)
      .depth('abtc', 9)
      .write()
    const venue = await replayVenue(file, { speed: 1, clock })
    const client = await VenueClient.open(`${venue.ws}/stream?streams=abtc@trade`)
    await until(() => client.frames.length === 1)
    clock.advance(1000)
    await turns()
    clock.advance(4999)
    await turns()
    clock.advance(1)
    await turns()
    clock.advance(999)
    await turns()
    expect(client.tradeIds).to.deep.equal([1])
    clock.advance(1)
    await until(() => client.frames.length === 2)
    const ids: unknown[] = []
    for (let times = 0; times < 2; times++) {
      if (times === 1) clock.advance(1000)
      const answer = await get(`${venue.rest}/api/v3/depth?symbol=ABTC`)
      ids.push((answer.body as { lastUpdateId: number }).lastUpdateId)
    }
    expect(ids).to.deep.equal([7, 9])
    await venue.done
  })

  it('answers 503 at once when no unused line of the symbol is left ahead', async () => {
    const file = new CaptureMaker().trades('abtc', 1, 1).depth('abtc', 7).write()
    const venue = await replayVenue(file)
    const other = await get(`${venue.rest}/api/v3/depth?symbol=AETH`)
    expect(other.status).to.equal(503)
    expect(other.body).to.have.property('code', -1001)
    await VenueClient.open(`${venue.ws}/stream?streams=abtc@trade`)
    expect((await get(`${venue.rest}/api/v3/depth?symbol=ABTC`)).status).to.equal(200)
    expect((await get(`${venue.rest}/api/v3/depth?symbol=ABTC`)).status).to.equal(503)
    await venue.done
    expect((await get(`${venue.rest}/api/v3/ticker/24hr?symbol=ABTC`)).status).to.equal(503)
    expect((await get(`${venue.rest}/api/v3/depth`)).body).to.have.property('code', -1102)
  })

  it('lends a line again when the connection it was meant for is gone', async () => {
    const file = new CaptureMaker().trades('abtc', 1, 1).depth('abtc', 7).write()
    const venue = await replayVenue(file)
    const leaving = new AbortController()
    const left = fetch(`${venue.rest}/api/v3/depth?symbol=ABTC`, { signal: leaving.signal }).catch(() => 'aborted')
    const waiting = async (): Promise<unknown> =>
      ((await venue.state()).source as { answers: { waiting: number } }).answers.waiting
    while ((await waiting()) !== 1) await turns(1)
    leaving.abort()
    expect(await left).to.equal('aborted')
    await turns()
    await VenueClient.open(`${venue.ws}/stream?streams=abtc@trade`)
    const answer = await get(`${venue.rest}/api/v3/depth?symbol=ABTC`)
    expect(answer.status).to.equal(200)
    await venue.done
  })

  it('gives two who wait for one line the line and a 503', async () => {
    const file = new CaptureMaker().trades('abtc', 1, 1).depth('abtc', 7).write()
    const venue = await replayVenue(file)
    const answers = [1, 2].map(() => get(`${venue.rest}/api/v3/depth?symbol=ABTC`))
    await turns()
    await VenueClient.open(`${venue.ws}/stream?streams=abtc@trade`)
    const statuses = (await Promise.all(answers)).map((answer) => answer.status)
    expect(statuses.sort()).to.deep.equal([200, 503])
  })

  it('answers trades, aggregate trades and klines from what was replayed, in the rows of the venue', async () => {
    const kline = (closed: boolean, trades: number): object => ({
      e: 'kline',
      s: 'ABTC',
      k: {
        t: 60_000,
        T: 119_999,
        s: 'ABTC',
        i: '1m',
        o: '1',
        h: '2',
        l: '1',
        c: '2',
        v: '3',
        n: trades,
        x: closed,
        q: '4',
        V: '5',
        Q: '6',
      },
    })
    const file = new CaptureMaker()
      .trades('abtc', 10, 13)
      .frame('abtc@trade', trade('abtc', 11))
      .trades('abtc', 16, 16)
      .frame('abtc@trade', trade('abtc', 14))
      .frame('abtc@aggTrade', {
        e: 'aggTrade',
        a: 5,
        p: '1.0',
        q: '2.0',
        f: 10,
        l: 12,
        T: 9,
        m: true,
        M: true,
        s: 'ABTC',
      })
      .frame('abtc@kline_1m', kline(false, 1))
      .frame('abtc@kline_1m', kline(true, 2))
      .write()
    const venue = await replayVenue(file)
    const before = await get(`${venue.rest}/api/v3/historicalTrades?symbol=ABTC&fromId=1`)
    expect(before.body).to.deep.equal([])
    await VenueClient.open(`${venue.ws}/stream?streams=abtc@trade/abtc@aggTrade/abtc@kline_1m`)
    await venue.done
    const rows = (path: string): Promise<unknown[]> =>
      get(`${venue.rest}/api/v3/${path}`).then((answer) => answer.body as unknown[])
    const ids = (list: unknown[]): unknown[] => list.map((row) => (row as { id: number }).id)
    expect(ids(await rows('historicalTrades?symbol=ABTC&fromId=12&limit=3'))).to.deep.equal([12, 13, 14])
    expect(ids(await rows('historicalTrades?symbol=ABTC'))).to.deep.equal([10, 11, 12, 13, 14, 16])
    expect(ids(await rows('trades?symbol=ABTC&limit=2'))).to.deep.equal([14, 16])
    expect((await rows('trades?symbol=ABTC&limit=1'))[0]).to.deep.equal({
      id: 16,
      price: '10.50',
      qty: '0.00250000',
      quoteQty: '0.02625000',
      time: 1_700_000_000_016,
      isBuyerMaker: true,
      isBestMatch: true,
    })
    expect(await rows('aggTrades?symbol=ABTC&fromId=5')).to.deep.equal([
      { a: 5, p: '1.0', q: '2.0', f: 10, l: 12, T: 9, m: true, M: true },
    ])
    expect((await rows('aggTrades?symbol=ABTC&startTime=9&endTime=9')).length).to.equal(1)
    expect(await rows('aggTrades?symbol=ABTC&startTime=10')).to.deep.equal([])
    expect(await rows('klines?symbol=ABTC&interval=1m')).to.deep.equal([
      [60_000, '1', '2', '1', '2', '3', 119_999, '4', 2, '5', '6', '0'],
    ])
    expect((await get(`${venue.rest}/api/v3/trades?symbol=NONE`)).status).to.equal(503)
  })

  it('makes exchangeInfo of the symbols, split at the longest known quote', async () => {
    const maker = new CaptureMaker(['btcfdusd@trade', 'ethusd1@trade', 'nknusdt@trade', '币安人生usdt@trade'])
    const venue = await replayVenue(maker.trades('runeeur', 1, 1).write())
    const info = (await get(`${venue.rest}/api/v3/exchangeInfo`)).body as {
      symbols: { symbol: string; baseAsset: string; quoteAsset: string; filters: { filterType: string }[] }[]
    }
    expect(info.symbols.map((entry) => `${entry.baseAsset}-${entry.quoteAsset}`).sort()).to.deep.equal(
      ['BTC-FDUSD', 'ETH-USD1', 'NKN-USDT', 'RUNE-EUR', '币安人生-USDT'].sort(),
    )
    expect(info.symbols[0]?.filters.map((filter) => filter.filterType)).to.deep.equal([
      'PRICE_FILTER',
      'LOT_SIZE',
      'NOTIONAL',
    ])
    const one = (await get(`${venue.rest}/api/v3/exchangeInfo?symbol=NKNUSDT`)).body as { symbols: unknown[] }
    expect(one.symbols.length).to.equal(1)
    expect((await get(`${venue.rest}/api/v3/exchangeInfo?symbol=NONE`)).body).to.have.property('code', -1121)
  })

  it('completes a recorded exchangeInfo and keeps its request weight', async () => {
    const maker = new CaptureMaker().trades('abtc', 1, 1)
    const recorded = {
      rateLimits: [{ rateLimitType: 'REQUEST_WEIGHT', interval: 'MINUTE', intervalNum: 1, limit: 1200 }],
      symbols: [{ symbol: 'XBTC' }],
    }
    maker.lines.unshift({
      ts: 1,
      conn: 'h',
      kind: 'http',
      url: 'https://api.binance.com/api/v1/exchangeInfo',
      msg: JSON.stringify(recorded),
    })
    const source = await openReplay({ file: maker.write() })
    expect(source.requestWeightMax).to.equal(1200)
    const answer = await source.rest('/api/v3/exchangeInfo', new URLSearchParams())
    expect(
      (JSON.parse(answer?.body ?? '') as { symbols: { symbol: string }[] }).symbols.map((entry) => entry.symbol),
    ).to.deep.equal(['XBTC', 'ABTC'])
    await source.close()
  })

  it('ends while it waits, and says so to whoever waits for an answer', async () => {
    const file = new CaptureMaker().trades('abtc', 1, 1).depth('abtc', 7).write()
    const venue = await replayVenue(file, { speed: 1 })
    const asked = get(`${venue.rest}/api/v3/depth?symbol=ABTC`).catch(() => ({ status: 0 }))
    await turns()
    await venue.close()
    expect((await asked).status).to.be.oneOf([503, 0])
    expect(await attempt(`${venue.ws}/ws`)).to.equal(0)
  })

  for (const name of binanceCaptures) {
    it(`serves ${name} byte for byte and in order`, async function () {
      needRecording(this, name)
      const venue = await replayVenue(capturePath(name))
      const lines = readCapture(capturePath(name))
      const recorded = lines.filter((line) => line.kind === 'ws').map((line) => line.msg)
      const streams = new URL(lines.find((line) => line.kind === 'ws')?.url ?? '').searchParams.get('streams')
      for (const line of lines) {
        // Each depth line is asked for by somebody, so that the replay does not wait for its time-out.
        const url = new URL(line.url)
        if (url.pathname.endsWith('/depth'))
          void fetch(venue.rest + url.pathname + url.search).then((answer) => answer.text())
      }
      const client = await VenueClient.open(`${venue.ws}/stream?streams=${streams}`)
      await venue.done
      await until(() => client.frames.length === recorded.length || client.closed !== null)
      expect(client.frames.every((frame, index) => frame === recorded[index])).to.equal(true)
    })
  }
})
