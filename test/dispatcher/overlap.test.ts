import { expect } from 'chai'
import type { ChannelLine } from '../../src/dispatcher/channel-line.ts'
import { asInstrument } from '../../src/domain/instrument.ts'
import { NaiveBus } from './naive-bus.ts'
import { World } from './world.ts'

const TICKERS = 'btcusdt@ticker'

describe('a line that begins beside another process', () => {
  /** What the other process appended: two tickers. */
  async function beside(): Promise<{ other: World; world: World }> {
    const bus = new NaiveBus()
    const other = new World({ bus })
    for (const time of [1_000_000, 2_000_000]) other.dispatcher.event(other.ticker(time))
    await other.settle()
    const world = new World({ bus, covered: true })
    world.clock.advance(60_000)
    return { other, world }
  }

  it('waits with its first event, and tells no gap when the other one brings the same', async () => {
    const { other, world } = await beside()
    world.dispatcher.event(world.ticker(3_000_000))
    await world.settle()
    other.dispatcher.event(other.ticker(3_000_000))
    await other.settle()
    await world.advance(1_000)
    world.dispatcher.event(world.ticker(4_000_000))
    await world.settle()
    const entries = world.bus.ids('BTC-USDT', 'TICKER')
    expect(entries).to.deep.equal(['TICKER 1000000', 'TICKER 2000000', 'TICKER 3000000', 'TICKER 4000000'])
  })

  it('tells the gap after the wait when nobody brought what it has', async () => {
    const { world } = await beside()
    world.dispatcher.event(world.ticker(9_000_000))
    await world.settle()
    expect(world.bus.ids('BTC-USDT', 'TICKER')).to.have.length(2)
    await world.advance(1_000)
    const types = world.bus.entries('BTC-USDT', 'TICKER').map(({ type }) => type)
    expect(types).to.deep.equal(['TICKER', 'TICKER', 'GAP', 'TICKER'])
  })

  for (const when of ['before', 'after'] as const) {
    it(`tells none when it is found, ${when} its first event came, that the two overlapped until then`, async () => {
      const { world } = await beside()
      const overlapped = new Map([[TICKERS, world.clock.nowUs()]])
      if (when === 'before') world.dispatcher.overlapped(overlapped)
      await world.advance(1)
      world.dispatcher.event(world.ticker(9_000_000))
      await world.settle()
      if (when === 'after') world.dispatcher.overlapped(overlapped)
      await world.advance(1_000)
      const types = world.bus.entries('BTC-USDT', 'TICKER').map(({ type }) => type)
      expect(types).to.deep.equal(['TICKER', 'TICKER', 'TICKER'])
    })
  }

  it('tells one when the other overlapped with it for longer, and has not brought its first event: it was sent none', async () => {
    const { world } = await beside()
    world.dispatcher.event(world.ticker(9_000_000))
    await world.advance(100)
    world.dispatcher.overlapped(new Map([[TICKERS, world.clock.nowUs()]]))
    await world.advance(1_000)
    const types = world.bus.entries('BTC-USDT', 'TICKER').map(({ type }) => type)
    expect(types).to.deep.equal(['TICKER', 'TICKER', 'GAP', 'TICKER'])
  })

  describe('while a bus that cannot keep up makes what waits merge', () => {
    /** The first two tickers of this line wait, the other process has appended of them what is given. */
    async function merging(appended: readonly number[]): Promise<{ world: World; betweenUs: number }> {
      const { other } = await beside()
      const limits = { queueEventsMax: 5 }
      const world = new World({ bus: other.bus, covered: true, limits })
      world.clock.advance(60_000)
      world.dispatcher.event(world.ticker(3_000_000))
      await world.advance(10)
      const betweenUs = world.clock.nowUs()
      await world.advance(10)
      for (const time of [4_000_000, 5_000_000, 6_000_000, 7_000_000]) world.dispatcher.event(world.ticker(time))
      expect(world.dispatcher.stats().merged.TICKER).to.be.greaterThan(0)
      for (const time of appended) other.dispatcher.event(other.ticker(time))
      await other.settle()
      return { world, betweenUs }
    }
    const typesOf = (world: World): string[] => world.bus.entries('BTC-USDT', 'TICKER').map(({ type }) => type)

    it('tells none where the other one brought the first', async () => {
      const { world } = await merging([3_000_000])
      await world.advance(1_000)
      expect(typesOf(world)).to.deep.equal(['TICKER', 'TICKER', 'TICKER', 'TICKER'])
    })

    it('tells one where the other one was sent nothing up to the first', async () => {
      const { world, betweenUs } = await merging([])
      world.dispatcher.overlapped(new Map([[TICKERS, betweenUs]]))
      await world.advance(1_000)
      expect(typesOf(world)).to.deep.equal(['TICKER', 'TICKER', 'GAP', 'TICKER', 'TICKER'])
    })
  })

  it('waits again after an interruption, when until then it brought only what the other one had', async () => {
    const bus = new NaiveBus()
    const [other, world] = [new World({ bus }), new World({ bus, covered: true })]
    for (const id of [1, 2, 3]) other.dispatcher.event(other.trade(id))
    await other.settle()
    world.dispatcher.event(world.trade(3))
    await world.advance(500)
    world.dispatcher.interrupted(['btcusdt@trade'], 'disconnect')
    world.dispatcher.event(world.trade(6))
    await world.advance(400)
    for (const id of [4, 5]) other.dispatcher.event(other.trade(id))
    await other.settle()
    await world.advance(100)
    expect(bus.ids('BTC-USDT', 'TRADE')).to.deep.equal([1, 2, 3, 4, 5, 6].map((id) => `TRADE ${id}`))
  })

  it('waits with the first event of the line, and not with an answer of REST that comes before it', async () => {
    const { bus } = (await beside()).world
    const world = new World({ bus, covered: true })
    world.dispatcher.fillTradeGap(asInstrument('BTC-USDT'), 7, 7, world.clock.nowUs())
    world.rest.trades[0]?.answer([world.restTrade(7)])
    await world.settle()
    expect(bus.ids('BTC-USDT', 'TRADE')).to.deep.equal(['TRADE 7'])
    world.dispatcher.event(world.trade(8))
    await world.advance(499)
    expect(bus.ids('BTC-USDT', 'TRADE')).to.have.length(1)
    await world.advance(1)
    expect(bus.ids('BTC-USDT', 'TRADE')).to.have.length(2)
  })

  it('waits again where it begins again meanwhile, and not for longer than twice', async () => {
    const { other, world } = await beside()
    const again = (time: number): void => {
      world.dispatcher.interrupted([TICKERS], 'disconnect')
      world.dispatcher.event(world.ticker(time))
    }
    world.dispatcher.event(world.ticker(3_000_000))
    await world.advance(400)
    again(4_000_000)
    await world.advance(400)
    again(5_000_000)
    await world.advance(199)
    expect(world.bus.ids('BTC-USDT', 'TICKER')).to.have.length(2)
    for (const time of [3_000_000, 4_000_000]) other.dispatcher.event(other.ticker(time))
    await other.settle()
    await world.advance(1)
    const types = world.bus.entries('BTC-USDT', 'TICKER').map(({ type }) => type)
    expect(types, 'of what the other one has not brought the gap is told').to.deep.equal([
      ...['TICKER', 'TICKER', 'TICKER', 'TICKER', 'GAP', 'TICKER'],
    ])
  })

  it('owes a gap until its first event, or until another is known to overlap, and again when it is interrupted', async () => {
    const { world } = await beside()
    const line = world.dispatcher.bindingOf(TICKERS)?.line as ChannelLine
    expect(line.owesGap('')).to.equal(true)
    world.dispatcher.event(world.ticker(3_000_000))
    expect(line.owesGap('')).to.equal(false)
    world.dispatcher.interrupted([TICKERS], 'disconnect')
    expect(line.owesGap('')).to.equal(true)
    world.dispatcher.overlapped(new Map([[TICKERS, world.clock.nowUs()]]))
    expect(line.owesGap('')).to.equal(false)
  })
})
