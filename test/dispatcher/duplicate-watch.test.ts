import { expect } from 'chai'
import { allRules, tableOf, World } from './world.ts'

describe('a channel that answers nothing but duplicate', () => {
  let trade = 0
  /** Quotes that are older than the one in the stream, one a second. */
  async function repeats(world: World, seconds: number): Promise<void> {
    for (let second = 0; second < seconds; second++) {
      world.dispatcher.event(world.quote(5))
      world.dispatcher.event(world.trade(++trade))
      await world.advance(1_000)
    }
  }
  const alarms = (world: World) =>
    world.incidents.filter(({ kind }) => kind === 'only-duplicates').map(({ channel }) => channel)
  const channels = (world: World) => world.dispatcher.stats().duplicateChannels

  it('for a minute is an alarm, once until something is appended, and then again', async () => {
    const world = new World()
    world.dispatcher.event(world.quote(9))
    await world.advance(10_000)
    await repeats(world, 55)
    expect(alarms(world)).to.deep.equal([])
    await repeats(world, 200)
    expect([alarms(world), channels(world)]).to.deep.equal([['QUOTE'], 1])
    world.dispatcher.event(world.quote(10))
    await world.advance(10_000)
    expect(channels(world)).to.equal(0)
    await repeats(world, 80)
    expect([alarms(world), channels(world)]).to.deep.equal([['QUOTE', 'QUOTE'], 1])
    world.dispatcher.close()
  })

  it('is no alarm where another process feeds the stream too', async () => {
    const world = new World({ covered: true })
    world.dispatcher.event(world.quote(9))
    await repeats(world, 200)
    expect([alarms(world), channels(world)]).to.deep.equal([[], 0])
  })

  it('is no alarm where a copy comes now and then and the channel is quiet', async () => {
    const world = new World()
    for (const id of [9, 9]) world.dispatcher.event(world.quote(id))
    for (let minute = 0; minute < 10; minute++) await world.advance(60_000)
    for (const quietMs of [60_000, 120_000]) {
      world.dispatcher.event(world.quote(9))
      await world.advance(quietMs)
    }
    expect(alarms(world)).to.deep.equal([])
    world.dispatcher.event(world.quote(9))
    await world.advance(10_000)
    expect(alarms(world), 'seen a third time, minutes after the first').to.deep.equal(['QUOTE'])
  })

  it('ends its alarm when nobody wants it any more', async () => {
    const world = new World()
    world.dispatcher.event(world.quote(9))
    await world.advance(10_000)
    await repeats(world, 80)
    expect(channels(world)).to.equal(1)
    world.dispatcher.useTable({ ...tableOf(allRules.filter(({ type }) => type !== 'QUOTE')), version: 2 })
    await world.advance(10_000)
    expect([alarms(world), channels(world)]).to.deep.equal([['QUOTE'], 0])
  })

  it('is no alarm where a bar is shown again and again because nobody trades, and is one where other bars are thrown away', async () => {
    const world = new World()
    const start = world.clock.nowUs()
    for (let second = 0; second < 100; second++) {
      world.dispatcher.event(world.kline(start, 5, false))
      await world.advance(1_000)
    }
    expect(alarms(world)).to.deep.equal([])
    for (let second = 0; second < 100; second++) {
      world.dispatcher.event(world.kline(start - 60_000_000, second, false))
      await world.advance(1_000)
    }
    expect(alarms(world)).to.deep.equal(['KLINE'])
  })

  it('is no alarm where the copies are what is offered again to another Redis', async () => {
    const world = new World()
    for (let id = 1; id < 100; id++) world.dispatcher.event(world.quote(id))
    await world.settle()
    for (let time = 0; time < 12; time++) {
      world.dispatcher.sinkReturned()
      world.bus.append.restart()
      await world.advance(10_000)
    }
    expect(alarms(world)).to.deep.equal([])
  })
})
