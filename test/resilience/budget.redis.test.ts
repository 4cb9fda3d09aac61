import { expect } from 'chai'
import { Quality } from '../../src/domain/event.ts'
import { asInstrument, asMarket } from '../../src/domain/instrument.ts'
import { BOOK_QUALITY_FIELD, parseBookQuality } from '../../src/redis/book-quality.ts'
import { Keys } from '../../src/redis/keys.ts'
import { TableFleet } from '../control/table-fleet.ts'
import { eventually } from '../support/redis.ts'
import { RestRecorder } from './rest-recorder.ts'

/** `MELTICA_BUDGET=long`: as many books, weights and seconds as the venue has, about five minutes. */
const form =
  process.env.MELTICA_BUDGET === 'long'
    ? {
        ...{ instruments: 125, rate: 1_500, ingests: 3, pollers: 2, weight: 1_200, depthLimit: 1_000 },
        ...{ retryAfter: 30, liveMin: 15, pollMs: 10_000, watchMs: 75_000, graceMs: 100 },
      }
    : {
        ...{ instruments: 10, rate: 600, ingests: 2, pollers: 1, weight: 600, depthLimit: 100 },
        ...{ retryAfter: 3, liveMin: 10, pollMs: 1_000, watchMs: 1_000, graceMs: 500 },
      }
const MARKET = asMarket('BINANCE-SPOT')
const MINUTE_MS = 60_000
/** What was under way when the venue said stop; beside other tests a process may be held up for longer before it can tell the others. */
const GRACE_MS = form.graceMs
const keys = new Keys('meltica', 16)

describe('the request budget of a whole system', function () {
  this.timeout(600_000)
  // Whole systems share the machine with other files here; what fails on it twice is no accident.
  this.retries(1)
  let fleet: TableFleet
  let recorder: RestRecorder
  let symbols: string[]

  before(async () => {
    const routes = [
      ...['TRADE', 'QUOTE'].map(routeOf),
      { ...routeOf('TICKER'), polls: [{ type: 'TICKER', everyMs: form.pollMs }] },
      { ...routeOf('ORDERBOOK'), polls: [{ type: 'ORDERBOOK.SNAPSHOT', everyMs: 300_000 }] },
    ]
    fleet = await TableFleet.open({
      ...{ instruments: form.instruments, rate: form.rate, seed: 6, venue: ['--request-weight', `${form.weight}`] },
      settings: [`routes=${JSON.stringify(routes)}`, `venues.binance.depthLimit=${form.depthLimit}`],
    })
    recorder = await RestRecorder.before(fleet.rest)
    const through = [`venues.binance.restUrl=${recorder.url}`]
    for (let index = 0; index < form.ingests; index++) fleet.start(`ingest-${index}`, 'ingest', through)
    for (let index = 0; index < form.pollers; index++) fleet.start(`poller-${index}`, 'poller', through)
    const info = (await (await fetch(`${fleet.rest}/api/v3/exchangeInfo`)).json()) as {
      symbols: { baseAsset: string; quoteAsset: string }[]
    }
    symbols = info.symbols.map(({ baseAsset, quoteAsset }) => `${baseAsset}-${quoteAsset}`)
  })
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.log(fleet.log.slice(-5_000))
  })
  after(async () => {
    await fleet.close()
    await recorder.close()
  })

  function routeOf(type: string) {
    return { type, market: MARKET, instruments: ['*'] }
  }

  async function tell(fault: object): Promise<void> {
    const response = await fetch(`${fleet.rest}/simulator/faults`, { method: 'POST', body: JSON.stringify(fault) })
    expect(response.status, await response.text()).to.equal(200)
  }

  /** Loses deltas of these, so that each needs a snapshot. */
  async function breakBooks(instruments: readonly string[]): Promise<void> {
    const streams = instruments.map((name) => `${name.replace('-', '').toLowerCase()}@depth@100ms`)
    await Promise.all(streams.map((stream) => tell({ fault: 'gap', stream, count: 3 })))
  }

  async function qualities(): Promise<Map<string, Quality | null>> {
    const found = await Promise.all(
      symbols.map(async (name) => {
        const text = await fleet.redis.client.hget(keys.state(MARKET, asInstrument(name)), BOOK_QUALITY_FIELD)
        return [name, parseBookQuality(text)?.quality ?? null] as const
      }),
    )
    return new Map(found)
  }

  async function live(): Promise<string[]> {
    return [...(await qualities())].filter(([, quality]) => quality === Quality.Live).map(([name]) => name)
  }

  /** Entries younger than this. */
  async function enteredSince(name: string, channel: 'ORDERBOOK' | 'QUOTE', ms: number): Promise<number> {
    return (await fleet.redis.client.xrange(keys.stream(MARKET, asInstrument(name), channel), `${ms}`, '+')).length
  }

  it('is never overspent although every book breaks at once, and is left alone when the venue says so', async () => {
    await eventually(async () => (await live()).length >= form.liveMin, 240_000)

    // The venue bans, while books are broken that want snapshots and polls are due.
    await tell({ fault: 'rest-418', retryAfter: form.retryAfter, path: '*/depth' })
    const broken = symbols.filter((_, index) => index % 2 === 1)
    await breakBooks(broken)
    const ban = await eventually(() => recorder.passed.find(({ status }) => status === 418), 2 * MINUTE_MS)
    const bannedAtMs = Date.now()
    const whole = new Set((await live()).filter((name) => !broken.includes(name)))
    await new Promise((resolve) => setTimeout(resolve, form.retryAfter * 1_000 - (performance.now() - ban.answeredMs)))
    const shown = await qualities()
    const endMs = ban.answeredMs + form.retryAfter * 1_000
    const meanwhile = recorder.passed.filter(
      ({ beganMs }) => beganMs > ban.answeredMs + GRACE_MS && beganMs < endMs - GRACE_MS,
    )
    expect(meanwhile, 'requests begun while the venue wanted silence').to.deep.equal([])
    expect(whole.size).to.be.greaterThan(0)
    for (const name of whole) {
      expect(await enteredSince(name, 'ORDERBOOK', bannedAtMs + form.retryAfter * 500), name).to.be.greaterThan(0)
    }
    for (const name of symbols) expect(await enteredSince(name, 'QUOTE', bannedAtMs), name).to.be.greaterThan(0)
    for (const name of broken) expect(shown.get(name), name).to.be.oneOf([Quality.Gapped, Quality.Syncing])

    // It goes on by itself, and then all of them break at once.
    await eventually(() => recorder.passed.some(({ status, beganMs }) => status === 200 && beganMs > endMs), 30_000)
    await breakBooks(symbols)
    await new Promise((resolve) => setTimeout(resolve, form.watchMs))
    await eventually(async () => (await live()).length >= form.liveMin, 2 * MINUTE_MS)

    const statuses = new Map<number, number>()
    for (const { status } of recorder.passed) statuses.set(status, (statuses.get(status) ?? 0) + 1)
    const { violations } = await fleet.venueState()
    const spentMost = Math.max(...recorder.passed.map(({ usedWeight }) => usedWeight))
    console.log(
      `      ${symbols.length} books, ${recorder.passed.length} requests by status ${JSON.stringify([...statuses])}, ` +
        `at most ${spentMost} of ${form.weight} in a minute, ${violations.askedWhileRefused} asked while refused`,
    )
    expect(statuses.get(429) ?? 0).to.equal(0)
    expect(violations.tooManyRequests).to.equal(0)
    expect(violations.whileBanned).to.equal(0)
    expect(spentMost).to.be.at.most(form.weight)
  })
})
