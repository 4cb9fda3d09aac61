import { expect } from 'chai'
import fc from 'fast-check'
import type { ConductorIncident } from '../../src/conductor/conductor.ts'
import { PartitionLoop } from '../../src/conductor/partition.ts'
import type { Level } from '../../src/domain/event.ts'
import { type FusedChannel, FusedChannels } from '../../src/domain/fusion/fusion.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { MemoryRedis } from '../support/memory-conductor.ts'
import { NaiveLiveBook } from '../support/naive-live-book.ts'
import { BTC, MARKET } from './fused.ts'

/** `CONDUCTOR_RUNS=100000` for the long form. */
const RUNS = Number(process.env.CONDUCTOR_RUNS ?? 400)
const LEVELS_MAX = 1_000
const NAME = { market: MARKET, instrument: BTC }

const level = fc.tuple(
  fc.integer({ min: 1, max: 40 }).map((ticks) => (ticks / 10).toFixed(2)),
  fc.constantFrom('0.0', '1.0', '2.50'),
)
const bookEvent = fc.record({
  kind: fc.constantFrom('delta', 'delta', 'delta', 'delta', 'late', 'skip', 'gap', 'reset', 'snapshot', 'refresh'),
  bids: fc.array(level, { maxLength: 3 }),
  asks: fc.array(level, { maxLength: 3 }),
})
const happening = fc.constantFrom(
  ...([
    'trade',
    'trade',
    'quote',
    'quote',
    'wait',
    'wait',
    'sweep',
    'crash',
    'rival',
    'expire',
    'spoil',
    'mend',
  ] as const),
  ...(['fail-before', 'fail-after', 'epoch', 'fail-over', 'trim', 'trim', 'garbage'] as const),
)
const story = fc.array(fc.oneof(bookEvent, happening), { minLength: 5, maxLength: 60 })

class World {
  readonly redis = new MemoryRedis(NAME)
  readonly clock = new ManualClock()
  readonly naive = new NaiveLiveBook()
  readonly incidents: ConductorIncident[] = []
  /** Two conductors may be at work; a third stands ready for each that crashes. */
  loops: PartitionLoop[] = []
  trades = 0
  trimmed = false
  #id = 100
  #names = FusedChannels.map((channel) => ({ ...NAME, channel }))

  constructor() {
    this.start()
  }

