import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { checkStreams } from '../../src/checker/checker.ts'
import type { Snapshot } from '../../src/conductor/snapshot-store.ts'
import { BookReader } from '../../src/consumer/reader.ts'
import { asInstrument } from '../../src/domain/instrument.ts'
import { Keys } from '../../src/redis/keys.ts'
import { parseSnapshot } from '../../src/redis/snapshot-store.ts'
import { meltica } from '../cli/run.ts'
import { type CaptureLine, capturePath, needRecording, readCapture, writeCapture } from '../support/capture.ts'
import { PARTITIONS } from '../support/conductor.ts'
import { type Expected, expectedOf, trimmed } from '../support/oracle.ts'
import { startPrivateRedis, type TestRedis } from '../support/redis.ts'
import { randomOf, withDoubled, withLostDelta, withSwappedDeltas, withUnusableSnapshot } from '../support/variants.ts'
import { instrumentOf, Wire } from '../support/wire.ts'
import { expectWhole, type Fused, foldedTo, MARKET } from './fused.ts'

/** `CONDUCTOR_LINES=all` for whole captures. */
const LINES = process.env.CONDUCTOR_LINES === 'all' ? Number.POSITIVE_INFINITY : 2_000
const BIG = 'binance-spot-btcusdt-ethusdt-20240808'
const BTC = 'BTCUSDT'
const SAMPLE_MS = 25

let redis: TestRedis
let folder: string

before(async () => {
  redis = await startPrivateRedis()
  folder = mkdtempSync(join(tmpdir(), 'meltica-conductor-'))
})
after(() => {
  rmSync(folder, { recursive: true, force: true })
})

const variants: readonly (readonly [what: string, make: (lines: readonly CaptureLine[]) => readonly CaptureLine[]])[] =
  [
    ['as it was recorded', (lines) => lines],
    ['with a lost delta and a snapshot that heals', (lines) => withLostDelta(lines, BTC, 40, 47)],
    ['with an unusable snapshot and one that heals', (lines) => withUnusableSnapshot(lines, BTC, 10, 15, 40)],
    [
      'with doubled and swapped deltas',
      (lines) =>
        withSwappedDeltas(
          withDoubled(lines, ({ msg }) => msg.includes('@depth'), 25, randomOf(5)),
          BTC,
          8,
          randomOf(6),
        ),
    ],
  ]

describe('the conductor over a recorded capture', function () {
  this.timeout(LINES === Number.POSITIVE_INFINITY ? 180_000 : 40_000)
  // Whole systems share the machine with other files here; what fails on it twice is no accident.
  this.retries(1)
  let lines: readonly CaptureLine[] | undefined

  before(function () {
    needRecording(this, BIG)
    lines = readCapture(capturePath(BIG)).slice(0, LINES)
  })

  for (const [what, make] of variants)
    it(`keeps records that are the book of the stream at every moment, ${what}`, async () => {
      const capture = make(lines as CaptureLine[])
      const file = join(folder, `${what.replaceAll(' ', '-')}.jsonl.gz`)
      writeCapture(file, capture)
      const prefix = redis.uniquePrefix()
      const samples = new Map<string, Snapshot>()
      let isOver = false
      const sampling = sample(prefix, samples, () => isOver)
      const args = ['--redis', redis.url, '--prefix', prefix, '--json', '--set', 'telemetry.listen=off']
      const run = ['start', '--replay', file, '--speed', 'max', '--until-done', '--retention', 'none']
      const { code, err } = await meltica([...run, ...args, '--set', 'conductor.throttleMs=20'])
      isOver = true
      await sampling
      expect(code, err).to.equal(0)
      const wire = await Wire.read(redis.client, prefix)
      const expected = expectedOf(capture)
      for (const symbol of Object.keys(expected.books)) {
        const instrument = instrumentOf(symbol)
        expectFused(wire, instrument)
        const mine = [...samples].filter(([name]) => name.startsWith(`${instrument} `)).map(([, record]) => record)
        expect(mine.length, `records of ${instrument} that were seen`).to.be.at.least(1)
        for (const record of mine) expectRecord(wire, instrument, record)
        if (what === 'as it was recorded')
          expectFinal(mine.at(-1) as Snapshot, expected.books[symbol] as Expected['books'][string])
      }
      const { examples } = await checkStreams(
        wire,
        capture.map((line) => JSON.stringify(line)),
      )
      expect(examples.filter(({ channel }) => channel.endsWith(':ANALYTICS'))).to.deep.equal([])
    })
})

/** Reads the records again and again, as whoever comes late would, and once more at the end. */
async function sample(prefix: string, samples: Map<string, Snapshot>, isOver: () => boolean): Promise<void> {
  const keys = new Keys(prefix, PARTITIONS)
  for (let last = false; !last; ) {
    last = isOver()
    for (const instrument of ['BTC-USDT', 'ETH-USDT'].map(asInstrument)) {
      const snapshot = parseSnapshot(await redis.client.hgetall(keys.book(MARKET, instrument)))
      if (snapshot === null) continue
      samples.delete(`${instrument} ${snapshot.streamId}`)
      samples.set(`${instrument} ${snapshot.streamId}`, snapshot)
    }
    await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS))
  }
}

const at = (wire: Wire, instrument: string, streamId: string): number =>
  wire.of(instrument, 'ORDERBOOK').raw.findIndex(({ id }) => id === streamId)

function expectFused(wire: Wire, instrument: string): void {
  const entries = wire.of(instrument, 'ANALYTICS').entries as Fused[]
  expectWhole(entries)
  for (const channel of ['ORDERBOOK', 'TRADE', 'QUOTE'] as const)
    expect(foldedTo(entries, channel), `${instrument} ${channel}`).to.equal(wire.of(instrument, channel).entries.length)
}

const plain = (levels: readonly (readonly [string, string])[]) =>
  levels.map(([price, quantity]) => `${trimmed(price)} ${trimmed(quantity)}`)

/** The record holds the best levels of the book, all of them as far as it goes. */
function expectRecord(wire: Wire, instrument: string, record: Snapshot): void {
  if (record.streamId === '0-0') {
    expect(record).to.deep.include({ epoch: '', seq: '0', venueSeq: '', quality: 'SYNCING', bids: [], asks: [] })
    return
  }
  const { entries } = wire.of(instrument, 'ORDERBOOK')
  const place = at(wire, instrument, record.streamId)
  const book = new BookReader()
  for (const entry of entries.slice(0, place + 1)) book.step(entry)
  const { seq, epoch } = entries[place] as Fused
  expect({ seq: record.seq, epoch: record.epoch, have: record.venueSeq }).to.deep.equal({
    seq,
    epoch,
    have: `${book.have}`,
  })
  // The owner's word may be ahead of the stream.
  if (record.quality === 'LIVE') expect(book.joined).to.equal(true)
  for (const side of ['bids', 'asks'] as const) {
    const levels = record[side]
    expect(levels.length, `${side} of ${instrument}`).to.be.at.least(Math.min(500, book.levelsCount[side]))
    expect(plain(levels).sort()).to.deep.equal(plain(book.top(levels.length)[side]).sort())
  }
}

function expectFinal(record: Snapshot, expected: Expected['books'][string]): void {
  expect(record.venueSeq).to.equal(String(expected.final_update_id))
  for (const side of ['bids', 'asks'] as const) {
    const direction = side === 'bids' ? -1 : 1
    const best = [...record[side]].sort((one, other) => direction * (Number(one[0]) - Number(other[0]))).slice(0, 20)
    expect(plain(best)).to.deep.equal(plain(expected.top20[side]))
  }
}
