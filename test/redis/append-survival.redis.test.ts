import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import type { ChannelOutcome } from '../../src/bus/publish.ts'
import { asInstrument, asMarket } from '../../src/domain/instrument.ts'
import { readCatalog } from '../../src/redis/catalog.ts'
import { RedisConnection, redisAt } from '../../src/redis/connection.ts'
import { BusError } from '../../src/redis/errors.ts'
import { RedisEventBus } from '../../src/redis/event-bus.ts'
import { Keys } from '../../src/redis/keys.ts'
import { openKeyspace } from '../../src/redis/keyspace.ts'
import { StreamReader } from '../../src/redis/stream-reader.ts'
import { offerTrades } from '../support/append-writer.ts'
import { batch, quote, trade } from '../support/offers.ts'
import { eventually, startPrivateRedis, startRedis, type TestRedis } from '../support/redis.ts'

const WRITER = new URL('../support/append-writer.ts', import.meta.url).pathname
const keys = new Keys('survival', 16)
const stream = keys.stream(asMarket('BINANCE-SPOT'), asInstrument('BTC-USDT'), 'TRADE')

async function read(redis: TestRedis, key = stream): Promise<Readonly<Record<string, string>>[]> {
  const connection = new RedisConnection(redisAt(redis.url), 'command')
  await connection.ready()
  const records = await new StreamReader(connection).range(key, '-', '+', 100_000)
  connection.close()
  return records.map(({ fields }) => fields)
}

async function openBus(redis: TestRedis): Promise<{ bus: RedisEventBus; connection: RedisConnection }> {
  const connection = new RedisConnection(redisAt(redis.url), 'command')
  await connection.ready()
  return { connection, bus: new RedisEventBus({ connection, keys, retention: {} }) }
}

