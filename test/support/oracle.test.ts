import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { binanceCaptures, capturePath, expectedPath, needRecording, readCapture } from './capture.ts'
import { type Expected, expectedOf } from './oracle.ts'

describe('the oracle of captures', () => {
  for (const name of binanceCaptures)
    it(`says of ${name} what the expected result that came with it says`, function () {
      this.timeout(60_000)
      needRecording(this, name)
      const given = JSON.parse(readFileSync(expectedPath(name), 'utf8')) as Expected & Record<string, unknown>
      const found = expectedOf(readCapture(capturePath(name)), true)
      expect(sharedWith(found.trades, given.trades ?? {})).to.deep.equal(found.trades)
      expect(sharedWith(found.aggTrades, given.aggTrades ?? {})).to.deep.equal(found.aggTrades)
      expect(found.bookTicker).to.deep.equal(given.bookTicker)
      const klines = (given.kline_1m ?? {}) as Record<string, { count: number }>
      expect(found.klines).to.deep.equal(Object.fromEntries(Object.entries(klines).map(([s, { count }]) => [s, count])))
      const books = Object.fromEntries(
        Object.entries(found.books).map(([symbol, { appliedRanges, ...book }]) => {
          expect(appliedRanges).to.have.length(book.applied)
          return [symbol, book]
        }),
      )
      expect(sharedWith(books, given.books)).to.deep.equal(books)
    })
})

/** `given` cut to the fields that `found` has, two levels deep; more fields of the given file are not compared. */
function sharedWith(found: object, given: object): object {
  const cut: Record<string, unknown> = {}
  for (const [symbol, value] of Object.entries(given)) {
    const fields = (found as Record<string, object>)[symbol] ?? {}
    cut[symbol] = Object.fromEntries(Object.entries(value as object).filter(([field]) => field in fields))
  }
  return cut
}