  start(): void {
    const loop = new PartitionLoop(0, {
      ...{
        streams: this.redis,
        log: this.redis,
        clock: this.clock,
        levelsMax: LEVELS_MAX,
        ttlMs: 300,
        staleMs: Number.POSITIVE_INFINITY,
      },
      resyncs: { request: () => {} },
      incident: (incident) => this.incidents.push(incident),
      throttleMsOf: () => 20,
      flowing: async () => new Set(),
      trace: 'f'.repeat(32),
      left: () => {},
    })
    this.loops.push(loop)
    loop.ring(this.#names)
  }

  book({ kind, bids, asks }: { kind: string; bids: Level[]; asks: Level[] }): void {
    const id = this.#id
    if (kind === 'gap') this.#tell('ORDERBOOK.GAP', { from: `${id + 1}`, to: `${id + 5}`, cause: 'lost' })
    else if (kind === 'reset') {
      this.#id += 1_000
      this.#tell('ORDERBOOK.GAP', { cause: 'venue-reset' })
    } else if (kind === 'snapshot') {
      this.#id += 2
      this.#tell('ORDERBOOK.SNAPSHOT', { last: `${this.#id}`, bids, asks, depth: 1000 })
    } else if (kind === 'refresh') {
      if (!this.naive.joined) return
      const { sides } = this.naive
      this.#tell('ORDERBOOK.SNAPSHOT', {
        last: `${this.naive.have}`,
        bids: [...sides.bids],
        asks: [...sides.asks],
        depth: 9,
      })
    } else {
      const first = kind === 'late' ? id - 3 : kind === 'skip' ? id + 5 : id + 1
      const last = kind === 'late' ? id - 1 : first + 1
      if (kind !== 'late') this.#id = last
      this.#tell('ORDERBOOK.DELTA', { first: `${first}`, last: `${last}`, bids, asks })
    }
  }

  async happen(what: string): Promise<void> {
    const { redis } = this
    switch (what) {
      case 'trade':
        this.trades++
        this.#append('TRADE', 'TRADE', { id: `${this.trades}`, price: '1.25', quantity: '0.50', side: 'buy' })
        break
      case 'quote':
        this.#append('QUOTE', 'QUOTE', { bidPrice: '1.0', bidQuantity: '2', askPrice: '1.1', askQuantity: '3' })
        break
      case 'wait':
        await this.pass(15)
        break
      case 'sweep':
        for (const loop of this.loops) loop.sweep(false)
        await this.pass(100)
        break
      case 'crash':
        this.kill()
        this.start()
        break
      case 'rival':
        if (this.loops.length < 2) this.start()
        break
      case 'expire':
        redis.record = null
        break
      case 'spoil':
        redis.recordUnavailable = true
        redis.record = null
        break
      case 'mend':
        redis.recordUnavailable = false
        break
      case 'fail-before':
      case 'fail-after':
        redis.faults.push(what === 'fail-before' ? 'before' : 'after')
        break
      case 'epoch':
        redis.beginEpoch()
        break
      case 'fail-over':
        redis.run += '+'
        redis.beginEpoch()
        break
      case 'trim':
        this.trimmed = true
        for (const channel of FusedChannels) redis.trim(channel, 2)
        break
      case 'garbage':
        redis.spoilStream('TRADE')
        break
    }
  }

  /** Ends a conductor wherever it is: what it had under way goes on without anybody who would settle it. */
  kill(): void {
    const loop = this.loops.shift()
    if (loop !== undefined) this.#dead.push(loop.close().catch(() => {}))
  }
  readonly #dead: Promise<void>[] = []

  async pass(ms: number): Promise<void> {
    for (let at = 0; at < ms; at += 5) {
      await flush()
      this.clock.advance(5)
    }
    await flush()
  }

  async end(): Promise<void> {
    this.redis.faults.length = 0
    this.redis.recordUnavailable = false
    // Longer than a record that could not be written is left alone, and than any pause after a lost race.
    await this.pass(100)
    this.clock.advance(6_000)
    // What was lost shows with what comes next.
    this.book({ kind: 'delta', bids: [['0.50', '9']], asks: [] })
    await this.happen('trade')
    await this.happen('quote')
    for (const loop of this.loops) {
      let done = false
      void loop.catchUp(this.#names).then(() => {
        done = true
      })
      for (let turns = 0; !done; turns++) {
        if (turns > 2_000) throw new Error(`a conductor does not catch up: ${JSON.stringify(this.incidents.at(-1))}`)
        await this.pass(10)
      }
    }
  }

  #tell(type: string, data: Parameters<NaiveLiveBook['take']>[1]): void {
    this.naive.take(type, data)
    this.#append('ORDERBOOK', type, data)
  }

  #append(channel: FusedChannel, type: string, data: object): void {
    this.redis.append(channel, type, data)
    for (const loop of this.loops) loop.ring([{ ...NAME, channel }])
  }
}

