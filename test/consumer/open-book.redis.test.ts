import { expect } from 'chai'
import { decodeEntry, fieldsOf } from '../../src/bus/contract.ts'
import { type OpenBook, openBook } from '../../src/consumer/open-book.ts'
import { BookReader } from '../../src/consumer/reader.ts'
import { RedisBookSources } from '../../src/redis/book-sources.ts'
import { RedisConnection, redisAt } from '../../src/redis/connection.ts'
import { RedisEventBus } from '../../src/redis/event-bus.ts'
import { Keys } from '../../src/redis/keys.ts'
import { meltica } from '../cli/run.ts'
import { BTC, MARKET } from '../conductor/fused.ts'
import { openConductor, PARTITIONS } from '../support/conductor.ts'
import { batch, delta, snapshot } from '../support/offers.ts'
import { eventually, startRedis } from '../support/redis.ts'

const BLOCK_MS = 20

async function open() {
  const redis = await startRedis()
  const keys = new Keys(redis.uniquePrefix(), PARTITIONS)
  const connection = new RedisConnection(redisAt(redis.url), 'command')
  const waiting = new RedisConnection(redisAt(redis.url), 'blocking')
  await Promise.all([connection.ready(), waiting.ready()])
  const bus = new RedisEventBus({ connection, keys, retention: {} })
  const sources = new RedisBookSources(connection, waiting, keys)
  const stream = keys.stream(MARKET, BTC, 'ORDERBOOK')
  let last = 10
  const side = (from: number) => Array.from({ length: 50 }, (_, at) => [`${from + at}.00`, '1.5'])
  const data = JSON.stringify({ last: '10', bids: side(100), asks: side(200), depth: 1000 })
  await bus.publish([batch([snapshot(10, 1, { data })])])
  return {
    ...{ redis, keys, sources, stream, client: redis.client },
    publish: async (count: number) => {
      for (let done = 0; done < count; done++) {
        last++
        const levels = { bids: [[`${100 + (last % 50)}.00`, `${last % 3}.0`]], asks: [[`${200 + (last % 40)}.5`, '2']] }
        await bus.publish([
          batch([
            delta(last, last, last / 10, { data: JSON.stringify({ first: `${last}`, last: `${last}`, ...levels }) }),
          ]),
        ])
      }
    },
    /** The book as whoever read the stream from its beginning has it. */
    whole: async () => {
      const book = new BookReader()
      for (const [, flat] of await redis.client.xrange(stream, '-', '+')) {
        const decoded = decodeEntry(fieldsOf(flat))
        if (decoded.ok) book.step(decoded.entry)
      }
      return book
    },
    close: () => {
      connection.close()
      waiting.close()
    },
  }
}

async function readToEnd(book: OpenBook): Promise<void> {
  await eventually(async () => {
    const step = await book.next(BLOCK_MS)
    return step === 'quiet'
  })
}

/** Prices of a record have lost their padding zeros. */
const top = (book: OpenBook | BookReader) => {
  const { bids, asks } = book.top(1_000)
  const plain = (levels: readonly (readonly [string, string])[]) =>
    levels.map(([price, much]) => `${Number(price)} ${much}`)
  return { have: String(book.have), bids: plain(bids), asks: plain(asks) }
}

describe('a book that is joined late', () => {
  it('is the record and the stream behind it, whenever it is joined, and follows what comes', async () => {
    const world = await open()
    const running = await openConductor(world.redis.url, world.keys.prefix)
    await eventually(async () => (await world.client.exists(world.keys.book(MARKET, BTC))) === 1)
    for (let joined = 0; joined < 4; joined++) {
      await world.publish(15)
      const book = openBook(world.sources, MARKET, BTC)
      expect(await book.next(BLOCK_MS)).to.equal('record')
      await world.publish(15)
      await readToEnd(book)
      expect(top(book)).to.deep.equal(top(await world.whole()))
      expect(book.joined).to.equal(true)
      await world.publish(5)
      await readToEnd(book)
      expect(top(book)).to.deep.equal(top(await world.whole()))
    }
    await running.close()
    world.close()
  })

  it('is taken from the record again where the stream does not continue it, and not while there is none newer', async () => {
    const world = await open()
    const running = await openConductor(world.redis.url, world.keys.prefix)
    const record = async () => world.client.hget(world.keys.book(MARKET, BTC), 'venueSeq')
    await world.publish(5)
    await eventually(async () => (await record()) === '15')
    const book = openBook(world.sources, MARKET, BTC)
    await book.next(BLOCK_MS)
    await running.close()
    // Retention takes what the reader has not read, and nobody writes a newer record.
    await world.publish(5)
    const whole = top(await world.whole())
    await world.client.xtrim(world.stream, 'MAXLEN', 1)
    expect(await book.next(BLOCK_MS)).to.equal('behind')
    expect(book.joined).to.equal(false)
    expect(await book.next(BLOCK_MS)).to.equal('behind')
    // The conductor has lost the entries as well, tells so and has a record of what it has.
    const again = await openConductor(world.redis.url, world.keys.prefix)
    await eventually(async () => (await book.next(BLOCK_MS)) === 'record')
    expect(book.joined).to.equal(false)
    expect(again.resyncs.map(({ reason }) => reason)).to.include('behind-retention')
    expect(String(book.have)).to.not.equal(whole.have)
    await again.close()
    world.close()
  })

  it('says that there is none where nobody keeps it', async () => {
    const world = await open()
    expect(await openBook(world.sources, MARKET, BTC).next(BLOCK_MS)).to.equal('absent')
    world.close()
  })

  it('is shown by the command line as a ladder or as JSON', async () => {
    const world = await open()
    const running = await openConductor(world.redis.url, world.keys.prefix)
    await world.publish(3)
    await eventually(async () => (await world.client.hget(world.keys.book(MARKET, BTC), 'venueSeq')) === '13')
    await running.close()
    const common = ['--redis', world.redis.url, '--prefix', world.keys.prefix, '--count', '1', '--levels', '3']
    const shown = await meltica(['book', `${MARKET}:${BTC}`, ...common])
    expect(shown.code, shown.err).to.equal(0)
    expect(shown.out).to.match(/^BINANCE-SPOT:BTC-USDT {2}LIVE {2}update 13 {2}seq 4/)
    expect(shown.out.split('\n').filter((line) => /^(bid|ask) /.test(line))).to.have.length(6)
    const json = await meltica(['book', `${MARKET}:${BTC}`, ...common, '--json'])
    const { bids, asks } = (await world.whole()).top(3)
    const line = JSON.parse(json.out) as { bids: [string, string][]; asks: [string, string][] }
    expect(line).to.include({ book: 'BINANCE-SPOT:BTC-USDT', quality: 'LIVE', joined: true, have: '13', seq: 4 })
    expect(line.bids.map(([price]) => Number(price))).to.deep.equal(bids.map(([price]) => Number(price)))
    expect(line.asks.map(([price]) => Number(price))).to.deep.equal(asks.map(([price]) => Number(price)))
    world.close()
  }).timeout(40_000)
})
