import { expect } from 'chai'
import type { ChannelState, TopicReport } from '../../src/control/contract.ts'
import type { Effect } from '../../src/control/step.ts'
import { outcomeOf, type StoryFacts } from '../../src/control/story.ts'
import { MARKET } from './world.ts'

const VERSION = 5

function report(more: Partial<TopicReport>): TopicReport {
  return {
    ...{ topic: 'btcusdt@trade', type: 'TRADE', interval: '', state: 'flowing', requestedAtUs: 110, ackedAtUs: 120 },
    ...{ flowingAtUs: 130, stoppedAtUs: null, worker: 'a', version: VERSION, ...more },
  }
}

const stopped = (more: Partial<TopicReport>): TopicReport => report({ state: 'stopped', stoppedAtUs: 140, ...more })

function channel(open: boolean, version: number): ChannelState {
  return { market: MARKET, instrument: 'BTC-USDT', type: 'TRADE', open, version }
}

function effect(kind: Effect['kind'], type: TopicReport['type'] = 'TRADE'): Effect {
  return { kind, market: MARKET, instrument: 'BTC-USDT', types: [type], worker: 'w' }
}

function facts(reports: readonly TopicReport[], more: Partial<StoryFacts> = {}): StoryFacts {
  return {
    ...{ version: VERSION, appliedAtUs: 100, reports, alive: new Set(['a', 'b']), channels: [] },
    closedBelow: new Map([['TRADE', VERSION]]),
    ...more,
  }
}

const done = (effectiveAtUs: number) => ({ effectiveAtUs, code: null })

describe('whether a command has come true', () => {
  const cases: [string, Effect, StoryFacts, ReturnType<typeof outcomeOf>][] = [
    ['a start: when data flows', effect('flow'), facts([report({})]), done(130)],
    ['not a start: when it is only acknowledged', effect('flow'), facts([report({ state: 'acked' })]), null],
    [
      'a start of TICKER: when it is acknowledged',
      effect('flow', 'TICKER'),
      facts([report({ type: 'TICKER', state: 'acked', flowingAtUs: null })]),
      done(120),
    ],
    [
      'not a start of KLINE: while one of its intervals is not acknowledged',
      effect('flow', 'KLINE'),
      facts([
        report({ type: 'KLINE', topic: 'k1', state: 'acked' }),
        report({ type: 'KLINE', topic: 'k2', state: 'requested' }),
      ]),
      null,
    ],
    ['not a start: by what was reported before it', effect('flow'), facts([report({ version: VERSION - 1 })]), null],
    [
      'a second start: at once, where it flowed before',
      effect('flow'),
      facts([report({ flowingAtUs: 30 })]),
      done(100),
    ],
    ['a stop: when the venue was told and the channel is closed', effect('stop'), facts([stopped({})]), done(140)],
    [
      'not a stop: while the channel is not closed',
      effect('stop'),
      facts([stopped({})], { closedBelow: new Map() }),
      null,
    ],
    [
      'not a stop: while another live worker carries it',
      effect('stop'),
      facts([stopped({}), report({ worker: 'b', version: 2 })]),
      null,
    ],
    [
      'a stop: whatever one that is gone had reported',
      effect('stop'),
      facts([stopped({}), report({ worker: 'gone', version: 2 })]),
      done(140),
    ],
    [
      'a start that was undone before it flowed: superseded',
      effect('flow'),
      facts([stopped({ version: 6, flowingAtUs: null })], { channels: [channel(false, 6)] }),
      { effectiveAtUs: 100, code: 'superseded' },
    ],
    [
      'a start that had flowed when it was undone: for itself',
      effect('flow'),
      facts([stopped({ version: 6 })], { channels: [channel(false, 6)] }),
      done(130),
    ],
    [
      'a stop that was undone: superseded',
      effect('stop'),
      facts([report({ version: 6 })], { channels: [channel(true, 6)] }),
      { effectiveAtUs: 100, code: 'superseded' },
    ],
    ['a drain: when the worker has left', effect('drain'), facts([]), done(100)],
    ['not a drain: while it is there', effect('drain'), facts([], { alive: new Set(['w']) }), null],
    [
      'a resync: when the snapshot stands in the stream',
      effect('resync', 'ORDERBOOK'),
      facts([report({ topic: 'rest:depth:BTC-USDT', type: 'ORDERBOOK' })]),
      done(130),
    ],
  ]
  for (const [name, what, known, expected] of cases) {
    it(`is ${name}`, () => expect(outcomeOf(what, known)).to.deep.equal(expected))
  }
})
