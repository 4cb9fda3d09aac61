import { expect } from 'chai'
import { comparison, median, spread } from '../../bench/report.ts'

describe('the report of the bench', () => {
  it('is held against an older one number by number, and what only one of them has is left out', () => {
    const base = {
      workerUs: 10,
      latencyUs: { p99: 2_000 },
      growth: [{ workerUs: 8 }],
      gone: 1,
      runs: [{ workerUs: 1 }],
    }
    const now = { workerUs: 5, latencyUs: { p99: 3_000 }, growth: [{ workerUs: 8 }], added: 1, runs: [{ workerUs: 2 }] }
    const rows = comparison(base, now).split('\n').slice(2)
    const cells = rows.map((row) =>
      row
        .split('|')
        .map((cell) => cell.trim())
        .slice(1, -1),
    )
    expect(cells).to.deep.equal([
      ['workerUs', '10', '5', '0.50'],
      ['latencyUs.p99', '2000', '3000', '1.50'],
      ['growth.0.workerUs', '8', '8', '1.00'],
    ])
  })

  it('says no ratio to nothing', () => {
    expect(comparison({ gcShare: 0 }, { gcShare: 1 })).to.include('| -')
  })

  it('gives medians with the least and the greatest', () => {
    expect(median([])).to.equal(0)
    expect(median([3, 1, 2])).to.equal(2)
    expect(median([4, 1, 2, 3])).to.equal(2.5)
    expect(spread([1.2, 1.1, 1.3])).to.equal('1.20 (1.10-1.30)')
  })
})
