import { expect } from 'chai'
import type { Quality } from '../../src/domain/event.ts'
import type { QualityReason, ShownQuality } from '../../src/domain/quality.ts'
import { bookObstacles } from '../../src/processes/book-readiness.ts'

const NOW_US = 1_000_000_000

function books(count: number, quality: Quality, reason: QualityReason = '', ageMs = 0): ShownQuality[] {
  return Array.from({ length: count }, () => ({ quality, reason, sinceUs: NOW_US - ageMs * 1_000 }))
}

describe('whether the books of a process are ready', () => {
  const cases: readonly [string, ShownQuality[], string[]][] = [
    ['all live', books(3, 'LIVE'), []],
    ['none at all', [], []],
    [
      'one that was never joined',
      [...books(9, 'LIVE'), ...books(1, 'SYNCING', 'start')],
      ['1 of 10 books are not live'],
    ],
    ['one that is just being mended', [...books(9, 'LIVE'), ...books(1, 'GAPPED', 'gap', 5_000)], []],
    ['one broken for long', [...books(9, 'LIVE'), ...books(1, 'GAPPED', 'gap', 5_001)], ['1 of 10 books are not live']],
    ['few broken of many', [...books(95, 'LIVE'), ...books(5, 'GAPPED', 'gap', 60_000)], []],
    [
      'more of many',
      [...books(94, 'LIVE'), ...books(6, 'CROSSED', 'crossed', 60_000)],
      ['6 of 100 books are not live'],
    ],
    ['those that the venue does not trade', books(4, 'HALTED', 'halted', 60_000), []],
    ['those left alone for a while', books(4, 'QUARANTINED', 'failing', 60_000), []],
  ]
  for (const [name, shown, expected] of cases) {
    it(`is said of ${name}`, () => expect(bookObstacles(shown, NOW_US)).to.deep.equal(expected))
  }
})
