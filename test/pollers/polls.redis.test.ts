import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { expect } from 'chai'
import { asInstrument, asMarket } from '../../src/domain/instrument.ts'
import { RedisConnection, redisAt } from '../../src/redis/connection.ts'
import { Keys } from '../../src/redis/keys.ts'
import { StreamReader } from '../../src/redis/stream-reader.ts'
import { firstLine, startMeltica } from '../cli/run.ts'
import { eventually, startPrivateRedis, type TestRedis } from '../support/redis.ts'

const EVERY_MS = 1_000
/** With `MELTICA_POLLS_KILLS=N` so many processes die one after the other, 20 s apart, and the interval is judged too. */
const KILLS = Number(process.env.MELTICA_POLLS_KILLS ?? 0)
const INSTRUMENTS = 3
const MARKET = asMarket('BINANCE-SPOT')
const BITCOIN = asInstrument('BTC-USDT')
const TICKERS = { type: 'TICKER', market: MARKET, instruments: ['*'], polls: [{ type: 'TICKER', everyMs: EVERY_MS }] }
const ROUTES = JSON.stringify([
  TICKERS,
  { type: 'ORDERBOOK', market: MARKET, instruments: ['*'], polls: [{ type: 'ORDERBOOK.SNAPSHOT', everyMs: EVERY_MS }] },
])

