import { expect } from 'chai'
import { type LiveModel, renderLine, renderScreen } from '../../src/processes/live-view.ts'

const model: LiveModel = {
  environment: 'simulated market, seed 7',
  elapsedSeconds: 3_725,
  rows: [
    {
      instrument: 'BTC-USDT',
      eventsPerSecond: 157.4,
      bid: '61797.88',
      ask: '61799.77',
      lastTrade: 'sell 0.00081 @ 61798.05',
      quality: 'LIVE',
      gaps: 2,
      latencyMs: { p50: 1, p99: 17 },
    },
  ],
  more: 4,
  totals: { eventsPerSecond: 581.6, events: 24_310, gaps: 2, deadLetters: 1, fusedPerSecond: null },
  latencyUs: { p50: 860, p99: 31_000 },
  incidents: ['12:00:00 WARN  saturated: the queues are full\n'],
  places: [['metrics', 'http://127.0.0.1:9464/metrics']],
}

describe('the live view', () => {
  it('names the environment, the numbers and the places in one screen', () => {
    const screen = renderScreen(model)
    for (const part of [
      'simulated market, seed 7',
      '01:02:05',
      'BTC-USDT',
      '61799.77',
      'and 4 more',
      'p99 ms',
      '17',
      'http://127.0.0.1:9464/metrics',
    ]) {
      expect(screen).to.contain(part)
    }
    expect(screen).to.contain('12:00:00 WARN  saturated: the queues are full')
  })

  it('says the same in one line without control characters where nobody redraws', () => {
    const line = renderLine(model)
    expect(line).to.equal(
      '01:02:05 simulated market, seed 7: 582 events/s, 24310 events, 2 gaps, 1 dead letters, ' +
        'latency p50 0.86 ms p99 31 ms; BTC-USDT 61797.88/61799.77 LIVE\n',
    )
  })
})