const flush = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('a partition', function () {
  this.timeout(3_600_000)

  it(`equals a naive book and loses and repeats nothing under any sequence of events and faults (${RUNS} runs)`, async () => {
    await fc.assert(
      fc.asyncProperty(story, async (happenings) => {
        const world = new World()
        for (const one of happenings) {
          if (typeof one === 'object') world.book(one)
          else await world.happen(one)
        }
        await world.end()
        judge(world)
      }),
      { numRuns: RUNS },
    )
  })

  it('reports the age of the oldest entry it has not folded, while its calls fail and while more stands than one read takes', async () => {
    const world = new World()
    const loop = world.loops[0] as PartitionLoop
    world.book({ kind: 'snapshot', bids: [], asks: [] })
    await world.happen('trade')
    await world.pass(200)
    expect(loop.lagMs).to.equal(0)
    for (let call = 0; call < 1_000; call++) world.redis.faults.push('before')
    await world.happen('trade')
    await world.pass(10_000)
    // What comes meanwhile does not make the oldest younger.
    await world.happen('trade')
    await world.pass(100)
    expect(loop.lagMs).to.be.within(10_000, 10_500)
    world.redis.faults.length = 0
    await world.pass(4_000)
    expect(loop.lagMs).to.equal(0)

    let release = (): void => {}
    const read = world.redis.read.bind(world.redis)
    let isFull = false
    world.redis.read = async (...asked) => {
      if (isFull) await new Promise<void>((resolve) => (release = resolve))
      const found = await read(...asked)
      isFull = !isFull && found.some((entries) => entries.length === asked[1])
      return found
    }
    for (let id = 10; id < 600; id++) {
      world.redis.append('TRADE', 'TRADE', { id: `${id}`, price: '1.25', quantity: '0.50', side: 'buy' })
    }
    await world.happen('trade')
    await world.pass(100)
    // Ids are counted from 1 here, so a place is as old as the clock.
    expect(loop.lagMs).to.be.closeTo(world.clock.nowUs() / 1_000, 1_000)
    release()
    await world.pass(200)
    expect(loop.lagMs).to.equal(0)
  })
})

function judge({ redis, naive, trades, trimmed }: World): void {
  expect(redis.fused.map(({ version }) => version)).to.deep.equal(
    [...new Set(redis.fused.map(({ version }) => version))].sort((one, other) => one - other),
  )
  const ends: Record<FusedChannel, number> = { ORDERBOOK: 0, TRADE: 0, QUOTE: 0 }
  let counted = 0
  let lost = 0
  let windowEnd: number | null = null
  for (const { data, quality } of redis.fused) {
    const { ranges, window, suppressed } = JSON.parse(data) as {
      ranges: Record<FusedChannel, [string, string]>
      window: { start: number; end: number; trades: number }
      suppressed: number
    }
    let folded = 0
    for (const channel of FusedChannels) {
      const range = ranges[channel]
      if (range === undefined) continue
      const missing = Number(range[0]) - ends[channel] - 1
      expect(missing, `${channel} repeats nothing`).to.be.at.least(0)
      // Only what retention took may be missing, and it is said; where the first one ever begins is nobody's loss.
      if (missing > 0 && ends[channel] > 0) expect(quality).to.not.equal('LIVE')
      if (channel === 'TRADE') lost += missing
      ends[channel] = Number(range[1])
      folded += Number(range[1]) - Number(range[0]) + 1
    }
    counted += window.trades
    expect(suppressed).to.equal(Math.max(0, folded - 1))
    if (windowEnd !== null) expect(window.start).to.equal(windowEnd)
    windowEnd = window.end
  }
  expect(counted).to.equal(trades - lost)
  for (const channel of FusedChannels) {
    const last = redis.streams[channel].findLast(([, fields]) => fields.length > 2)
    if (last !== undefined) expect(ends[channel], `${channel} to its end`).to.equal(Number(last[1][11]))
  }
  const { record } = redis
  if (record === null) throw new Error('expected a record')
  const joined = ['LIVE', 'CROSSED'].includes(record.head.quality)
  if (!trimmed) expect(joined, `${record.head.quality} as the naive book`).to.equal(naive.joined)
  if (!joined) return
  const fields = [
    ...[...naive.sides.bids].map(([price, much]) => `b:${price} ${much}`),
    ...[...naive.sides.asks].map(([price, much]) => `a:${price} ${much}`),
  ]
  expect([...record.fields].map(([field, much]) => `${field} ${much}`).sort()).to.deep.equal(fields.sort())
}
