import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { checkStreams } from '../../src/checker/checker.ts'
import { meltica } from '../cli/run.ts'
import {
  binanceCaptures,
  type CaptureLine,
  capturePath,
  expectedPath,
  needRecording,
  readCapture,
  writeCapture,
} from '../support/capture.ts'
import { type Expected, expectedOf } from '../support/oracle.ts'
import { startPrivateRedis, type TestRedis } from '../support/redis.ts'
import {
  depthIds,
  interleaved,
  randomOf,
  renamed,
  withDoubled,
  withLateSnapshot,
  withLostDelta,
  withoutSnapshots,
  withSnapshotBehind,
  withStayingCorruption,
  withSwappedDeltas,
  withUnusableSnapshot,
} from '../support/variants.ts'
import { bookOf, expectDense, expectDigits, expectOracle, instrumentOf, Wire } from '../support/wire.ts'

const BIG = 'binance-spot-btcusdt-ethusdt-20240808'
const BTC = 'BTCUSDT'

let redis: TestRedis
let folder: string

before(async () => {
  redis = await startPrivateRedis()
  folder = mkdtempSync(join(tmpdir(), 'meltica-captures-'))
})
after(() => {
  rmSync(folder, { recursive: true, force: true })
})

/** The real command line over the file; answers what then stands in Redis, and its summary. */
async function replay(file: string, speed = 'max'): Promise<{ wire: Wire; summary: Record<string, unknown> }> {
  const prefix = redis.uniquePrefix()
  const args = ['--redis', redis.url, '--prefix', prefix, '--json', '--set', 'telemetry.listen=off']
  const run = ['start', '--replay', file, '--speed', speed, '--until-done', '--retention', 'none']
  const { code, out, err } = await meltica([...run, ...args])
  expect(code, err).to.equal(0)
  const summary = JSON.parse(out.trim().split('\n').at(-1) as string)
  return { wire: await Wire.read(redis.client, prefix), summary }
}

/** Everything the wire contract promises of a capture, and a second opinion by the checker. */
async function expectWhole(wire: Wire, expected: Expected, lines: readonly CaptureLine[]): Promise<void> {
  expectDense(wire)
  expectOracle(wire, expected)
  expectDigits(wire, lines)
  const told = lines.map((line) => JSON.stringify(line))
  const result = await checkStreams(wire, told)
  expect(result.examples).to.deep.equal([])
}

describe('recorded captures, replayed by the command line into Redis', function () {
  this.timeout(90_000)
  // Whole systems share the machine with other files here; what fails on it twice is no accident.
  this.retries(1)

  for (const name of binanceCaptures)
    it(`${name} stands in the streams as its expected result says`, async function () {
      needRecording(this, name)
      const lines = readCapture(capturePath(name))
      const { wire, summary } = await replay(capturePath(name))
      const given = JSON.parse(readFileSync(expectedPath(name), 'utf8')) as Expected
      const computed = expectedOf(lines)
      for (const [symbol, book] of Object.entries(computed.books))
        expect(given.books[symbol]).to.deep.include({
          final_update_id: book.final_update_id,
          top20_sha256: book.top20_sha256,
          applied: book.applied,
        })
      await expectWhole(wire, computed, lines)
      expect(summary).to.deep.include({ ok: true, refused: 0, deadLetters: 0 })
      for (const [symbol, { count }] of Object.entries(given.trades ?? given.aggTrades))
        expect(wire.count(instrumentOf(symbol), 'TRADE')).to.equal(count)
    })
})

interface Variant {
  readonly what: string
  /** Answers the capture and, where the venue's order was disturbed, the capture a correct client makes of it. */
  readonly make: (lines: readonly CaptureLine[]) => { lines: CaptureLine[]; truth?: readonly CaptureLine[] }
  readonly holds: (book: Expected['books'][string]) => object
}

const isWord = (word: string) => (line: CaptureLine) => line.kind === 'ws' && line.msg.includes(`@${word}`)

