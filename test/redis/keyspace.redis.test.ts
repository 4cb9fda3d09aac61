import { expect } from 'chai'
import { asInstrument, asMarket, asVenueSymbol } from '../../src/domain/instrument.ts'
import { UsageError } from '../../src/errors.ts'
import { listStreams, readCatalog } from '../../src/redis/catalog.ts'
import { checkRedis, unfitness } from '../../src/redis/check.ts'
import { RedisConnection, redisAt } from '../../src/redis/connection.ts'
import { RedisDeadLetterLog } from '../../src/redis/dead-letter-log.ts'
import { writeInstruments } from '../../src/redis/instruments.ts'
import { Keys } from '../../src/redis/keys.ts'
import { openKeyspace } from '../../src/redis/keyspace.ts'
import { useKeyspace } from '../support/keyspace.ts'
import { startPrivateRedis } from '../support/redis.ts'

const market = asMarket('BINANCE-SPOT')

describe('keyspace', () => {
  const space = useKeyspace()

  it('is recorded once and agrees with a process of the same settings', async () => {
    await openKeyspace(space.connection, space.keys, { binance: 'simulated:42' })
    const meta = await space.redis.client.hgetall(space.keys.meta)
    expect(meta).to.include({ v: '1', partitions: '16', 'environment:binance': 'simulated:42' })
    expect(Number(meta.createdAt)).to.be.greaterThan(1.7e15)
    await openKeyspace(space.connection, space.keys, { binance: 'simulated:42', kraken: 'production' })
    expect(await space.redis.client.hgetall(space.keys.meta)).to.deep.equal({
      ...meta,
      'environment:kraken': 'production',
    })
  })

  it('refuses a process of other settings, names what differs, and stays as it is', async () => {
    await openKeyspace(space.connection, space.keys, { binance: 'simulated:42' })
    const meta = await space.redis.client.hgetall(space.keys.meta)
    const other = new Keys(space.keys.prefix, 32)
    const error = await openKeyspace(space.connection, other, { binance: 'production', kraken: 'x' }).catch(
      (thrown: unknown) => thrown,
    )
    expect(error).to.be.instanceOf(UsageError)
    expect((error as Error).message)
      .to.contain('partitions: expected 32, found 16')
      .and.contain('environment:binance: expected production, found simulated:42')
    expect(await space.redis.client.hgetall(space.keys.meta)).to.deep.equal(meta)
  })

  it('lists its streams in the catalog', async () => {
    const names = Array.from(
      { length: 2_500 },
      (_, index) => ({ market, instrument: asInstrument(`A${index}-B`), channel: 'TRADE' }) as const,
    )
    await listStreams(space.connection, space.keys, names)
    const listed = await readCatalog(space.connection, space.keys)
    expect(listed).to.have.length(2_500)
    expect(listed[0]).to.deep.equal({
      ...names[0],
      name: 'BINANCE-SPOT:A0-B:TRADE',
      stream: space.keys.stream(market, asInstrument('A0-B'), 'TRADE'),
    })
  })

  it('holds what the venue tells about an instrument', async () => {
    const info = {
      base: 'BTC',
      quote: 'USDT',
      tickSize: '0.01000000',
      stepSize: '0.00001000',
      minNotional: '5',
      status: 'TRADING',
    }
    const instrument = asInstrument('BTC-USDT')
    await writeInstruments(
      space.connection,
      space.keys,
      [{ market, instrument, symbol: asVenueSymbol('BTCUSDT'), ...info }],
      1_700_000_000_000_000,
    )
    expect(await space.redis.client.hgetall(space.keys.instrument(market, instrument))).to.deep.equal({
      ...info,
      updatedAt: '1700000000000000',
    })
  })

  it('keeps a bounded number of dead letters', async () => {
    const log = new RedisDeadLetterLog(space.connection, space.keys, 100)
    const letter = { market, reason: 'malformed', topic: 't', detail: 'd', sample: '{', receivedTime: '1', count: '1' }
    await Promise.all(Array.from({ length: 1_000 }, () => log.append(letter)))
    expect(await space.redis.client.xlen(space.keys.deadLetters)).to.be.within(100, 200)
    expect((await space.redis.client.xrange(space.keys.deadLetters, '-', '+', 'COUNT', 1))[0]?.[1]).to.deep.equal(
      Object.entries(letter).flat(),
    )
  })
})

describe('check of Redis', () => {
  it('finds a launched server fit, and one that evicts or forbids scripts unfit', async () => {
    const redis = await startPrivateRedis()
    const keys = new Keys('meltica', 16)
    const connection = new RedisConnection(redisAt(redis.url), 'command')
    await connection.ready()
    const fit = await checkRedis(connection, keys, Date.now)
    expect(unfitness(fit)).to.equal(null)
    expect(fit.map(({ name, severity }) => `${name} ${severity}`)).to.deep.equal([
      'version ok',
      'maxmemory-policy ok',
      'maxmemory warning',
      'persistence warning',
      'clock ok',
      'permissions ok',
    ])
    await redis.client.config('SET', 'maxmemory-policy', 'allkeys-lru')
    await redis.client.call('ACL', 'SETUSER', 'reader', 'on', '>secret-word', '~*', '+@all', '-xadd')
    const reader = new RedisConnection(
      { ...redisAt(redis.url), username: 'reader', password: 'secret-word' },
      'command',
    )
    await reader.ready()
    expect(unfitness(await checkRedis(reader, keys, () => Date.now() - 60_000))).to.match(
      /maxmemory-policy: expected noeviction.*found allkeys-lru; Redis permissions: expected.*found.*(can't run|no permissions to run)/s,
    )
    expect(await redis.client.keys('*')).to.deep.equal([])
    reader.close()
    connection.close()
    await redis.stop()
  })
})
