import { expect } from 'chai'
import type { Verdict } from '../../src/bus/publish.ts'
import { offerOf } from '../../src/dispatcher/canonical.ts'
import { defaultDispatcherLimits } from '../../src/dispatcher/dispatcher.ts'
import type { LineOffer } from '../../src/dispatcher/line-offer.ts'
import { Ring } from '../../src/dispatcher/ring.ts'
import { Channel } from '../../src/domain/event.ts'
import { asInstrument } from '../../src/domain/instrument.ts'
import { SLAB_BYTES } from '../../src/lib/slabs.ts'
import { SentCopy } from '../support/sent-copy.ts'
import { market, World } from './world.ts'

const ring = (more: Partial<(typeof defaultDispatcherLimits)['ring']> = {}) => ({
  limits: { ring: { ...defaultDispatcherLimits.ring, ...more } },
})
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => from + at)
const trades = (from: number, to: number) => range(from, to).map((id) => `TRADE ${id}`)

describe('a Redis that comes back', () => {
  it('is offered everything again before anything newer, and takes what it lacks', async () => {
    const world = new World()
    for (const id of range(1, 5)) world.dispatcher.event(world.trade(id))
    world.dispatcher.event(world.quote(7))
    world.dispatcher.event(world.kline(60_000_000, 3, true))
    await world.dispatcher.whenIdle()
    world.bus.append.restartEmpty()
    world.dispatcher.event(world.trade(6))
    await world.dispatcher.whenIdle()
    expect(world.bus.ids('BTC-USDT', 'TRADE')).to.deep.equal(trades(1, 6))
    expect(world.bus.ids('BTC-USDT', 'QUOTE'), 'a quiet channel too').to.deep.equal(['QUOTE 7'])
    expect(world.bus.ids('BTC-USDT', 'KLINE')).to.deep.equal(['SUMMARY 1m@60000000@3@closed'])
    expect(world.dispatcher.stats()).to.include({ restored: 7, gaps: 0, duplicates: 0, appended: 8 })
    expect(world.incidents.map(({ kind }) => kind)).to.deep.equal(['sink-changed'])
  })

  it('is noticed although no channel has anything to say', async () => {
    const world = new World()
    for (const id of range(1, 3)) world.dispatcher.event(world.trade(id))
    await world.dispatcher.whenIdle()
    world.bus.append.restartEmpty()
    await world.advance(defaultDispatcherLimits.probeAfterMs)
    expect(world.bus.ids('BTC-USDT', 'TRADE')).to.deep.equal(trades(1, 3))
    world.bus.append.restartEmpty()
    world.dispatcher.sinkReturned()
    await world.settle()
    expect(world.bus.ids('BTC-USDT', 'TRADE'), 'at once when the connection tells').to.deep.equal(trades(1, 3))
  })

  it('with its data takes nothing twice', async () => {
    const world = new World()
    for (const id of range(1, 5)) world.dispatcher.event(world.trade(id))
    await world.dispatcher.whenIdle()
    world.bus.append.restart()
    world.dispatcher.event(world.trade(6))
    await world.dispatcher.whenIdle()
    expect(world.bus.ids('BTC-USDT', 'TRADE')).to.deep.equal(trades(1, 6))
    expect(world.dispatcher.stats()).to.include({ restored: 0, duplicates: 0, gaps: 0, appended: 6 })
  })

  it('without data is told what the ring has forgotten, and the venue is asked for it', async () => {
    const world = new World(ring({ ageMsMax: 1_000 }))
    for (const id of range(1, 4)) world.dispatcher.event(world.trade(id))
    world.dispatcher.event(world.quote(1))
    await world.dispatcher.whenIdle()
    await world.advance(2_000)
    for (const id of range(5, 6)) world.dispatcher.event(world.trade(id))
    world.dispatcher.event(world.quote(2))
    await world.dispatcher.whenIdle()
    world.bus.append.restartEmpty()
    world.dispatcher.event(world.trade(7))
    await world.settle()
    expect(world.bus.ids('BTC-USDT', 'TRADE')).to.deep.equal(['GAP 1-4 sink-reset', ...trades(5, 7)])
    expect(world.bus.open('BTC-USDT', 'TRADE')).to.deep.equal([{ from: 1, to: 4 }])
    world.rest.trades[0]?.answer(range(1, 4).map((id) => world.restTrade(id)))
    await world.dispatcher.whenIdle()
    expect(world.bus.ids('BTC-USDT', 'TRADE').slice(4)).to.deep.equal(trades(1, 4))
    expect(world.bus.open('BTC-USDT', 'TRADE')).to.deep.equal([])
    expect(world.bus.ids('BTC-USDT', 'QUOTE')[0]).to.match(/^GAP .* sink-reset$/)
    expect(world.bus.ids('BTC-USDT', 'QUOTE')[1]).to.equal('QUOTE 2')
  })

  it('that lost more than the ring holds is told the hole with cause sink-down', async () => {
    const world = new World(ring({ ageMsMax: 1_000 }))
    for (const id of range(1, 2)) world.dispatcher.event(world.trade(id))
    await world.dispatcher.whenIdle()
    const { append } = world.bus
    const saved = append.save()
    for (const id of range(3, 4)) world.dispatcher.event(world.trade(id))
    world.dispatcher.event(world.quote(1))
    await world.dispatcher.whenIdle()
    await world.advance(2_000)
    for (const id of range(5, 6)) world.dispatcher.event(world.trade(id))
    await world.dispatcher.whenIdle()
    append.restartWith(saved)
    world.dispatcher.event(world.trade(7))
    await world.advance(200)
    expect(world.bus.ids('BTC-USDT', 'TRADE')).to.deep.equal([...trades(1, 2), 'GAP 3-4 sink-down', ...trades(5, 7)])
    world.rest.trades[0]?.answer(range(3, 4).map((id) => world.restTrade(id)))
    await world.dispatcher.whenIdle()
    expect(world.bus.open('BTC-USDT', 'TRADE')).to.deep.equal([])
  })

  it('gets the book from the ring where its snapshot is still there, else from the venue', async () => {
    const world = new World(ring({ ageMsMax: 1_000 }))
    world.dispatcher.event(world.delta(5, 6))
    await world.settle()
    world.rest.snapshots[0]?.answer(world.snapshot(5))
    await world.dispatcher.whenIdle()
    world.dispatcher.event(world.delta(7, 8))
    await world.dispatcher.whenIdle()
    world.bus.append.restartEmpty()
    world.dispatcher.event(world.delta(9, 9))
    await world.settle()
    expect(world.bus.ids('BTC-USDT', 'ORDERBOOK')).to.deep.equal(['SNAPSHOT 5', 'DELTA 6', 'DELTA 8', 'DELTA 9'])
    expect(world.rest.snapshots).to.have.length(1)
    await world.advance(2_000)
    world.dispatcher.event(world.delta(10, 10))
    await world.dispatcher.whenIdle()
    world.bus.append.restartEmpty()
    world.dispatcher.event(world.delta(11, 11))
    await world.settle()
    expect(world.bus.ids('BTC-USDT', 'ORDERBOOK')).to.deep.equal(['GAP 5-9 sink-reset'])
    world.rest.snapshots[1]?.answer(world.snapshot(10))
    await world.dispatcher.whenIdle()
    expect(world.bus.ids('BTC-USDT', 'ORDERBOOK').slice(1)).to.deep.equal(['SNAPSHOT 10', 'DELTA 11'])
    expect(world.dispatcher.bookShown('BTC-USDT' as never)?.quality).to.equal('LIVE')
  })

  it('lacks nothing of a quiet line if it has the newest event, and is told at once where it has not', async () => {
    for (const lost of [false, true]) {
      const world = new World(ring({ ageMsMax: 1_000 }))
      world.dispatcher.event(world.trade(1))
      world.dispatcher.event(world.quote(1))
      world.dispatcher.event(world.kline(60_000_000, 1, false))
      await world.dispatcher.whenIdle()
      const { append } = world.bus
      const old = append.save()
      for (const id of range(2, 5)) world.dispatcher.event(world.trade(id))
      world.dispatcher.event(world.quote(2))
      await world.advance(10)
      world.dispatcher.event(world.quote(3))
      world.dispatcher.event(world.kline(60_000_000, 5, false))
      await world.dispatcher.whenIdle()
      await world.advance(2_000)
      // Another instrument goes on, so that what is old is forgotten.
      world.dispatcher.event(world.trade(1, 'ETHUSDT'))
      await world.dispatcher.whenIdle()
      if (lost) append.restartWith(old)
      else append.restart()
      await world.advance(1_000)
      await world.advance(200)
      const [trade, quote, bar] = ['TRADE', 'QUOTE', 'KLINE'].map((channel) => world.bus.ids('BTC-USDT', channel))
      if (lost) {
        expect(trade).to.deep.equal(['TRADE 1', 'GAP 2-4 sink-down', 'TRADE 5'])
        expect(quote?.map((id) => id.replace(/\d{10,}-\d{10,}/, '..'))).to.deep.equal([
          'QUOTE 1',
          'GAP .. sink-down',
          'QUOTE 3',
        ])
        expect(bar?.[1]).to.match(/^GAP .* sink-down$/)
        expect(bar?.[2]).to.equal('SUMMARY 1m@60000000@5')
        world.rest.trades[0]?.answer(range(2, 4).map((id) => world.restTrade(id)))
        await world.dispatcher.whenIdle()
        expect(world.bus.open('BTC-USDT', 'TRADE')).to.deep.equal([])
      } else {
        expect([trade, quote]).to.deep.equal([trades(1, 5), ['QUOTE 1', 'QUOTE 2', 'QUOTE 3']])
        expect(world.dispatcher.stats()).to.include({ gaps: 0, restored: 0 })
      }
    }
  })

  it('with a book of long ago is brought up to date although the venue is quiet', async () => {
    const world = new World(ring({ ageMsMax: 1_000 }))
    world.dispatcher.event(world.delta(5, 6))
    await world.settle()
    world.rest.snapshots[0]?.answer(world.snapshot(5))
    await world.dispatcher.whenIdle()
    const old = world.bus.append.save()
    world.dispatcher.event(world.delta(7, 8))
    world.dispatcher.event(world.delta(9, 9))
    await world.dispatcher.whenIdle()
    await world.advance(2_000)
    world.dispatcher.event(world.trade(1))
    await world.dispatcher.whenIdle()
    world.bus.append.restartWith(old)
    await world.advance(1_000)
    await world.advance(200)
    world.rest.snapshots[1]?.answer(world.snapshot(9))
    await world.dispatcher.whenIdle()
    const stands = world.bus.ids('BTC-USDT', 'ORDERBOOK')
    expect(stands).to.deep.equal(['SNAPSHOT 5', 'DELTA 6', 'GAP 7-8 sink-down', 'SNAPSHOT 9'])
    expect(world.dispatcher.bookShown('BTC-USDT' as never)?.quality).to.equal('LIVE')
  })

  it('asks the venue for the book of a quiet instrument of which the ring holds nothing', async () => {
    const world = new World(ring({ bytesMax: 0 }))
    world.dispatcher.event(world.delta(5, 6))
    await world.settle()
    world.rest.snapshots[0]?.answer(world.snapshot(5))
    await world.dispatcher.whenIdle()
    world.bus.append.restartEmpty()
    await world.advance(1_000)
    expect(world.rest.snapshots).to.have.length(2)
    world.rest.snapshots[1]?.answer(world.snapshot(6))
    await world.dispatcher.whenIdle()
    expect(world.bus.ids('BTC-USDT', 'ORDERBOOK')).to.deep.equal(['GAP 5-6 sink-reset', 'SNAPSHOT 6'])
  })

  it('takes a call whose answer the old one still owed as what it was', async () => {
    const world = new World()
    world.dispatcher.event(world.trade(1))
    await world.dispatcher.whenIdle()
    const failures = ['after'] as const
    let call = 0
    world.bus.fail = () => failures[call++] ?? null
    world.dispatcher.event(world.trade(2))
    await world.settle()
    world.bus.append.restart()
    await world.advance(100)
    await world.dispatcher.whenIdle()
    expect(world.bus.ids('BTC-USDT', 'TRADE')).to.deep.equal(trades(1, 2))
    expect(world.dispatcher.stats()).to.include({ appended: 2, duplicates: 0, restored: 0 })
  })

  it('keeps no more than the bounds of the ring', async () => {
    const world = new World(ring({ bytesMax: 9_000 }))
    for (const id of range(1, 100)) {
      world.dispatcher.event(world.trade(id))
      if (id % 2 === 0) await world.dispatcher.whenIdle()
    }
    const { ringBytes, ringEvents, ringMemoryBytes, ringSpareChunks } = world.dispatcher.stats()
    expect(ringBytes).to.be.within(7_000, 9_000)
    expect(ringEvents).to.be.within(8, 12)
    expect(ringMemoryBytes).to.equal(SLAB_BYTES)
    expect(ringSpareChunks, 'what is forgotten serves again').to.be.within(1, 2)
  })
})

