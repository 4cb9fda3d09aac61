import { once } from 'node:events'
import { createServer } from 'node:net'
import { expect } from 'chai'
import { eventually, startPrivateRedis } from '../support/redis.ts'
import { firstLine, meltica, startMeltica } from './run.ts'

const SMALL = ['--set', 'simulator.instruments=2', '--set', 'simulator.rate=100']
const QUIET = ['--set', 'telemetry.listen=off']

describe('meltica start', () => {
  it('ends after --for with exit code 0 and the summary as its last line', async () => {
    const { code, out } = await meltica(['start', '--for', '1s', ...SMALL, ...QUIET])
    expect(code).to.equal(0)
    const summary = JSON.parse(out.trim().split('\n').at(-1) ?? '') as Record<string, unknown>
    expect(summary).to.include({ ok: true, prefix: 'meltica', gaps: 0, refused: 0, deadLetters: 0 })
    expect(summary).to.have.keys([
      ...['ok', 'seconds', 'redis', 'prefix', 'events', 'gaps', 'duplicates', 'refused', 'deadLetters'],
      ...['eventsPerSecond', 'latencyUs'],
    ])
    expect(summary.latencyUs).to.have.keys(['p50', 'p99', 'p999'])
  })

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    it(`ends cleanly with exit code 0 within 5 s on ${signal}`, async () => {
      const child = startMeltica(['start', '--json', ...SMALL, ...QUIET])
      await firstLine(child)
      const askedMs = performance.now()
      child.kill(signal)
      child.stdout.resume()
      const [code] = await once(child, 'close')
      expect(code).to.equal(0)
      expect(performance.now() - askedMs).to.be.below(5000)
    })
  }

  it('writes into the Redis and below the prefix it was given', async () => {
    const redis = await startPrivateRedis()
    const args = ['--redis', redis.url, '--prefix', 'mine']
    const child = startMeltica(['start', '--json', ...args, ...SMALL, ...QUIET])
    child.stdout.resume()
    child.stderr.resume()
    const closed = once(child, 'close')
    await eventually(async () => (await redis.client.hlen('mine:catalog')) >= 10, 15_000)
    child.kill('SIGTERM')
    expect((await closed)[0]).to.equal(0)
    expect((await redis.client.keys('*')).filter((key) => !key.startsWith('mine:'))).to.deep.equal([])
    await redis.stop()
  })

  it('keeps every entry with --retention none', async () => {
    const redis = await startPrivateRedis()
    const bound = ['--set', 'retention.QUOTE.maxLength=1', '--set', 'retention.TRADE.maxLength=1']
    const args = ['start', '--for', '2s', '--redis', redis.url, '--retention', 'none', ...bound, ...QUIET]
    const { out } = await meltica([...args, '--set', 'simulator.instruments=1', '--set', 'simulator.rate=500'])
    const { events } = JSON.parse(out.trim().split('\n').at(-1) ?? '') as { events: Counts }
    const length = await redis.client.xlen('meltica:{7}:BINANCE-SPOT:BTC-USDT:TRADE')
    expect(length).to.equal(events['BINANCE-SPOT']?.['BTC-USDT']?.TRADE)
    expect(length).to.be.above(100)
    await redis.stop()
  })

  it('says in one message that Redis is away, and exits with 1', async () => {
    const { code, out, err } = await meltica(['start', '--redis', 'redis://127.0.0.1:1', ...SMALL, ...QUIET])
    expect([code, out]).to.deep.equal([1, ''])
    expect(err.trim().split('\n').at(-1)).to.match(/^meltica: Expected Redis at 127\.0\.0\.1:1, found: /)
    expect(err).to.not.match(/^ {4}at /m)
  })

  it('says in one message which setting names a taken port, and exits with 1', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const address = taken.address()
    const port = typeof address === 'object' ? address?.port : 0
    const { code, err } = await meltica(['start', ...SMALL, '--set', `telemetry.listen=127.0.0.1:${port}`])
    taken.close()
    expect(code).to.equal(1)
    expect(err).to.contain(`telemetry.listen: expected to listen on 127.0.0.1:${port}, found it taken`)
  })
})

type Counts = Record<string, Record<string, Record<string, number>>>
