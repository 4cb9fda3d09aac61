import { expect } from 'chai'
import fc from 'fast-check'
import { integer, parseDuration, parsePosition, parseSpeed, repeated } from '../../src/cli/arguments.ts'

describe('arguments of the command line', () => {
  it('reads durations in ms, s, m and h', () => {
    const cases: [string, number][] = [
      ['500ms', 500],
      ['20s', 20_000],
      ['1.5s', 1500],
      ['5m', 300_000],
      ['2h', 7_200_000],
    ]
    for (const [text, ms] of cases) expect(parseDuration(text), text).to.equal(ms)
  })

  it('refuses any other text for a duration', () => {
    for (const text of ['', '20', 's', '-1s', '1 s', '1d', '1e3s', 'max']) {
      expect(() => parseDuration(text), text).to.throw(
        `expected a duration such as 500ms, 20s, 5m or 1h, found "${text}"`,
      )
    }
  })

  it('reads speeds above 0, or max', () => {
    expect([parseSpeed('1'), parseSpeed('0.5'), parseSpeed('max')]).to.deep.equal([1, 0.5, 'max'])
    for (const text of ['0', '-1', 'fast', '', '1x']) expect(() => parseSpeed(text), text).to.throw('found')
  })

  it('reads integers of a range and nothing else', () => {
    const parse = integer(0, 65_535)
    fc.assert(fc.property(fc.integer({ min: 0, max: 65_535 }), (n) => parse(String(n)) === n))
    for (const text of ['65536', '-1', '1.5', '', '0x1', '1e3'])
      expect(() => parse(text), text).to.throw('from 0 to 65535')
    expect(() => integer(1)('0')).to.throw('an integer of at least 1')
  })

  it('reads positions in a stream', () => {
    for (const text of ['0', '$', '1700000000000', '1700000000000-3']) expect(parsePosition(text)).to.equal(text)
    for (const text of ['', 'now', '-1', '1-', '1-2-3']) expect(() => parsePosition(text), text).to.throw('an entry id')
  })

  it('collects repeated options in order', () => {
    expect(repeated('b', repeated('a', undefined))).to.deep.equal(['a', 'b'])
  })
})
