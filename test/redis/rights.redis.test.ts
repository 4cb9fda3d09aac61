import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { Redis } from 'ioredis'
import { Channel } from '../../src/domain/event.ts'
import { asInstrument, asMarket } from '../../src/domain/instrument.ts'
import { Keys } from '../../src/redis/keys.ts'
import { meltica, startMeltica } from '../cli/run.ts'
import { eventually, startPrivateRedis, type TestRedis } from '../support/redis.ts'

const SECRET = 'a-secret-of-16-chars'
const TOKEN = 'token-of-16-characters'
const INSTRUMENT = 'BTC-USDT'
const market = asMarket('BINANCE-SPOT')
const keys = new Keys('meltica', 16)

/** The users as docs/operations.md makes them, by name. */
const users = new Map(
  readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('ACL SETUSER '))
    .map((line) => line.replace('SECRET', SECRET).split(/ +/))
    .map((words) => [words[2] as string, words] as const),
)

describe('the users of docs/operations.md', function () {
  this.timeout(90_000)
  let redis: TestRedis
  let streams: string
  const processes: ChildProcessWithoutNullStreams[] = []
  let log = ''

  const start = (roles: string, user: string, ...settings: string[]): ChildProcessWithoutNullStreams => {
    const sets = [`redis.username=${user}`, `worker.id=${roles}`, ...settings].flatMap((text) => ['--set', text])
    const secrets = { MELTICA_REDIS__PASSWORD: SECRET }
    const child = startMeltica(['start', '--json', '--roles', roles, '--redis', redis.url, ...sets], secrets)
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text
    })
    processes.push(child)
    return child
  }
  const dryRun = async (user: string, ...command: string[]): Promise<string> =>
    String(await redis.client.call('ACL', 'DRYRUN', user, ...command))

  before(async () => {
    redis = await startPrivateRedis()
    for (const [, ...words] of users.values()) await redis.client.call('ACL', ...words)
    streams = keys.stream(market, asInstrument(INSTRUMENT), Channel.Trade)
    const where = ['simulator.instruments=3', 'simulator.rate=100']
    start('ingest', 'writer', ...where).stdout.resume()
    start('conductor', 'writer').stdout.resume()
    const fused = keys.stream(market, asInstrument(INSTRUMENT), Channel.Analytics)
    await eventually(async () => (await redis.client.exists(fused)) === 1, 40_000)
  })
  after(async function () {
    if (this.test?.parent?.tests.some(({ state }) => state === 'failed')) console.log(log.slice(-4_000))
    for (const child of processes) child.kill('SIGTERM')
    await Promise.all(processes.map((child) => child.exitCode ?? child.signalCode ?? once(child, 'close')))
    await redis.stop()
  })

  it('are three', () => {
    expect([...users.keys()]).to.deep.equal(['writer', 'gateway', 'reader'])
  })

  it('let the roles that write do their work without a word about rights', async () => {
    await eventually(async () => {
      const { out } = await meltica(['workers', '--json', '--redis', redis.url])
      return (out.match(/"state":"active"/g) ?? []).length >= 2
    }, 20_000)
    expect(log).not.to.match(/NOPERM|executing the script can't|ACL failure/)
  })

  it('let a gateway serve and apply commands', async () => {
    const tokens = JSON.stringify([{ name: 'test', roles: ['read', 'operate'], token: TOKEN }])
    const gateway = start('gateway', 'gateway', 'gateway.listen=127.0.0.1:0', `gateway.tokens=${tokens}`)
    gateway.stdout.resume()
    const api = await eventually(() => /"kind":"gateway-open","url":"([^"]+)"/.exec(log)?.[1], 20_000)
    const ask = async (path: string, init: RequestInit = {}): Promise<{ status: number; body: unknown }> => {
      const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' }
      const answer = await fetch(`${api}${path}`, { ...init, headers: { ...headers, ...(init.headers ?? {}) } })
      return { status: answer.status, body: await answer.json() }
    }
    for (const path of ['instruments', 'streams', 'workers', 'limits', 'routes', 'subscriptions', 'dead-letters']) {
      const { status, body } = await ask(`/v1/${path}`)
      expect(status, `${path}: ${JSON.stringify(body)}`).to.equal(200)
    }
    const { status, body } = await ask('/v1/subscriptions', {
      ...{ method: 'POST', headers: { 'idempotency-key': 'one' } },
      body: JSON.stringify({ consumer: 'test', market, type: 'TRADE', instrument: INSTRUMENT }),
    })
    expect(status, JSON.stringify(body)).to.be.within(200, 202)
    expect(log).not.to.match(/NOPERM|executing the script can't|ACL failure/)
  })

  it('let a reader read, alone and in a group', async () => {
    const secrets = { MELTICA_REDIS__PASSWORD: SECRET }
    const as = ['--redis', redis.url, '--set', 'redis.username=reader']
    const book = await meltica(['book', `BINANCE-SPOT:${INSTRUMENT}`, '--count', '1', '--json', ...as], secrets)
    expect(book.code, book.err).to.equal(0)
    const listed = await meltica(['streams', '--json', ...as], secrets)
    expect(listed.code, listed.err).to.equal(0)
    const tailed = await meltica(['tail', `*:${INSTRUMENT}:TRADE`, '--count', '3', '--json', ...as], secrets)
    expect(tailed.code, tailed.err).to.equal(0)
    const client = new Redis(redis.url, { username: 'reader', password: SECRET })
    await client.xgroup('CREATE', streams, 'mine', '0')
    await client.xgroup('CREATECONSUMER', streams, 'mine', 'me')
    const read = (await client.xreadgroup('GROUP', 'mine', 'me', 'COUNT', 5, 'STREAMS', streams, '>')) as [
      [string, [string, string[]][]],
    ]
    const ids = read[0][1].map(([id]) => id) as [string, ...string[]]
    await client.xautoclaim(streams, 'mine', 'me', 0, '0')
    await client.xclaim(streams, 'mine', 'me', 0, ids[0])
    expect(await client.xack(streams, 'mine', ...ids)).to.equal(ids.length)
    await client.xgroup('SETID', streams, 'mine', '$')
    await client.xread('COUNT', 1, 'STREAMS', keys.bell(3), '0')
    client.disconnect()
  })

  it('are refused what is not theirs', async () => {
    const control = keys.control('commands')
    const state = keys.state(market, asInstrument(INSTRUMENT))
    const refused: readonly (readonly [string, ...string[]])[] = [
      ['reader', 'XACK', control, 'control', '1-1'],
      ['reader', 'XCLAIM', control, 'control', 'me', '0', '1-1'],
      ['reader', 'XREADGROUP', 'GROUP', 'control', 'me', 'STREAMS', control, '>'],
      ['reader', 'XREADGROUP', 'GROUP', 'x', 'me', 'STREAMS', keys.ops, '>'],
      ['reader', 'XRANGE', control, '-', '+'],
      ['reader', 'LRANGE', keys.queue('polls:wait'), '0', '1'],
      ['reader', 'HGETALL', state],
      ['reader', 'XADD', streams, '*', 'a', 'b'],
      ['reader', 'XTRIM', streams, 'MAXLEN', '0'],
      ['reader', 'DEL', streams],
      ['reader', 'HSET', keys.catalog, 'a', 'b'],
      ['reader', 'EVAL', 'return 1', '1', streams],
      ['reader', 'FLUSHALL'],
      ['reader', 'CONFIG', 'SET', 'maxmemory', '1'],
      ['gateway', 'XADD', streams, '*', 'a', 'b'],
      ['gateway', 'DEL', keys.book(market, asInstrument(INSTRUMENT))],
      ['gateway', 'HSET', keys.catalog, 'a', 'b'],
      ['gateway', 'FLUSHALL'],
      ['gateway', 'CONFIG', 'SET', 'maxmemory', '1'],
      ['writer', 'GET', 'other:key'],
      ['writer', 'FLUSHALL'],
      ['writer', 'CONFIG', 'SET', 'maxmemory', '1'],
      ['writer', 'ACL', 'SETUSER', 'writer', '+@all'],
    ]
    for (const command of refused) expect(await dryRun(...command), command.join(' ')).not.to.equal('OK')
    for (const user of users.keys()) {
      for (const word of ['SLOTS', 'INFO']) expect(await dryRun(user, 'CLUSTER', word)).to.equal('OK')
    }
  })
})
