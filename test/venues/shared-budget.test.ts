import { expect } from 'chai'
import { ManualClock } from '../../src/lib/clock.ts'
import { type Permit, RequestPriority } from '../../src/venues/budget.ts'
import { VenueRateLimitError } from '../../src/venues/errors.ts'
import type { LimitStore, Settlement, TakeAnswer } from '../../src/venues/limit-store.ts'
import { SharedRequestBudget } from '../../src/venues/shared-budget.ts'

const GRANTED: TakeAnswer = { granted: 1, minute: 1, waitMs: 0, bannedMs: 0, spent: 50 }

describe('a grant of the shared budget', () => {
  const clock = new ManualClock()
  const settled: Settlement[] = []
  beforeEach(() => {
    settled.length = 0
  })

  /** Answers the first question after so long; then says whether the venue wants silence. */
  function budget(afterMs: number, bannedMs: number): { budget: SharedRequestBudget; asked: () => number } {
    let asked = 0
    const store = {
      take: async () => {
        if (asked++ === 0) {
          clock.advance(afterMs)
          return GRANTED
        }
        return { ...GRANTED, granted: 0, bannedMs }
      },
      settle: async (settlement: Settlement) => void settled.push(settlement),
    } as Partial<LimitStore> as LimitStore
    const options = { store, clock, market: 'FAKE-SPOT', usableShare: 1, waitingMax: 10, failed: () => {} }
    return { budget: new SharedRequestBudget(options), asked: () => asked }
  }

  it('that came late is not used when the venue has asked for silence meanwhile, and is given back', async () => {
    const { budget: late } = budget(60, 30_000)
    const error = await late.acquire(50, RequestPriority.Resync).catch((found: unknown) => found)
    expect(error).to.be.instanceOf(VenueRateLimitError)
    expect(settled).to.deep.equal([{ minute: 1, weight: 50, status: null, usedWeight: null, bannedMs: null }])
  })

  it('that came late is used when there is no silence, and one that came at once without another question', async () => {
    for (const [afterMs, questions] of [
      [60, 2],
      [40, 1],
    ] as const) {
      const { budget: one, asked } = budget(afterMs, 0)
      expect(await one.acquire(50, RequestPriority.Resync)).to.deep.equal({ weight: 50, minute: 1 } satisfies Permit)
      expect(asked()).to.equal(questions)
    }
    expect(settled).to.deep.equal([])
  })
})
