import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { ENTRY_FIELDS } from '../../src/bus/contract.ts'
import { RedisConnection, redisAt } from '../../src/redis/connection.ts'
import { Keys } from '../../src/redis/keys.ts'
import { startPrivateRedis, type TestRedis } from '../support/redis.ts'
import { firstLine, meltica, startMeltica } from './run.ts'

describe('commands that read the streams', () => {
  let redis: TestRedis
  let connection: RedisConnection
  let prefix = ''
  let tests = 0
  before(async () => {
    redis = await startPrivateRedis()
    connection = new RedisConnection(redisAt(redis.url), 'command')
    await connection.ready()
  })
  after(async () => {
    connection?.close()
    await redis?.stop()
  })
  beforeEach(() => {
    prefix = `cli${tests++}`
  })

  const cli = (...args: string[]) => meltica([...args, '--redis', redis.url, '--prefix', prefix])

  /** Puts trades with ascending ids into a stream, as the append script would. */
  async function put(instrument: string, ids: readonly number[], channel = 'TRADE', quality = ''): Promise<string[]> {
    const keys = new Keys(prefix, 16)
    const name = `BINANCE-SPOT:${instrument}:${channel}`
    const parsed = Keys.parseCatalogField(name)
    if (parsed === null) throw new Error(`no stream name: ${name}`)
    const stream = keys.stream(parsed.market, parsed.instrument, parsed.channel)
    await connection.send('hset', [keys.catalog, name, stream])
    const entries: string[] = []
    for (const id of ids) {
      const data = JSON.stringify({ id: String(id), price: '1.50', quantity: '2', side: 'buy' })
      const values = [
        '1',
        channel,
        'BINANCE-SPOT',
        instrument,
        '1700000000000000',
        String(id),
        `${instrument}:TRADE:${id}`,
      ]
      values.push(String(id), '1700000000000000', '1700000000000000', 'binance.ws.trade', '0'.repeat(32), quality, data)
      const flat = ENTRY_FIELDS.flatMap((field, at) => [field, values[at] ?? ''])
      entries.push(String(await connection.send('xadd', [stream, '*', ...flat])))
    }
    return entries
  }

  describe('meltica tail', () => {
    it('shows what is there as JSON, all fields as texts, data parsed, with stream and id', async () => {
      const [id] = await put('BTC-USDT', [1])
      const { code, out } = await cli('tail', 'BINANCE-SPOT:BTC-USDT:TRADE', '--no-follow', '--json')
      expect(code).to.equal(0)
      const entry = JSON.parse(out) as Record<string, unknown>
      expect(Object.keys(entry)).to.deep.equal([...ENTRY_FIELDS, 'stream', 'id'])
      expect(entry).to.include({ seq: '1', v: '1', stream: `${prefix}:{7}:BINANCE-SPOT:BTC-USDT:TRADE`, id })
      expect(entry.data).to.deep.equal({ id: '1', price: '1.50', quantity: '2', side: 'buy' })
    })

    it('takes * for any part, begins behind an id, and ends after --count', async () => {
      const [, second] = await put('BTC-USDT', [1, 2, 3])
      await put('ETH-USDT', [11, 12])
      const seqs = async (...args: string[]) => {
        const { out } = await cli('tail', ...args, '--no-follow', '--json')
        return out
          .trim()
          .split('\n')
          .map((line) => (JSON.parse(line) as { seq: string }).seq)
      }
      expect(await seqs('*:TRADE')).to.deep.equal(['1', '2', '3', '11', '12'])
      expect(await seqs('*:BTC-*:TRADE', '--from', second ?? '')).to.deep.equal(['3'])
      expect(await seqs('*', '--count', '4')).to.deep.equal(['1', '2', '3', '11'])
    })

    it('shows words without --json', async () => {
      await put('BTC-USDT', [1])
      const { out } = await cli('tail', '*', '--no-follow')
      expect(out).to.match(/^\d+-\d+ BINANCE-SPOT:BTC-USDT TRADE seq=1 \{"id":"1"/)
    })

    it('follows streams, also such as appear later, and ends with 0 on SIGINT', async () => {
      await put('BTC-USDT', [1])
      const child = startMeltica(['tail', '*', '--json', '--redis', redis.url, '--prefix', prefix])
      let appearing = 1
      // From now on means from when it looks, so entries are added until one is seen.
      const adding = setInterval(() => void put('ETH-USDT', [appearing++]), 100)
      const line = JSON.parse(await firstLine(child)) as { instrument: string }
      clearInterval(adding)
      expect(line.instrument).to.equal('ETH-USDT')
      child.kill('SIGINT')
      expect((await once(child, 'close'))[0]).to.equal(0)
    })

    it('is quiet when its reader has seen enough', async () => {
      await put(
        'BTC-USDT',
        Array.from({ length: 50 }, (_, i) => i + 1),
      )
      const child = startMeltica(['tail', '*', '--from', '0', '--json', '--redis', redis.url, '--prefix', prefix])
      let err = ''
      child.stderr.on('data', (text) => {
        err += String(text)
      })
      await firstLine(child)
      child.stdout.destroy()
      await put('BTC-USDT', [51, 52])
      const [code] = await once(child, 'close')
      expect([code, err]).to.deep.equal([0, ''])
    })

    it('says that no stream fits', async () => {
      const { code, err } = await cli('tail', 'BINANCE-SPOT:NO-ONE:TRADE', '--no-follow')
      expect(code).to.equal(1)
      expect(err).to.contain(`expected a stream that fits BINANCE-SPOT:NO-ONE:TRADE in ${prefix}:catalog, found none`)
    })
  })

  describe('meltica streams', () => {
    it('lists the catalog with lengths, rates and quality', async () => {
      await put('BTC-USDT', [1, 2])
      await put('BTC-USDT', [5], 'ORDERBOOK', 'GAPPED')
      await connection.send('hset', [`${prefix}:catalog`, 'BINANCE-SPOT:ETH-USDT:TRADE', `${prefix}:{13}:none`])
      const { code, out } = await cli('streams', '--json')
      expect(code).to.equal(0)
      const rows = out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>)
      expect(rows.map(({ name }) => name)).to.deep.equal([
        'BINANCE-SPOT:BTC-USDT:ORDERBOOK',
        'BINANCE-SPOT:BTC-USDT:TRADE',
        'BINANCE-SPOT:ETH-USDT:TRADE',
      ])
      expect(rows[0]).to.include({ length: 1, quality: 'GAPPED' })
      expect(rows[1]).to.include({ length: 2, entriesPerSecond: 0, quality: '-' })
      expect(rows[2]).to.include({ length: 0, lastId: '', ageSeconds: null })
      const words = await cli('streams', '*:BTC-*:TRADE')
      expect(words.out).to.match(/BINANCE-SPOT:BTC-USDT:TRADE +2 +0\.0 +- +\d+ s ago\n1 of 3 streams/)
    })
  })

  describe('meltica check', () => {
    it('finds a fit Redis and a fit venue', async () => {
      const venue = startMeltica(['simulate', '--instruments', '1', '--rate', '1'])
      const { ws, rest } = JSON.parse(await firstLine(venue)) as { ws: string; rest: string }
      const where = ['--set', `venues.binance.streamUrl=${ws}`, '--set', `venues.binance.restUrl=${rest}`]
      const { code, out } = await cli('check', '--json', ...where)
      venue.kill('SIGTERM')
      await once(venue, 'close')
      const findings = out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { name: string; severity: string })
      expect(findings.filter(({ severity }) => severity === 'failure')).to.deep.equal([])
      expect(findings.map(({ name }) => name)).to.include.members([
        ...[
          'configuration',
          'redis',
          'redis version',
          'redis maxmemory-policy',
          'redis maxmemory',
          'redis persistence',
        ],
        ...['redis clock', 'redis permissions', 'venue clock', 'venue streams'],
      ])
      expect(code).to.equal(0)
    })

    it('says what is unfit or away, and exits with 1', async () => {
      const away = [
        '--set',
        'venues.binance.streamUrl=ws://127.0.0.1:1',
        '--set',
        'venues.binance.restUrl=http://127.0.0.1:1',
      ]
      await connection.send('config', ['SET', 'maxmemory-policy', 'allkeys-lru'])
      const { code, out } = await cli('check', ...away)
      await connection.send('config', ['SET', 'maxmemory-policy', 'noeviction'])
      expect(code).to.equal(1)
      expect(out).to.match(/failure +redis maxmemory-policy +allkeys-lru/)
      expect(out).to.match(/failure +venue clock/)
      expect(out).to.match(/failure +venue streams +connect ECONNREFUSED 127\.0\.0\.1:1/)
    })
  })

  describe('meltica verify', () => {
    let folder: string
    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), 'meltica-verify-'))
    })
    afterEach(() => rmSync(folder, { recursive: true }))

    const ledger = (ids: readonly number[]): string => {
      const file = join(folder, 'ledger.jsonl')
      const lines = ids.map((id) => {
        const data = {
          e: 'trade',
          E: 1700000000000,
          s: 'BTCUSDT',
          t: id,
          p: '1.50',
          q: '2',
          T: 1700000000000,
          m: false,
          M: true,
        }
        const msg = JSON.stringify({ stream: 'btcusdt@trade', data })
        return JSON.stringify({ ts: 1700000000000, conn: 'ws', kind: 'ws', url: 'ws://x/stream', msg })
      })
      writeFileSync(file, `${lines.join('\n')}\n`)
      return file
    }

    it('finds nothing wrong where the streams are what the ledger says', async () => {
      await put('BTC-USDT', [1, 2, 3])
      const { code, out, err } = await cli('verify', '--ledger', ledger([1, 2, 3]), '--json')
      expect(err).to.equal('')
      expect(JSON.parse(out)).to.include({ ok: true, entries: 3, ledgerEvents: 3 })
      expect(code).to.equal(0)
    })

    it('counts and shows what was lost, and exits with 1', async () => {
      await put('BTC-USDT', [1])
      const { code, out } = await cli('verify', '--ledger', ledger([1, 2]), '--whole')
      expect(code).to.equal(1)
      expect(out)
        .to.contain('WRONG')
        .and.match(/ {2}lost +1/)
    })

    it('refuses a ledger that is not there', async () => {
      const { code, err } = await cli('verify', '--ledger', join(folder, 'nope.jsonl'))
      expect(code).to.equal(2)
      expect(err).to.contain('--ledger: expected a file that can be read, found no file')
    })
  })

  it('say in one message that Redis is away, and exit with 1', async () => {
    for (const command of [['tail', '*'], ['streams']]) {
      const { code, err } = await meltica([...command, '--redis', 'redis://me:hunter2@127.0.0.1:1'])
      expect(code, command[0]).to.equal(1)
      expect(err.trim())
        .to.match(/^meltica: Expected Redis at 127\.0\.0\.1:1, found: .*ECONNREFUSED.*$/)
        .and.not.contain('hunter2')
    }
  })

  it('say in one message that no Redis was named, and exit with 2', async () => {
    const { code, err } = await meltica(['streams'])
    expect(code).to.equal(2)
    expect(err.trim()).to.match(/^meltica: expected the address of a Redis, found none\..*$/)
  })
})
