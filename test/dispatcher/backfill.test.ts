import { expect } from 'chai'
import { defaultDispatcherLimits } from '../../src/dispatcher/dispatcher.ts'
import { asInstrument } from '../../src/domain/instrument.ts'
import { VenueConnectionError, VenueRateLimitError } from '../../src/venues/errors.ts'
import { World } from './world.ts'

/** A world in which trades 2..`to` - 1 were declared lost. */
async function gapped(to: number, options: ConstructorParameters<typeof World>[0] = {}): Promise<World> {
  const world = new World(options)
  world.dispatcher.event(world.trade(1))
  world.dispatcher.event(world.trade(to))
  await world.settle()
  await world.advance(150)
  return world
}

const ids = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

describe('the filling of trade gaps', () => {
  it('fetches exactly what is missing, page after page, while the stream flows on', async () => {
    const world = await gapped(2_502)
    expect(world.rest.trades[0]?.args).to.deep.equal(['trade', 2, 1_000])
    world.dispatcher.event(world.trade(2_503))
    world.rest.trades[0]?.answer(ids(2, 1_001).map((id) => world.restTrade(id)))
    await world.settle()
    expect(world.rest.trades[1]?.args).to.deep.equal(['trade', 1_002, 1_000])
    world.rest.trades[1]?.answer(ids(1_002, 2_001).map((id) => world.restTrade(id)))
    await world.settle()
    expect(world.rest.trades[2]?.args).to.deep.equal(['trade', 2_002, 500])
    expect(world.dispatcher.idle).to.equal(false)
    world.rest.trades[2]?.answer(ids(2_002, 2_503).map((id) => world.restTrade(id)))
    await world.dispatcher.whenIdle()
    expect(world.bus.open('BTC-USDT', 'TRADE')).to.deep.equal([])
    const entries = world.bus.entries('BTC-USDT', 'TRADE')
    expect(entries.filter((entry) => entry.type === 'TRADE')).to.have.length(2_503)
    expect(world.dispatcher.stats().duplicates).to.equal(0)
    expect(world.rest.trades).to.have.length(3)
  })

  it('goes on after failures, and waits for as long as the venue says', async () => {
    const world = await gapped(4)
    world.rest.trades[0]?.fail(new VenueRateLimitError('slow down', { retryAfterMs: 5_000, status: 429 }))
    await world.settle()
    expect(world.dispatcher.idle, 'a back-off is idle').to.equal(true)
    await world.advance(4_999)
    expect(world.rest.trades).to.have.length(1)
    await world.advance(300)
    world.rest.trades[1]?.fail(new VenueConnectionError('no answer'))
    await world.advance(300)
    world.rest.trades[2]?.answer([2, 3].map((id) => world.restTrade(id)))
    await world.dispatcher.whenIdle()
    expect(world.bus.open('BTC-USDT', 'TRADE')).to.deep.equal([])
    expect(world.dispatcher.stats().backfillFailures).to.equal(2)
  })

  it('gives up what the venue cannot tell, after asking again, and takes the rest', async () => {
    const world = await gapped(6)
    for (const request of [0, 1, 2]) {
      world.rest.trades[request]?.answer([4, 5].map((id) => world.restTrade(id)))
      await world.advance(2_000)
    }
    expect(world.bus.open('BTC-USDT', 'TRADE')).to.deep.equal([{ from: 4, to: 5 }])
    expect(world.dispatcher.stats()).to.deep.include({
      ...{ givenUp: { TRADE: { absent: 1 } }, tradesGivenUp: { absent: 2 }, backfillGaps: 1 },
    })
    expect(world.incidents.map(({ kind, message }) => `${kind}: ${message}`)).to.deep.equal([
      'given-up: the trades 2..3 of BTC-USDT are not fetched: absent',
    ])
    expect(world.rest.trades[3]?.args).to.deep.equal(['trade', 4, 2])
    world.rest.trades[3]?.answer([4, 5].map((id) => world.restTrade(id)))
    await world.dispatcher.whenIdle()
    expect(world.bus.open('BTC-USDT', 'TRADE')).to.deep.equal([])
  })

  it('gives up the older part of a gap that is too long, and fetches the newest', async () => {
    const backfill = { ...defaultDispatcherLimits.backfill, idsPerGapMax: 10 }
    const world = await gapped(102, { limits: { backfill } })
    expect(world.rest.trades[0]?.args).to.deep.equal(['trade', 92, 10])
    const given = world.bus.calls
      .flatMap((call) => call.flatMap((batch) => batch.offers))
      .find((o) => o.kind === 'GIVEUP')
    expect([given?.id, given?.first, given?.data]).to.deep.equal(['2', '91', 'given-up'])
    expect(world.dispatcher.stats().tradesGivenUp).to.deep.equal({ 'too-many': 90 })
  })

  it('gives up what is older than the age bound', async () => {
    const world = await gapped(6)
    const old = { ...world.restTrade(2), venueTimeUs: world.clock.nowUs() - 601_000_000 }
    world.rest.trades[0]?.answer([old, ...[3, 4, 5].map((id) => world.restTrade(id))])
    await world.dispatcher.whenIdle()
    expect(world.bus.open('BTC-USDT', 'TRADE')).to.deep.equal([])
    expect(world.bus.ids('BTC-USDT', 'TRADE')).to.not.include('TRADE 2')
    expect(world.dispatcher.stats()).to.deep.include({ tradesGivenUp: { 'too-old': 1 }, backfillGaps: 0 })
  })

  it('fills a gap also when the answer that told it got lost', async () => {
    const world = new World()
    world.dispatcher.event(world.trade(1))
    world.dispatcher.event(world.trade(4))
    await world.settle()
    let failed = false
    world.bus.fail = () => {
      if (failed) return null
      failed = true
      return 'after'
    }
    await world.advance(150)
    await world.advance(50)
    expect(world.bus.ids('BTC-USDT', 'TRADE')).to.deep.equal(['TRADE 1', 'GAP 2-3 lost', 'TRADE 4'])
    world.rest.trades[0]?.answer([2, 3].map((id) => world.restTrade(id)))
    await world.dispatcher.whenIdle()
    expect(world.bus.open('BTC-USDT', 'TRADE')).to.deep.equal([])
    expect(world.dispatcher.stats()).to.include({ appended: 4, duplicates: 0 })
  })

  it('fills what an earlier life left open in the ledger', async () => {
    const world = await gapped(4)
    const later = new World({ bus: world.bus })
    for (const { from, to } of world.bus.open('BTC-USDT', 'TRADE')) {
      later.dispatcher.fillTradeGap(asInstrument('BTC-USDT'), from, to, later.clock.nowUs())
    }
    later.rest.trades[0]?.answer([2, 3].map((id) => later.restTrade(id)))
    await later.dispatcher.whenIdle()
    expect(world.bus.open('BTC-USDT', 'TRADE')).to.deep.equal([])
  })

  it('stops trying when the gap itself has grown too old', async () => {
    const world = await gapped(4)
    for (let request = 0; request < 60 && world.bus.open('BTC-USDT', 'TRADE').length > 0; request++) {
      world.rest.trades[request]?.fail(new VenueConnectionError('no answer', { status: 503 }))
      await world.advance(15_000)
    }
    expect(world.bus.open('BTC-USDT', 'TRADE')).to.deep.equal([])
    expect(world.dispatcher.stats().tradesGivenUp).to.deep.equal({ unanswered: 2 })
  })

  it('gives up at once a gap that finds the queue full', async () => {
    const backfill = { ...defaultDispatcherLimits.backfill, gapsWaitingMax: 0 }
    const world = await gapped(4, { limits: { backfill } })
    expect(world.rest.trades).to.have.length(0)
    expect(world.bus.open('BTC-USDT', 'TRADE')).to.deep.equal([])
    expect(world.dispatcher.stats().tradesGivenUp).to.deep.equal({ 'queue-full': 2 })
  })
})

