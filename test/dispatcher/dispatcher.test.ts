import { expect } from 'chai'
import { VenueConnectionError, VenueRateLimitError } from '../../src/venues/errors.ts'
import { World } from './world.ts'

describe('the dispatcher', () => {
  it('carries trades and quotes to their streams in order', async () => {
    const world = new World()
    for (const id of [10, 11, 12]) world.dispatcher.event(world.trade(id))
    world.dispatcher.event(world.quote(5))
    world.dispatcher.event(world.quote(7))
    await world.dispatcher.whenIdle()
    expect(world.bus.ids('BTC-USDT', 'TRADE')).to.deep.equal(['TRADE 10', 'TRADE 11', 'TRADE 12'])
    expect(world.bus.ids('BTC-USDT', 'QUOTE')).to.deep.equal(['QUOTE 5', 'QUOTE 7'])
    expect(world.dispatcher.stats().events).to.deep.equal({ 'BINANCE-SPOT': { 'BTC-USDT': { TRADE: 3, QUOTE: 2 } } })
    expect(world.latencies).to.have.length(5)
  })

  it('joins a book: the deltas wait for the snapshot, which is asked for once', async () => {
    const world = new World()
    for (const [first, last] of [
      [5, 8],
      [9, 12],
      [13, 13],
    ] as const) {
      world.dispatcher.event(world.delta(first, last))
    }
    await world.settle()
    expect(world.rest.snapshots).to.have.length(1)
    expect(world.dispatcher.bookShown(world.dispatcher.stats() && ('BTC-USDT' as never))?.quality).to.equal('SYNCING')
    world.rest.snapshots[0]?.answer(world.snapshot(10))
    await world.settle()
    world.dispatcher.event(world.delta(14, 15))
    await world.dispatcher.whenIdle()
    expect(world.bus.ids('BTC-USDT', 'ORDERBOOK')).to.deep.equal(['SNAPSHOT 10', 'DELTA 12', 'DELTA 13', 'DELTA 15'])
    expect(world.rest.snapshots).to.have.length(1)
    expect(world.dispatcher.stats().stale).to.equal(1)
  })

  it('asks for the snapshots of all books at once, and a slow one delays no other', async () => {
    const world = new World()
    world.dispatcher.event(world.delta(5, 8))
    world.dispatcher.event(world.delta(5, 8, 'ETHUSDT'))
    await world.settle()
    expect(world.rest.snapshots.map((asked) => asked.symbol)).to.deep.equal(['BTCUSDT', 'ETHUSDT'])
    world.rest.snapshots[1]?.answer(world.snapshot(6, 'ETHUSDT'))
    await world.settle()
    expect(world.bus.ids('ETH-USDT', 'ORDERBOOK')).to.deep.equal(['SNAPSHOT 6', 'DELTA 8'])
    expect(world.bus.ids('BTC-USDT', 'ORDERBOOK')).to.deep.equal([])
  })

  it('asks again for a snapshot that is too old, after a growing wait', async () => {
    const world = new World()
    world.dispatcher.event(world.delta(50, 58))
    await world.settle()
    world.rest.snapshots[0]?.answer(world.snapshot(48))
    await world.settle()
    expect(world.dispatcher.idle, 'a wait for the next try is idle').to.equal(true)
    await world.advance(199)
    expect(world.rest.snapshots).to.have.length(1)
    await world.advance(1)
    expect(world.rest.snapshots).to.have.length(2)
    world.rest.snapshots[1]?.answer(world.snapshot(48))
    await world.settle()
    await world.advance(399)
    expect(world.rest.snapshots).to.have.length(2)
    await world.advance(1)
    world.rest.snapshots[2]?.answer(world.snapshot(49))
    await world.dispatcher.whenIdle()
    expect(world.bus.ids('BTC-USDT', 'ORDERBOOK')).to.deep.equal(['SNAPSHOT 49', 'DELTA 58'])
  })

  it('leaves the venue alone for as long as it says, and tries an unanswered request again within 300 ms', async () => {
    const world = new World()
    world.dispatcher.event(world.delta(50, 58))
    await world.settle()
    world.rest.snapshots[0]?.fail(new VenueRateLimitError('banned', { retryAfterMs: 9_000, status: 429 }))
    await world.settle()
    await world.advance(8_999)
    expect(world.rest.snapshots).to.have.length(1)
    await world.advance(1_000)
    expect(world.rest.snapshots).to.have.length(2)
    world.rest.snapshots[1]?.fail(new VenueConnectionError('no answer'))
    await world.settle()
    await world.advance(300)
    expect(world.rest.snapshots).to.have.length(3)
    expect(world.incidents.map((incident) => incident.kind)).to.deep.equal(['snapshot-failed', 'snapshot-failed'])
  })
})
