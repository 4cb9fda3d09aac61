import { expect } from 'chai'
import { asInstrument } from '../../src/domain/instrument.ts'
import { VenueConnectionError } from '../../src/venues/errors.ts'
import { NaiveBus } from './naive-bus.ts'
import { info, tableOf, World } from './world.ts'

const BTC = asInstrument('BTC-USDT')
const TOPIC = 'btcusdt@depth@100ms'

/** A world whose BTC book is joined at update 10. */
async function joined(options: ConstructorParameters<typeof World>[0] = {}): Promise<World> {
  const world = new World(options)
  world.dispatcher.event(world.delta(9, 10))
  await world.settle()
  world.rest.snapshots[0]?.answer(world.snapshot(10))
  await world.dispatcher.whenIdle()
  return world
}

describe('the line of a book', () => {
  it('goes on with the book of an earlier life without asking for a snapshot', async () => {
    const bus = new NaiveBus()
    await joined({ bus })
    const world = new World({ bus })
    world.dispatcher.event(world.delta(11, 12))
    await world.dispatcher.whenIdle()
    expect(world.rest.snapshots).to.have.length(0)
    expect(bus.ids('BTC-USDT', 'ORDERBOOK')).to.deep.equal(['SNAPSHOT 10', 'DELTA 12'])
    expect(world.dispatcher.bookShown(BTC)?.quality).to.equal('LIVE')
  })

  it('declares a hole after the tolerance, keeps the delta that showed it, and joins anew', async () => {
    const world = await joined()
    world.dispatcher.event(world.delta(13, 14))
    await world.advance(149)
    expect(world.rest.snapshots).to.have.length(1)
    await world.advance(1)
    expect(world.dispatcher.bookShown(BTC)?.quality).to.equal('GAPPED')
    expect(world.rest.snapshots).to.have.length(2)
    world.dispatcher.event(world.delta(15, 15))
    world.rest.snapshots[1]?.answer(world.snapshot(12))
    await world.dispatcher.whenIdle()
    const expected = ['SNAPSHOT 10', 'GAP 11-12 lost', 'SNAPSHOT 12', 'DELTA 14', 'DELTA 15']
    expect(world.bus.ids('BTC-USDT', 'ORDERBOOK')).to.deep.equal(expected)
    expect(world.dispatcher.bookShown(BTC)?.quality).to.equal('LIVE')
  })

  it('is healed by the missing delta itself, without a snapshot, also after the hole was declared', async () => {
    const world = await joined()
    world.dispatcher.event(world.delta(13, 14))
    await world.advance(150)
    world.dispatcher.event(world.delta(11, 12))
    await world.settle()
    const expected = ['SNAPSHOT 10', 'GAP 11-12 lost', 'DELTA 12', 'DELTA 14']
    expect(world.bus.ids('BTC-USDT', 'ORDERBOOK')).to.deep.equal(expected)
    world.rest.snapshots[1]?.answer(world.snapshot(14))
    await world.dispatcher.whenIdle()
    expect(world.bus.ids('BTC-USDT', 'ORDERBOOK'), 'the late answer is of no use').to.deep.equal(expected)
  })

  it('goes on with a stream that another process joined, without the snapshot that the venue owes', async () => {
    const bus = new NaiveBus()
    const [world, other] = [new World({ bus }), new World({ bus })]
    for (const each of [world, other]) each.dispatcher.event(each.delta(9, 10))
    await world.settle()
    await other.settle()
    other.rest.snapshots[0]?.answer(other.snapshot(10))
    await other.dispatcher.whenIdle()
    for (const each of [world, other]) each.dispatcher.event(each.delta(11, 12))
    await other.settle()
    // The other process ends here.
    world.dispatcher.event(world.delta(13, 14))
    await world.advance(999)
    expect(bus.ids('BTC-USDT', 'ORDERBOOK')).to.deep.equal(['SNAPSHOT 10', 'DELTA 12'])
    await world.advance(1)
    world.dispatcher.event(world.delta(15, 15))
    await world.settle()
    expect(bus.ids('BTC-USDT', 'ORDERBOOK')).to.deep.equal(['SNAPSHOT 10', 'DELTA 12', 'DELTA 14', 'DELTA 15'])
    expect(world.dispatcher.bookShown(BTC)?.quality).to.equal('LIVE')
    expect(world.dispatcher.stats()).to.include({ queueEvents: 0, bookBufferEvents: 0 })
  })

  it('asks a stream that nobody joined once a second, whatever waits for the snapshot', async () => {
    const world = new World()
    for (let id = 1; id <= 100; id++) world.dispatcher.event(world.delta(id, id))
    await world.settle()
    const before = world.dispatcher.stats().refusedByReason.unjoined ?? 0
    for (let ms = 0; ms < 3_000; ms += 100) await world.advance(100)
    expect((world.dispatcher.stats().refusedByReason.unjoined ?? 0) - before).to.equal(3)
    expect(world.rest.snapshots).to.have.length(1)
    world.rest.snapshots[0]?.answer(world.snapshot(50))
    await world.dispatcher.whenIdle()
    expect(world.bus.ids('BTC-USDT', 'ORDERBOOK')).to.deep.equal([
      'SNAPSHOT 50',
      ...Array.from({ length: 50 }, (_, index) => `DELTA ${51 + index}`),
    ])
  })

  it('tells a hole inside the buffer like any other', async () => {
    const world = new World()
    for (const [first, last] of [[5, 6] as const, [9, 9] as const]) world.dispatcher.event(world.delta(first, last))
    await world.settle()
    world.rest.snapshots[0]?.answer(world.snapshot(5))
    await world.advance(150)
    expect(world.bus.ids('BTC-USDT', 'ORDERBOOK')).to.deep.equal(['SNAPSHOT 5', 'DELTA 6', 'GAP 7-8 lost'])
    world.rest.snapshots[1]?.answer(world.snapshot(9))
    await world.dispatcher.whenIdle()
    expect(world.bus.ids('BTC-USDT', 'ORDERBOOK').at(-1)).to.equal('SNAPSHOT 9')
  })

  it('asks for the snapshot of a quiet symbol a moment after it was acknowledged', async () => {
    const world = new World()
    world.dispatcher.topicAcked(TOPIC)
    await world.advance(249)
    expect(world.rest.snapshots).to.have.length(0)
    await world.advance(1)
    world.rest.snapshots[0]?.answer(world.snapshot(77))
    await world.dispatcher.whenIdle()
    expect(world.bus.ids('BTC-USDT', 'ORDERBOOK')).to.deep.equal(['SNAPSHOT 77'])
    world.dispatcher.event(world.delta(70, 79))
    await world.dispatcher.whenIdle()
    expect(world.bus.ids('BTC-USDT', 'ORDERBOOK')).to.deep.equal(['SNAPSHOT 77', 'DELTA 79'])
  })

  it('does not let a book stand silently behind the venue after an interruption', async () => {
    const world = await joined()
    world.interrupted(TOPIC)
    world.dispatcher.topicAcked(TOPIC)
    await world.advance(5_000)
    world.rest.snapshots[1]?.answer(world.snapshot(20))
    await world.advance(999)
    expect(world.bus.ids('BTC-USDT', 'ORDERBOOK')).to.deep.equal(['SNAPSHOT 10'])
    await world.advance(1)
    expect(world.bus.ids('BTC-USDT', 'ORDERBOOK')).to.deep.equal(['SNAPSHOT 10', 'GAP 11-20 disconnect', 'SNAPSHOT 20'])
  })

  it('takes an early snapshot for what it is when the deltas come after all', async () => {
    const world = await joined()
    world.interrupted(TOPIC)
    world.dispatcher.topicAcked(TOPIC)
    await world.advance(5_000)
    world.rest.snapshots[1]?.answer(world.snapshot(12))
    await world.advance(500)
    world.dispatcher.event(world.delta(11, 13))
    await world.dispatcher.whenIdle()
    await world.advance(5_000)
    expect(world.bus.ids('BTC-USDT', 'ORDERBOOK')).to.deep.equal(['SNAPSHOT 10', 'DELTA 13'])
  })

  it('needs no snapshot after an interruption when deltas flow on', async () => {
    const world = await joined()
    world.interrupted(TOPIC)
    world.dispatcher.topicAcked(TOPIC)
    world.dispatcher.event(world.delta(11, 13))
    await world.advance(6_000)
    expect(world.rest.snapshots).to.have.length(1)
  })

  it('throws the older half of its buffer away at the bound, and still joins exactly', async () => {
    const world = new World({ limits: { bookBufferEventsMax: 4 } })
    for (let id = 1; id <= 10; id++) {
      world.dispatcher.event(world.delta(id, id))
      await world.settle()
    }
    world.rest.snapshots[0]?.answer(world.snapshot(3))
    await world.advance(200)
    expect(world.bus.ids('BTC-USDT', 'ORDERBOOK'), 'too old for what is left of the buffer').to.deep.equal([])
    world.rest.snapshots[1]?.answer(world.snapshot(8))
    await world.dispatcher.whenIdle()
    expect(world.bus.ids('BTC-USDT', 'ORDERBOOK')).to.deep.equal(['SNAPSHOT 8', 'DELTA 9', 'DELTA 10'])
    expect(world.dispatcher.stats()).to.include({ bookBufferEvents: 0, bookBufferRestarts: 3 })
  })

  it('counts an unjoined book neither as busy nor against the bound of the queues', async () => {
    const world = new World({ limits: { queueEventsMax: 5 } })
    for (let id = 1; id <= 20; id++) {
      world.dispatcher.event(world.delta(id, id))
      await world.settle()
    }
    expect(world.dispatcher.saturated).to.equal(false)
    expect(world.dispatcher.stats()).to.include({ queueEvents: 0, bookBufferEvents: 20 })
    world.rest.snapshots[0]?.fail(new VenueConnectionError('at its end', { status: 503 }))
    await world.dispatcher.whenIdle()
    expect(world.dispatcher.bookShown(BTC)?.quality).to.equal('SYNCING')
  })

  it('joins a book larger than a call in several calls, in order', async () => {
    const world = new World({ limits: { eventsPerCallMax: 3 } })
    for (let id = 1; id <= 10; id++) world.dispatcher.event(world.delta(id, id))
    await world.settle()
    world.rest.snapshots[0]?.answer(world.snapshot(2))
    await world.dispatcher.whenIdle()
    const deltas = Array.from({ length: 8 }, (_, index) => `DELTA ${index + 3}`)
    expect(world.bus.ids('BTC-USDT', 'ORDERBOOK')).to.deep.equal(['SNAPSHOT 2', ...deltas])
    expect(world.dispatcher.stats().bookBufferEvents).to.equal(0)
  })

  it('asks again when the venue says that it has no book yet', async () => {
    const world = new World()
    world.dispatcher.topicAcked(TOPIC)
    await world.advance(250)
    world.rest.snapshots[0]?.answer(world.snapshot(-1))
    await world.advance(200)
    expect(world.rest.snapshots).to.have.length(2)
    expect(world.bus.ids('BTC-USDT', 'ORDERBOOK')).to.deep.equal([])
  })

  it('says HALTED on the entries of an instrument that is not traded', async () => {
    const world = await joined()
    world.dispatcher.instrumentsChanged([info('BTC-USDT', 'HALT')])
    world.dispatcher.event(world.delta(11, 11))
    await world.dispatcher.whenIdle()
    expect(world.bus.calls.at(-1)?.[0]?.quality).to.equal('HALTED')
    expect(world.dispatcher.bookShown(BTC)?.quality).to.equal('HALTED')
    world.dispatcher.instrumentsChanged([info('BTC-USDT')])
    expect(world.dispatcher.bookShown(BTC)?.quality).to.equal('LIVE')
  })

  it('says HALTED also of an instrument that is routed only after it was halted', async () => {
    const world = new World({ table: tableOf(undefined, []) })
    world.dispatcher.instrumentsChanged([info('BTC-USDT', 'HALT')])
    world.dispatcher.useTable(tableOf())
    world.dispatcher.event(world.delta(1, 1))
    await world.settle()
    expect(world.bus.calls[0]?.[0]?.quality).to.equal('HALTED')
  })
})