describe('what a ring remembers of a call', () => {
  it('is what was appended, told with a gap or there already, and nothing that was refused or waits', () => {
    const offers = range(1, 6).map((id): LineOffer => offerOf(new World().trade(id), '{}', 'trace'))
    const told = (index: number, verdict: Verdict) => ({ index, verdict, reason: null, error: null })
    const outcomes = [told(1, 'refused'), told(2, 'duplicate'), told(3, 'gap'), told(4, 'gapTold')]
    const outcome = { epoch: '1', epochChanged: false, have: '6', joined: false, outcomes }
    const batch = {
      ...{ market, instrument: asInstrument('BTC-USDT'), channel: Channel.Trade, tableVersion: 1 },
      offers,
    }
    const sent = new SentCopy([{ ...batch, numbering: 'trade', quality: 'LIVE', epoch: '1' }])
    const whole = new Ring(defaultDispatcherLimits.ring)
    const line = whole.line(Channel.Trade)
    const result = { greatestEntryMs: 1, run: '1', channels: [outcome], sent }
    line.keep(offers, { result, nowMs: 0, retried: false }, 0)
    expect(whole.events).to.equal(4)
    expect(line.takeAll(true, 'gap').map(({ id, known }) => `${id} ${known}`)).to.deep.equal(
      ['1', '3', '5', '6'].map((id) => `${id} acknowledged`),
    )
    expect([whole.events, whole.bytes]).to.deep.equal([0, 0])
  })
})
