import { expect } from 'chai'
import fc from 'fast-check'
import type { CommandInput, CommandStory } from '../../src/control/contract.ts'
import { step } from '../../src/control/step.ts'
import { TableData } from '../../src/control/table-data.ts'
import { RedisDeadLetterBox } from '../../src/redis/control-dead-letters.ts'
import { eventually, startRedis } from '../support/redis.ts'
import { ControlBench, command, MARKET, subscribe } from './world.ts'

const BTC = { market: MARKET, instrument: 'BTC-USDT' }

describe('the control stream', function () {
  this.timeout(20_000)
  let bench: ControlBench

  beforeEach(async () => {
    const redis = await startRedis()
    bench = new ControlBench(redis.url, redis.uniquePrefix())
    await bench.list('BTC-USDT', 'ETH-USDT')
  })

  afterEach(() => bench.close())

  async function answered(id: string): Promise<CommandStory> {
    return eventually(async () => {
      const story = await bench.client.status(id)
      return story !== null && story.status !== 'pending' && story
    })
  }

  async function apply(input: CommandInput): Promise<CommandStory> {
    await bench.client.submit(input)
    return answered(input.id)
  }

  it('applies a command once, and answers who, what, before, after and the version', async () => {
    await bench.member('a')
    const first = subscribe('s1', 'BTC-USDT', 'TRADE')
    expect((await bench.client.submit(first)).status).to.equal('accepted')
    const story = await answered(first.id)
    expect(story).to.include({ status: 'applied', issuer: 'tester', consumer: 'strategy', version: 2, before: null })
    expect(story.after).to.include({ subscriptionId: 's1', instrument: 'BTC-USDT', sinceVersion: 2 })
    expect((await bench.client.submit(first)).status).to.equal('repeated')
    expect((await bench.client.submit({ ...first, consumer: 'other' })).status).to.equal('different')
    const table = await bench.reader.current()
    expect(table?.version).to.equal(2)
    expect(table?.channels).to.deep.equal([{ ...BTC, type: 'TRADE', open: true, version: 2 }])
  })

  it('answers what it refuses, also the malformed and what is not there yet, and leaves the table as it was', async () => {
    await bench.member('a')
    await apply(subscribe('s1', 'BTC-USDT', 'TRADE'))
    const before = await bench.reader.current()
    const filters = [{ path: 'data.price', op: 'gt' as const, value: '1' }]
    const refused: [CommandInput, string][] = [
      [subscribe('s1', 'BTC-USDT', 'TRADE'), 'subscription-exists'],
      [subscribe('s2', 'NO-SUCH', 'TRADE'), 'unknown-instrument'],
      [command('subscribe', { subscriptionId: 's3', ...BTC, market: 'NOWHERE', type: 'TRADE' }), 'unknown-market'],
      [command('subscribe', { subscriptionId: 's4', ...BTC, type: 'TICKER', throttleMs: 5 }), 'throttle-refused'],
      [command('subscribe', { subscriptionId: 's5', ...BTC, type: 'TRADE', intervals: ['1m'] }), 'intervals-refused'],
      [command('unsubscribe', { subscriptionId: 'none' }), 'unknown-subscription'],
      [command('updateFilters', { subscriptionId: 'none', filters }), 'unknown-subscription'],
      [command('resume', BTC), 'not-paused'],
      [command('resync', BTC), 'not-subscribed'],
      [command('drain', { worker: 'nobody' }), 'unknown-worker'],
      [command('mergedSubscribe', { anything: 1 }), 'not-implemented'],
      [command('setTradingMode', { mode: 'on' }), 'not-implemented'],
    ]
    for (const [input, code] of refused) expect(await apply(input)).to.include({ status: 'failed', code, version: 2 })
    const commands = bench.keys.control('commands')
    const entry = (await bench.connection.send('xadd', [commands, '*', 'id', 'bad-1', 'type', 'dance'])) as string
    await bench.connection.send('hset', [bench.keys.control('answer:bad-1'), 'entry', entry])
    expect(await answered('bad-1')).to.include({ status: 'failed', code: 'malformed', entryId: entry })
    const box = new RedisDeadLetterBox(bench.connection, bench.keys)
    const { items } = await box.list({ cursor: null, limit: 10 })
    expect(items.map(({ reason, source }) => [reason, source])).to.deep.equal([['malformed', 'control']])
    expect(await box.requeue(items[0]?.id ?? '')).to.equal('requeued')
    await eventually(async () => (await box.list({ cursor: null, limit: 10 })).items[0]?.id !== items[0]?.id)
    const after = await bench.reader.current()
    expect({ ...after, appliedId: '' }).to.deep.equal({ ...before, appliedId: '' })
  })

  it('is applied in its order whoever takes what, and a dead member holds nothing up', async () => {
    await bench.member('a')
    await bench.close()
    const redis = await startRedis()
    bench = new ControlBench(redis.url, bench.keys.prefix)
    await bench.connection.ready()
    const ids: string[] = []
    for (let number = 0; number < 10; number++) {
      const input =
        number % 2 === 0 ? subscribe('same', 'BTC-USDT', 'QUOTE') : command('unsubscribe', { subscriptionId: 'same' })
      ids.push(input.id)
      await bench.client.submit(input)
    }
    // Somebody takes the first three and dies.
    const dead = ['GROUP', 'control', 'dead', 'COUNT', 3, 'STREAMS', bench.keys.control('commands'), '>']
    expect(await bench.connection.send('xreadgroup', dead)).to.have.length(1)
    await Promise.all([bench.member('b'), bench.member('c'), bench.member('d')])
    const stories: CommandStory[] = []
    for (const id of ids) stories.push(await answered(id))
    expect(stories.map(({ status }) => status === 'failed')).to.not.include(true)
    expect(stories.map(({ version }) => version)).to.deep.equal(ids.map((_, at) => at + 2))
    const table = await bench.reader.current()
    expect(table?.subscriptions).to.deep.equal([])
    const audit = (await bench.connection.send('xrange', [bench.keys.control('audit'), '-', '+'])) as [
      string,
      string[],
    ][]
    const told = audit.map(([, fields]) => fields).filter((fields) => fields.includes('CONTROL.UPDATE'))
    expect(told.map((fields) => fields[fields.indexOf('commandId') + 1])).to.deep.equal(ids)
    await eventually(async () => {
      const pending = await bench.connection.send('xpending', [bench.keys.control('commands'), 'control'])
      return (pending as unknown[])[0] === 0
    })
  })

  it('makes every copy of the table the same, whoever applied what', async () => {
    const members = [await bench.member('a'), await bench.member('b'), await bench.member('c')]
    for (let number = 0; number < 12; number++) await bench.client.submit(subscribe(`s${number}`, 'ETH-USDT', 'TRADE'))
    await eventually(() => members.every(({ table }) => table?.version === 13))
    for (const { table } of members) expect(table?.subscriptions.size).to.equal(12)
  })

  it('is full at its bound of waiting commands, and says so', async () => {
    const pipeline = Array.from({ length: 1_000 }, () =>
      bench.connection.send('xadd', [bench.keys.control('commands'), '*', 'id', 'x']),
    )
    await Promise.all(pipeline)
    expect(await bench.client.submit(subscribe('s1', 'BTC-USDT', 'TRADE'))).to.deep.equal({
      status: 'full',
      waiting: 1_000,
    })
  })

  it('lists subscriptions page by page, each once', async () => {
    await bench.member('a')
    const ids: string[] = []
    for (let number = 10; number < 25; number++) {
      const input = command(
        'subscribe',
        { subscriptionId: `s${number}`, ...BTC, type: 'TRADE' },
        { consumer: number % 2 === 0 ? 'even' : 'odd' },
      )
      ids.push(input.id)
      await bench.client.submit(input)
    }
    for (const id of ids) await answered(id)
    const found: string[] = []
    let cursor: string | null = null
    do {
      const page = await bench.reader.subscriptions({ cursor, limit: 2, consumer: 'even' })
      found.push(...page.items.map(({ subscriptionId }) => subscriptionId))
      cursor = page.cursor
    } while (cursor !== null)
    expect(found).to.deep.equal(['s10', 's12', 's14', 's16', 's18', 's20', 's22', 's24'])
  })
})

