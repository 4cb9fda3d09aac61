import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getHeapSpaceStatistics } from 'node:v8'
import { expect } from 'chai'
import { UnavailableError, UsageError } from '../../src/errors.ts'
import { type ConnectionKind, RedisConnection, redisAt } from '../../src/redis/connection.ts'
import type { BusError } from '../../src/redis/errors.ts'
import { StreamReader } from '../../src/redis/stream-reader.ts'
import { eventually, startPrivateRedis, startRedis } from '../support/redis.ts'

function observer() {
  const failures: string[] = []
  const opened: boolean[] = []
  return {
    failures,
    opened,
    failed: (_: ConnectionKind, message: string) => failures.push(message),
    ready: (_: ConnectionKind, again: boolean) => opened.push(again),
  }
}

describe('redis connection', () => {
  it('says once and clearly that nothing answers, without the password', async () => {
    const redis = await startPrivateRedis()
    await redis.stop()
    const seen = observer()
    const connection = new RedisConnection(redisAt(`redis://someone:hunter2@127.0.0.1:${redis.port}`), 'command', seen)
    const error = await connection.ready().catch((thrown: unknown) => thrown)
    const refused = await connection.send('ping', []).catch((thrown: unknown) => thrown)
    connection.close()
    expect(error).to.be.instanceOf(UnavailableError)
    expect((error as Error).message).to.match(
      new RegExp(`Expected Redis at 127.0.0.1:${redis.port}, found: .*ECONNREFUSED`),
    )
    expect(refused).to.include({ code: 'unreachable', outcomeUnknown: false })
    expect(JSON.stringify([error, refused, seen.failures])).to.not.contain('hunter2')
    expect(seen.failures).to.have.length.greaterThan(0)
  })

  it('never sends again by itself what was under way when the connection was lost, and comes back', async () => {
    const first = await startPrivateRedis()
    const seen = observer()
    const connection = new RedisConnection(redisAt(first.url), 'command', seen)
    await connection.ready()
    await first.client.client('PAUSE', 60_000, 'WRITE')
    const pending = connection.send('incr', ['counter']).catch((thrown: unknown) => thrown)
    await eventually(async () => /blocked_clients:[1-9]/.test(await first.client.info('clients')))
    await first.kill()
    const lost = (await pending) as BusError
    expect(lost).to.include({ code: 'unreachable', outcomeUnknown: true })
    const second = await startPrivateRedis({ port: first.port })
    await connection.restored()
    expect(await connection.send('get', ['counter'])).to.equal(null)
    expect(seen.opened).to.deep.equal([false, true])
    connection.close()
    await second.stop()
  })

  it('lets replies die young', async () => {
    const redis = await startRedis()
    const connection = new RedisConnection(redisAt(redis.url), 'command')
    await connection.ready()
    const fields = Array.from({ length: 14 }, (_, at) => [`name${at}`, 'x'.repeat(20)]).flat()
    for (let entry = 0; entry < 256; entry++) await connection.send('xadd', ['heap:replies', '*', ...fields])
    const oldBytes = () =>
      getHeapSpaceStatistics().find((space) => space.space_name === 'old_space')?.space_used_size ?? 0
    // A megabyte of buffers a reply. A full collection meanwhile can only take the proof away, never break it.
    let [least, most, entries] = [oldBytes(), 0, 0]
    for (let read = 0; read < 200; read++) {
      const found = await connection.sendForBytes('xread', ['COUNT', 256, 'STREAMS', 'heap:replies', '0'])
      entries += (found as [Buffer, unknown[]][])[0]?.[1].length ?? 0
      least = Math.min(least, oldBytes())
      most = Math.max(most, oldBytes() - least)
    }
    expect(entries).to.equal(200 * 256)
    expect(most, 'bytes that came to be old').to.be.lessThan(16 * 1024 * 1024)
    connection.close()
    await redis.client.del('heap:replies')
  })

  it('knows which Redis process it is connected to while it is, and takes no other for that one', async () => {
    const runOf = async ({ client }: typeof first) => /run_id:(\w+)/.exec(await client.info('server'))?.[1]
    const first = await startPrivateRedis()
    const connection = new RedisConnection(redisAt(first.url), 'command')
    expect(connection.run).to.equal('')
    await connection.ready()
    await eventually(() => connection.run !== '')
    const before = connection.run
    expect(before).to.equal(await runOf(first))
    await first.kill()
    await eventually(() => !connection.isReady)
    expect(connection.run).to.equal('')
    const second = await startPrivateRedis({ port: first.port })
    await connection.restored()
    expect(connection.run).to.not.equal(before)
    await eventually(() => connection.run !== '')
    expect(connection.run).to.equal(await runOf(second))
    connection.close()
    await eventually(() => connection.run === '')
    await second.stop()
  })

  it('gives up a command that is not answered in time', async () => {
    const redis = await startPrivateRedis()
    const connection = new RedisConnection({ ...redisAt(redis.url), commandTimeoutMs: 100 }, 'command')
    await connection.ready()
    await redis.client.client('PAUSE', 2_000, 'ALL')
    const late = await connection.send('ping', []).catch((thrown: unknown) => thrown)
    expect(late).to.include({ code: 'timeout', outcomeUnknown: true })
    connection.close()
    await redis.stop()
  })

  it('takes user and password, the latter also from a file, and says when they are wrong', async () => {
    const redis = await startPrivateRedis()
    await redis.client.call('ACL', 'SETUSER', 'worker', 'on', '>right', '~*', '+@all')
    const directory = mkdtempSync(join(tmpdir(), 'meltica-test-'))
    const passwordFile = join(directory, 'password')
    writeFileSync(passwordFile, 'right\n')
    const connection = new RedisConnection({ ...redisAt(redis.url), username: 'worker', passwordFile }, 'command')
    await connection.ready()
    expect(await connection.send('acl', ['WHOAMI'])).to.equal('worker')
    connection.close()
    const stranger = new RedisConnection(
      { ...redisAt(redis.url), username: 'worker', password: 'wrong-word' },
      'command',
    )
    const error = (await stranger.ready().catch((thrown: unknown) => thrown)) as Error
    expect(error).to.be.instanceOf(UnavailableError)
    expect(error.message)
      .to.match(/WRONGPASS/)
      .and.not.contain('wrong-word')
    stranger.close()
    rmSync(directory, { recursive: true })
    expect(() => new RedisConnection({ ...redisAt(redis.url), passwordFile }, 'command')).to.throw(
      UsageError,
      passwordFile,
    )
    await redis.stop()
  })
})

