import { expect } from 'chai'
import fc from 'fast-check'
import { ManualClock } from '../../src/lib/clock.ts'
import {
  LocalRequestBudget,
  type LocalRequestBudgetOptions,
  type Permit,
  RequestPriority,
} from '../../src/venues/budget.ts'
import { VenueRateLimitError } from '../../src/venues/errors.ts'

const { Resync, Backfill, Poll } = RequestPriority
/** Ten seconds into a minute. */
const START_MS = 28_000_000 * 60_000 + 10_000

const answered = { status: 200, usedWeight: null, retryAfterMs: null }

interface Made {
  readonly budget: LocalRequestBudget
  readonly clock: ManualClock
}

function make(options: Partial<LocalRequestBudgetOptions> = {}): Made {
  const clock = new ManualClock(START_MS)
  const budget = new LocalRequestBudget({
    ...{ clock, market: 'BINANCE-SPOT', weightPerMinute: 1_000, usableShare: 0.8, waitingMax: 10 },
    ...options,
  })
  return { budget, clock }
}

/** A budget whose present minute is known, as it is after the first answer. */
async function known(options: Partial<LocalRequestBudgetOptions> = {}): Promise<Made> {
  const made = make(options)
  made.budget.report(await made.budget.acquire(0, Poll), answered)
  return made
}

/** What became of each request so far, after all that is ready has run. */
async function settled(calls: readonly Promise<Permit>[]): Promise<string[]> {
  const states = calls.map(() => 'waits')
  calls.forEach((call, index) => {
    call.then(
      () => (states[index] = 'granted'),
      (error) =>
        (states[index] = error instanceof VenueRateLimitError ? `refused ${Math.ceil(error.retryAfterMs)}` : 'failed'),
    )
  })
  await new Promise((resolve) => setImmediate(resolve))
  return states
}

