import { expect } from 'chai'
import fc from 'fast-check'
import { World } from './world.ts'

type Range = readonly [first: number, last: number]

/** A row of VENUES B5: what was buffered, the id of the snapshot, and what must stand in the stream then. */
interface Row {
  readonly name: string
  readonly snapshot: number
  readonly buffer: readonly Range[]
  readonly stream: readonly string[]
}

const rows: readonly Row[] = [
  { name: 'asks again when the snapshot is older than the buffer', snapshot: 98, buffer: [[100, 105]], stream: [] },
  {
    name: 'takes a snapshot at first - 1, which is contiguous although the documents ask again only below first',
    snapshot: 99,
    buffer: [[100, 105]],
    stream: ['SNAPSHOT 99', 'DELTA 105'],
  },
  {
    name: 'applies a delta whole when the snapshot lies inside it',
    snapshot: 218,
    buffer: [
      [189, 202],
      [203, 207],
      [208, 224],
      [225, 230],
    ],
    stream: ['SNAPSHOT 218', 'DELTA 224', 'DELTA 230'],
  },
  {
    name: 'drops the delta whose last id is the snapshot and goes on with the next',
    snapshot: 105,
    buffer: [
      [100, 105],
      [106, 106],
    ],
    stream: ['SNAPSHOT 105', 'DELTA 106'],
  },
  {
    name: 'tells the hole inside the buffer',
    snapshot: 102,
    buffer: [
      [100, 105],
      [110, 112],
      [113, 113],
    ],
    stream: ['SNAPSHOT 102', 'DELTA 105', 'GAP 106-109 lost'],
  },
  {
    name: 'does not see a hole that lies below the snapshot',
    snapshot: 111,
    buffer: [
      [100, 105],
      [110, 112],
    ],
    stream: ['SNAPSHOT 111', 'DELTA 112'],
  },
  {
    name: 'ignores a second copy of a delta',
    snapshot: 99,
    buffer: [
      [100, 105],
      [100, 105],
      [106, 107],
    ],
    stream: ['SNAPSHOT 99', 'DELTA 105', 'DELTA 107'],
  },
  {
    name: 'waits for the first delta when the snapshot is ahead of everything buffered',
    snapshot: 500,
    buffer: [
      [100, 105],
      [106, 110],
    ],
    stream: ['SNAPSHOT 500'],
  },
  { name: 'does not take the snapshot of a book that is not there yet', snapshot: -1, buffer: [[0, 3]], stream: [] },
]

/** What stands in the stream when the tolerance is over. */
async function streamOf(snapshot: number, buffer: readonly Range[]): Promise<{ stream: string[]; world: World }> {
  const world = new World()
  for (const [first, last] of buffer) world.dispatcher.event(world.delta(first, last))
  await world.settle()
  world.rest.snapshots[0]?.answer(world.snapshot(snapshot))
  await world.advance(150)
  await world.advance(50)
  return { stream: world.bus.ids('BTC-USDT', 'ORDERBOOK'), world }
}

describe('joining a Binance snapshot to its deltas', () => {
  for (const { name, snapshot, buffer, stream } of rows)
    it(name, async () => {
      const found = await streamOf(snapshot, buffer)
      expect(found.stream).to.deep.equal(stream)
      const isJoined = stream.length > 0 && !stream.at(-1)?.startsWith('GAP')
      expect(found.world.rest.snapshots.length > 1, 'asks again').to.equal(!isJoined)
      found.world.dispatcher.close()
    })

  it('covers every id above the snapshot exactly once, or tells it, whatever was lost or doubled', async () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(lengths, fc.nat(60), fc.nat(11), fc.nat(11), async (sizes, snapshotAt, lost, doubled) => {
        let next = 100
        const whole = sizes.map((size): Range => {
          const range: Range = [next, next + size - 1]
          next += size
          return range
        })
        const buffer = whole.flatMap((range, index) => {
          if (index === lost) return []
          return index === doubled ? [range, range] : [range]
        })
        fc.pre(buffer.length > 0)
        const snapshot = 95 + snapshotAt
        const { stream, world } = await streamOf(snapshot, buffer)
        world.dispatcher.close()
        const [first] = buffer
        if (first !== undefined && snapshot < first[0] - 1) {
          expect(stream).to.deep.equal([])
          return
        }
        let have = snapshot
        const expected = [`SNAPSHOT ${snapshot}`]
        for (const [from, to] of buffer) {
          if (to <= have) continue
          if (from > have + 1) {
            expected.push(`GAP ${have + 1}-${from - 1} lost`)
            break
          }
          expected.push(`DELTA ${to}`)
          have = to
        }
        expect(stream).to.deep.equal(expected)
      }),
      { numRuns: 60 },
    )
  })
})
