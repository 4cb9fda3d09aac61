import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { expect } from 'chai'
import { expectedOfMarket, makeMarket } from '../../../scripts/make-fixture.ts'
import { UnavailableError } from '../../../src/errors.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import { indexCapture } from '../../../src/simulator/capture-index.ts'
import { Ledger } from '../../../src/simulator/market/ledger.ts'
import type { CaptureLine } from '../../support/capture.ts'
import { expectedOf } from '../../support/oracle.ts'
import { runMarket, START_MS } from './run-market.ts'

const linesOf = (file: string): CaptureLine[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as CaptureLine)

describe('the ledger of a generated market', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'meltica-ledger-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  it('holds every frame in order, also of streams that nobody hears, and others once they were asked for', async () => {
    const ledgerFile = join(folder, 'ledger.jsonl')
    const run = runMarket({ ledgerFile }, (stream) => stream.startsWith('btcusdt@trade'))
    run.clock.advance(2000)
    run.market.subscribed(new Set(['btcusdt@trade', 'ethusdt@aggTrade']))
    run.clock.advance(2000)
    run.market.subscribed(new Set())
    run.clock.advance(2000)
    await run.market.close()
    const frames = linesOf(ledgerFile).filter(({ kind }) => kind === 'ws')
    const of = (stream: string): CaptureLine[] => frames.filter(({ msg }) => msg.startsWith(`{"stream":"${stream}"`))
    const heard = run.frames
      .filter(({ stream }) => stream === 'btcusdt@trade')
      .map(({ stream, text }) => `{"stream":"${stream}","data":${text}}`)
    expect(
      of('btcusdt@trade')
        .map(({ msg }) => msg)
        .slice(0, heard.length),
    ).to.deep.equal(heard)
    expect(of('btcusdt@trade').length).to.be.above(heard.length)
    for (const feed of ['trade', 'bookTicker', 'depth@100ms', 'kline_1m', 'ticker']) {
      expect(of(`bnbusdt@${feed}`)).to.not.have.length(0)
    }
    const late = of('ethusdt@aggTrade').map(({ ts }) => ts as number)
    expect(late[0]).to.be.within(START_MS + 2000, START_MS + 4000)
    expect(late.at(-1)).to.be.above(START_MS + 4000)
    expect(of('bnbusdt@aggTrade')).to.have.length(0)
    const times = frames.map(({ ts }) => ts as number)
    expect(times).to.deep.equal([...times].sort((a, b) => a - b))
  })

  it('is a capture: it begins with exchangeInfo, holds the depth answers, and its books join without a gap', async () => {
    const ledgerFile = join(folder, 'ledger.jsonl')
    const run = runMarket({ ledgerFile })
    run.clock.advance(330)
    const answer = await run.rest('depth?symbol=BTCUSDT&limit=1000')
    run.clock.advance(3000)
    await run.market.close()
    const lines = linesOf(ledgerFile)
    expect(lines[0]).to.include({ kind: 'http', url: 'http://simulated/api/v3/exchangeInfo' })
    const depth = lines.find(({ url }) => url.includes('/depth'))
    expect(depth?.url).to.equal('http://simulated/api/v3/depth?symbol=BTCUSDT&limit=1000')
    expect(JSON.parse(depth?.msg ?? '')).to.deep.equal(answer)
    const index = await indexCapture(ledgerFile)
    expect([...index.symbols].sort()).to.deep.equal(['BNBUSDT', 'BTCUSDT', 'ETHUSDT'])
    expect(index.answers).to.deep.equal([{ path: '/api/v3/depth', symbol: 'BTCUSDT' }])
    const isOne = ({ kind, msg }: CaptureLine): boolean =>
      kind === 'http' || /^{"stream":"[a-z]+@depth@100ms"/.test(msg)
    expect(expectedOf(lines.filter(isOne)).books.BTCUSDT).to.include({ state: 'live', gaps: 0, not_contiguous: 0 })
  })

  it('holds depth answers from before a client began to listen, so that it has to ask again', async () => {
    const run = runMarket({ ledgerFile: join(folder, 'ledger.jsonl'), rate: 2000 }, () => false)
    run.clock.advance(1000)
    const places = { tooOld: 0, usable: 0 }
    for (let round = 0; round < 60; round += 1) {
      run.market.subscribed(new Set(['btcusdt@depth@100ms']))
      const before = run.frames.length
      while (run.frames.length === before) {
        run.clock.advance(10)
        // The ledger writes in its own time, and the market waits for it.
        await new Promise((resolve) => setImmediate(resolve))
      }
      const first = run.frames[before]?.data.U
      const { lastUpdateId } = await run.rest('depth?symbol=BTCUSDT')
      places[lastUpdateId < first - 1 ? 'tooOld' : 'usable'] += 1
      run.clock.advance(400)
      expect((await run.rest('depth?symbol=BTCUSDT')).lastUpdateId).to.be.at.least(first)
      run.market.subscribed(new Set())
    }
    expect(places.tooOld).to.be.within(3, 40)
    await run.market.close()
  })

  it('holds every fault as a line that a replay passes over', async () => {
    const ledgerFile = join(folder, 'ledger.jsonl')
    const run = runMarket({ ledgerFile })
    run.clock.advance(500)
    run.market.faultApplied({
      fault: 'drop',
      id: 0,
      timeMs: START_MS + 500,
      stream: 'btcusdt@trade',
      data: '{"e":"trade"}',
    })
    run.market.faultApplied({ fault: 'rest-error', id: 1, timeMs: START_MS + 500, path: '/api/v3/depth' })
    await run.market.close()
    const faults = linesOf(ledgerFile).filter(({ kind }) => (kind as string) === 'fault')
    expect(faults[0]).to.include({
      ts: START_MS + 500,
      fault: 'drop',
      id: 0,
      stream: 'btcusdt@trade',
      msg: '{"e":"trade"}',
    })
    expect(faults[1]).to.include({
      fault: 'rest-error',
      path: '/api/v3/depth',
      url: 'http://simulated/api/v3/depth',
      msg: '',
    })
    await indexCapture(ledgerFile)
  })

  it('is written within 200 ms although little happens', async () => {
    const ledgerFile = join(folder, 'ledger.jsonl')
    const clock = new ManualClock()
    const ledger = new Ledger(ledgerFile, clock)
    ledger.frame(1, '{}')
    clock.advance(200)
    while (linesOf(ledgerFile).length === 0) await new Promise((resolve) => setImmediate(resolve))
    await ledger.close()
  })

  it('is saturated while more waits to be written than may, and says when it is not any more', async () => {
    const ledger = new Ledger(join(folder, 'ledger.jsonl'), new ManualClock())
    const frame = 'x'.repeat(1_000_000)
    while (!ledger.saturated) ledger.frame(1, frame)
    await ledger.drained()
    expect(ledger.saturated).to.equal(false)
    await ledger.close()
    expect(linesOf(join(folder, 'ledger.jsonl'))).to.have.length(ledger.lines)
  })

  it('refuses a place where it cannot write, at once', () => {
    expect(() => new Ledger(join(folder, 'no', 'such', 'folder'), new ManualClock())).to.throw(
      UnavailableError,
      'ENOENT',
    )
  })
})

describe('the small market that the repository carries', () => {
  const fixtures = join(import.meta.dirname, '..', '..', 'fixtures', 'market')

  it('is what the generator writes today, with what the oracle says of it', async () => {
    const text = await makeMarket()
    const kept = gunzipSync(readFileSync(join(fixtures, 'small-market.jsonl.gz'))).toString('utf8')
    expect(kept === text, 'expected the same text; run node scripts/make-fixture.ts').to.equal(true)
    const expected = JSON.parse(readFileSync(join(fixtures, 'small-market.expected.json'), 'utf8'))
    expect(expectedOfMarket(text)).to.deep.equal(expected)
  })
})