describe('LocalRequestBudget', () => {
  it('grants up to the usable share of a minute and the rest in the next', async () => {
    const { budget, clock } = await known()
    const calls = [400, 400, 1].map((weight) => budget.acquire(weight, Backfill))
    expect(await settled(calls)).to.deep.equal(['granted', 'granted', 'waits'])
    clock.advance(49_000)
    expect(await settled(calls)).to.deep.equal(['granted', 'granted', 'waits'])
    clock.advance(1_200)
    expect(await settled(calls)).to.deep.equal(['granted', 'granted', 'granted'])
    expect(budget.state.usedWeight).to.equal(1)
  })

  it('serves by priority first and by arrival second, and lets no light request overtake a heavy one', async () => {
    const { budget, clock } = await known()
    await budget.acquire(800, Resync)
    const order: string[] = []
    const ask = (name: string, weight: number, priority: RequestPriority) => {
      budget.acquire(weight, priority).then(() => order.push(name))
    }
    ask('poll', 1, Poll)
    ask('backfill 1', 300, Backfill)
    ask('backfill 2', 1, Backfill)
    ask('resync 1', 600, Resync)
    ask('resync 2', 50, Resync)
    clock.advance(60_000)
    await new Promise((resolve) => setImmediate(resolve))
    expect(order).to.deep.equal(['resync 1', 'resync 2'])
    clock.advance(60_000)
    await new Promise((resolve) => setImmediate(resolve))
    expect(order).to.deep.equal(['resync 1', 'resync 2', 'backfill 1', 'backfill 2', 'poll'])
  })

  it('refuses beyond the bound of waiting requests and says when to ask again', async () => {
    const { budget } = await known({ waitingMax: 2 })
    const calls = [800, 1, 1, 1].map((weight) => budget.acquire(weight, Poll))
    expect(await settled(calls)).to.deep.equal(['granted', 'waits', 'waits', 'refused 50100'])
  })

  it('believes the count of the venue when it is higher than its own', async () => {
    const { budget } = await known()
    const first = await budget.acquire(50, Resync)
    const second = await budget.acquire(50, Resync)
    budget.report(first, { ...answered, usedWeight: 700 })
    expect(budget.state.usedWeight).to.equal(750)
    budget.report(second, { ...answered, usedWeight: 10 })
    expect(budget.state.usedWeight).to.equal(750)
    expect(await settled([budget.acquire(51, Resync)])).to.deep.equal(['waits'])
  })

  it('does not charge this minute with what an answer says of the last', async () => {
    const { budget, clock } = await known()
    const late = await budget.acquire(50, Resync)
    clock.advance(60_000)
    budget.report(late, { ...answered, usedWeight: 990 })
    expect(budget.state.usedWeight).to.equal(0)
  })

  it('spends little of a minute it knows nothing of, until an answer or the next minute', async () => {
    const { budget } = make()
    const first = await budget.acquire(50, Resync)
    const second = budget.acquire(50, Resync)
    expect(await settled([second])).to.deep.equal(['waits'])
    budget.report(first, { ...answered, usedWeight: 60 })
    expect(await settled([second])).to.deep.equal(['granted'])

    const other = make()
    const calls = [50, 50, 600].map((weight) => other.budget.acquire(weight, Resync))
    expect(await settled(calls)).to.deep.equal(['granted', 'waits', 'waits'])
    other.clock.advance(60_000)
    expect(await settled(calls)).to.deep.equal(['granted', 'granted', 'granted'])
  })

  it('learns nothing of the minute from a request that nobody answered', async () => {
    const { budget } = make()
    budget.report(await budget.acquire(50, Resync), { status: null, usedWeight: null, retryAfterMs: null })
    expect(await settled([budget.acquire(50, Resync)])).to.deep.equal(['waits'])
  })

  for (const [status, retryAfterMs, quietMs] of [
    [429, 7_000, 7_000],
    [418, 300_000, 300_000],
    [418, null, 120_000],
    [429, null, 50_100],
    [429, 0, 1_000],
    [418, Number.MAX_SAFE_INTEGER, 4 * 86_400_000],
  ] as const) {
    it(`stops everything for ${quietMs} ms after ${status} with Retry-After ${retryAfterMs} ms`, async () => {
      const { budget, clock } = await known()
      const permit = await budget.acquire(790, Resync)
      const waiting = budget.acquire(20, Resync)
      budget.report(permit, { status, usedWeight: null, retryAfterMs })
      expect(await settled([waiting, budget.acquire(1, Resync)])).to.deep.equal([
        `refused ${quietMs}`,
        `refused ${quietMs}`,
      ])
      clock.advance(quietMs - 1)
      expect(await settled([budget.acquire(1, Resync)])).to.deep.equal(['refused 1'])
      clock.advance(1)
      expect(await settled([budget.acquire(1, Resync)])).to.deep.equal(['granted'])
    })
  }

  it('keeps the announced time when answers sent before come in after it', async () => {
    const { budget } = await known()
    const [banned, other, third] = await Promise.all([1, 1, 1].map((weight) => budget.acquire(weight, Poll)))
    if (!banned || !other || !third) throw new Error('three permits expected')
    budget.report(banned, { status: 418, usedWeight: null, retryAfterMs: 300_000 })
    budget.report(other, answered)
    budget.report(third, { status: 429, usedWeight: null, retryAfterMs: 5_000 })
    expect(budget.state.quietForMs).to.equal(300_000)
  })

  for (const status of [500, 503, 403, 400]) {
    it(`goes on after ${status}`, async () => {
      const { budget } = await known()
      budget.report(await budget.acquire(50, Resync), { status, usedWeight: null, retryAfterMs: 9_000 })
      expect(await settled([budget.acquire(50, Resync)])).to.deep.equal(['granted'])
    })
  }

  it('follows the limit and the clock that the venue tells', async () => {
    const { budget, clock } = await known()
    const call = budget.acquire(1_000, Resync)
    const next = budget.acquire(1_000, Resync)
    expect(await settled([call, next])).to.deep.equal(['granted', 'waits'])
    budget.learnLimit(6_000)
    expect(await settled([next])).to.deep.equal(['granted'])
    const later = budget.acquire(4_000, Resync)
    expect(await settled([later])).to.deep.equal(['waits'])
    budget.learnClock(45_000_000)
    clock.advance(5_100)
    expect(await settled([later])).to.deep.equal(['granted'])
  })

  it('grants a request heavier than the whole limit in a fresh minute', async () => {
    const { budget } = await known({ weightPerMinute: 100 })
    expect(await settled([budget.acquire(250, Resync)])).to.deep.equal(['granted'])
  })

  it('refuses everybody once closed', async () => {
    const { budget } = await known()
    const calls = [budget.acquire(800, Resync), budget.acquire(800, Resync)]
    budget.close()
    calls.push(budget.acquire(1, Resync))
    expect(await settled(calls)).to.deep.equal(['granted', 'refused 60000', 'refused 60000'])
  })

  it('never spends more than the usable share in any minute of the venue, whatever is asked when', async () => {
    const step = fc.record({
      waitMs: fc.nat(30_000),
      weight: fc.integer({ min: 1, max: 300 }),
      priority: fc.constantFrom(0, 1, 2),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { budget, clock } = make({ waitingMax: 100 })
        const spent = new Map<number, number>()
        const calls = steps.map(({ waitMs, weight, priority }) => {
          clock.advance(waitMs)
          return budget.acquire(weight, priority as 0 | 1 | 2).then((permit) => {
            spent.set(permit.minute, (spent.get(permit.minute) ?? 0) + permit.weight)
            budget.report(permit, answered)
          })
        })
        for (let minute = 0; minute < steps.length + 1; minute++) {
          await new Promise((resolve) => setImmediate(resolve))
          clock.advance(60_000)
        }
        await Promise.all(calls)
        for (const weight of spent.values()) expect(weight).to.be.at.most(800)
      }),
      { numRuns: 100 },
    )
  })
})
