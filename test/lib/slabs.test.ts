import { expect } from 'chai'
import fc from 'fast-check'
import { SLAB_BYTES, type Slab, Slabs } from '../../src/lib/slabs.ts'

interface Piece {
  readonly slab: Slab
  readonly at: number
  readonly bytes: Buffer
}

const steps = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ take: fc.oneof(fc.nat(40_000), fc.nat(300), fc.constant(SLAB_BYTES * 2)) }) },
    // At 0 the oldest goes, as in a ring.
    { weight: 2, arbitrary: fc.record({ giveBack: fc.oneof(fc.constant(0), fc.nat()) }) },
  ),
  { minLength: 100, maxLength: 400, size: 'max' },
)

describe('memory in slabs', () => {
  it('is written by whoever took it alone, until it is given back', function () {
    this.timeout(60_000)
    fc.assert(
      fc.property(steps, (taken) => {
        const slabs = new Slabs()
        const pieces: Piece[] = []
        for (const [turn, step] of taken.entries()) {
          if ('take' in step) {
            const slab = slabs.take(step.take)
            const piece = { slab, at: slab.end - step.take, bytes: Buffer.alloc(step.take, `${turn} `) }
            piece.bytes.copy(slab.memory, piece.at)
            pieces.push(piece)
          } else if (pieces.length > 0) {
            const { slab } = pieces.splice(step.giveBack % pieces.length, 1)[0] as Piece
            slabs.giveBack(slab)
          }
        }
        for (const { slab, at, bytes } of pieces) {
          expect(slab.memory.subarray(at, at + bytes.length).equals(bytes)).to.equal(true)
        }
        for (const { slab } of pieces) slabs.giveBack(slab)
        expect(slabs.bytes, 'a few slabs stay').to.be.at.most(6 * SLAB_BYTES)
      }),
      { numRuns: 25 },
    )
  })

  it('serves again, so that it does not grow where the oldest goes for the newest', () => {
    const slabs = new Slabs()
    const pieces: Slab[] = []
    for (let turn = 0; turn < 50_000; turn++) {
      pieces.push(slabs.take(300 + (turn % 700)))
      if (pieces.length > 4_000) slabs.giveBack(pieces.shift() as Slab)
    }
    expect(slabs.bytes).to.be.within(2_600_000, 2_600_000 + 3 * SLAB_BYTES)
  })

  it('cannot be given back twice', () => {
    const slabs = new Slabs()
    const slab = slabs.take(10)
    slabs.giveBack(slab)
    expect(() => slabs.giveBack(slab)).to.throw('twice')
  })
})