describe('stream reader', () => {
  it('reads pages, the last entry, and follows several streams without missing any', async () => {
    const redis = await startRedis()
    const prefix = redis.uniquePrefix()
    const [a, b] = [`${prefix}:a`, `${prefix}:b`]
    const pipeline = redis.client.pipeline()
    for (let index = 1; index <= 2_300; index++) pipeline.xadd(a, `${index}-0`, 'n', String(index))
    await pipeline.exec()
    const connection = new RedisConnection(redisAt(redis.url), 'blocking')
    await connection.ready()
    const reader = new StreamReader(connection)
    const sizes: number[] = []
    for await (const page of reader.pages(a)) sizes.push(page.length)
    expect(sizes).to.deep.equal([1_000, 1_000, 300])
    expect(await reader.length(a)).to.equal(2_300)
    expect(await reader.last(a)).to.deep.equal({ stream: a, id: '2300-0', fields: { n: '2300' } })
    expect(await reader.last(b)).to.equal(null)
    const cursors = new Map([
      [a, '2299-0'],
      [b, '0'],
    ])
    expect((await reader.follow(cursors, 1_000)).map(({ id }) => id)).to.deep.equal(['2300-0'])
    expect(await reader.follow(cursors, 20)).to.deep.equal([])
    const following = reader.follow(cursors, 5_000)
    await redis.client.xadd(b, '7-0', 'x', 'y')
    expect(await following).to.deep.equal([{ stream: b, id: '7-0', fields: { x: 'y' } }])
    expect([...cursors.values()]).to.deep.equal(['2300-0', '7-0'])
    connection.close()
  })
})
