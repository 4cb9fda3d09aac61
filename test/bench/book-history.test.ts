import { expect } from 'chai'
import { BookHistory, TapeBook } from '../../bench/tape-books.ts'
import { Random } from '../../src/simulator/market/random.ts'

describe("the book of the bench's venue", () => {
  it('is at every frame what its deltas made of it', () => {
    const random = new Random(11, 0)
    const level = (base: number): [string, string] => [`${base + random.below(20)}.5`, `${random.below(4)}.0`]
    const first = '{"lastUpdateId":7,"bids":[["100.5","1.0"]],"asks":[["200.5","1.0"]]}'
    const naive = TapeBook.of(JSON.parse(first))
    const deltas: { frame: number; text: string }[] = []
    const expected: string[] = []
    for (let frame = 0; frame < 1_000; frame++) {
      expected.push(naive.answer())
      if (random.below(2) === 0) continue
      // The first few are in the answer already.
      const last = 3 + deltas.length
      const data = { U: last, u: last, b: last > 7 ? [level(90)] : [], a: last > 7 ? [level(195), level(200)] : [] }
      deltas.push({ frame, text: JSON.stringify({ stream: 'x@depth@100ms', data }) })
      if (last > 7) naive.apply(data)
    }
    const history = new BookHistory(first, deltas)
    expect(JSON.parse(history.at(0))).to.deep.equal(JSON.parse(first))
    for (let frames = 1; frames < 1_000; frames++) {
      expect(JSON.parse(history.at(frames)), `after ${frames} frames`).to.deep.equal(
        JSON.parse(expected[frames] as string),
      )
    }
  })
})
