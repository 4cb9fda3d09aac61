import { expect } from 'chai'
import { SentCopy } from '../support/sent-copy.ts'
import { NaiveBus } from './naive-bus.ts'
import { tableOf, World } from './world.ts'

describe('calls to the data bus', () => {
  it('has one call under way, and gathers the next meanwhile', async () => {
    const world = new World()
    let open = () => {}
    world.bus.gate = new Promise((resolve) => {
      open = resolve
    })
    world.dispatcher.event(world.trade(1))
    await world.settle()
    for (const id of [2, 3, 4]) world.dispatcher.event(world.trade(id))
    world.dispatcher.event(world.trade(1, 'ETHUSDT'))
    await world.settle()
    expect(world.bus.calls).to.have.length(1)
    world.bus.gate = null
    open()
    await world.dispatcher.whenIdle()
    expect(world.bus.calls).to.have.length(2)
    expect(world.bus.calls[1]?.map((batch) => batch.offers.length)).to.deep.equal([3, 1])
  })

  it('makes a whole call within the turn in which the one before was answered, and a smaller one behind it', async () => {
    const world = new World({ limits: { eventsPerCallMax: 4 } })
    const gate = Promise.withResolvers<void>()
    world.bus.gate = gate.promise
    for (let id = 1; id <= 11; id++) world.dispatcher.event(world.trade(id))
    await world.settle()
    world.bus.gate = null
    gate.resolve()
    const sizes = (): number[] => world.bus.calls.map(([batch]) => batch?.offers.length ?? 0)
    // Promises alone, no turn of the loop.
    for (let step = 0; step < 200; step++) await null
    expect(sizes()).to.deep.equal([4, 4])
    await world.dispatcher.whenIdle()
    expect(sizes()).to.deep.equal([4, 4, 3])
  })

  it('keeps within the bounds of a call, gives every line its turn, and lets one big offer pass', async () => {
    const world = new World({ limits: { eventsPerCallMax: 4, bytesPerCallMax: 2_000 } })
    for (let id = 1; id <= 10; id++) world.dispatcher.event(world.trade(id))
    for (let id = 1; id <= 3; id++) world.dispatcher.event(world.quote(id, 'ETHUSDT'))
    await world.dispatcher.whenIdle()
    const sizes = world.bus.calls.map((call) => call.reduce((sum, batch) => sum + batch.offers.length, 0))
    expect(Math.max(...sizes)).to.equal(4)
    expect(world.bus.calls[1]?.[0]?.instrument, 'the other line is not kept waiting').to.equal('ETH-USDT')
    const bids = Array.from({ length: 1_000 }, (_, at) => [`${at + 1}.00`, '1.0'] as const)
    world.dispatcher.event(world.delta(1, 1, 'BTCUSDT', [...bids]))
    await world.settle()
    expect(world.bus.calls.at(-1)?.[0]?.offers).to.have.length(1)
  })

  it('offers the very same again when the outcome is unknown, in order and with nothing lost', async () => {
    const world = new World()
    const failures = ['after', 'before', 'after'] as const
    let call = 0
    world.bus.fail = () => failures[call++] ?? null
    for (const id of [1, 2]) world.dispatcher.event(world.trade(id))
    await world.settle()
    for (const id of [3, 4]) world.dispatcher.event(world.trade(id))
    await world.advance(50)
    await world.advance(100)
    await world.advance(200)
    await world.dispatcher.whenIdle()
    expect(world.bus.calls.slice(0, 4).every((batches) => batches === world.bus.calls[0])).to.equal(true)
    expect(world.bus.ids('BTC-USDT', 'TRADE')).to.deep.equal(['TRADE 1', 'TRADE 2', 'TRADE 3', 'TRADE 4'])
    expect(world.dispatcher.stats().publishFailures).to.equal(3)
    expect(world.incidents.map((incident) => incident.kind)).to.deep.equal(Array(3).fill('publish-failed'))
  })

  it('treats a bus that throws like one that rejects', async () => {
    class ThrowingBus extends NaiveBus {
      thrown = false
      override publish(batches: Parameters<NaiveBus['publish']>[0]) {
        if (this.thrown) return super.publish(batches)
        this.thrown = true
        throw new Error('not even a promise')
      }
    }
    const world = new World({ bus: new ThrowingBus() })
    world.dispatcher.event(world.trade(1))
    await world.settle()
    await world.advance(50)
    await world.dispatcher.whenIdle()
    expect(world.bus.ids('BTC-USDT', 'TRADE')).to.deep.equal(['TRADE 1'])
  })

  it('is saturated at its bound and calls back when half of it is free', async () => {
    const world = new World({ limits: { queueEventsMax: 10, eventsPerCallMax: 4 } })
    let drained = 0
    world.dispatcher.onDrained(() => drained++)
    for (let id = 1; id <= 10; id++) {
      expect(world.dispatcher.saturated).to.equal(false)
      world.dispatcher.event(world.trade(id))
    }
    expect(world.dispatcher.saturated).to.equal(true)
    await world.dispatcher.whenIdle()
    expect([world.dispatcher.saturated, drained]).to.deep.equal([false, 1])
    expect(world.bus.entries('BTC-USDT', 'TRADE')).to.have.length(10)
  })

  it('makes promises for calls and never for events', async () => {
    const world = new World()
    let promises = 0
    const { createHook, executionAsyncId } = await import('node:async_hooks')
    const hook = createHook({ init: (_id, type) => void (type === 'PROMISE' && promises++) }).enable()
    expect(executionAsyncId()).to.be.a('number')
    for (let id = 1; id <= 10_000; id++) world.dispatcher.event(world.trade(id))
    const whileTaking = promises
    await world.dispatcher.whenIdle()
    hook.disable()
    expect(whileTaking).to.equal(0)
    expect(promises / world.bus.calls.length).to.be.below(30)
    expect(world.bus.entries('BTC-USDT', 'TRADE')).to.have.length(10_000)
  })

  it('says for how long something waits for an answer, also of what found no room in the call', async () => {
    const world = new World({ limits: { eventsPerCallMax: 1 } })
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const
    const answer = async (index: 0 | 1 | 2): Promise<void> => {
      world.bus.gate = gates[index + 1]?.promise ?? null
      gates[index].resolve()
      await world.settle()
    }
    await world.advance(60_000)
    expect(world.dispatcher.behindMs).to.equal(0)
    world.bus.gate = gates[0].promise
    for (const id of [1, 2]) world.dispatcher.event(world.trade(id))
    expect(world.dispatcher.behindMs, 'it has just begun').to.equal(0)
    await world.advance(3_000)
    expect(world.dispatcher.behindMs).to.equal(3_000)
    world.dispatcher.event(world.trade(3))
    await answer(0)
    await world.advance(1_000)
    expect(world.dispatcher.behindMs, 'the second has waited since the beginning').to.equal(4_000)
    await answer(1)
    expect(world.dispatcher.behindMs, 'the third came later').to.equal(1_000)
    await answer(2)
    expect(world.dispatcher.behindMs).to.equal(0)
    expect(world.bus.ids('BTC-USDT', 'TRADE')).to.deep.equal(['TRADE 1', 'TRADE 2', 'TRADE 3'])
  })

  it('leaves nothing scheduled after it was closed', async () => {
    const world = new World()
    world.dispatcher.event(world.trade(1))
    world.dispatcher.event(world.trade(3))
    await world.settle()
    world.dispatcher.close()
    const calls = world.bus.calls.length
    world.dispatcher.event(world.trade(4))
    await world.advance(10_000)
    expect(world.bus.calls).to.have.length(calls)
  })
})