const variants: readonly Variant[] = [
  {
    what: 'a lost delta is one gap, and the snapshot behind it heals the book',
    make: (lines) => ({ lines: withLostDelta(lines, BTC, 40, 47) }),
    holds: () => ({ gaps: 1, state: 'live' }),
  },
  {
    what: 'two lost deltas with a snapshot each are two gaps',
    make: (lines) => ({ lines: withLostDelta(withLostDelta(lines, BTC, 120, 125), BTC, 30, 38) }),
    holds: () => ({ gaps: 2, state: 'live' }),
  },
  {
    what: 'a lost delta without any later snapshot leaves the book broken and everything else flowing',
    make: (lines) => ({ lines: withLostDelta(lines, BTC, 60, null) }),
    holds: () => ({ gaps: 1, state: 'waiting' }),
  },
  {
    what: 'doubled deltas, trades and quotes count once',
    make: (lines) => {
      const random = randomOf(11)
      let doubled = withDoubled(lines, isWord('depth'), 25, random)
      for (const word of ['trade', 'bookTicker']) doubled = withDoubled(doubled, isWord(word), 25, random)
      return { lines: doubled, truth: lines }
    },
    holds: () => ({ gaps: 0, state: 'live' }),
  },
  {
    what: 'deltas that changed places are put in order without a gap',
    make: (lines) => ({ lines: withSwappedDeltas(lines, BTC, 12, randomOf(12)), truth: lines }),
    holds: () => ({ gaps: 0, state: 'live' }),
  },
  {
    what: 'without a snapshot trades flow and no book appears',
    make: (lines) => ({ lines: withoutSnapshots(lines) }),
    holds: () => ({ applied: 0, sync_points: [], state: 'waiting' }),
  },
  {
    what: 'a late snapshot joins all that was kept since',
    make: (lines) => ({ lines: withLateSnapshot(lines, BTC, 60) }),
    holds: () => ({ gaps: 0, state: 'live' }),
  },
  {
    what: 'an unusable snapshot joins nothing, and the one behind it heals',
    make: (lines) => ({ lines: withUnusableSnapshot(lines, BTC, 10, 15, 40) }),
    holds: () => ({ gaps: 0, unusable_snapshots: 1, state: 'live' }),
  },
]

describe('variants of a recorded capture', function () {
  this.timeout(90_000)
  // Whole systems share the machine with other files here; what fails on it twice is no accident.
  this.retries(1)
  let lines: readonly CaptureLine[] | undefined

  before(function () {
    needRecording(this, BIG)
    lines = readCapture(capturePath(BIG)).slice(0, 4_000)
  })

  for (const { what, make, holds } of variants)
    it(what, async () => {
      const variant = make(lines as CaptureLine[])
      const truth = variant.truth ?? variant.lines
      const expected = expectedOf(truth)
      expect(expected.books[BTC]).to.deep.include(holds(expected.books[BTC] as Expected['books'][string]))
      const file = join(folder, `${what.replaceAll(/\W+/g, '-')}.jsonl.gz`)
      writeCapture(file, variant.lines)
      const { wire } = await replay(file)
      await expectWhole(wire, expected, truth)
    })

  it('a wrong quantity that stays at the top is marked within two deltas and healed by a snapshot; the neighbour is not touched', async () => {
    const truth = lines as CaptureLine[]
    const { lines: corrupted, delta } = withStayingCorruption(truth, BTC, 60)
    const file = join(folder, 'corrupted.jsonl.gz')
    writeCapture(file, withSnapshotBehind(corrupted, truth, BTC, delta + 5))
    const { wire } = await replay(file, '20')
    expectDense(wire)
    const { entries } = wire.of('BTC-USDT', 'ORDERBOOK')
    const marked = entries.findIndex(({ quality }) => quality !== '')
    // In front of the first delta stands the snapshot.
    const applied = expectedOf(truth).books[BTC]?.appliedRanges ?? []
    const wrongAt = applied.findIndex(([, last]) => last === depthIds(truth, BTC)[delta]) + 1
    expect(marked - wrongAt).to.be.within(1, 3)
    expect(entries[marked]?.quality).to.equal('GAPPED')
    expect(entries.filter(({ type }) => type === 'ORDERBOOK.SNAPSHOT')).to.have.length(2)
    expect(entries.at(-1)?.quality).to.equal('')
    const book = bookOf(wire, 'BTC-USDT')
    expect(book).to.equal(expectedOf(truth).books[BTC]?.top20_sha256)
    expect(new Set(wire.of('ETH-USDT', 'ORDERBOOK').entries.map(({ quality }) => quality))).to.deep.equal(new Set(['']))
  })

  it('ten instruments with losses of their own do not disturb each other', async () => {
    const names = 'AAUSDT BBUSDC CCBTC DDETH EEBNB FFEUR GGTRY HHFDUSD JJBRL KKGBP'.split(' ')
    const source = (lines as CaptureLine[]).slice(0, 2_000)
    const capture = interleaved(
      names.map((name, index) => {
        const own = renamed(source, index % 2 === 0 ? BTC : 'ETHUSDT', name)
        return index < 4 ? withLostDelta(own, name, 10 + index * 5, 20 + index * 5) : own
      }),
    )
    const file = join(folder, 'ten.jsonl.gz')
    writeCapture(file, capture)
    const { wire } = await replay(file)
    const expected = expectedOf(capture)
    expect(names.map((name) => expected.books[name]?.gaps)).to.deep.equal([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    await expectWhole(wire, expected, capture)
  })
})
