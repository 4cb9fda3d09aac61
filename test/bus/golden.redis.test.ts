import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { decodeEntry, ENTRY_FIELDS, fieldsOf } from '../../src/bus/contract.ts'
import { ledgerMemberSchema } from '../../src/bus/schema.ts'
import { BookReader, StreamCursor } from '../../src/consumer/reader.ts'
import { trimDecimal } from '../../src/domain/decimal.ts'
import { asInstrument } from '../../src/domain/instrument.ts'
import { SystemClock } from '../../src/lib/clock.ts'
import { RedisConnection, redisAt } from '../../src/redis/connection.ts'
import { RedisEventBus } from '../../src/redis/event-bus.ts'
import { Keys } from '../../src/redis/keys.ts'
import { parseSnapshot } from '../../src/redis/snapshot-store.ts'
import { MARKET } from '../conductor/fused.ts'
import { openConductor } from '../support/conductor.ts'
import { GOLDEN_TRACE, type GoldenLine, goldenFolder, makeGoldenLines, publishGolden } from '../support/golden.ts'
import { schemaProblems } from '../support/json-schema.ts'
import { startRedis } from '../support/redis.ts'
import { Wire } from '../support/wire.ts'

/** `MELTICA_GOLDEN=write npm test` writes the files anew; look at what changed before it is committed. */
const writes = process.env.MELTICA_GOLDEN === 'write'
const framesFile = join(goldenFolder, 'frames.jsonl')
const entriesFile = join(goldenFolder, 'entries.jsonl')

interface Golden {
  /** `MARKET:INSTRUMENT:CHANNEL` */
  readonly stream: string
  /** A stream entry, or */
  readonly fields?: Readonly<Record<string, string>>
  /** a member of the stream's gap ledger, or */
  readonly ledger?: Readonly<Record<string, unknown>>
  /** the snapshot record of a book (`stream` then names no channel). */
  readonly record?: Readonly<Record<string, string>>
}

const linesOf = <Line>(file: string): Line[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line)
const textOf = (lines: readonly object[]): string => lines.map((line) => `${JSON.stringify(line)}\n`).join('')

/** What Redis's clock decides is written as these. */
const EPOCH = '1760000000000000'
const LEDGER_US = 1_760_000_000_000_001
const STREAM_ID = '1760000000000-0'
/** The conductor has fused what stands in the streams after so many frames. */
const FUSED_AFTER = [4, 12, 20, 24]

async function goldenOf(frames: readonly GoldenLine[]): Promise<Golden[]> {
  const redis = await startRedis()
  const prefix = redis.uniquePrefix()
  const connection = new RedisConnection(redisAt(redis.url), 'command')
  await connection.ready()
  const keys = new Keys(prefix, 16)
  try {
    const bus = new RedisEventBus({ connection, keys, retention: {} })
    let from = 0
    for (const to of [...FUSED_AFTER, frames.length]) {
      await publishGolden(frames.slice(from, to), bus)
      await fuseGolden(redis.url, prefix, LEDGER_US + to * 100_000)
      from = to
    }
  } finally {
    connection.close()
  }
  const golden: Golden[] = []
  for (const [name, { raw, gapLedger }] of [...(await Wire.read(redis.client, prefix)).streams].sort()) {
    const stream = `BINANCE-SPOT:${name}`
    for (const { fields } of raw) golden.push({ stream, fields: { ...fieldsOf(fields), epoch: EPOCH } })
    for (const text of gapLedger) {
      const member = JSON.parse(text) as Record<string, unknown>
      const filledAt = member.filledAt === null ? null : LEDGER_US
      golden.push({ stream, ledger: { ...member, openedAt: LEDGER_US, filledAt } })
    }
  }
  const book = await redis.client.hgetall(keys.book(MARKET, asInstrument('BTC-USDT')))
  golden.push({ stream: 'BINANCE-SPOT:BTC-USDT', record: { ...sorted(book), epoch: EPOCH, streamId: STREAM_ID } })
  return golden
}

const sorted = (fields: Readonly<Record<string, string>>) => Object.fromEntries(Object.entries(fields).sort())

