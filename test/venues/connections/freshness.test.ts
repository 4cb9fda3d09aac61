import { expect } from 'chai'
import fc from 'fast-check'
import {
  type Freshness,
  hidesLoss,
  judge,
  missingMs,
  newFreshness,
  observe,
  type Staleness,
  type Surroundings,
  staleAfterMs,
} from '../../../src/venues/connections/freshness.ts'
import { defaultConnectionsOptions as options } from '../../../src/venues/connections/options.ts'

describe('freshness', () => {
  const SWEEP_MS = options.sweepMs
  const START_MS = 100_000

  /** A topic with data every `everyMs` for a minute, and the time of its last data. */
  function learnt(everyMs: number): { freshness: Freshness; lastMs: number } {
    const freshness = newFreshness()
    let lastMs = START_MS
    for (let nowMs = START_MS; nowMs <= START_MS + 60_000; nowMs += everyMs) {
      observe(freshness, nowMs, options)
      lastMs = nowMs
    }
    return { freshness, lastMs }
  }

  /** Milliseconds of silence after which the topic is called stale, and why; null: never within ten minutes. */
  function staleAfter(
    freshness: Freshness,
    sinceMs: number,
    around: (nowMs: number) => Partial<Surroundings>,
  ): { silentMs: number; reason: Staleness } | null {
    for (let nowMs = sinceMs + SWEEP_MS; nowMs < sinceMs + 600_000; nowMs += SWEEP_MS) {
      const quiet = { sinceMs: START_MS, witnessSeenMs: 0, siblingSamples: 0, neighbourSeenMs: 0 }
      const reason = judge(freshness, { ...quiet, ...around(nowMs) }, nowMs, options)
      if (reason !== null) return { silentMs: nowMs - sinceMs, reason }
    }
    return null
  }

  it('knows by the usual interval whether a silence that ended hides a loss', () => {
    for (const everyMs of [500, 1_000, 2_000]) {
      const { freshness } = learnt(everyMs)
      expect(hidesLoss(freshness, everyMs + SWEEP_MS - 1, options), `${everyMs} once`).to.equal(false)
      expect(hidesLoss(freshness, 2 * everyMs - SWEEP_MS + 1, options), `${everyMs} twice`).to.equal(true)
    }
    expect(hidesLoss(newFreshness(), 1, options), 'nothing learnt').to.equal(true)
  })

  for (const { everyMs, foundMs } of [
    { everyMs: 250, foundMs: 5_000 },
    { everyMs: 500, foundMs: 10_000 },
    { everyMs: 2_000, foundMs: 40_000 },
  ]) {
    it(`finds a topic of usually ${everyMs} ms after ${foundMs} ms of silence while neighbours flow`, () => {
      const { freshness, lastMs } = learnt(everyMs)
      const found = staleAfter(freshness, lastMs, (nowMs) => ({ neighbourSeenMs: nowMs }))
      expect(found).to.deep.equal({ silentMs: foundMs, reason: 'rate' })
    })
  }

  it('suspects a silence longer than usual, if a witness has moved meanwhile or there is none', () => {
    const { freshness, lastMs } = learnt(2_000)
    const missing = (silentMs: number, witnessSeenMs: number | null): number =>
      missingMs(freshness, lastMs, witnessSeenMs, lastMs + silentMs, options)
    expect(missing(2_900, lastMs + 100)).to.equal(0)
    expect(missing(3_250, lastMs + 100)).to.equal(3_250)
    expect(missing(60_000, lastMs)).to.equal(0)
    expect(missing(3_250, null)).to.equal(3_250)
    const young = newFreshness()
    expect(missingMs(young, 1_000, 2_000, 3_400, options)).to.equal(0)
    expect(missingMs(young, 1_000, 2_000, 3_600, options)).to.equal(2_600)
  })

  it('finds a topic that has shown little, after a longer silence', () => {
    for (const { count, foundMs } of [
      { count: 3, foundMs: 20_000 },
      { count: 5, foundMs: 10_000 },
      { count: 9, foundMs: 5_000 },
    ]) {
      const freshness = newFreshness()
      for (let nth = 0; nth < count; nth++) observe(freshness, START_MS + nth * 250, options)
      const lastMs = START_MS + (count - 1) * 250
      expect(staleAfter(freshness, lastMs, (nowMs) => ({ neighbourSeenMs: nowMs }))?.silentMs).to.equal(foundMs)
    }
  })

  it('calls nothing stale while nothing moves', () => {
    const { freshness, lastMs } = learnt(250)
    expect(staleAfter(freshness, lastMs, () => ({ neighbourSeenMs: lastMs }))).to.equal(null)
  })

  it('finds a slow topic by a sibling that cannot move without it, well within ten seconds', () => {
    const { freshness, lastMs } = learnt(10_000)
    const found = staleAfter(freshness, lastMs, (nowMs) => ({ witnessSeenMs: nowMs }))
    expect(found).to.deep.equal({ silentMs: 5_000, reason: 'sibling' })
  })

  it('lets a topic lag behind its witness, and forgets the witness when the topic moves', () => {
    const { freshness, lastMs } = learnt(10_000)
    expect(staleAfter(freshness, lastMs, () => ({ witnessSeenMs: lastMs + options.staleGraceMs - 1 }))).to.equal(null)
    const around = { sinceMs: START_MS, siblingSamples: 0, neighbourSeenMs: 0 }
    judge(freshness, { ...around, witnessSeenMs: lastMs + 4_000 }, lastMs + 4_000, options)
    observe(freshness, lastMs + 6_000, options)
    expect(judge(freshness, { ...around, witnessSeenMs: lastMs + 6_000 }, lastMs + 9_000, options)).to.equal(null)
  })

  it('suspects a topic without any data only after a sibling has shown a lot', () => {
    const lively = staleAfter(newFreshness(), START_MS, (nowMs) => ({ siblingSamples: (nowMs - START_MS) / SWEEP_MS }))
    expect(lively).to.deep.equal({ silentMs: 5_000, reason: 'never-flowed' })
    expect(staleAfter(newFreshness(), START_MS, () => ({ siblingSamples: 3, neighbourSeenMs: START_MS }))).to.equal(
      null,
    )
  })

  it('counts silence from the acknowledgement or resumption, not from before', () => {
    const { freshness, lastMs } = learnt(250)
    const resumedMs = lastMs + 60_000
    const found = staleAfter(freshness, resumedMs, (nowMs) => ({ sinceMs: resumedMs, neighbourSeenMs: nowMs }))
    expect(found?.silentMs).to.equal(5_000)
  })

  it('learns at most the limit from a fault, so that the next fault is found as quickly', () => {
    const { freshness, lastMs } = learnt(250)
    observe(freshness, lastMs + 3_600_000, options)
    expect(staleAfterMs(freshness, options)).to.be.lessThan(12_000)
  })

  it('does not call a steady market stale, whatever its rate', () => {
    fc.assert(
      fc.property(fc.integer({ min: 50, max: 5_000 }), fc.integer({ min: 1, max: 2 ** 31 - 1 }), (meanMs, seed) => {
        const freshness = newFreshness()
        let state = seed
        const random = () => {
          state = (state * 48_271) % 2_147_483_647
          return state / 2_147_483_647
        }
        // A Poisson stream cut at ten means: rarer silences are stale by design.
        let eventMs = START_MS
        for (let nowMs = START_MS; nowMs < START_MS + 300_000; nowMs += SWEEP_MS) {
          let seenMs = 0
          while (eventMs <= nowMs) {
            seenMs = nowMs
            eventMs += Math.min(10, -Math.log(random())) * meanMs
          }
          observe(freshness, seenMs, options)
          const around = { sinceMs: START_MS, witnessSeenMs: 0, siblingSamples: 0, neighbourSeenMs: nowMs }
          expect(judge(freshness, around, nowMs, options)).to.equal(null)
        }
      }),
      { numRuns: 30 },
    )
  })
})