describe('what the script refuses for good', () => {
  it('is counted, told and dead-lettered, and the channel goes on', async () => {
    const bus = new NaiveBus()
    const newer = new World({ bus, table: { ...tableOf(), version: 2 } })
    newer.dispatcher.event(newer.trade(1))
    await newer.dispatcher.whenIdle()
    const world = new World({ bus })
    world.dispatcher.event(world.trade(2))
    world.dispatcher.event(world.delta(1, 1))
    await world.settle()
    expect(world.letters, 'the table went on a moment ago').to.deep.equal([])
    world.clock.advance(5_000)
    world.dispatcher.event(world.trade(3))
    await world.settle()
    expect(world.dispatcher.stats()).to.include({ refused: 0, queueEvents: 0 })
    // The delta asks again after a second whether its stream is joined.
    expect(world.dispatcher.stats().refusedByReason).to.deep.equal({ 'table-version': 2, unjoined: 2 })
    expect(world.letters.map((letter) => letter.reason)).to.deep.equal(['refused-table-version'])
    expect(world.incidents.map((incident) => incident.kind)).to.deep.equal(['refused'])
    world.dispatcher.useTable({ ...tableOf(), version: 2 })
    world.dispatcher.event(world.trade(2))
    await world.settle()
    expect(bus.ids('BTC-USDT', 'TRADE')).to.deep.equal(['TRADE 1', 'TRADE 2'])
  })

  it('leaves a book that erred in doubt: it is joined anew, and another snapshot is asked for', async () => {
    const bus = new NaiveBus()
    const world = new World({ bus })
    let failing = true
    const publish = bus.publish.bind(bus)
    bus.publish = async (batches) => {
      if (!failing) return publish(batches)
      const channels = batches.map((batch) => ({
        epoch: '1',
        epochChanged: false,
        have: '',
        joined: false,
        outcomes: batch.offers.map((offer, index) =>
          offer.kind === 'SNAPSHOT'
            ? ({ index, verdict: 'refused', reason: 'error', error: 'WRONGTYPE' } as const)
            : ({ index, verdict: 'refused', reason: 'unjoined', error: null } as const),
        ),
      }))
      return { greatestEntryMs: 0, run: '1', channels, sent: new SentCopy(batches) }
    }
    world.dispatcher.event(world.delta(5, 6))
    await world.settle()
    world.rest.snapshots[0]?.answer(world.snapshot(5))
    await world.settle()
    expect(world.letters.map((letter) => letter.detail)).to.deep.equal(['BTC-USDT SNAPSHOT 5: WRONGTYPE'])
    failing = false
    await world.advance(200)
    world.rest.snapshots[1]?.answer(world.snapshot(5))
    await world.dispatcher.whenIdle()
    expect(bus.ids('BTC-USDT', 'ORDERBOOK')).to.deep.equal(['SNAPSHOT 5', 'DELTA 6'])
  })
})

