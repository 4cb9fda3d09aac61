import { expect } from 'chai'
import fc from 'fast-check'
import type { ChannelBatch, ChannelOutcome, Offer } from '../../src/bus/publish.ts'
import type { Channel } from '../../src/domain/event.ts'
import { asInstrument, asMarket } from '../../src/domain/instrument.ts'
import { type LedgerBound, RedisEventBus } from '../../src/redis/event-bus.ts'
import { Keys } from '../../src/redis/keys.ts'
import { StreamReader, type StreamRecord } from '../../src/redis/stream-reader.ts'
import { useKeyspace } from '../support/keyspace.ts'
import { at, bar, batch, delta, giveUp, quote, snapshot, trade } from '../support/offers.ts'

const market = asMarket('BINANCE-SPOT')
const instrument = asInstrument('BTC-USDT')
const filled = { source: 'binance.rest.historicalTrades' }

describe('append script', () => {
  const space = useKeyspace()
  let keys: Keys
  let bus: RedisEventBus
  const bellFailures: string[] = []
  const bounds: (LedgerBound & { channel: Channel })[] = []

  beforeEach(() => {
    keys = space.keys
    bus = new RedisEventBus({
      connection: space.connection,
      keys,
      retention: { QUOTE: 100 },
      onBellFailed: (message) => bellFailures.push(message),
      onLedgerBound: ({ channel }, bound) => bounds.push({ channel, ...bound }),
    })
    bounds.length = 0
  })

  async function offer(offers: readonly Offer[], more: Partial<ChannelBatch> = {}): Promise<ChannelOutcome> {
    const result = await bus.publish([batch(offers, more)])
    const outcome = result.channels[0]
    if (!outcome) throw new Error('expected an outcome, because the batch knows no epoch')
    return outcome
  }
  const verdicts = (outcome: ChannelOutcome): string[] =>
    outcome.outcomes.map(({ index, verdict, reason }) => `${index} ${reason ?? verdict}`)
  const entries = (channel: Channel): Promise<StreamRecord[]> =>
    new StreamReader(space.connection).range(keys.stream(market, instrument, channel), '-', '+', 100_000)
  const shown = async (channel: Channel): Promise<string[]> =>
    (await entries(channel)).map(({ fields }) => `${fields.seq} ${fields.key?.replace('BTC-USDT:', '')}`)
  const ledger = async (channel: Channel): Promise<Record<string, unknown>[]> =>
    (await space.redis.client.zrange(keys.gaps(market, instrument, channel), 0, -1)).map((member) => JSON.parse(member))

  it('answers nothing for a batch that was appended whole in the epoch the caller knows', async () => {
    const { epoch, epochChanged } = await offer([trade(1)])
    expect(epochChanged).to.equal(true)
    const result = await bus.publish([batch([trade(2), trade(3)], { epoch })])
    expect(result.channels).to.deep.equal([null])
    expect(result.greatestEntryMs).to.be.greaterThan(1_700_000_000_000)
  })

  it('writes the fields of the contract in their order, with all digits of numbers above 1e14', async () => {
    const big = 9_007_199_254_740_900
    const { epoch } = await offer([trade(big, 1), trade(big + 5, 1, { declare: 'lost' })])
    const raw = (await space.redis.client.xrange(keys.stream(market, instrument, 'TRADE'), '-', '+')) as [
      string,
      string[],
    ][]
    expect(raw[0]?.[1]).to.deep.equal([
      ...['v', '1', 'type', 'TRADE', 'market', 'BINANCE-SPOT', 'instrument', 'BTC-USDT', 'epoch', epoch, 'seq', '1'],
      ...['key', `BTC-USDT:TRADE:${big}`, 'venueSeq', String(big), 'venueTime', at(1), 'receivedTime', at(1)],
      ...['source', 'binance.ws.trade', 'trace', '0123456789abcdef0123456789abcdef', 'quality', ''],
      ...['data', trade(big).data],
    ])
    expect(JSON.parse(raw[1]?.[1].at(-1) ?? '')).to.deep.equal({
      from: String(big + 1),
      to: String(big + 4),
      cause: 'lost',
    })
    expect((await ledger('TRADE'))[0]).to.include({ from: String(big + 1), to: String(big + 4) })
  })

  describe('trades', () => {
    it('tells a gap only when it is declared, and fills it late into the same stream', async () => {
      expect(verdicts(await offer([trade(1), trade(2), trade(2), trade(6)]))).to.deep.equal(['2 duplicate', '3 gap'])
      expect(verdicts(await offer([trade(6, 0, { declare: 'disconnect' })]))).to.deep.equal(['0 gapTold'])
      expect(verdicts(await offer([trade(4), trade(4), trade(3, 0, filled), trade(5, 0, filled)]))).to.deep.equal([
        '1 duplicate',
      ])
      expect(await shown('TRADE')).to.deep.equal([
        '1 TRADE:1',
        '2 TRADE:2',
        '3 TRADE.GAP:3-5',
        '4 TRADE:6',
        '5 TRADE:4',
        '6 TRADE:3',
        '7 TRADE:5',
      ])
      expect((await ledger('TRADE')).map(({ from, to, how }) => [from, to, how])).to.deep.equal([
        ['3', '3', 'rest'],
        ['4', '4', 'late'],
        ['5', '5', 'rest'],
      ])
    })

    it('leaves one closed member in the ledger, in whatever order and calls a gap is filled', async () => {
      const orders = fc.shuffledSubarray([2, 3, 4, 5, 6, 7, 8, 9], { minLength: 8 })
      await fc.assert(
        fc.asyncProperty(orders, fc.integer({ min: 1, max: 8 }), async (ids, size) => {
          keys = new Keys(space.redis.uniquePrefix(), 16)
          bus = new RedisEventBus({ connection: space.connection, keys, retention: {} })
          await offer([trade(1), trade(10, 0, { declare: 'lost' })])
          for (let start = 0; start < ids.length; start += size) {
            await offer(ids.slice(start, start + size).map((id) => trade(id, 0, filled)))
          }
          const members = await ledger('TRADE')
          expect(members).to.have.length(1)
          expect(members[0]).to.include({ from: '2', to: '9', cause: 'lost', how: 'rest' })
          expect(members[0]?.filledAt).to.be.greaterThan(0)
        }),
        { numRuns: 40 },
      )
    })

    it('closes what is given up without an entry, and refuses its trades from then on', async () => {
      await offer([trade(1), trade(10, 0, { declare: 'lost' })])
      expect(verdicts(await offer([giveUp(2, 6), trade(6, 0, filled), trade(7, 0, filled)]))).to.deep.equal([
        '1 duplicate',
      ])
      expect(
        (await ledger('TRADE')).map(({ from, to, how, filledAt }) => [from, to, how, filledAt !== null]),
      ).to.deep.equal([
        ['2', '6', 'given-up', false],
        ['7', '7', 'rest', true],
        ['8', '9', null, false],
      ])
    })

    it('takes a number that falls a minute later for a reset: new epoch, told, keys of their own', async () => {
      const before = await offer([trade(500, 0), trade(505, 0, { declare: 'lost' })])
      await offer([quote(90)], { channel: 'QUOTE' })
      const after = await offer([trade(3, 30), trade(3, 61), trade(4, 61)])
      expect(verdicts(after)).to.deep.equal(['0 duplicate', '1 gapTold'])
      expect(after.epochChanged).to.equal(true)
      expect(Number(after.epoch)).to.be.greaterThan(Number(before.epoch))
      expect(await shown('TRADE')).to.deep.equal([
        ...['1 TRADE:500', '2 TRADE.GAP:501-504', '3 TRADE:505'],
        ...[`4 TRADE.GAP:1~reset@${after.epoch}`, '5 TRADE:1~3', '6 TRADE:1~4'],
      ])
      expect((await ledger('TRADE'))[0]).to.include({ how: 'reset', filledAt: null })
      // Quotes have no venue time and follow.
      expect(verdicts(await offer([quote(2)]))).to.deep.equal([])
      expect((await shown('QUOTE')).at(-1)).to.equal('2 QUOTE:1~2')
    })

    it('begins a new epoch when the dispatch table changes the numbering', async () => {
      const before = await offer([trade(500)])
      const after = await offer([trade(7)], { numbering: 'aggTrade', tableVersion: 2 })
      expect(verdicts(after)).to.deep.equal(['0 gapTold'])
      expect(after.epoch).to.not.equal(before.epoch)
      expect(await shown('TRADE')).to.deep.equal(['1 TRADE:500', `2 TRADE.GAP:1~reset@${after.epoch}`, '3 TRADE:1~7'])
    })

    it('refuses what was offered under an older table', async () => {
      await offer([trade(1)], { tableVersion: 2 })
      expect(verdicts(await offer([trade(2), trade(3)]))).to.deep.equal(['0 table-version', '1 table-version'])
      expect(await shown('TRADE')).to.have.length(1)
    })

    it('bounds the open ranges: beyond, the gap is told and closed at once', async () => {
      const offers = Array.from({ length: 1_003 }, (_, index) => trade(index * 2 + 1, 0, { declare: 'lost' }))
      for (let start = 0; start < offers.length; start += 200) await offer(offers.slice(start, start + 200))
      const members = await ledger('TRADE')
      expect(members.filter(({ how }) => how === null)).to.have.length(1_000)
      expect(members.filter(({ how }) => how === 'over-bound')).to.have.length(2)
      expect(bounds).to.deep.equal([{ channel: 'TRADE', dropped: 0, overBound: 2 }])
      expect(verdicts(await offer([trade(2_004, 0, filled), trade(2, 0, filled)]))).to.deep.equal(['0 duplicate'])
    })
  })

  describe('books', () => {
    it('appends nothing before a snapshot, then joins, breaks at a gap and heals', async () => {
      expect(verdicts(await offer([delta(5, 8)]))).to.deep.equal(['0 unjoined'])
      expect(verdicts(await offer([snapshot(6), delta(3, 5), delta(5, 8), delta(9, 9), delta(12, 13)]))).to.deep.equal([
        '1 duplicate',
        '4 gap',
      ])
      const broken = await offer([delta(12, 13, 1, { declare: 'lost' }), delta(14, 14), snapshot(10)])
      expect(verdicts(broken)).to.deep.equal(['0 gapToldRefused', '1 unjoined', '2 snapshot-too-old'])
      expect(broken).to.include({ joined: false, have: '9' })
      expect(await offer([snapshot(13)])).to.include({ joined: true, have: '13' })
      expect(await shown('ORDERBOOK')).to.deep.equal([
        ...[`1 ORDERBOOK.SNAPSHOT:6@${at(0.006)}`, '2 ORDERBOOK.DELTA:8', '3 ORDERBOOK.DELTA:9'],
        ...['4 ORDERBOOK.GAP:10-11', `5 ORDERBOOK.SNAPSHOT:13@${at(0.013)}`],
      ])
      expect(await ledger('ORDERBOOK')).to.have.length(1)
      expect((await ledger('ORDERBOOK'))[0]).to.include({ from: '10', to: '13', how: 'snapshot' })
      expect((await entries('ORDERBOOK')).map(({ fields }) => fields.quality)).to.deep.equal(['', '', '', 'GAPPED', ''])
    })

    it('is healed by a delta that continues, without a snapshot', async () => {
      await offer([snapshot(5), delta(9, 9, 1, { declare: 'late' })])
      expect(await offer([delta(6, 7)])).to.deep.include({ joined: true, outcomes: [] })
      expect((await ledger('ORDERBOOK'))[0]).to.include({ from: '6', to: '7', how: 'delta' })
    })

    it('takes a refresh at its own position once, and holds one that is ahead', async () => {
      await offer([snapshot(5, 1), delta(6, 6, 2)])
      const refresh = snapshot(6, 3, { refresh: true })
      expect(verdicts(await offer([snapshot(6, 3), refresh, refresh, snapshot(8, 3)]))).to.deep.equal([
        '0 duplicate',
        '2 duplicate',
        '3 early',
      ])
      expect(verdicts(await offer([snapshot(8, 3, { declare: 'lost' })]))).to.deep.equal(['0 gapTold'])
      expect((await ledger('ORDERBOOK'))[0]).to.include({ from: '7', to: '8', how: 'snapshot' })
    })

    it('does not take the deltas that a late snapshot already holds for a reset', async () => {
      await offer([snapshot(5, 0), delta(6, 6, 0), delta(100, 110, 300, { declare: 'disconnect' })])
      expect(verdicts(await offer([snapshot(200, 500), delta(100, 110, 300), delta(111, 150, 490)]))).to.deep.equal([
        '1 duplicate',
        '2 duplicate',
      ])
    })

    it('begins anew when the venue does', async () => {
      await offer([snapshot(500, 0), delta(501, 501, 1)])
      const reset = await offer([delta(3, 4, 70)])
      expect(verdicts(reset)).to.deep.equal(['0 gapToldRefused'])
      expect(reset).to.include({ epochChanged: true, joined: false, have: '' })
      await offer([snapshot(3, 71), delta(3, 4, 70)])
      expect((await shown('ORDERBOOK')).slice(3)).to.deep.equal([
        `4 ORDERBOOK.SNAPSHOT:1~3@${at(71)}`,
        '5 ORDERBOOK.DELTA:1~4',
      ])
    })
  })

  describe('newest', () => {
    it('tells an interruption once, whichever line tells it', async () => {
      await offer([quote(1, 1)])
      const told = { declare: 'disconnect' } as const
      expect(verdicts(await offer([quote(5, 9, told), quote(5, 8, told), quote(6, 10)]))).to.deep.equal([
        '0 gapTold',
        '1 duplicate',
      ])
      expect(await shown('QUOTE')).to.deep.equal([
        '1 QUOTE:1',
        `2 QUOTE.GAP:${at(1)}-${at(9)}`,
        '3 QUOTE:5',
        '4 QUOTE:6',
      ])
      expect(await ledger('QUOTE')).to.have.length(1)
      expect((await ledger('QUOTE'))[0]).to.include({
        from: Number(at(1)),
        to: Number(at(9)),
        how: 'unfillable',
        filledAt: null,
      })
    })

    it('tells a hole although what came before it was received later, by a process that was behind', async () => {
      await offer([quote(1, 9)])
      const told = { declare: 'disconnect' } as const
      expect(verdicts(await offer([quote(6, 8, told), quote(7, 7)]))).to.deep.equal(['0 gapTold'])
      expect(await shown('QUOTE')).to.deep.equal([
        '1 QUOTE:1',
        `2 QUOTE.GAP:${at(8)}-${at(8)}`,
        '3 QUOTE:6',
        '4 QUOTE:7',
      ])
      expect((await ledger('QUOTE'))[0]).to.include({ from: Number(at(8)), to: Number(at(8)), how: 'unfillable' })
    })

    it('keeps about as many entries as retention says, and a bounded ledger', async function () {
      this.timeout(30_000)
      const told = { declare: 'lost' } as const
      for (let start = 0; start < 10_200; start += 600) {
        await offer(Array.from({ length: 600 }, (_, index) => quote(start + index + 1, start + index, told)))
      }
      await offer([quote(20_000, 20_000)])
      expect(await space.redis.client.xlen(keys.stream(market, instrument, 'QUOTE'))).to.be.within(100, 300)
      expect(await space.redis.client.zcard(keys.gaps(market, instrument, 'QUOTE'))).to.equal(10_000)
      // Gaps that touch become one, so that hardly any has to go.
      expect(bounds.every(({ channel, overBound }) => channel === 'QUOTE' && overBound === 0)).to.equal(true)
    })

    it('says how many gaps left a full ledger, also where nothing else is to be said of the call', async function () {
      this.timeout(30_000)
      // Apart, so that no two of them can become one.
      const gap = (number: number) => JSON.stringify({ from: number * 9, to: number * 9 + 1, how: 'unfillable' })
      const members = Array.from({ length: 10_000 }, (_, at) => [at * 9, gap(at)]).flat()
      const { epoch } = await offer([quote(1, 1)])
      await space.redis.client.zadd(keys.gaps(market, instrument, 'QUOTE'), ...(members as [number, string]))
      await offer([quote(2, 20, { declare: 'lost' }), quote(3, 30, { declare: 'lost' })])
      expect(bounds).to.deep.equal([{ channel: 'QUOTE', dropped: 2, overBound: 0 }])
      const result = await bus.publish([batch([quote(4, 40)], { epoch })])
      expect([result.channels, bounds.length]).to.deep.equal([[null], 1])
    })

    it('lets a closed bar of an earlier open time in once', async () => {
      await offer([bar(0, 5, true), bar(1, 2, false), bar(1, 2, false), bar(4, 1, false)])
      expect(
        verdicts(await offer([bar(2, 3, true), bar(2, 3, true), bar(2, 4, true), bar(1, 9, false), bar(1, 9, true)])),
      ).to.deep.equal(['1 duplicate', '2 duplicate', '3 duplicate'])
      expect(verdicts(await offer([bar(4, 1, true), bar(4, 2, false), bar(0, 5, true)]))).to.deep.equal([
        '1 duplicate',
        '2 duplicate',
      ])
    })

    it('counts everything older than the kept open times as closed', async () => {
      const apart = Array.from({ length: 1_001 }, (_, index) => bar(index * 2 + 1, 1, true))
      for (let start = 0; start < apart.length; start += 250) await offer(apart.slice(start, start + 250))
      expect(verdicts(await offer([bar(2, 1, true), bar(4, 1, true)]))).to.deep.equal(['0 duplicate'])
    })
  })

  describe('failures', () => {
    it('harms no other channel when one key is of a wrong type', async () => {
      await space.redis.client.set(keys.stream(market, instrument, 'TRADE'), 'not a stream')
      const result = await bus.publish([batch([trade(1), trade(2)]), batch([quote(1)])])
      expect(verdicts(result.channels[0] as ChannelOutcome)).to.deep.equal(['0 error', '1 error'])
      expect(result.channels[0]?.outcomes[0]?.error).to.match(/WRONGTYPE/)
      expect(verdicts(result.channels[1] as ChannelOutcome)).to.deep.equal([])
      expect(await shown('QUOTE')).to.deep.equal(['1 QUOTE:1'])
    })

    it('takes back the entries of a channel whose ledger cannot be written', async () => {
      await space.redis.client.set(keys.gaps(market, instrument, 'TRADE'), 'not a ledger')
      await offer([trade(1)])
      expect(verdicts(await offer([trade(2), trade(5, 0, { declare: 'lost' })]))).to.deep.equal(['0 error', '1 error'])
      expect(await shown('TRADE')).to.deep.equal(['1 TRADE:1'])
      expect(verdicts(await offer([trade(2)]))).to.deep.equal([])
      expect(await shown('TRADE')).to.deep.equal(['1 TRADE:1', '2 TRADE:2'])
    })

    it('refuses a malformed offer alone', async () => {
      const outcome = await offer([trade(1), { ...trade(2), id: 'two' }, trade(2)])
      expect(verdicts(outcome)).to.deep.equal(['1 error'])
      expect(await shown('TRADE')).to.deep.equal(['1 TRADE:1', '2 TRADE:2'])
    })

    it('appends although the bell cannot be rung, and tells it', async () => {
      await space.redis.client.set(keys.bell(7), 'not a stream')
      expect(verdicts(await offer([trade(1)]))).to.deep.equal([])
      expect(bellFailures.at(-1)).to.match(/WRONGTYPE/)
    })
  })

  it('rings one bell a partition with the names of the streams that grew', async () => {
    const eth = { instrument: asInstrument('ETH-USDT') }
    await bus.publish([batch([trade(1)]), batch([quote(1)]), batch([trade(1)], eth), batch([delta(1, 2)])])
    const bells = await Promise.all(
      [7, 13].map((partition) => space.redis.client.xrange(keys.bell(partition), '-', '+')),
    )
    expect(bells.map((bell) => bell.map(([, fields]) => fields))).to.deep.equal([
      [['streams', 'BINANCE-SPOT:BTC-USDT:TRADE BINANCE-SPOT:BTC-USDT:QUOTE']],
      [['streams', 'BINANCE-SPOT:ETH-USDT:TRADE']],
    ])
    expect(await space.redis.client.hget(keys.catalog, 'BINANCE-SPOT:ETH-USDT:TRADE')).to.equal(
      keys.stream(market, eth.instrument, 'TRADE'),
    )
  })
})
