import { expect } from 'chai'
import fc from 'fast-check'
import type { ChannelBatch, ChannelOutcome, Offer } from '../../src/bus/publish.ts'
import type { Channel } from '../../src/domain/event.ts'
import { asInstrument } from '../../src/domain/instrument.ts'
import { RedisConnection, redisAt } from '../../src/redis/connection.ts'
import { RedisEventBus } from '../../src/redis/event-bus.ts'
import { Keys } from '../../src/redis/keys.ts'
import { StreamReader } from '../../src/redis/stream-reader.ts'
import { NaiveAppend } from '../support/naive-append.ts'
import { bar, batch, delta, giveUp, quote, snapshot, trade } from '../support/offers.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

/** `FC_RUNS` for as many as one likes. */
const RUNS = Number(process.env.FC_RUNS ?? 150)

/** What a test does: a call with some batches, or another Redis process taking over, with the same data or without. */
type Step = { readonly batches: readonly ChannelBatch[] } | 'restart' | 'empty'

const id = fc.integer({ min: 1, max: 14 })
/** Mostly close together, now and then minutes apart, so that resets happen. */
const seconds = fc.oneof({ weight: 6, arbitrary: fc.integer({ min: 0, max: 40 }) }, fc.integer({ min: 0, max: 400 }))
const declare = fc.constantFrom('', '', 'lost', 'disconnect') as fc.Arbitrary<Offer['declare']>
const source = fc.constantFrom('binance.ws.trade', 'binance.rest.historicalTrades')

const lost = fc
  .tuple(id, id)
  .map(
    ([a, b]): Offer => ({ ...giveUp(Math.min(a, b), Math.max(a, b)), kind: 'LOST', declare: 'sink-reset', data: '' }),
  )

const trades = fc.oneof(
  lost,
  {
    weight: 8,
    arbitrary: fc
      .tuple(id, seconds, declare, source)
      .map(([i, s, d, from]) => trade(i, s, { declare: d, source: from })),
  },
  fc.tuple(id, id).map(([a, b]) => giveUp(Math.min(a, b), Math.max(a, b))),
)
const quotes = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(id, seconds, declare).map(([i, s, d]) => quote(i, s, { declare: d })) },
  lost,
)
const tickers = quotes.map((offer): Offer => (offer.kind === 'QUOTE' ? { ...offer, kind: 'TICKER' } : offer))
const bars = fc
  .tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 1, max: 3 }), fc.boolean(), declare)
  .map(([minute, count, closed, d]) => bar(minute, count, closed, { declare: d }))
const books = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .tuple(id, fc.integer({ min: 0, max: 3 }), seconds, declare)
      .map(([first, more, s, d]) => delta(first, first + more, s, { declare: d })),
  },
  fc.tuple(id, seconds, declare, fc.boolean()).map(([i, s, d, refresh]) => snapshot(i, s, { declare: d, refresh })),
  lost,
)

const offersOf: [Channel, fc.Arbitrary<Offer>][] = [
  ['TRADE', trades],
  ['QUOTE', quotes],
  ['TICKER', tickers],
  ['KLINE', bars],
  ['ORDERBOOK', books],
]
const batches = fc
  .constantFrom(...offersOf)
  .chain(([channel, offer]) =>
    fc.record({
      offers: fc.array(offer, { minLength: 1, maxLength: 6 }),
      instrument: fc.constantFrom('BTC-USDT', 'ETH-USDT').map(asInstrument),
      channel: fc.constant(channel),
      tableVersion: fc.constantFrom(1, 1, 1, 1, 2),
      numbering: fc
        .constantFrom('trade', 'trade', 'trade', 'trade', 'aggTrade')
        .map((word) => (channel === 'TRADE' ? word : '')),
      quality: fc.constantFrom('LIVE', 'SYNCING'),
    }),
  )
  .map(({ offers, ...more }) => batch(offers, more as Partial<ChannelBatch>))
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 12,
      arbitrary: fc.array(batches, { minLength: 1, maxLength: 3 }).map((list): Step => ({ batches: list })),
    },
    fc.constantFrom<Step>('restart', 'empty'),
  ),
  { minLength: 1, maxLength: 25 },
)

/** Epochs are moments of two different clocks: each becomes its number in the order of appearance at its instrument. */
class EpochNames {
  readonly #names = new Map<string, string[]>()

  name(instrument: string, epoch: string): string {
    const epochs = this.#names.get(instrument) ?? []
    this.#names.set(instrument, epochs)
    if (!epochs.includes(epoch)) epochs.push(epoch)
    return `epoch ${epochs.indexOf(epoch)}`
  }