describe('what could not be used', () => {
  const frame = { reason: 'malformed', topic: 'btcusdt@trade', detail: 'expected JSON', sample: '{"x":' } as const

  it('is told once per kind and second, and counted every time', async () => {
    const world = new World()
    for (let time = 0; time < 5; time++) world.dispatcher.rejected({ ...frame, receivedTimeUs: 1 })
    world.dispatcher.rejected({ ...frame, topic: null, receivedTimeUs: 1 })
    await world.settle()
    expect(world.letters.map((letter) => [letter.topic, letter.count])).to.deep.equal([
      ['btcusdt@trade', '1'],
      ['', '1'],
    ])
    await world.advance(1_000)
    world.dispatcher.rejected({ ...frame, receivedTimeUs: 1 })
    await world.settle()
    expect(world.letters.at(-1)?.count).to.equal('5')
    expect(world.dispatcher.stats().deadLettersByReason).to.deep.equal({ malformed: 7 })
  })

  it('is an event that its topic was not routed for', async () => {
    const world = new World()
    world.dispatcher.event({ ...world.trade(1), topic: 'btcusdt@bookTicker' })
    world.dispatcher.event({ ...world.trade(1, 'ETHUSDT'), topic: 'btcusdt@trade' })
    world.dispatcher.event(world.trade(1, 'DOGEUSDT'))
    world.dispatcher.event(world.trade(1))
    await world.dispatcher.whenIdle()
    expect(world.letters.map((letter) => letter.reason)).to.deep.equal(['unmapped', 'unmapped', 'unmapped'])
    expect(world.bus.ids('BTC-USDT', 'TRADE')).to.deep.equal(['TRADE 1'])
  })

  it('does not hold up the rest when the log fails', async () => {
    const world = new World()
    world.letters.push = () => {
      throw new Error('the log is gone')
    }
    world.dispatcher.rejected({ ...frame, receivedTimeUs: 1 })
    world.dispatcher.event(world.trade(1))
    await world.dispatcher.whenIdle()
    expect(world.dispatcher.stats()).to.include({ deadLetters: 1, deadLettersUntold: 1, appended: 1 })
  })

  it('is not what comes by a topic that is left out on purpose', async () => {
    const table = tableOf(undefined, undefined, ['btcusdt@trade', 'btcusdt@aggTrade'])
    const world = new World({ table })
    world.dispatcher.event(world.trade(1))
    world.dispatcher.event(world.trade(1, 'BTCUSDT', 'aggTrade'))
    await world.dispatcher.whenIdle()
    expect(world.dispatcher.stats()).to.include({ ignored: 1, appended: 1, deadLetters: 0 })
  })
})