describe('append script under failures', function () {
  this.timeout(30_000)

  it('stays dense and without repeats under two writers of which one is killed and starts again', async () => {
    const redis = await startRedis()
    const prefix = redis.uniquePrefix()
    const key = stream.replace('survival', prefix)
    const last = 6_000
    const writers = [1, 2].map(() =>
      spawn(process.execPath, [WRITER, redis.url, prefix, String(last)], { stdio: 'inherit' }),
    )
    const ended = writers.map((writer) => new Promise((resolve) => writer.once('exit', resolve)))
    await eventually(async () => (await redis.client.xlen(key)) > 700, 15_000)
    writers[0]?.kill('SIGKILL')
    await ended[0]
    await offerTrades(redis.url, prefix, last)
    expect(await ended[1]).to.equal(0)
    const entries = await read(redis, key)
    expect(entries.map(({ seq }) => Number(seq))).to.deep.equal(Array.from({ length: last }, (_, index) => index + 1))
    expect(entries.map(({ venueSeq }) => Number(venueSeq))).to.deep.equal(
      Array.from({ length: last }, (_, index) => index + 1),
    )
    expect(new Set(entries.map((entry) => entry.key)).size).to.equal(last)
  })

  it('goes on counting in a new epoch when Redis comes back with its data', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'meltica-test-'))
    const options = { directory, appendOnly: true, extraArguments: ['--appendfsync', 'always'] }
    const first = await startPrivateRedis(options)
    const { bus, connection } = await openBus(first)
    const before = (await bus.publish([batch([trade(1), trade(2)])])).channels[0] as ChannelOutcome
    await first.kill()
    const lost = await bus.publish([batch([trade(3)], { epoch: before.epoch })]).catch((error: unknown) => error)
    expect(lost).to.be.instanceOf(BusError)
    expect((lost as BusError).code).to.equal('unreachable')
    const second = await startPrivateRedis({ ...options, port: first.port })
    await connection.restored()
    const all = [trade(1), trade(2), trade(3)]
    const told = (await bus.publish([batch(all, { epoch: before.epoch })])).channels[0] as ChannelOutcome
    expect(told).to.include({ epochChanged: true, have: '2' })
    expect(told.outcomes.map(({ reason }) => reason)).to.deep.equal(['epoch', 'epoch', 'epoch'])
    const after = (await bus.publish([batch(all, { epoch: told.epoch })])).channels[0] as ChannelOutcome
    expect(after.outcomes.map(({ verdict }) => verdict)).to.deep.equal(['duplicate', 'duplicate'])
    expect((await read(second)).map(({ epoch, seq }) => [epoch, seq])).to.deep.equal([
      [before.epoch, '1'],
      [before.epoch, '2'],
      [after.epoch, '3'],
    ])
    connection.close()
    await second.stop()
    rmSync(directory, { recursive: true })
  })

  it('begins at 1 in a new epoch on an empty Redis, with no id below what the caller was told', async () => {
    const first = await startPrivateRedis()
    const { bus, connection } = await openBus(first)
    // As if the old master's clock had been ahead.
    const aheadMs = Date.now() + 3_600_000
    await first.client.xadd(stream, `${aheadMs}-0`, 'a', 'b')
    expect((await bus.publish([batch([trade(1)])])).greatestEntryMs).to.equal(aheadMs)
    await first.kill()
    const second = await startPrivateRedis({ port: first.port })
    await connection.restored()
    await bus.publish([batch([trade(2), trade(3)])])
    const raw = await second.client.xrange(stream, '-', '+')
    expect(raw.map(([id]) => id)).to.deep.equal([`${aheadMs + 1}-0`, `${aheadMs + 1}-1`])
    expect((await read(second)).map(({ seq }) => seq)).to.deep.equal(['1', '2'])
    expect(await second.client.hget(keys.catalog, 'BINANCE-SPOT:BTC-USDT:TRADE')).to.equal(stream)
    connection.close()
    await second.stop()
  })

  it('is refused without effect when Redis is out of memory', async () => {
    const redis = await startPrivateRedis()
    const { bus, connection } = await openBus(redis)
    await bus.publish([batch([trade(1)])])
    await redis.client.config('SET', 'maxmemory', '1')
    const refused = await bus.publish([batch([trade(2)])]).catch((error: unknown) => error)
    expect(refused).to.be.instanceOf(BusError)
    expect(refused).to.include({ code: 'oom', retryable: true, outcomeUnknown: false })
    expect(await read(redis)).to.have.length(1)
    await redis.client.config('SET', 'maxmemory', '0')
    await bus.publish([batch([trade(2)])])
    expect((await read(redis)).map(({ seq }) => seq)).to.deep.equal(['1', '2'])
    connection.close()
    await redis.stop()
  })

  it('survives a flushed script cache', async () => {
    const redis = await startPrivateRedis()
    const { bus, connection } = await openBus(redis)
    await bus.publish([batch([trade(1)])])
    await redis.client.script('FLUSH')
    await bus.publish([batch([trade(2)])])
    expect(await read(redis)).to.have.length(2)
    connection.close()
    await redis.stop()
  })

  it('works on a cluster, one partition a call', async () => {
    const redis = await startPrivateRedis({
      extraArguments: ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1'],
    })
    await redis.client.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
    await eventually(async () => /cluster_state:ok/.test(String(await redis.client.call('CLUSTER', 'INFO'))))
    const nodes = [`127.0.0.1:${redis.port}`]
    const connection = new RedisConnection({ ...redisAt(redis.url), url: null, mode: 'cluster', nodes }, 'command')
    await connection.ready()
    const bus = new RedisEventBus({ connection, keys, retention: {} })
    await openKeyspace(connection, keys, { binance: 'simulated' })
    await bus.publish([batch([trade(1)]), batch([quote(1)])])
    await bus.publish([batch([trade(1)], { instrument: asInstrument('ETH-USDT') })])
    expect((await readCatalog(connection, keys)).map(({ name }) => name)).to.deep.equal([
      'BINANCE-SPOT:BTC-USDT:QUOTE',
      'BINANCE-SPOT:BTC-USDT:TRADE',
      'BINANCE-SPOT:ETH-USDT:TRADE',
    ])
    const cursors = new Map((await readCatalog(connection, keys)).map((entry) => [entry.stream, '0']))
    const waiting = new RedisConnection({ ...redisAt(redis.url), url: null, mode: 'cluster', nodes }, 'blocking')
    await waiting.ready()
    const reader = new StreamReader(waiting)
    let found = 0
    while (found < 3) found += (await reader.follow(cursors, 1_000)).length
    expect(found).to.equal(3)
    waiting.close()
    connection.close()
    await redis.stop()
  })
})
