import { expect } from 'chai'
import fc from 'fast-check'
import type { CommandInput, CommandStory } from '../../src/control/contract.ts'
import { eventually } from '../support/redis.ts'
import { TableFleet } from './table-fleet.ts'
import { ControlBench, command, subscribe } from './world.ts'

const SEED = Number(process.env.MELTICA_CONTROL_SEED ?? Math.floor(Math.random() * 2 ** 31))
const KILLS = Number(process.env.MELTICA_CONTROL_KILLS ?? 2)
const COMMANDS = Number(process.env.MELTICA_CONTROL_COMMANDS ?? 20)

describe('ingest processes that follow one table', function () {
  this.timeout(60_000 + COMMANDS * 2_000 + KILLS * 20_000)
  // Whole systems share the machine with other files here; what fails on it twice is no accident.
  this.retries(1)
  let fleet: TableFleet
  let gateways: ControlBench[]
  let urls: string[]

  before(async () => {
    fleet = await TableFleet.open({ instruments: 6, rate: 1_500, seed: SEED, settings: ['routes=[]'] })
    for (const id of ['a', 'b', 'c']) fleet.start(id, 'ingest')
    await fleet.settled('a', 'b', 'c')
    urls = await Promise.all([fleet.startGateway('g'), fleet.startGateway('h')])
    gateways = [new ControlBench(fleet.redis.url, 'meltica'), new ControlBench(fleet.redis.url, 'meltica')]
    await Promise.all(gateways.map((gateway) => gateway.connection.ready()))
    // A table that was just seeded waits for a copy that somebody may hold, and commands wait for that.
    const first = command('unsubscribe', { subscriptionId: 'none' })
    await gateways[0]?.client.submit(first)
    await gateways[0]?.client.waitFor(first.id, 5_000)
  })

  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.log(`seed ${SEED}\n${fleet.log}`)
  })
  // What one test left behind is not to fail the next, nor its own second try.
  beforeEach(async () => {
    const [gateway] = gateways as [ControlBench]
    for (const { subscriptionId } of (await gateway.reader.subscriptions({ cursor: null, limit: 100 })).items) {
      await issue(gateway, command('unsubscribe', { subscriptionId }))
    }
  })

  after(async () => {
    await Promise.all(gateways.map((gateway) => gateway.close()))
    await fleet.close()
  })

  async function issue(gateway: ControlBench, input: CommandInput): Promise<{ story: CommandStory; ms: number }> {
    const beganMs = performance.now()
    const { status } = await gateway.client.submit(input)
    expect(status).to.equal('accepted')
    const story = await gateway.client.waitFor(input.id, 5_000)
    if (story === null) throw new Error(`expected a story of ${input.id}, found none`)
    return { story, ms: performance.now() - beganMs }
  }

  it('make random subscriptions flow and stop in time, and leave nothing at the venue', async () => {
    const random = fc.sample(fc.record({ gateway: fc.nat(1), pick: fc.nat(1_000_000), starts: fc.boolean() }), {
      numRuns: COMMANDS,
      seed: SEED,
    })
    const wishes = ['BTC-USDT', 'ETH-USDT', 'BNB-USDT'].flatMap((instrument) =>
      (['TRADE', 'QUOTE', 'ORDERBOOK'] as const).map((type) => ({ market: 'BINANCE-SPOT', instrument, type })),
    )
    const open: string[] = []
    const times: number[] = []
    const failed: unknown[] = []
    const send = async (url: string, method: string, path: string, body?: object): Promise<string> => {
      const beganMs = performance.now()
      const headers = { 'content-type': 'application/json' }
      const given = body === undefined ? {} : { headers, body: JSON.stringify(body) }
      const response = await fetch(`${url}/v1/subscriptions${path}`, { method, ...given })
      const { commandId, subscriptionId } = (await response.json()) as { commandId: string; subscriptionId: string }
      expect(response.status).to.equal(202)
      const story = (await (await fetch(`${url}/v1/commands/${commandId}?wait=5s`)).json()) as CommandStory
      times.push(performance.now() - beganMs)
      if (story.status !== 'effective') failed.push(story)
      return subscriptionId
    }
    for (const { gateway, pick, starts } of random) {
      const url = urls[gateway] as string
      const wish = wishes[pick % wishes.length] as (typeof wishes)[number]
      if (starts || open.length === 0) open.push(await send(url, 'POST', '', { consumer: 'desk', ...wish }))
      else await send(url, 'DELETE', `/${open.splice(pick % open.length, 1)[0]}`)
    }
    for (const id of open) await send(urls[0] as string, 'DELETE', `/${id}`)
    times.sort((a, b) => a - b)
    const [p50, p95] = [times[Math.floor(times.length / 2)], times[Math.floor(times.length * 0.95)]]
    console.log(`      ${times.length} commands: p50 ${p50?.toFixed(0)} ms, p95 ${p95?.toFixed(0)} ms, seed ${SEED}`)
    expect(failed).to.deep.equal([])
    expect(p50).to.be.below(1_000)
    expect(p95).to.be.below(2_000)
    const { streams, violations } = await eventually(async () => {
      const state = await fleet.venueState()
      return state.streams.length === 0 && state
    })
    expect(streams).to.deep.equal([])
    expect(
      Object.values(violations).every((count) => count === 0),
      JSON.stringify(violations),
    ).to.equal(true)
  })

  async function effective(gateway: ControlBench, input: CommandInput): Promise<CommandStory> {
    const { story } = await issue(gateway, input)
    expect(story, JSON.stringify(story)).to.include({ status: 'effective' })
    return story
  }

  async function lastId(stream: string): Promise<string> {
    return (await fleet.redis.client.xrevrange(stream, '+', '-', 'COUNT', 1))[0]?.[0] ?? ''
  }

  /** Waits until the market has gone on for a while. */
  async function pass(stream: string): Promise<void> {
    const begin = await fleet.redis.client.xlen(stream)
    await eventually(async () => (await fleet.redis.client.xlen(stream)) > begin + 20, 10_000)
  }

  it('let nothing enter a channel that was stopped, and tell what was missed when it starts again', async () => {
    const [gateway] = gateways as [ControlBench]
    const trades = 'meltica:{7}:BINANCE-SPOT:BTC-USDT:TRADE'
    const quotes = 'meltica:{13}:BINANCE-SPOT:ETH-USDT:QUOTE'
    const clock = subscribe('clock', 'ETH-USDT', 'QUOTE')
    await effective(gateway, clock)
    const first = await effective(gateway, subscribe('first', 'BTC-USDT', 'TRADE'))
    expect(first.topics.map(({ topic, state }) => [topic, state])).to.deep.equal([['btcusdt@trade', 'flowing']])
    const second = await effective(gateway, subscribe('second', 'BTC-USDT', 'TRADE'))
    expect(second.topics[0]?.flowingAtUs).to.equal(first.topics[0]?.flowingAtUs)
    await effective(gateway, command('unsubscribe', { subscriptionId: 'first' }))
    await pass(trades)
    const stop = await effective(gateway, command('unsubscribe', { subscriptionId: 'second' }))
    expect(stop.topics[0]).to.include({ state: 'stopped', version: stop.version })
    const last = await lastId(trades)
    await pass(quotes)
    expect(await lastId(trades)).to.equal(last)
    await effective(gateway, subscribe('third', 'BTC-USDT', 'TRADE'))
    const [, fields = []] = await eventually(
      async () => (await fleet.redis.client.xrange(trades, `(${last}`, '+', 'COUNT', 1))[0],
    )
    expect([fields[3], JSON.parse(fields.at(-1) ?? '').cause]).to.deep.equal(['TRADE.GAP', 'not-subscribed'])
    await eventually(async () => {
      const members = await fleet.redis.client.zrange(`${trades}:gaps`, 0, -1)
      return members.map((text) => JSON.parse(text) as { how: string }).at(-1)?.how === 'not-subscribed'
    })
    for (const id of ['third', 'clock']) await effective(gateway, command('unsubscribe', { subscriptionId: id }))
  })

  it('subscribe to the best prices that prove a book, and append and report them only where somebody wants QUOTE', async () => {
    const [gateway] = gateways as [ControlBench]
    const quotes = 'meltica:{7}:BINANCE-SPOT:BTC-USDT:QUOTE'
    const deltas = 'meltica:{7}:BINANCE-SPOT:BTC-USDT:ORDERBOOK'
    const streams = async (): Promise<string[]> => [...(await fleet.venueState()).streams].sort()
    const both = ['btcusdt@bookTicker', 'btcusdt@depth@100ms']
    const told = ({ topics }: CommandStory) => topics.map(({ topic, state }) => [topic, state])
    expect(told(await effective(gateway, subscribe('book', 'BTC-USDT', 'ORDERBOOK')))).to.deep.equal([
      ['btcusdt@depth@100ms', 'flowing'],
    ])
    expect(await streams()).to.deep.equal(both)
    const before = await fleet.redis.client.xlen(quotes)
    await pass(deltas)
    expect(await fleet.redis.client.xlen(quotes)).to.equal(before)
    const flowing = ['btcusdt@bookTicker', 'flowing']
    expect(told(await effective(gateway, subscribe('quote', 'BTC-USDT', 'QUOTE')))).to.deep.equal([flowing])
    await pass(quotes)
    const stop = await effective(gateway, command('unsubscribe', { subscriptionId: 'quote' }))
    expect(stop.topics[0]).to.include({ topic: 'btcusdt@bookTicker', state: 'stopped', version: stop.version })
    const last = await lastId(quotes)
    await pass(deltas)
    expect([await lastId(quotes), await streams()]).to.deep.equal([last, both])
    await effective(gateway, command('unsubscribe', { subscriptionId: 'book' }))
    expect(await eventually(async () => (await streams()).length === 0)).to.equal(true)
  })

  it('stop an instrument that is paused, and go on when it is resumed', async () => {
    const [gateway] = gateways as [ControlBench]
    const instrument = { market: 'BINANCE-SPOT', instrument: 'BTC-USDT' }
    for (const type of ['TRADE', 'QUOTE', 'ORDERBOOK'] as const)
      await effective(gateway, subscribe(type, 'BTC-USDT', type))
    await effective(gateway, command('pause', instrument))
    expect((await fleet.venueState()).streams).to.deep.equal([])
    await effective(gateway, command('resume', instrument))
    for (const id of ['TRADE', 'QUOTE', 'ORDERBOOK']) {
      await effective(gateway, command('unsubscribe', { subscriptionId: id }))
    }
    expect((await fleet.venueState()).streams).to.deep.equal([])
  })

  it('put a new snapshot into a book on command', async () => {
    const [gateway] = gateways as [ControlBench]
    const instrument = { market: 'BINANCE-SPOT', instrument: 'BTC-USDT' }
    const stream = 'meltica:{7}:BINANCE-SPOT:BTC-USDT:ORDERBOOK'
    await effective(gateway, subscribe('book', 'BTC-USDT', 'ORDERBOOK'))
    await pass(stream)
    const last = await lastId(stream)
    const { topics } = await effective(gateway, command('resync', instrument))
    expect(topics.map(({ topic, state }) => [topic, state])).to.deep.include(['rest:depth:BTC-USDT', 'flowing'])
    const entries = await fleet.redis.client.xrange(stream, `(${last}`, '+')
    expect(entries.map(([, fields]) => fields[3])).to.include('ORDERBOOK.SNAPSHOT')
    await effective(gateway, command('unsubscribe', { subscriptionId: 'book' }))
  })

  it('end in stream order where two gateways ask for and against the same thing at once', async () => {
    const [left, right] = gateways as [ControlBench, ControlBench]
    for (let round = 0; round < 5; round++) {
      const start = subscribe(`both-${round}`, 'ETH-USDT', 'TRADE')
      const stop = command('unsubscribe', { subscriptionId: `both-${round}` })
      const [started, stopped] = await Promise.all([issue(left, start), issue(right, stop)])
      expect(started.story.status).to.equal('effective')
      const stopCameFirst = stopped.story.status === 'failed'
      expect(comesBefore(stopped.story.entryId, started.story.entryId)).to.equal(stopCameFirst)
      if (stopCameFirst) await effective(left, command('unsubscribe', { subscriptionId: `both-${round}` }))
      expect((await fleet.venueState()).streams).to.deep.equal([])
    }
  })

  it('end every command, once, whoever is killed in the middle of it', async () => {
    const [gateway] = gateways as [ControlBench]
    const victims = ['h', 'a', 'b', 'c']
    for (let round = 0; round < KILLS; round++) {
      const start = subscribe(`kill-${round}`, 'ETH-USDT', 'QUOTE')
      const stop = command('unsubscribe', { subscriptionId: `kill-${round}` })
      const victim = victims[round % victims.length] as string
      await gateway.client.submit(start)
      const ends = fleet.end(victim, 'SIGKILL')
      if (round % 2 === 1) await gateway.client.submit(stop)
      await ends
      if (victim === 'h') fleet.start(victim, 'gateway', ['gateway.listen=127.0.0.1:0'])
      else fleet.start(victim, 'ingest')
      if (round % 2 === 0) {
        expect(await gateway.client.waitFor(start.id, 10_000)).to.include({ status: 'effective', code: null })
        await gateway.client.submit(stop)
      }
      for (const { id } of [start, stop]) {
        const story = await gateway.client.waitFor(id, 10_000)
        expect(story, JSON.stringify(story)).to.include({ status: 'effective' })
        const audit = await fleet.redis.client.xrange('meltica:{control}:audit', '-', '+')
        expect(audit.filter(([, fields]) => fields.includes(id))).to.have.length(1)
      }
      await fleet.settled('a', 'b', 'c')
    }
    await eventually(async () => (await fleet.venueState()).streams.length === 0)
  })

  it('keep what flows when Redis loses everything, and the table, and take commands again', async () => {
    const [gateway] = gateways as [ControlBench]
    const stream = 'meltica:{13}:BINANCE-SPOT:ETH-USDT:QUOTE'
    await effective(gateway, subscribe('kept', 'ETH-USDT', 'QUOTE'))
    const before = await gateway.reader.current()
    await fleet.redis.client.flushall()
    await pass(stream)
    const after = await eventually(() => gateway.reader.current(), 10_000)
    expect(after.subscriptions).to.deep.equal(before?.subscriptions)
    expect(after.version).to.equal(before?.version)
    const stop = command('unsubscribe', { subscriptionId: 'kept' })
    await gateway.client.submit(stop)
    expect(await gateway.client.waitFor(stop.id, 10_000)).to.include({ status: 'effective' })
    expect((await fleet.venueState()).streams).to.deep.equal([])
  })

  it('hand over and end when they are told to drain', async () => {
    const [gateway] = gateways as [ControlBench]
    await effective(gateway, subscribe('stays', 'BTC-USDT', 'TRADE'))
    const ended = fleet.ended('b')
    await effective(gateway, command('drain', { worker: 'b' }))
    expect(await ended).to.equal(0)
    await effective(gateway, command('unsubscribe', { subscriptionId: 'stays' }))
  })
})

function comesBefore(left: string, right: string): boolean {
  const [leftMs = 0, leftSeq = 0] = left.split('-').map(Number)
  const [rightMs = 0, rightSeq = 0] = right.split('-').map(Number)
  return leftMs < rightMs || (leftMs === rightMs && leftSeq < rightSeq)
}
