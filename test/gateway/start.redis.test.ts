import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { expect } from 'chai'
import { meltica, startMeltica } from '../cli/run.ts'
import { eventually, startPrivateRedis, type TestRedis } from '../support/redis.ts'

const QUIET = ['--set', 'telemetry.listen=off', '--set', 'telemetry.logFormat=json']
/** One stream from the start, everything else when somebody asks for it. */
const SMALL = [
  '--set',
  'simulator.instruments=2',
  '--set',
  'simulator.rate=200',
  '--set',
  'routes=[{type: TICKER, market: BINANCE-SPOT, instruments: [ETH-USDT]}]',
]

/** Where a process that was started serves the admin API; it says so in its log. */
async function apiOf(child: ChildProcessWithoutNullStreams): Promise<string> {
  child.stdout.resume()
  let text = ''
  for await (const chunk of child.stderr.iterator({ destroyOnReturn: false })) {
    text += String(chunk)
    const url = /"kind":"gateway-open","url":"([^"]+)"/.exec(text)?.[1]
    if (url !== undefined) {
      child.stderr.resume()
      return url
    }
  }
  throw new Error(`the process ended: ${text}`)
}

// biome-ignore lint/suspicious/noExplicitAny: whatever was answered.
async function ask(url: string, method = 'GET', body?: object): Promise<any> {
  const headers = body === undefined ? {} : { 'content-type': 'application/json' }
  const answer = await fetch(url, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
  return answer.json()
}

describe('start with the role gateway', function () {
  this.timeout(30_000)
  let redis: TestRedis
  const children: ChildProcessWithoutNullStreams[] = []
  before(async () => {
    redis = await startPrivateRedis()
  })
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL')
  })
  const start = (...args: string[]): ChildProcessWithoutNullStreams => {
    const child = startMeltica(['start', '--json', '--redis', redis.url, ...QUIET, ...args])
    children.push(child)
    return child
  }
  const ended = async (child: ChildProcessWithoutNullStreams): Promise<number> => {
    const beganMs = performance.now()
    child.kill('SIGTERM')
    const [code] = await once(child, 'close')
    expect(code).to.equal(0)
    return performance.now() - beganMs
  }

  it('makes a subscription flow at the venue, ends it there, and ends itself within 5 s although somebody waits', async () => {
    const worker = start('--set', 'roles=[ingest]', ...SMALL)
    worker.stdout.resume()
    worker.stderr.resume()
    const gateway = start('--roles', 'gateway', '--set', 'gateway.listen=127.0.0.1:0', ...SMALL)
    const url = await apiOf(gateway)
    const instrument = `${url}/v1/instruments/BINANCE-SPOT/BTC-USDT`
    await eventually(async () => (await ask(instrument)).status !== 404, 10_000)

    const body = { consumer: 'desk', market: 'BINANCE-SPOT', instrument: 'BTC-USDT', type: 'TRADE' }
    const made = await ask(`${url}/v1/subscriptions`, 'POST', body)
    const flowing = await ask(`${url}/v1/commands/${made.commandId}?wait=10s`)
    expect(flowing.status).to.equal('effective')
    expect(flowing.topics[0]).to.include({ topic: 'btcusdt@trade', state: 'flowing', type: 'TRADE' })
    expect(flowing.topics[0].flowingAt).to.be.at.least(flowing.topics[0].requestedAt)

    const over = await ask(`${url}/v1/subscriptions/${made.subscriptionId}`, 'DELETE')
    const stopped = await ask(`${url}/v1/commands/${over.commandId}?wait=10s`)
    expect(stopped.status).to.equal('effective')
    expect(stopped.topics[0]).to.include({ state: 'stopped' })

    // Nobody is left to carry it to the venue, so this would wait for its whole time.
    worker.kill('SIGKILL')
    const { commandId } = await ask(`${url}/v1/subscriptions`, 'POST', body)
    const waiting = ask(`${url}/v1/commands/${commandId}?wait=30s`)
    await eventually(async () => (await ask(`${url}/v1/commands/${commandId}`)).commandId === commandId)
    expect(await ended(gateway)).to.be.below(5_000)
    expect((await waiting).status).to.be.oneOf(['pending', 'applied'])
  })

  it('says in one message which setting names a taken port, and exits with 1', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as { port: number }
    const listen = `gateway.listen=127.0.0.1:${port}`
    const { code, err } = await meltica([
      'start',
      '--roles',
      'gateway',
      '--redis',
      redis.url,
      ...QUIET,
      '--set',
      listen,
    ])
    taken.close()
    expect(code).to.equal(1)
    expect(err).to.contain(`meltica: gateway.listen: expected to listen on 127.0.0.1:${port}, found it taken`)
  })
})
