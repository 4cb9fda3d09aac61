import { expect } from 'chai'
import fc from 'fast-check'
import { Book } from '../../src/domain/book/book.ts'
import type { Level } from '../../src/domain/event.ts'
import { NaiveBus } from './naive-bus.ts'
import { World } from './world.ts'

const TRADE = 'btcusdt@trade'

describe('order repair of trades', () => {
  it('puts swapped trades right without waiting and without a gap', async () => {
    const world = new World()
    for (const id of [1, 3, 2, 4]) world.dispatcher.event(world.trade(id))
    await world.dispatcher.whenIdle()
    expect(world.bus.ids('BTC-USDT', 'TRADE')).to.deep.equal(['TRADE 1', 'TRADE 2', 'TRADE 3', 'TRADE 4'])
  })

  it('holds what lies above a hole for the tolerance, then declares it once', async () => {
    const world = new World()
    for (const id of [1, 2, 5]) world.dispatcher.event(world.trade(id))
    await world.settle()
    await world.advance(149)
    world.dispatcher.event(world.trade(6))
    await world.settle()
    expect(world.bus.ids('BTC-USDT', 'TRADE')).to.deep.equal(['TRADE 1', 'TRADE 2'])
    await world.advance(1)
    const expected = ['TRADE 1', 'TRADE 2', 'GAP 3-4 lost', 'TRADE 5', 'TRADE 6']
    expect(world.bus.ids('BTC-USDT', 'TRADE')).to.deep.equal(expected)
    expect(world.dispatcher.stats().gaps).to.equal(1)
  })

  it('measures the tolerance for each hole apart', async () => {
    const world = new World()
    for (const id of [1, 3]) world.dispatcher.event(world.trade(id))
    await world.settle()
    await world.advance(100)
    world.dispatcher.event(world.trade(5))
    await world.settle()
    await world.advance(50)
    expect(world.bus.ids('BTC-USDT', 'TRADE')).to.deep.equal(['TRADE 1', 'GAP 2-2 lost', 'TRADE 3'])
    world.dispatcher.event(world.trade(4))
    await world.settle()
    const expected = ['TRADE 1', 'GAP 2-2 lost', 'TRADE 3', 'TRADE 4', 'TRADE 5']
    expect(world.bus.ids('BTC-USDT', 'TRADE')).to.deep.equal(expected)
  })

  it('does not declare a hole whose missing trade has arrived but was not offered yet', async () => {
    const world = new World()
    let open = () => {}
    for (const id of [1, 3]) world.dispatcher.event(world.trade(id))
    await world.settle()
    world.bus.gate = new Promise((resolve) => {
      open = resolve
    })
    world.dispatcher.event(world.quote(1))
    await world.settle()
    world.dispatcher.event(world.trade(2))
    await world.advance(500)
    world.bus.gate = null
    open()
    await world.dispatcher.whenIdle()
    expect(world.bus.ids('BTC-USDT', 'TRADE')).to.deep.equal(['TRADE 1', 'TRADE 2', 'TRADE 3'])
  })

  it('declares the head at once, as overflow, when too many are held', async () => {
    const world = new World({ limits: { heldPerLineMax: 3 } })
    for (const id of [1, 3, 5, 7, 9]) world.dispatcher.event(world.trade(id))
    await world.settle()
    expect(world.bus.ids('BTC-USDT', 'TRADE').slice(0, 3)).to.deep.equal(['TRADE 1', 'GAP 2-2 overflow', 'TRADE 3'])
    await world.advance(150)
    expect(world.bus.ids('BTC-USDT', 'TRADE').at(-1)).to.equal('TRADE 9')
  })

  it('says disconnect for the hole of an interruption, and lost for the next one', async () => {
    const world = new World()
    world.dispatcher.event(world.trade(1))
    await world.settle()
    world.interrupted(TRADE)
    for (const id of [4, 8]) world.dispatcher.event(world.trade(id))
    await world.settle()
    await world.advance(150)
    const told = world.bus.ids('BTC-USDT', 'TRADE').filter((line) => line.startsWith('GAP'))
    expect(told).to.deep.equal(['GAP 2-3 disconnect', 'GAP 5-7 lost'])
  })

  it('calls the hole between two lives of the process a disconnect', async () => {
    const bus = new NaiveBus()
    const before = new World({ bus })
    before.dispatcher.event(before.trade(1))
    await before.dispatcher.whenIdle()
    const after = new World({ bus })
    after.dispatcher.event(after.trade(3))
    await after.settle()
    await after.advance(150)
    expect(bus.ids('BTC-USDT', 'TRADE')).to.deep.equal(['TRADE 1', 'GAP 2-2 disconnect', 'TRADE 3'])
  })

  it('enters every trade exactly once, and tells exactly what was lost, whatever the order', async () => {
    const sequence = fc.record({
      lost: fc.uniqueArray(fc.integer({ min: 2, max: 58 }), { maxLength: 8 }),
      swaps: fc.array(fc.integer({ min: 2, max: 57 }), { maxLength: 8 }),
      doubles: fc.array(fc.integer({ min: 2, max: 59 }), { maxLength: 8 }),
      pauses: fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 6 }),
      failures: fc.array(fc.constantFrom('before' as const, 'after' as const, null), { maxLength: 12 }),
    })
    await fc.assert(
      fc.asyncProperty(sequence, async ({ lost, swaps, doubles, pauses, failures }) => {
        const world = new World()
        const script = [...failures]
        world.bus.fail = () => script.shift() ?? null
        const ids = Array.from({ length: 60 }, (_, index) => index + 1).filter((id) => !lost.includes(id))
        for (const at of swaps) {
          const [left, right] = [ids[at - 1], ids[at]]
          if (left === undefined || right === undefined || at < 2) continue
          ids[at - 1] = right
          ids[at] = left
        }
        for (const at of doubles) if (ids[at] !== undefined) ids.splice(at, 0, ids[at] as number)
        for (const [index, id] of ids.entries()) {
          world.dispatcher.event(world.trade(id))
          if (pauses.includes(index)) await world.settle()
        }
        for (let turn = 0; turn < 100 && world.dispatcher.stats().queueEvents > 0; turn++) await world.advance(150)
        const entries = world.bus.entries('BTC-USDT', 'TRADE')
        const entered = entries.filter((entry) => entry.type === 'TRADE').map((entry) => Number(entry.id))
        expect(entered).to.deep.equal([...new Set(ids)].sort((left, right) => left - right))
        const told = entries.filter((entry) => entry.type === 'GAP').flatMap((entry) => range(entry.id))
        expect(new Set(told).size, 'no id is told twice').to.equal(told.length)
        expect(told).to.deep.equal(lost.toSorted((left, right) => left - right).filter((id) => id < Math.max(...ids)))
        world.dispatcher.close()
      }),
      { numRuns: 60 },
    )
  })
})

