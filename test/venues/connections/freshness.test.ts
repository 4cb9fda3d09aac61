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
import { randomOf } from '../../support/variants.ts'

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

  it('suspects a topic that did not follow its witness, however often that has moved again since', () => {
    const { freshness, lastMs } = learnt(2_000)
    const missing = (silentMs: number, witnessSeenMs: number): number => {
      const around = { sinceMs: START_MS, witnessSeenMs, siblingSamples: 0, neighbourSeenMs: 0 }
      judge(freshness, around, lastMs + silentMs, options)
      return missingMs(freshness, lastMs, true, lastMs + silentMs, options)
    }
    expect(missing(60_000, lastMs), 'nothing has moved').to.equal(0)
    expect(missing(60_250, lastMs + 60_100), 'it has, just now').to.equal(0)
    expect(missing(62_500, lastMs + 62_400)).to.equal(0)
    expect(missing(62_750, lastMs + 62_600)).to.equal(62_750)
    observe(freshness, lastMs + 62_750, options)
    expect(missingMs(freshness, lastMs + 62_750, true, lastMs + 90_000, options), 'it has followed').to.equal(0)
    const young = newFreshness()
    judge(young, { sinceMs: 1_000, witnessSeenMs: 900, siblingSamples: 0, neighbourSeenMs: 0 }, 2_000, options)
    expect(missingMs(young, 1_000, true, 9_000, options), 'it moved before the acknowledgement').to.equal(0)
    judge(young, { sinceMs: 1_000, witnessSeenMs: 2_000, siblingSamples: 0, neighbourSeenMs: 0 }, 2_000, options)
    expect(missingMs(young, 1_000, true, 4_600, options)).to.equal(3_600)
  })

  it('suspects a topic without a witness when it is silent for four times as long as it was of late', () => {
    const { freshness, lastMs } = learnt(2_000)
    const missing = (silentMs: number): number => missingMs(freshness, lastMs, false, lastMs + silentMs, options)
    expect([missing(8_000), missing(8_001)]).to.deep.equal([0, 8_001])
    expect(missingMs(newFreshness(), 1_000, false, 60_000, options), 'nothing learnt').to.equal(0)
  })

  for (const isWitnessed of [true, false]) {
    it(`hardly ever suspects one of many healthy topics ${isWitnessed ? 'with' : 'without'} a witness that come at random`, () => {
      const below = randomOf(7)
      const random = (): number => below(1_000_000) / 1_000_000
      const topics = Array.from({ length: 125 }, () => ({
        ...{ freshness: newFreshness(), meanMs: 1_000 * 60 ** random(), movesMs: START_MS, movedMs: 0, showsMs: 0 },
      }))
      let [looks, suspicions] = [0, 0]
      for (let nowMs = START_MS; nowMs < START_MS + 1_200_000; nowMs += SWEEP_MS) {
        const atOf = (timeMs: number): number => Math.floor(timeMs / SWEEP_MS) * SWEEP_MS
        let isSuspect = false
        for (const topic of topics) {
          const { freshness } = topic
          while (topic.movesMs < nowMs) {
            topic.movedMs = topic.movesMs
            // With a witness it shows a movement within the second; without one every movement is its own.
            if (topic.showsMs === 0) topic.showsMs = topic.movedMs + (isWitnessed ? 1_000 * random() : 0)
            topic.movesMs += 1 - Math.log(1 - random()) * topic.meanMs
          }
          if (topic.showsMs > 0 && topic.showsMs <= nowMs) {
            observe(freshness, atOf(topic.showsMs), options)
            topic.showsMs = topic.movedMs > topic.showsMs ? topic.showsMs + 1_000 : 0
          }
          const witnessSeenMs = isWitnessed ? atOf(topic.movedMs) : 0
          judge(freshness, { sinceMs: START_MS, witnessSeenMs, siblingSamples: 0, neighbourSeenMs: 0 }, nowMs, options)
          if (missingMs(freshness, freshness.seenMs || START_MS, isWitnessed, nowMs, options) > 0) isSuspect = true
        }
        looks++
        if (isSuspect) suspicions++
      }
      expect(suspicions / looks).to.be.below(isWitnessed ? 0.001 : 0.05)
    })
  }

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