  outcomes(outcomes: readonly (ChannelOutcome | null)[], batches: readonly ChannelBatch[]): unknown {
    return outcomes.map(
      (outcome, index) => outcome && { ...outcome, epoch: this.name(batches[index]?.instrument ?? '', outcome.epoch) },
    )
  }

  entry(fields: Readonly<Record<string, string>>): unknown {
    const epoch = this.name(fields.instrument ?? '', fields.epoch ?? '')
    const rename = (text = ''): string => text.replace(/reset@\d+/, `reset@${epoch}`)
    return { ...fields, epoch, key: rename(fields.key), venueSeq: rename(fields.venueSeq) }
  }
}

const timeless = (member: object): unknown => {
  const { openedAt, filledAt, ...rest } = member as { openedAt: number; filledAt: number | null }
  return { ...rest, opened: openedAt > 0, filled: filledAt !== null }
}

describe('append script against a naive model', () => {
  let redis: TestRedis
  let connection: RedisConnection
  let reader: StreamReader

  before(async () => {
    redis = await startRedis()
    connection = new RedisConnection(redisAt(redis.url), 'command')
    await connection.ready()
    reader = new StreamReader(connection)
  })
  after(() => connection.close())

  async function compare(sequence: readonly Step[]): Promise<void> {
    const keys = new Keys(redis.uniquePrefix(), 16)
    const bus = new RedisEventBus({ connection, keys, retention: {} })
    // Never the same moment twice, or an emptied Redis could begin with the epoch of the one before.
    let nowUs = Date.now() * 1_000
    const model = new NaiveAppend(() => (nowUs += 1_000))
    const real = { names: new EpochNames(), known: new Map<string, string>() }
    const naive = { names: new EpochNames(), known: new Map<string, string>() }
    const states = new Set<string>()
    for (const step of sequence) {
      if (step === 'empty') {
        model.restartEmpty()
        const found = await redis.client.keys(`${keys.prefix}:*`)
        if (found.length > 0) await redis.client.del(found)
        states.clear()
        continue
      }
      if (step === 'restart') {
        model.restart()
        for (const state of states) await redis.client.hset(state, 'run', 'another')
        continue
      }
      for (const { market, instrument } of step.batches) states.add(keys.state(market, instrument))
      const [told, expected] = await Promise.all([
        bus.publish(step.batches.map((one) => ({ ...one, epoch: real.known.get(one.instrument) ?? '' }))),
        model.publish(step.batches.map((one) => ({ ...one, epoch: naive.known.get(one.instrument) ?? '' }))),
      ])
      expect(real.names.outcomes(told.channels, step.batches)).to.deep.equal(
        naive.names.outcomes(expected.channels, step.batches),
      )
      expect(told.greatestEntryMs > 0).to.equal(expected.greatestEntryMs > 0)
      for (const [index, one] of step.batches.entries()) {
        if (told.channels[index]) real.known.set(one.instrument, told.channels[index].epoch)
        if (expected.channels[index]) naive.known.set(one.instrument, expected.channels[index].epoch)
      }
    }
    for (const name of model.names()) {
      const parsed = Keys.parseCatalogField(name)
      if (!parsed) throw new Error(`${name} is no stream`)
      const { market, instrument, channel } = parsed
      const records = await reader.range(keys.stream(market, instrument, channel))
      expect(
        records.map(({ fields }) => real.names.entry(fields)),
        name,
      ).to.deep.equal(model.entries(name).map((entry) => naive.names.entry({ v: '1', market, instrument, ...entry })))
      const ledger = await redis.client.zrange(keys.gaps(market, instrument, channel), 0, -1)
      expect(
        ledger.map((member) => timeless(JSON.parse(member))),
        `${name}:gaps`,
      ).to.have.deep.members(model.ledger(name).map(timeless))
      const keysSeen = records.map(({ fields }) => fields.key)
      expect(new Set(keysSeen).size, `${name} keys are unique`).to.equal(keysSeen.length)
      expect(
        records.map(({ fields }) => fields.seq),
        `${name} seq is dense`,
      ).to.deep.equal(records.map((_, index) => String(index + 1)))
    }
  }

  it('gives the same answers and leaves the same streams and ledgers', async function () {
    this.timeout(60_000 + RUNS * 20)
    await fc.assert(fc.asyncProperty(steps, compare), { numRuns: RUNS })
  })
})