/** One life of a conductor that sees one moment only. */
async function fuseGolden(url: string, prefix: string, nowUs: number): Promise<void> {
  const clock = new SystemClock()
  const standing = { nowUs: () => nowUs, monotonicMs: () => clock.monotonicMs(), after: clock.after }
  const running = await openConductor(url, prefix, {
    clock: standing,
    trace: GOLDEN_TRACE,
    staleMs: Number.POSITIVE_INFINITY,
  })
  await running.conductor.catchUp()
  await running.close()
}

describe('golden entries', () => {
  before(async () => {
    if (!writes) return
    const frames = makeGoldenLines()
    writeFileSync(framesFile, textOf(frames))
    writeFileSync(entriesFile, textOf(await goldenOf(frames)))
  })

  it('come out of their frames, byte for byte', async () => {
    const made = await goldenOf(linesOf<GoldenLine>(framesFile))
    expect(textOf(made).split('\n')).to.deep.equal(readFileSync(entriesFile, 'utf8').split('\n'))
  })

  it('come from frames of the simulated venue', () => {
    expect(linesOf<GoldenLine>(framesFile)).to.deep.equal(JSON.parse(JSON.stringify(makeGoldenLines())))
  })

  it('show every type of the contract', () => {
    const types = new Set(linesOf<Golden>(entriesFile).map(({ fields }) => fields?.type))
    for (const channel of ['TRADE', 'QUOTE', 'TICKER', 'KLINE'])
      expect([...types]).to.include.members([channel === 'KLINE' ? 'KLINE.SUMMARY' : channel, `${channel}.GAP`])
    expect([...types]).to.include.members(['ORDERBOOK.SNAPSHOT', 'ORDERBOOK.DELTA', 'ORDERBOOK.GAP'])
    expect([...types]).to.include('ANALYTICS.FUSED')
  })

  it('are valid by the code and by the JSON Schemas, and hold nothing that these do not name', () => {
    const schema = (name: string) => JSON.parse(readFileSync(`schemas/${name}.json`, 'utf8'))
    for (const { fields, ledger, record } of linesOf<Golden>(entriesFile)) {
      if (ledger) {
        expect(ledgerMemberSchema.parse(ledger)).to.deep.equal(ledger)
        expect(schemaProblems(schema('ledger-member'), ledger)).to.deep.equal([])
      }
      if (record) {
        const book = BookReader.from(parseSnapshot(record) as NonNullable<ReturnType<typeof parseSnapshot>>)
        expect(book.joined).to.equal(true)
      }
      if (!fields) continue
      expect(Object.keys(fields)).to.deep.equal([...ENTRY_FIELDS])
      const decoded = decodeEntry(fields)
      if (!decoded.ok) throw new Error(decoded.problem)
      const data = JSON.parse(fields.data as string)
      expect(decoded.entry.data).to.deep.equal(data)
      expect(schemaProblems(schema('entry'), fields)).to.deep.equal([])
      expect(schemaProblems(schema(fields.type as string), data)).to.deep.equal([])
    }
  })

  it('are read without a doubt by the reader of the contract', () => {
    const cursors = new Map<string, StreamCursor>()
    const book = new BookReader()
    const steps: string[] = []
    for (const { stream, fields } of linesOf<Golden>(entriesFile)) {
      const decoded = fields && decodeEntry(fields)
      if (!decoded?.ok) continue
      const cursor = cursors.get(stream) ?? new StreamCursor()
      cursors.set(stream, cursor)
      expect(cursor.step(decoded.entry)).to.deep.equal({ step: 'use' })
      if (stream.endsWith(':ORDERBOOK')) steps.push(book.step(decoded.entry))
    }
    expect(steps).to.deep.equal(
      'snapshot applied applied gap snapshot applied applied gap applied applied applied'.split(' '),
    )
    expect(book.joined).to.equal(true)
    const { record } = linesOf<Golden>(entriesFile).find((line) => line.record) as { record: Record<string, string> }
    const late = BookReader.from(parseSnapshot(record) as NonNullable<ReturnType<typeof parseSnapshot>>)
    const plain = ({ bids, asks }: ReturnType<BookReader['top']>) =>
      [...bids, ...asks].map(([price, quantity]) => [trimDecimal(price), quantity])
    expect(plain(late.top(1_000))).to.deep.equal(plain(book.top(1_000)))
    expect(late.have).to.equal(book.have)
  })
})
