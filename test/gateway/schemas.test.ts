import { expect } from 'chai'
import { queryDuration, queryInteger, queryTime } from '../../src/gateway/schemas.ts'

const time = queryTime('')
const limit = queryInteger(1, 500, '')
const wait = queryDuration(30_000, '')

describe('what stands in a query', () => {
  for (const [text, expected] of [
    ['1795253919197095', 1_795_253_919_197_095],
    ['2026-01-31T12:00Z', 1_769_860_800_000_000],
    ['2026-01-01T00:00:00.123456Z', 1_767_225_600_123_456],
    ['2026-01-01T00:00:00.5Z', 1_767_225_600_500_000],
    ['2024-02-29T00:00:00Z', 1_709_164_800_000_000],
    ['2026-02-29T00:00:00Z', undefined],
    ['2026-02-31T00:00:00Z', undefined],
    ['2026-13-01T00:00:00Z', undefined],
    ['2026-01-01T24:00:00Z', undefined],
    ['2026-01-01', undefined],
    ['-1', undefined],
    ['1e3', undefined],
  ] as const) {
    it(`${expected === undefined ? 'refuses' : 'takes'} ${text} as a time`, () => {
      expect(time.safeParse(text).data).to.equal(expected)
    })
  }

  it('takes plain digits as an integer and nothing that merely means one', () => {
    expect(['1', '500', '007'].map((text) => limit.safeParse(text).data)).to.deep.equal([1, 500, 7])
    for (const text of ['0', '501', '', ' 1', '1.0', '0x1', '1e1', '+1', '99999999999']) {
      expect(limit.safeParse(text).success, text).to.equal(false)
    }
  })

  it('takes a duration, and a longer one than may be waited as the longest', () => {
    expect(['0ms', '250ms', '2s', '31s'].map((text) => wait.safeParse(text).data)).to.deep.equal([
      0, 250, 2_000, 30_000,
    ])
    for (const text of ['2', '2m', '-1s', '1.5s', 's', '1234567s'])
      expect(wait.safeParse(text).success, text).to.equal(false)
  })
})