describe('the dispatch table when it is gone', function () {
  this.timeout(20_000)
  let bench: ControlBench

  beforeEach(async () => {
    const redis = await startRedis()
    bench = new ControlBench(redis.url, redis.uniquePrefix())
    await bench.list('BTC-USDT', 'ETH-USDT')
  })

  afterEach(() => bench.close())

  async function loseEverything(): Promise<void> {
    const keys = (await bench.connection.send('keys', [`${bench.keys.prefix}:{control}:*`])) as string[]
    await bench.connection.send('del', keys)
  }

  it('is seeded from the configuration where nobody holds a copy', async () => {
    await bench.member('a', [{ type: 'TRADE', market: MARKET, instruments: ['BTC-*'] }])
    const table = await bench.reader.current()
    expect(table?.version).to.equal(1)
    expect(table?.subscriptions.map(({ consumer, instrument }) => [consumer, instrument])).to.deep.equal([
      ['config', 'BTC-*'],
    ])
    expect(table?.routes.map(({ type, instruments }) => [type, instruments[0]])).to.deep.equal([
      ['TRADE', 'BTC-*'],
      ...['TRADE', 'QUOTE', 'TICKER', 'KLINE', 'ORDERBOOK'].map((type) => [type, '*']),
    ])
    expect(bench.incidents.map(({ kind }) => kind)).to.deep.equal(['table-seeded'])
  })

  it('is written back from the newest copy, also where another process has seeded meanwhile', async () => {
    bench.settleMs = 1_500
    const member = await bench.member('a')
    const input = subscribe('s1', 'BTC-USDT', 'TRADE')
    await bench.client.submit(input)
    await eventually(() => member.table?.version === 2)
    await loseEverything()
    await bench.member('fresh', [{ type: 'QUOTE', market: MARKET, instruments: ['*'] }])
    const table = await eventually(async () => {
      const found = await bench.reader.current()
      return found?.version === 2 && found
    })
    expect(table.subscriptions.map(({ subscriptionId }) => subscriptionId)).to.deep.equal(['s1'])
    expect(bench.incidents.map(({ kind }) => kind)).to.include('table-restored')
    const next = subscribe('s2', 'BTC-USDT', 'QUOTE')
    await bench.client.submit(next)
    await eventually(async () => (await bench.client.status(next.id))?.status === 'applied')
    expect((await bench.reader.current())?.version).to.equal(3)
  })

  it('stands above what the streams remember where nobody holds a copy of it', async () => {
    await bench.connection.send('hset', [bench.keys.catalog, 'BINANCE-SPOT:BTC-USDT:TRADE', 'x'])
    const beforeSeconds = Math.floor(Date.now() / 1_000)
    await bench.member('a')
    expect((await bench.reader.current())?.version).to.be.at.least(beforeSeconds)
    expect(bench.incidents[0]).to.include({ kind: 'table-seeded', severity: 'warning' })
  })

  it('is taken from a copy that is newer than what a fail-over left', async () => {
    const member = await bench.member('a')
    for (const id of ['s1', 's2']) await bench.client.submit(subscribe(id, 'BTC-USDT', 'TRADE'))
    await eventually(() => member.table?.version === 3)
    // As a replica that had not heard of the last command.
    await bench.connection.send('hset', [bench.keys.control('table'), 'version', '2'])
    await bench.connection.send('hdel', [bench.keys.control('subscriptions'), 's2'])
    const table = await eventually(async () => {
      const found = await bench.reader.current()
      return found?.version === 3 && found
    })
    expect(table.subscriptions).to.have.length(2)
  })
})