describe('the filling of missed bars', () => {
  const MINUTE_US = 60_000_000

  it('fetches the bars that closed during an interruption, and takes them as final whatever the clocks say', async () => {
    const world = new World()
    const start = 1_699_999_980_000_000
    world.dispatcher.event(world.kline(start, 5, false))
    await world.settle()
    world.interrupted('btcusdt@kline_1m')
    await world.advance(180_000)
    world.dispatcher.event(world.kline(start + 3 * MINUTE_US, 2, false))
    await world.settle()
    expect(world.rest.klines[0]?.args).to.deep.equal(['1m', start, start + 3 * MINUTE_US - 1])
    const bars = [0, 1, 2, 3].map((at) => ({
      ...world.kline(start + at * MINUTE_US, 9, at < 2),
      source: 'binance.rest.klines',
    }))
    world.rest.klines[0]?.answer(bars)
    await world.dispatcher.whenIdle()
    const offered = world.bus.calls.flatMap((call) => call.flatMap((batch) => batch.offers.map((offer) => offer.id)))
    expect(offered.slice(-3)).to.deep.equal([0, 1, 2].map((at) => `1m@${start + at * MINUTE_US}@9@closed`))
    expect(world.rest.klines).to.have.length(1)
  })

  it('fetches a final bar that did not come, as the next bar shows, until the venue answers', async () => {
    const world = new World()
    world.dispatcher.event(world.kline(MINUTE_US, 5, false))
    world.dispatcher.event(world.kline(2 * MINUTE_US, 1, false))
    await world.settle()
    for (let attempt = 0; attempt < 8; attempt++) {
      world.rest.klines.at(-1)?.fail(new VenueConnectionError('no answer', { status: 503 }))
      await world.advance(15_000)
    }
    expect(world.rest.klines.map(({ args }) => args)).to.deep.equal(
      Array.from({ length: 9 }, () => ['1m', MINUTE_US, 2 * MINUTE_US - 1]),
    )
    world.rest.klines.at(-1)?.answer([{ ...world.kline(MINUTE_US, 9, true), source: 'binance.rest.klines' }])
    await world.dispatcher.whenIdle()
    expect(world.bus.entries('BTC-USDT', 'KLINE').map(({ id }) => id)).to.deep.equal([
      `1m@${MINUTE_US}@5`,
      `1m@${2 * MINUTE_US}@1`,
      `1m@${MINUTE_US}@9@closed`,
    ])
  })

  it('asks again while the host that answers lags behind the stream, and closes no bar with such an answer', async () => {
    const world = new World()
    const start = world.clock.nowUs()
    const bar = (minute: number, first: number, last: number) => ({
      ...world.kline(start + minute * MINUTE_US, 1 + last - first, false),
      ...{ firstTradeId: first, lastTradeId: last },
    })
    world.dispatcher.event(bar(0, 1, 5))
    await world.advance(60_000)
    world.dispatcher.event(bar(1, 10, 10))
    await world.settle()
    const row = (trades: number) => ({ ...world.kline(start, trades, true), source: 'binance.rest.klines' })
    const answers = [[], [row(4)], [row(8)], [row(9)]]
    for (const [at, answer] of answers.entries()) {
      expect(world.rest.klines).to.have.length(at + 1)
      world.rest.klines[at]?.answer(answer)
      await world.advance(15_000)
    }
    expect(world.bus.entries('BTC-USDT', 'KLINE').map(({ id }) => id)).to.deep.equal([
      ...[`1m@${start}@5`, `1m@${start + MINUTE_US}@1`, `1m@${start}@9@closed`],
    ])
    expect(world.dispatcher.stats().backfillLagging).to.equal(3)
    expect(world.incidents.map(({ kind }) => kind)).to.deep.equal(Array(3).fill('backfill-lagging'))
  })

  it('tells a lost bar as a gap in the stream when the venue answered none of the requests for it', async () => {
    const world = new World()
    const start = world.clock.nowUs()
    world.dispatcher.event(world.kline(start, 5, false))
    await world.advance(60_000)
    world.dispatcher.event(world.kline(start + MINUTE_US, 1, false))
    const before = world.clock.nowUs()
    for (let attempt = 0; attempt < 60; attempt++) {
      await world.settle()
      world.rest.klines.at(-1)?.fail(new VenueConnectionError('no answer', { status: 503 }))
      await world.advance(15_000)
    }
    world.dispatcher.event(world.kline(start + MINUTE_US, 2, false))
    await world.settle()
    expect(world.bus.ids('BTC-USDT', 'KLINE')).to.deep.equal([
      ...[`SUMMARY 1m@${start}@5`, `SUMMARY 1m@${start + MINUTE_US}@1`],
      ...[`GAP ${before}-${world.clock.nowUs()} lost`, `SUMMARY 1m@${start + MINUTE_US}@2`],
    ])
    expect(world.incidents.filter(({ kind }) => kind === 'given-up')).to.have.length(1)
    expect(world.dispatcher.stats().givenUp).to.deep.equal({ KLINE: { unanswered: 1 } })
  })

  it('tells a lost bar at once where the queue is full, and not where an interruption has told it already', async () => {
    const backfill = { ...defaultDispatcherLimits.backfill, gapsWaitingMax: 0 }
    const world = new World({ limits: { backfill } })
    const start = world.clock.nowUs()
    const at = (minute: number) => start + minute * MINUTE_US
    world.dispatcher.event(world.kline(at(0), 5, false))
    await world.advance(60_000)
    world.dispatcher.event(world.kline(at(1), 1, false))
    await world.settle()
    world.interrupted('btcusdt@kline_1m')
    await world.advance(60_000)
    world.dispatcher.event(world.kline(at(2), 1, false))
    await world.advance(1_000)
    world.dispatcher.event(world.kline(at(2), 2, false))
    await world.settle()
    const gaps = world.bus.ids('BTC-USDT', 'KLINE').filter((id) => id.startsWith('GAP'))
    expect(gaps).to.deep.equal([`GAP ${at(0)}-${at(1)} lost`, `GAP ${at(1)}-${at(2)} disconnect`])
  })

  it('counts the bars that it gives up: those too old, and those that lag for good', async () => {
    const world = new World()
    const start = world.clock.nowUs()
    world.dispatcher.event(world.kline(start, 5, false))
    await world.advance(1_800_000)
    world.dispatcher.event(world.kline(start + 30 * MINUTE_US, 1, false))
    await world.settle()
    expect(world.dispatcher.stats().givenUp).to.deep.equal({ KLINE: { 'too-old': 1 } })
    world.dispatcher.event(world.kline(start + 31 * MINUTE_US, 1, false))
    await world.settle()
    for (let answer = 0; answer < 10; answer++) {
      world.rest.klines[1 + answer]?.answer([])
      await world.advance(15_000)
    }
    expect(world.rest.klines).to.have.length(9)
    expect(world.dispatcher.stats().givenUp).to.deep.equal({ KLINE: { 'too-old': 1, lagging: 1 } })
  })

  it('fetches whole bars that trade ids tell of, and asks for none where nobody traded', async () => {
    const world = new World()
    const bar = (minute: number, firstTradeId: number, lastTradeId: number) => ({
      ...world.kline(minute * MINUTE_US, 1 + lastTradeId - firstTradeId, true),
      firstTradeId,
      lastTradeId,
    })
    for (const event of [bar(1, 1, 5), bar(4, 6, 8), bar(9, 11, 11)]) world.dispatcher.event(event)
    await world.settle()
    expect(world.rest.klines.map(({ args }) => args)).to.deep.equal([['1m', 4 * MINUTE_US + 1, 9 * MINUTE_US - 1]])
  })

  it('fetches the bar that a killed process was fetching, though no bar of the stream shows that it is missing', async () => {
    const killed = new World()
    const start = killed.clock.nowUs()
    killed.dispatcher.event(killed.kline(start - MINUTE_US, 7, true))
    killed.dispatcher.event(killed.kline(start, 5, false))
    await killed.advance(60_000)
    killed.dispatcher.event(killed.kline(start + MINUTE_US, 1, false))
    await killed.settle()
    expect(killed.rest.klines).to.have.length(1)
    const world = new World({ bus: killed.bus })
    world.clock.advance(62_000)
    for (const trades of [1, 2]) world.dispatcher.event(world.kline(start + MINUTE_US, trades, false))
    await world.settle()
    expect(world.rest.klines, 'its first bar is in the stream already, so no gap is told').to.have.length(0)
    const newestOpenTimeUs = start + MINUTE_US
    world.dispatcher.fillBars({
      ...{ instrument: asInstrument('BTC-USDT'), interval: '1m', newestOpenTimeUs },
      ...{ fromOpenTimeUs: start, toOpenTimeUs: start + MINUTE_US - 1 },
    })
    await world.settle()
    world.rest.klines[0]?.answer([world.kline(start, 9, true)])
    await world.advance(1_000)
    world.rest.klines[1]?.answer([world.kline(start, 9, true)])
    await world.advance(2_000)
    world.rest.klines[2]?.answer([world.kline(start, 9, true)])
    await world.dispatcher.whenIdle()
    expect(world.bus.ids('BTC-USDT', 'KLINE').at(-1)).to.equal(`SUMMARY 1m@${start}@9@closed`)
  })

  it('marks the first bar of each interval after a start or an interruption, and no other', async () => {
    const world = new World()
    world.dispatcher.event(world.kline(MINUTE_US, 1, false))
    world.dispatcher.event(world.kline(MINUTE_US, 2, false))
    world.dispatcher.event(world.kline(MINUTE_US, 1, false, '5m'))
    world.interrupted('btcusdt@kline_5m', 'late')
    world.dispatcher.event(world.kline(MINUTE_US, 3, false))
    world.dispatcher.event(world.kline(MINUTE_US, 4, false, '5m'))
    await world.settle()
    const declared = world.bus.calls.flatMap((call) => call.flatMap((batch) => batch.offers.map((o) => o.declare)))
    expect(declared).to.deep.equal(['disconnect', '', 'disconnect', '', 'late'])
  })
})
