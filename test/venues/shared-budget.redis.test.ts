import { expect } from 'chai'
import { SystemClock } from '../../src/lib/clock.ts'
import { RedisConnection, redisAt } from '../../src/redis/connection.ts'
import { Keys } from '../../src/redis/keys.ts'
import { RedisLimits } from '../../src/redis/limits.ts'
import { type Permit, RequestPriority } from '../../src/venues/budget.ts'
import { VenueRateLimitError } from '../../src/venues/errors.ts'
import { SharedRequestBudget } from '../../src/venues/shared-budget.ts'
import { eventually, startPrivateRedis, startRedis, type TestRedis } from '../support/redis.ts'

const LIMIT = 1_200
const MINUTE_MS = 60_000
const USABLE = 0.8

interface Process {
  readonly budget: SharedRequestBudget
  readonly store: RedisLimits
  readonly failures: unknown[]
}

describe('the request budget that all processes share', () => {
  const open: RedisConnection[] = []
  const budgets: SharedRequestBudget[] = []
  afterEach(() => {
    for (const budget of budgets.splice(0)) budget.close()
    for (const connection of open.splice(0)) connection.close()
  })

  async function processes(count: number, redis: TestRedis): Promise<Process[]> {
    const keys = new Keys(redis.uniquePrefix(), 16)
    const made: Process[] = []
    for (let index = 0; index < count; index++) {
      const connection = new RedisConnection(redisAt(redis.url), 'command')
      await connection.ready()
      open.push(connection)
      const store = new RedisLimits(connection, keys, 'binance', 'host', LIMIT)
      const failures: unknown[] = []
      const budget = new SharedRequestBudget({
        ...{ store, clock: new SystemClock(), market: 'BINANCE-SPOT', usableShare: USABLE, waitingMax: 1_000 },
        failed: (error) => failures.push(error),
      })
      budgets.push(budget)
      made.push({ budget, store, failures })
    }
    return made
  }

  /** What the venue does with a request: counts it, and says its count. */
  function answer(budget: SharedRequestBudget, permit: Permit, used: number): void {
    budget.report(permit, { status: 200, usedWeight: used, retryAfterMs: null })
  }

  /** Moves everybody's idea of the venue's clock to the beginning of a minute that nobody has seen. */
  async function nextMinute(store: RedisLimits): Promise<void> {
    const { minuteEndsInMs } = await store.read()
    expect(minuteEndsInMs).to.be.within(0, MINUTE_MS)
    const venueNowMs = Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS + MINUTE_MS * venueMinutes++ + 5_000
    await store.learn({ venueNowMs })
  }
  let venueMinutes = 2

  it('is spent by 4 processes together as by one: 125 broken books never cost more than a minute allows', async () => {
    const all = await processes(4, await startRedis())
    const first = all[0] as Process
    await first.store.learn({ weightPerMinute: LIMIT })
    await nextMinute(first.store)
    let usedInMinute = 0
    let granted = 0
    const perMinute: number[] = []
    for (let book = 0; book < 125; book++) {
      const { budget } = all[book % all.length] as Process
      void budget.acquire(50, RequestPriority.Resync).then((permit) => {
        granted++
        usedInMinute += 50
        answer(budget, permit, usedInMinute)
      })
    }
    while (granted < 125) {
      const before = granted
      await eventually(() => granted > before)
      // No more comes in this minute: every process has asked again at least once.
      await eventually(async () => {
        const { spent, inFlight } = await first.store.read()
        return inFlight === 0 && (granted === 125 || spent + 50 > LIMIT * USABLE * 0.9) ? true : null
      })
      perMinute.push(usedInMinute)
      usedInMinute = 0
      await nextMinute(first.store)
    }
    expect(Math.max(...perMinute)).to.be.at.most(LIMIT * USABLE * 0.9)
    expect(perMinute.length).to.be.within(8, 9)
  })

  it('grants one request at a time while nobody knows what the minute has spent, until an answer tells', async () => {
    const [one, other] = (await processes(2, await startRedis())) as [Process, Process]
    const permit = await one.budget.acquire(20, RequestPriority.Poll)
    let second: Permit | null = null
    void other.budget.acquire(20, RequestPriority.Poll).then((found) => {
      second = found
    })
    await eventually(async () => (await other.store.read()).inFlight === 20)
    expect(await other.store.take([{ weight: 20, share: 1 }])).to.include({ granted: 0 })
    expect(second).to.equal(null)
    answer(one.budget, permit, 340)
    await eventually(() => second)
    expect((await other.store.read()).spent).to.equal(360)
  })

  it('is spent for no longer than a minute after the clock of the venue was ahead for a while', async () => {
    const [{ budget, store }] = (await processes(1, await startRedis())) as [Process]
    await store.learn({ weightPerMinute: LIMIT })
    const realMs = Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS + 5_000
    await store.learn({ venueNowMs: realMs + 33 * MINUTE_MS })
    answer(budget, await budget.acquire(50, RequestPriority.Resync), LIMIT)
    await store.learn({ venueNowMs: realMs })
    expect((await store.read()).spent).to.equal(LIMIT)
    await store.learn({ venueNowMs: realMs + MINUTE_MS })
    expect((await store.read()).spent).to.equal(0)
    await budget.acquire(50, RequestPriority.Resync)
  })

  it('keeps a part for what is more urgent, whoever asks', async () => {
    const [poller, trader] = (await processes(2, await startRedis())) as [Process, Process]
    await nextMinute(poller.store)
    await poller.store.take([{ weight: 1, share: 1 }])
    await nextMinute(poller.store)
    let polls = 0
    const spend = async (): Promise<void> => {
      for (;;) {
        await poller.budget.acquire(40, RequestPriority.Poll)
        polls++
      }
    }
    const spending = spend().catch((error: unknown) => error)
    await eventually(() => polls === Math.floor((LIMIT * USABLE * 0.5) / 40))
    const order = await trader.budget.acquire(1, RequestPriority.Order)
    expect(order.weight).to.equal(1)
    for (let count = 0; count < 9; count++) await trader.budget.acquire(40, RequestPriority.Resync)
    expect((await poller.store.read()).spent).to.equal(480 + 1 + 9 * 40)
    expect(polls).to.equal(12)
    poller.budget.close()
    expect(await spending).to.be.instanceOf(VenueRateLimitError)
  })

  it('stops every process for as long as the venue says, also those that waited and one that starts later', async () => {
    const redis = await startRedis()
    const [one, other] = (await processes(2, redis)) as [Process, Process]
    await nextMinute(one.store)
    await one.store.take([{ weight: 1, share: 1 }])
    await nextMinute(one.store)
    const permit = await one.budget.acquire(860, RequestPriority.Resync)
    const waiting = other.budget.acquire(50, RequestPriority.Resync).catch((error: unknown) => error)
    one.budget.report(permit, { status: 418, usedWeight: null, retryAfterMs: 30_000 })
    const refusal = await waiting
    expect(refusal).to.be.instanceOf(VenueRateLimitError)
    expect((refusal as VenueRateLimitError).retryAfterMs).to.be.within(28_000, 30_000)
    await expectRefused(one)
    await expectRefused(other)
    await nextMinute(one.store)
    await expectRefused(other)
    expect((await other.store.read()).bannedForMs).to.be.within(25_000, 30_000)
  })

  it('counts as spent while Redis cannot be reached, and a silence that was announced is kept without it', async () => {
    const redis = await startPrivateRedis()
    const [one] = (await processes(1, redis)) as [Process]
    const permit = await one.budget.acquire(1, RequestPriority.Poll)
    answer(one.budget, permit, 1)
    await redis.kill()
    let granted = false
    const asked = one.budget.acquire(1, RequestPriority.Resync).then(
      () => {
        granted = true
      },
      (error: unknown) => error,
    )
    await eventually(() => one.failures.length > 1)
    expect(granted).to.equal(false)
    one.budget.report(permit, { status: 429, usedWeight: null, retryAfterMs: 60_000 })
    expect(await asked).to.be.instanceOf(VenueRateLimitError)
    await expectRefused(one)
  })

  it('leases to one at a time', async () => {
    const [one, other] = (await processes(2, await startRedis())) as [Process, Process]
    expect(await one.store.lease('snapshot:BTCUSDT', 'one', 30_000)).to.equal(true)
    expect(await other.store.lease('snapshot:BTCUSDT', 'other', 30_000)).to.equal(false)
    await other.store.release('snapshot:BTCUSDT', 'other')
    expect(await other.store.lease('snapshot:BTCUSDT', 'other', 30_000)).to.equal(false)
    await one.store.release('snapshot:BTCUSDT', 'one')
    expect(await other.store.lease('snapshot:BTCUSDT', 'other', 30_000)).to.equal(true)
  })

  it('counts attempts to connect over all processes, and all of them wait when the venue refuses one', async () => {
    const [one, other] = (await processes(2, await startRedis())) as [Process, Process]
    expect(await one.store.read()).to.include({ connectsInWindow: 0, connectsMax: null, connectsHeldForMs: 0 })
    expect(await one.store.takeConnect(2, 300_000)).to.equal(0)
    expect(await other.store.takeConnect(2, 300_000)).to.equal(0)
    expect(await one.store.takeConnect(2, 300_000)).to.be.within(299_000, 300_000)
    expect(await other.store.read()).to.include({ connectsInWindow: 2, connectsMax: 2, connectsHeldForMs: 0 })
    await one.store.holdConnects(400_000)
    expect(await other.store.takeConnect(300, 300_000)).to.be.within(399_000, 400_000)
    expect((await other.store.read()).connectsHeldForMs).to.be.within(399_000, 400_000)
    await other.store.holdConnects(1_000)
    expect(await one.store.takeConnect(300, 300_000)).to.be.within(399_000, 400_000)
  })

  it('forgets attempts to connect when their window is over', async () => {
    const [one] = (await processes(1, await startRedis())) as [Process]
    expect(await one.store.takeConnect(1, 100)).to.equal(0)
    const waitMs = await one.store.takeConnect(1, 100)
    expect(waitMs).to.be.within(1, 100)
    await new Promise((resolve) => setTimeout(resolve, waitMs + 5))
    expect(await one.store.takeConnect(1, 100)).to.equal(0)
  })

  async function expectRefused({ budget }: Process): Promise<void> {
    const error = await budget.acquire(1, RequestPriority.Order).catch((found: unknown) => found)
    expect(error).to.be.instanceOf(VenueRateLimitError)
  }
})