describe('what a command makes of the table', () => {
  const listed = { instrumentListed: true, instruments: [], workers: ['w'], checkFilters: () => null }
  const instruments = ['A-X', 'B-X'] as const
  const types = ['TRADE', 'KLINE'] as const

  /** The rule, said as simply as can be: who wants what, who is paused. */
  function naive(commands: readonly CommandInput[]): Set<string> {
    const wanted = new Map<string, string>()
    const paused = new Set<string>()
    for (const { type, payload } of commands) {
      if (type === 'subscribe') wanted.set(payload.subscriptionId, `${payload.instrument}:${payload.type}`)
      if (type === 'unsubscribe') wanted.delete(payload.subscriptionId)
      if (type === 'pause') paused.add(payload.instrument)
      if (type === 'resume') paused.delete(payload.instrument)
    }
    return new Set([...wanted.values()].filter((key) => !paused.has(key.split(':')[0] ?? '')))
  }

  it('opens and closes channels exactly when the first wants and the last does not', () => {
    const action = fc.record({
      kind: fc.constantFrom('subscribe', 'unsubscribe', 'pause', 'resume'),
      instrument: fc.constantFrom(...instruments),
      type: fc.constantFrom(...types),
      slot: fc.nat(3),
    })
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
        const route = { routeId: 'r', market: MARKET, instruments: ['*'], filters: [], via: null, intervals: null }
        const rest = { topics: [], rest: [], throttleMs: null, polls: [], sinceVersion: 1 }
        const table = new TableData(
          { version: 1, lineage: 'l', madeBy: '0-0' },
          {
            routes: types.map((type) => [type, { ...route, ...rest, routeId: type, type }]),
            ...{ subscriptions: [], paused: [], channels: [], marks: [] },
          },
        )
        const applied: CommandInput[] = []
        for (const [number, { kind, instrument, type, slot }] of actions.entries()) {
          const market = MARKET
          const input =
            kind === 'subscribe'
              ? command(kind, { subscriptionId: `s${slot}`, market, instrument, type })
              : kind === 'unsubscribe'
                ? command(kind, { subscriptionId: `s${slot}` })
                : command(kind as 'pause', { market, instrument })
          const full = { filters: [], throttleMs: null, intervals: null, ...input.payload }
          const result = step(table, { ...input, payload: full } as never, { ...listed, nowUs: number })
          if (result.kind === 'refused') continue
          applied.push(input)
          table.apply(result.changes)
          table.version++
          const open = [...table.channels.values()].filter((channel) => channel.open)
          const names = open.map((channel) => `${channel.instrument}:${channel.type}`)
          expect(names.sort()).to.deep.equal([...naive(applied)].sort())
        }
      }),
    )
  })
})