describe('REST polls', function () {
  // Whole systems share the machine with other files here; what fails on it twice is no accident.
  this.retries(1)
  let redis: TestRedis
  let connection: RedisConnection
  let simulator: ChildProcessWithoutNullStreams
  let venue: { ws: string; rest: string }
  const pollers = new Map<string, ChildProcessWithoutNullStreams>()

  before(async function () {
    this.timeout(60_000)
    redis = await startPrivateRedis()
    connection = new RedisConnection(redisAt(redis.url), 'command')
    await connection.ready()
    simulator = startMeltica(['simulate', '--instruments', `${INSTRUMENTS}`, '--rate', '50'])
    venue = JSON.parse(await firstLine(simulator)) as { ws: string; rest: string }
    simulator.stdout.resume()
    simulator.stderr.resume()
  })
  after(() => {
    connection.close()
    for (const child of [simulator, ...pollers.values()]) child.kill('SIGKILL')
  })
  afterEach(async () => {
    for (const [name, child] of pollers) await end(name, child, 'SIGKILL')
  })

  function start(name: string, prefix: string, roles = 'poller', routes = ROUTES): void {
    const settings = [
      ...[`worker.id=${name}`, `roles=${roles}`, `prefix=${prefix}`, `routes=${routes}`, 'telemetry.listen=off'],
      ...[`venues.binance.streamUrl=${venue.ws}`, `venues.binance.restUrl=${venue.rest}`],
    ]
    const child = startMeltica(['start', '--json', '--redis', redis.url, ...settings.flatMap((set) => ['--set', set])])
    child.stdout.resume()
    child.stderr.resume()
    pollers.set(name, child)
  }

  async function end(
    name: string,
    child: ChildProcessWithoutNullStreams,
    signal: NodeJS.Signals,
  ): Promise<number | null> {
    pollers.delete(name)
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
    child.kill(signal)
    await once(child, 'exit')
    return child.exitCode
  }

  async function polled(prefix: string, channel: 'TICKER' | 'ORDERBOOK') {
    const reader = new StreamReader(connection)
    const records = await reader.range(new Keys(prefix, 16).stream(MARKET, BITCOIN, channel), '-', '+', 1_000)
    return records.filter(({ fields }) => fields.source?.startsWith('binance.rest.'))
  }

  /** Due times that were told to have no entry. */
  async function toldSkipped(prefix: string): Promise<number> {
    const records = await new StreamReader(connection).range(new Keys(prefix, 16).ops, '-', '+', 1_000)
    return records
      .filter(({ fields }) => fields.kind === 'poll-skipped')
      .map(({ fields }) => JSON.parse(fields.facts ?? '') as { skipped: Record<string, number> })
      .reduce((sum, { skipped }) => sum + (skipped[`${MARKET}|${BITCOIN}|TICKER`] ?? 0), 0)
  }

  it('enter once a due time, by three processes of which one is killed, and what is left out is told', async function () {
    this.timeout(90_000)
    const prefix = redis.uniquePrefix()
    for (const name of ['a', 'b', 'c']) start(name, prefix)
    const before = await eventually(async () => {
      const records = await polled(prefix, 'TICKER')
      return records.length >= 3 ? records : null
    }, 40_000)
    await end('b', pollers.get('b') as ChildProcessWithoutNullStreams, 'SIGKILL')
    const records = await eventually(async () => {
      const found = await polled(prefix, 'TICKER')
      return found.length >= before.length + 8 ? found : null
    }, 40_000)
    const times = records.map(({ id }) => Number(id.split('-')[0]))
    const [first, last] = [times[0] as number, times.at(-1) as number]
    // An entry may be late by half an interval, no more.
    const due = Math.floor((last - first) / EVERY_MS) + 1
    expect(records.length).to.be.at.most(due + 1)
    await eventually(async () => records.length + (await toldSkipped(prefix)) >= due, 10_000)
    expect(new Set(records.map(({ fields }) => fields.key)).size).to.equal(records.length)
  })

  const judged = KILLS > 0 ? it : it.skip
  judged('keep their interval whoever dies, and leave out at most one due time for each death', async function () {
    this.timeout(60_000 + KILLS * 40_000)
    const prefix = redis.uniquePrefix()
    const names = ['a', 'b', 'c']
    // Whole books every second cost more than a minute allows to polls.
    const begin = (name: string): void => start(name, prefix, 'poller', JSON.stringify([TICKERS]))
    for (const name of names) begin(name)
    await eventually(async () => (await polled(prefix, 'TICKER')).length >= 5, 40_000)
    const beganMs = Date.now()
    for (let kill = 0; kill < KILLS; kill++) {
      const name = names[kill % names.length] as string
      await end(name, pollers.get(name) as ChildProcessWithoutNullStreams, 'SIGKILL')
      begin(name)
      await new Promise((resolve) => setTimeout(resolve, 20_000))
    }
    const times = (await polled(prefix, 'TICKER'))
      .map(({ id }) => Number(id.split('-')[0]))
      .filter((ms) => ms > beganMs)
    const [first, last] = [times[0] as number, times.at(-1) as number]
    const missing = Math.round((last - first) / EVERY_MS) + 1 - times.length
    const told = await toldSkipped(prefix)
    const ratios = times.slice(1).map((ms, at) => (ms - (times[at] as number)) / EVERY_MS)
    const within = ratios.filter((ratio) => Math.abs(ratio - 1) <= 0.1).length
    const mean = (last - first) / EVERY_MS / (times.length - 1 + missing)
    console.log(
      `      ${times.length} entries, ${missing} left out by ${KILLS} deaths (${told} told), mean interval ` +
        `${mean.toFixed(3)}, ${((100 * within) / ratios.length).toFixed(1)} % of all within 10 %, longest ${Math.max(...ratios)}`,
    )
    expect(missing).to.be.at.most(KILLS)
    expect(told).to.be.at.least(missing)
    expect(within / ratios.length).to.be.at.least(0.9)
  })

  it('bring whole books forward to where their streams are, which ingest feeds meanwhile', async function () {
    this.timeout(90_000)
    const prefix = redis.uniquePrefix()
    start('both', prefix, 'ingest,poller')
    const snapshots = await eventually(async () => {
      const records = (await polled(prefix, 'ORDERBOOK')).filter(({ fields }) => fields.type === 'ORDERBOOK.SNAPSHOT')
      return records.length >= 3 ? records : null
    }, 60_000)
    const reader = new StreamReader(connection)
    const all = await reader.range(new Keys(prefix, 16).stream(MARKET, BITCOIN, 'ORDERBOOK'), '-', '+', 1_000)
    expect(all.some(({ fields }) => fields.type === 'ORDERBOOK.GAP')).to.equal(false)
    let have = 0
    for (const { fields } of all) {
      const { first, last } = JSON.parse(fields.data ?? '') as { first?: string; last: string }
      if (fields.type === 'ORDERBOOK.SNAPSHOT' && have > 0) expect(Number(last)).to.equal(have)
      if (fields.type === 'ORDERBOOK.DELTA') expect(Number(first)).to.be.at.most(have + 1)
      have = Number(last)
    }
    expect(snapshots.length).to.be.at.least(3)
    const both = pollers.get('both') as ChildProcessWithoutNullStreams
    expect(await end('both', both, 'SIGTERM')).to.equal(0)
  })
})