function range(text: string): number[] {
  const [from = 0, to = -1] = text.replace(/ .*/, '').split('-').map(Number)
  return Array.from({ length: to - from + 1 }, (_, index) => from + index)
}

interface Update {
  readonly first: number
  readonly last: number
  readonly bids: Level[]
}

/** A venue's book: updates of one to four ids, and the whole book after any of them. */
class VenueBook {
  readonly updates: Update[] = []
  #last = 100

  grow(count: number, price: (index: number) => number): void {
    for (let index = 0; index < count; index++) {
      const size = 1 + (price(index) % 4)
      const bids: Level[] = [[`${1 + (price(index) % 7)}.0`, `${price(index) % 3}.5`]]
      if (price(index) % 5 === 0) bids.push([`${1 + (price(index) % 6)}.0`, '0.0'])
      this.updates.push({ first: this.#last + 1, last: this.#last + size, bids })
      this.#last += size
    }
  }

  bookAt(last: number): Book {
    const book = new Book()
    for (const update of this.updates) if (update.last <= last) book.apply(update.bids, [])
    return book
  }
}

describe('books under drops, doubles, swaps and late snapshots', () => {
  it('ends with the venue book, and every hole is told with its range', async () => {
    const plan = fc.record({
      prices: fc.array(fc.nat(1000), { minLength: 40, maxLength: 40 }),
      lost: fc.uniqueArray(fc.integer({ min: 3, max: 30 }), { maxLength: 4 }),
      swaps: fc.array(fc.integer({ min: 3, max: 36 }), { maxLength: 5 }),
      doubles: fc.array(fc.integer({ min: 1, max: 36 }), { maxLength: 5 }),
      answerAfter: fc.integer({ min: 0, max: 6 }),
      lag: fc.integer({ min: 0, max: 3 }),
      failures: fc.array(fc.constantFrom('before' as const, 'after' as const, null), { maxLength: 10 }),
    })
    await fc.assert(
      fc.asyncProperty(plan, async ({ prices, lost, swaps, doubles, answerAfter, lag, failures }) => {
        const world = new World()
        const script = [...failures]
        world.bus.fail = () => script.shift() ?? null
        const venue = new VenueBook()
        venue.grow(40, (index) => prices[index] as number)
        let sent = venue.updates.map((_, index) => index).filter((index) => !lost.includes(index))
        for (const at of swaps) {
          if (sent[at] === undefined || sent[at + 1] === undefined) continue
          sent = sent.with(at, sent[at + 1] as number).with(at + 1, sent[at] as number)
        }
        for (const at of doubles) if (sent[at] !== undefined) sent.splice(at, 0, sent[at] as number)
        const asked = new Map<number, number>()
        const answer = async (index: number) => {
          for (const [request, since] of asked) if (index - since >= answerAfter) await reply(request, index)
          world.rest.snapshots.forEach((_, request) => {
            if (!asked.has(request)) asked.set(request, index)
          })
        }
        const answered = new Set<number>()
        const reply = async (request: number, index: number) => {
          if (answered.has(request)) return
          answered.add(request)
          const at = venue.updates[Math.max(0, Math.min(39, index - lag))] as Update
          const bids = venue.bookAt(at.last).topBids(100)
          world.rest.snapshots[request]?.answer(world.snapshot(at.last, 'BTCUSDT', bids))
          await world.settle()
        }
        for (const index of sent) {
          const update = venue.updates[index] as Update
          world.dispatcher.event(world.delta(update.first, update.last, 'BTCUSDT', update.bids))
          if (index % 3 === 0) await world.advance(100)
          await answer(index)
        }
        for (let turn = 0; turn < 60; turn++) {
          await world.advance(400)
          lag = 0
          await answer(39 + turn)
        }
        const newest = world.bus.entries('BTC-USDT', 'ORDERBOOK').at(-1)
        expect(newest?.type).to.not.equal('GAP')
        expect(Number(newest?.id)).to.equal(venue.updates.at(-1)?.last)
        checkBook(world, venue)
        world.dispatcher.close()
      }),
      { numRuns: 80 },
    )
  })
})

/** Reads the stream as a consumer does, by the wire contract, and compares with the venue after every entry. */
function checkBook(world: World, venue: VenueBook): void {
  const book = new Book()
  let have: number | null = null
  for (const entry of world.bus.entries('BTC-USDT', 'ORDERBOOK')) {
    if (entry.type === 'GAP') {
      const missing = range(entry.id)
      expect(missing[0]).to.equal((have as number) + 1)
      continue
    }
    const data = JSON.parse(entry.data) as { first: string; last: string; bids: Level[]; asks: Level[] }
    const last = Number(data.last)
    if (entry.type === 'SNAPSHOT') {
      book.replace(data.bids, [])
    } else {
      expect(Number(data.first)).to.be.at.most((have as number) + 1)
      expect(last).to.be.greaterThan(have as number)
      book.apply(data.bids, [])
    }
    have = last
    expect(book.topBids(100), `after ${last}`).to.deep.equal(venue.bookAt(last).topBids(100))
  }
}
