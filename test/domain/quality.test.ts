import { expect } from 'chai'
import { enteringWord, newQuality, type QualityFact, type QualityState, stepQuality } from '../../src/domain/quality.ts'

const limits = { failuresMax: 3, withinMs: 1_000, forMs: 5_000 }
const step = (state: QualityState, fact: QualityFact, nowMs = 0) =>
  stepQuality(state, fact, nowMs, nowMs * 1_000, limits)
const stateOf = (...facts: QualityFact[]): QualityState =>
  facts.reduce((state, fact) => step(state, fact), newQuality(0))
const shown = ({ shown: { quality, reason } }: QualityState): string => `${quality} ${reason}`.trim()

const joined = { kind: 'joined' } as const
const wrong = { kind: 'mismatch', mismatch: 'ticker' } as const
const crossed = { kind: 'mismatch', mismatch: 'crossed' } as const

describe('the quality of a book', () => {
  const table: readonly (readonly [word: string, entering: string, facts: readonly QualityFact[]])[] = [
    ['SYNCING start', 'LIVE', []],
    ['LIVE', 'LIVE', [joined]],
    ['GAPPED gap', 'LIVE', [joined, { kind: 'unjoined', gapped: true }]],
    ['LIVE', 'LIVE', [joined, { kind: 'unjoined', gapped: true }, joined]],
    ['GAPPED ticker', 'GAPPED', [joined, wrong]],
    ['CROSSED crossed', 'CROSSED', [joined, crossed]],
    ['CROSSED crossed', 'CROSSED', [joined, crossed, { kind: 'halted', halted: true }]],
    ['LIVE', 'LIVE', [joined, wrong, { kind: 'resynced' }]],
    ['GAPPED ticker', 'GAPPED', [joined, { kind: 'suspect', suspect: true }]],
    ['LIVE', 'LIVE', [joined, { kind: 'suspect', suspect: true }, { kind: 'suspect', suspect: false }]],
    ['HALTED halted', 'HALTED', [joined, { kind: 'halted', halted: true }]],
    ['SYNCING start', 'HALTED', [{ kind: 'halted', halted: true }]],
    ['HALTED halted', 'HALTED', [joined, { kind: 'silent', silent: true }, { kind: 'halted', halted: true }]],
    ['STALE silent', 'STALE', [joined, { kind: 'silent', silent: true }]],
  ]
  for (const [word, entering, facts] of table)
    it(`is ${word} after ${facts.map((fact) => JSON.stringify(fact)).join(', ') || 'nothing'}`, () => {
      const state = stateOf(...facts)
      expect(shown(state)).to.equal(word)
      expect(enteringWord(state, false)).to.equal(entering)
    })

  for (const [word, told] of [
    ['CROSSED crossed', { quality: 'CROSSED', reason: 'crossed' }],
    ['GAPPED audit', { quality: 'GAPPED', reason: 'audit' }],
    ['QUARANTINED failing', { quality: 'QUARANTINED', reason: 'failing' }],
    ['LIVE', { quality: 'GAPPED', reason: 'gap' }],
    ['LIVE', { quality: 'STALE', reason: 'silent' }],
    ['LIVE', { quality: 'LIVE', reason: '' }],
    ['LIVE', null],
  ] as const) {
    it(`is ${word} when whoever had it before said ${told === null ? 'nothing' : `${told.quality} ${told.reason}`}`, () => {
      const taken = stateOf(joined, { kind: 'taken' })
      expect([shown(taken), enteringWord(taken, false)]).to.deep.equal(['SYNCING start', 'SYNCING'])
      const sinceUs = 7_000
      const state = step(taken, { kind: 'heard', shown: told === null ? null : { ...told, sinceUs } }, 1_000)
      expect(shown(state)).to.equal(word)
      // The word of before keeps its time; a new one is since now.
      expect(state.shown.sinceUs).to.equal(word.startsWith(told?.quality ?? '-') ? sinceUs : 1_000_000)
    })
  }

  it('is in an inherited quarantine only for the time that is left of it, and doubted afterwards', () => {
    const since = { quality: 'QUARANTINED', reason: 'failing', sinceUs: 1_000_000 } as const
    let state = step(stateOf(joined, { kind: 'taken' }), { kind: 'heard', shown: since }, 4_000)
    expect(shown(step(state, { kind: 'time' }, 5_999))).to.equal('QUARANTINED failing')
    state = step(state, { kind: 'time' }, 6_000)
    expect(shown(state)).to.equal('GAPPED inherited')
    expect(shown(step(state, { kind: 'resynced' }, 6_000))).to.equal('LIVE')
  })

  it('is in quarantine for no longer than one lasts, although the clock of whoever began it is ahead', () => {
    const ahead = { quality: 'QUARANTINED', reason: 'failing', sinceUs: 60_000_000 } as const
    const state = step(stateOf(joined, { kind: 'taken' }), { kind: 'heard', shown: ahead }, 4_000)
    expect(shown(step(state, { kind: 'time' }, 8_999))).to.equal('QUARANTINED failing')
    expect(shown(step(state, { kind: 'time' }, 9_000))).to.equal('GAPPED inherited')
  })

  it('is in its own quarantine as long as before when another one is heard of', () => {
    const own = stateOf(joined, wrong, wrong, wrong)
    const later = { quality: 'QUARANTINED', reason: 'failing', sinceUs: 3_000_000 } as const
    const state = step(own, { kind: 'heard', shown: later }, 3_000)
    expect(shown(step(state, { kind: 'time' }, 4_999))).to.equal('QUARANTINED failing')
    expect(shown(step(state, { kind: 'time' }, 5_000))).to.equal('GAPPED ticker')
  })

  it('says since when, and keeps that while the word stays', () => {
    let state = step(newQuality(0), joined, 10)
    expect(state.shown.sinceUs).to.equal(10_000)
    state = step(state, wrong, 20)
    state = step(state, wrong, 30)
    expect(state.shown).to.deep.equal({ quality: 'GAPPED', reason: 'ticker', sinceUs: 20_000 })
  })

  it('answers the same state where a fact changes nothing', () => {
    const state = stateOf(joined)
    for (const fact of [joined, { kind: 'resynced' }, { kind: 'time' }, { kind: 'silent', silent: false }] as const) {
      expect(step(state, fact)).to.equal(state)
    }
  })

  it('is QUARANTINED after so many mismatches within the time, and for so long', () => {
    let state = stateOf(joined)
    for (const atMs of [0, 500, 2_000, 2_100]) state = step(state, wrong, atMs)
    expect(shown(state), 'the first two are over').to.equal('GAPPED ticker')
    state = step(state, wrong, 2_200)
    expect(shown(state)).to.equal('QUARANTINED failing')
    expect(enteringWord(state, true), 'a snapshot does not end it').to.equal('QUARANTINED')
    state = step(step(state, crossed, 3_000), { kind: 'time' }, 7_199)
    expect(shown(state)).to.equal('QUARANTINED failing')
    state = step(state, { kind: 'time' }, 7_200)
    expect(shown(state)).to.equal('CROSSED crossed')
    expect(shown(step(state, { kind: 'resynced' }, 7_300))).to.equal('LIVE')
  })

  it('enters the stream as LIVE behind the snapshot that ends the doubt', () => {
    expect(enteringWord(stateOf(joined, wrong), true)).to.equal('LIVE')
    expect(enteringWord(stateOf(joined, wrong, { kind: 'halted', halted: true }), true)).to.equal('HALTED')
  })
})
