import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { connect as connectTcp, createServer } from 'node:net'
import { expect } from 'chai'
import { UnavailableError } from '../../src/errors.ts'
import { findRedisServer, launchRedis } from '../../src/redis/launcher.ts'
import { eventually, startPrivateRedis } from '../support/redis.ts'

const LAUNCHER = new URL('../../src/redis/launcher.ts', import.meta.url).href

function isPortOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTcp(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

/** A process of its own that launches a Redis and then waits for ever. */
async function spawnLaunchingProcess(): Promise<{ child: ChildProcess; port: number; directory: string }> {
  const program = `
    const { launchRedis } = await import(${JSON.stringify(LAUNCHER)})
    const { Redis } = await import('ioredis')
    const redis = await launchRedis()
    const client = new Redis(redis.url)
    const [, directory] = await client.config('GET', 'dir')
    client.disconnect()
    console.log(JSON.stringify({ port: redis.port, directory }))
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.setEncoding('utf8')
  child.stdout.on('data', (chunk: string) => {
    text += chunk
  })
  const line = await eventually(() => (text.includes('\n') ? text : null), 15_000)
  return { child, ...JSON.parse(line) }
}

describe('redis launcher', () => {
  it('starts a server that persists nothing and evicts nothing, and stops it', async () => {
    const redis = await startPrivateRedis()
    expect(await redis.client.ping()).to.equal('PONG')
    expect(await redis.client.config('GET', 'maxmemory-policy')).to.deep.equal(['maxmemory-policy', 'noeviction'])
    expect(await redis.client.config('GET', 'save')).to.deep.equal(['save', ''])
    const [, directory] = (await redis.client.config('GET', 'dir')) as [string, string]
    await redis.stop()
    await redis.stop()
    expect(await isPortOpen(redis.port)).to.equal(false)
    expect(existsSync(directory)).to.equal(false)
  })

  it('leaves no server and no directory behind when its process is killed', async () => {
    const { child, port, directory } = await spawnLaunchingProcess()
    expect(await isPortOpen(port)).to.equal(true)
    child.kill('SIGKILL')
    await eventually(async () => !(await isPortOpen(port)))
    await eventually(() => !existsSync(directory))
  })

  it('tells when the server ends by itself', async () => {
    const redis = await launchRedis()
    process.kill(redis.pid, 'SIGKILL')
    await redis.ended
    await redis.stop()
  })

  it('keeps its data in a given directory', async () => {
    const first = await startPrivateRedis()
    const [, parent] = (await first.client.config('GET', 'dir')) as [string, string]
    const directory = `${parent}/kept`
    const options = { directory, appendOnly: true, extraArguments: ['--appendfsync', 'always'] }
    const second = await startPrivateRedis(options)
    await second.client.set('a', '1')
    await second.kill()
    const third = await startPrivateRedis({ ...options, port: second.port })
    expect(await third.client.get('a')).to.equal('1')
    await third.stop()
    await first.stop()
  })

  it('names three ways to get a Redis when there is none', async () => {
    const error = await launchRedis({ path: '/nowhere' }).catch((thrown: unknown) => thrown)
    expect(error).to.be.instanceOf(UnavailableError)
    expect((error as Error).message).to.match(/npm run setup.*on the PATH.*--redis redis:\/\/host:port/s)
    expect(findRedisServer('/nowhere')).to.equal(null)
  })

  it('says so when the port that was asked for is taken', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const port = typeof address === 'object' && address ? address.port : 0
    const error = await launchRedis({ port }).catch((thrown: unknown) => thrown)
    server.close()
    expect(error).to.be.instanceOf(UnavailableError)
    expect((error as Error).message)
      .to.contain(`127.0.0.1:${port}`)
      .and.contain('the port is taken')
  })
})
