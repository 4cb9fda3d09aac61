import { expect } from 'chai'
import { ManualClock } from '../../../src/lib/clock.ts'
import { ConnectAttempts } from '../../../src/venues/connections/attempts.ts'
import type { ConnectBudget } from '../../../src/venues/limit-store.ts'

const WINDOW_MS = 300_000

describe('attempts to connect', () => {
  const clock = new ManualClock()
  const failures: unknown[] = []
  let opened = 0
  const open = (): void => {
    opened += 1
  }
  beforeEach(() => {
    failures.length = 0
    opened = 0
  })

  function attempts(shared: ConnectBudget | null, max: number, processes = 1): ConnectAttempts {
    const limits = { connectsPerWindowMax: max, connectsWindowMs: WINDOW_MS }
    return new ConnectAttempts({
      ...{ clock, market: 'FAKE-SPOT', limits, shared, processes: () => processes, heldMs: () => 0 },
      failed: (error) => failures.push(error),
    })
  }

  /** Lets promises settle while the clock goes on. */
  async function pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 100) {
      await new Promise((resolve) => setImmediate(resolve))
      clock.advance(Math.min(100, left))
    }
    await new Promise((resolve) => setImmediate(resolve))
  }

  /** What Redis would grant, `waits` after each other; then everything. */
  function budget(...waits: (number | Error | 'silence')[]): ConnectBudget & { readonly held: number[] } {
    const held: number[] = []
    return {
      held,
      takeConnect: () => {
        const next = waits.shift() ?? 0
        if (next === 'silence') return new Promise(() => {})
        return typeof next === 'number' ? Promise.resolve(next) : Promise.reject(next)
      },
      holdConnects: async (forMs) => void held.push(forMs),
    }
  }

  it('are made at once, and only so many in the window, where this process is alone', () => {
    const alone = attempts(null, 2)
    for (let wish = 0; wish < 3; wish++) alone.when(0, open)
    expect(opened).to.equal(2)
    clock.advance(WINDOW_MS - 1)
    expect(opened).to.equal(2)
    clock.advance(1)
    expect(opened).to.equal(3)
  })

  it('wait for as long as the budget of all processes says, and ask again at least every 10 s', async () => {
    const shared = attempts(budget(3_000, 200_000, 0), 300)
    shared.when(0, open)
    await pass(3_000)
    expect(opened).to.equal(0)
    await pass(9_900)
    expect(opened).to.equal(0)
    await pass(200)
    expect(opened).to.equal(1)
  })

  it('are granted from what this process made, of its equal part, while the budget cannot be asked', async () => {
    const gone = Array.from({ length: 400 }, () => new Error('away'))
    const shared = attempts(budget(...gone), 8, 4)
    for (let wish = 0; wish < 3; wish++) shared.when(0, open)
    await pass(WINDOW_MS - 1_000)
    expect(opened).to.equal(2)
    expect(failures.length).to.be.greaterThan(2)
    await pass(12_000)
    expect(opened).to.equal(3)
  })

  it('wait half a second for the answer of the budget and no longer', async () => {
    attempts(budget('silence'), 300).when(0, open)
    await pass(400)
    expect(opened).to.equal(0)
    await pass(200)
    expect(opened).to.equal(1)
  })

  it('are not made when the wish was taken back while the budget was asked', async () => {
    attempts(budget(), 300).when(0, open)()
    await pass(200)
    expect(opened).to.equal(0)
  })

  it('never exceed the number of the venue in this process, whatever the budget grants', async () => {
    const shared = attempts(budget(), 2)
    for (let wish = 0; wish < 5; wish++) shared.when(0, open)
    await pass(1_000)
    expect(opened).to.equal(2)
  })

  it('stop when the venue refuses one, here and for all others', async () => {
    const all = budget()
    const shared = attempts(all, 300)
    shared.hold(5_000)
    expect(all.held).to.deep.equal([5_000])
    shared.when(0, open)
    await pass(4_900)
    expect(opened).to.equal(0)
    await pass(200)
    expect(opened).to.equal(1)
  })
})
