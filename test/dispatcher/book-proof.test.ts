import { expect } from 'chai'
import { defaultDispatcherLimits } from '../../src/dispatcher/dispatcher.ts'
import { Book } from '../../src/domain/book/book.ts'
import type { Level } from '../../src/domain/event.ts'
import type { VenueBookSnapshot } from '../../src/venues/venue.ts'
import { BTC, Story } from './story.ts'
import { allRules, info, tableOf, World } from './world.ts'

const limits = defaultDispatcherLimits

const entries = (world: World, instrument = 'BTC-USDT') =>
  world.bus.append.entries(`BINANCE-SPOT:${instrument}:ORDERBOOK`)

describe('a book that is proved', () => {
  it('stays LIVE while every delta agrees with the ticker', async () => {
    const story = await Story.begin()
    for (let round = 1; round < 50; round++) {
      story.change([['100.00', `${round}.5`]], [['100.02', `${round}`]])
      await story.world.advance(100)
    }
    const { checks, mismatches, resyncs } = story.world.dispatcher.stats().books
    expect(checks).to.include({ wrong: 0, doubtful: 0 })
    expect(checks.right).to.be.greaterThan(48)
    expect([mismatches, resyncs]).to.deep.equal([{}, { start: 1 }])
    expect(new Set(entries(story.world).map(({ quality }) => quality))).to.deep.equal(new Set(['']))
    expect(story.world.qualities).to.deep.equal(['BTC-USDT SYNCING start', 'BTC-USDT LIVE'])
  })

  it('is GAPPED within two deltas of a wrong quantity, resynchronised, and LIVE again; nobody else is touched', async () => {
    const story = await Story.begin()
    const { world } = story
    const other = new Story(world, 'ETHUSDT')
    other.change([['99.00', '2']])
    await world.settle()
    other.answer()
    await world.settle()
    story.change([['100.00', '2.5']], [], { bids: [['100.00', '25']] })
    await world.advance(100)
    expect(world.dispatcher.bookShown(BTC)?.quality, 'one alone, by time').to.equal('LIVE')
    story.change([], [['100.01', '7']])
    await world.advance(100)
    expect(world.rest.snapshots).to.have.length(3)
    story.change([['99.98', '8']])
    other.change([['100.00', '4']])
    await world.settle()
    expect(entries(world).at(-1)).to.include({ type: 'ORDERBOOK.DELTA', quality: 'GAPPED' })
    story.answer()
    await world.settle()
    story.change([['99.97', '8']])
    await world.settle()
    const told = entries(world).map(({ type, venueSeq, quality }) => `${type.slice(10)} ${venueSeq} ${quality}`.trim())
    expect(told.slice(2)).to.deep.equal(['DELTA 9', 'DELTA 12', 'DELTA 15 GAPPED', 'SNAPSHOT 15', 'DELTA 18'])
    expect(world.dispatcher.bookShown(BTC)?.quality).to.equal('LIVE')
    expect(world.dispatcher.stats().books.resyncs).to.deep.equal({ start: 2, ticker: 1 })
    expect(world.incidents.map(({ kind }) => kind)).to.deep.equal(['book-suspect', 'book-mismatch', 'book-resync'])
    expect(new Set(entries(world, 'ETH-USDT').map(({ quality }) => quality))).to.deep.equal(new Set(['']))
    expect(readers(world)).to.deep.equal(story.book.topBids(20))
  })

  it('is proved also where nobody is subscribed to QUOTE, by tickers that enter no stream', async () => {
    const table = tableOf(allRules.filter(({ type }) => type === 'ORDERBOOK'))
    const story = await Story.begin({ table })
    const { world } = story
    for (let round = 1; round < 10; round++) story.change([['100.00', `${round}.5`]])
    await world.settle()
    expect(world.dispatcher.stats().books.checks).to.include({ right: 10, wrong: 0 })
    story.change([['100.00', '2.5']], [], { bids: [['100.00', '25']] })
    story.change([], [['100.01', '7']])
    await world.advance(100)
    expect(world.dispatcher.bookShown(BTC)).to.include({ quality: 'GAPPED', reason: 'ticker' })
    expect(world.bus.ids('BTC-USDT', 'QUOTE')).to.deep.equal([])
    expect(world.letters).to.deep.equal([])
  })

  it('is STALE also where nobody is subscribed to QUOTE', async () => {
    const table = tableOf(allRules.filter(({ type }) => type === 'ORDERBOOK'))
    const story = await Story.begin({ table, books: { ...limits.books, refreshMs: 3_600_000 } })
    await story.world.advance(301_000)
    story.ticker(1)
    await story.world.advance(1_000)
    expect(story.world.dispatcher.bookShown(BTC)).to.include({ quality: 'STALE', reason: 'silent' })
  })

  it('goes on being proved by the same tickers when nobody wants QUOTE any more, and when somebody does again', async () => {
    const story = await Story.begin()
    const { world } = story
    const table = tableOf()
    const quotes = world.bus.ids('BTC-USDT', 'QUOTE').length
    world.dispatcher.useTable({ ...tableOf(allRules.filter(({ type }) => type !== 'QUOTE')), version: 2 })
    for (let round = 1; round < 10; round++) story.change([['100.00', `${round}.5`]])
    await world.settle()
    expect(world.bus.ids('BTC-USDT', 'QUOTE')).to.have.length(quotes)
    world.dispatcher.useTable({ ...table, version: 3 })
    for (let round = 1; round < 10; round++) story.change([['100.00', `${round}.25`]])
    await world.settle()
    expect(world.dispatcher.stats().books.checks).to.include({ right: 19, wrong: 0, doubtful: 0 })
    // The gap of what nobody subscribed to, and what came since.
    expect(world.bus.ids('BTC-USDT', 'QUOTE').length - quotes).to.be.within(9, 10)
  })

  it('is not judged by old tickers once its connection brings none any more', async () => {
    const available = tableOf().topics.filter((topic) => !topic.endsWith('@bookTicker'))
    const story = await Story.begin()
    const { world } = story
    const table = tableOf()
    const change = async (at: number): Promise<void> => {
      story.change([['100.00', `${at}.5`]], [['100.02', `${at}`]])
      await world.advance(100)
    }
    world.dispatcher.useTable({ ...tableOf(allRules, undefined, available), version: 2 })
    for (let round = 1; round < 20; round++) await change(round)
    const { checks } = world.dispatcher.stats().books
    expect(checks).to.include({ wrong: 0, doubtful: 0 })
    expect(checks.unchecked).to.be.greaterThan(18)
    world.dispatcher.useTable({ ...table, version: 3 })
    for (let round = 20; round < 30; round++) await change(round)
    const { checks: after, mismatches } = world.dispatcher.stats().books
    expect([after.right - checks.right, after.wrong, mismatches]).to.deep.equal([10, 0, {}])
    expect(world.qualities).to.deep.equal(['BTC-USDT SYNCING start', 'BTC-USDT LIVE'])
  })

  it('is suspect only until the next delta where that tells the level anew', async () => {
    const story = await Story.begin()
    story.change([['100.00', '2.5']], [], { bids: [['100.00', '25']] })
    story.ticker(1)
    story.ticker(2)
    await story.world.advance(100)
    expect(story.world.dispatcher.bookShown(BTC)?.quality).to.equal('GAPPED')
    story.change([['100.00', '3']])
    await story.world.advance(100)
    expect(story.world.dispatcher.bookShown(BTC)?.quality).to.equal('LIVE')
    expect(story.world.rest.snapshots).to.have.length(1)
    expect(story.world.incidents.map(({ kind }) => kind)).to.deep.equal(['book-suspect'])
    // The wrong level may lie deeper now, where no ticker shows it.
    await story.world.advance(1_000)
    expect(story.world.dispatcher.stats().books.resyncs).to.deep.equal({ start: 1, suspect: 1 })
  })

  it('is CROSSED at once, and takes no answer that may hold what is wrong', async () => {
    const story = await Story.begin()
    const { world } = story
    const old = story.snapshot()
    story.change([['99.50', '1']], [], { bids: [['100.50', '1']] })
    await world.settle()
    expect(world.dispatcher.bookShown(BTC)?.quality).to.equal('CROSSED')
    story.answer(old)
    await world.advance(200)
    expect(world.rest.snapshots).to.have.length(3)
    story.answer()
    await world.settle()
    expect(entries(world).at(-1)).to.include({ type: 'ORDERBOOK.SNAPSHOT', quality: '', venueSeq: `${story.last}` })
    expect(world.dispatcher.bookShown(BTC)?.quality).to.equal('LIVE')
    expect(readers(world)).to.deep.equal(story.book.topBids(20))
  })

  it('is left alone after five mismatches, with an alarm, and tried again when that is over', async () => {
    const story = await Story.begin()
    const { world } = story
    await story.quarantine()
    expect(world.dispatcher.bookShown(BTC)?.quality).to.equal('QUARANTINED')
    expect(world.dispatcher.stats().books).to.include({ quarantines: 1 })
    expect(world.incidents.at(-1)?.kind).to.equal('book-quarantined')
    const asked = world.rest.snapshots.length
    story.change([['99.40', '1']])
    await world.advance(200_000)
    expect(world.rest.snapshots).to.have.length(asked)
    expect(entries(world).at(-1)).to.include({ quality: 'QUARANTINED' })
    await world.advance(101_000)
    expect(world.rest.snapshots).to.have.length(asked + 1)
    story.answer()
    await world.settle()
    expect(world.dispatcher.bookShown(BTC)?.quality).to.equal('LIVE')
    expect(world.incidents.some(({ kind }) => kind === 'book-released')).to.equal(true)
  })

  it('is out of quarantine at once when an operator asks for it, and not because a conductor doubts it', async () => {
    const story = await Story.begin()
    const { world } = story
    await story.quarantine()
    const asked = world.rest.snapshots.length
    let done = false
    world.dispatcher.resync(BTC, false, () => {})
    await world.advance(5_000)
    expect([world.dispatcher.bookShown(BTC)?.quality, world.rest.snapshots.length]).to.deep.equal([
      'QUARANTINED',
      asked,
    ])
    world.dispatcher.resync(BTC, true, () => {
      done = true
    })
    await world.settle()
    expect(world.rest.snapshots).to.have.length(asked + 1)
    expect(world.incidents.some(({ kind }) => kind === 'book-released')).to.equal(true)
    expect(world.dispatcher.bookShown(BTC)?.quality, 'until it has come').to.equal('CROSSED')
    story.answer()
    await world.settle()
    expect([done, world.dispatcher.bookShown(BTC)?.quality]).to.deep.equal([true, 'LIVE'])
    for (let failure = 1; failure <= 4; failure++) {
      await story.mismatch()
      story.answer()
      await world.settle()
    }
    expect(world.dispatcher.bookShown(BTC)?.quality, 'it counts anew').to.equal('LIVE')
  })

  it('gets a snapshot every three minutes, rolled forward to the delta it stands behind', async () => {
    const story = await Story.begin()
    const { world } = story
    await world.advance(181_000)
    expect(world.rest.snapshots).to.have.length(2)
    story.change([['100.00', '4']])
    const snapshot = story.snapshot()
    for (const quantity of ['5', '6', '0']) story.change([['99.99', quantity]], [['100.01', `${quantity}.5`]])
    await world.settle()
    story.answer(snapshot)
    await world.settle()
    const newest = entries(world).at(-1)
    expect(newest).to.include({ type: 'ORDERBOOK.SNAPSHOT', venueSeq: `${story.last}`, quality: '' })
    const { bids, asks } = JSON.parse(newest?.data ?? '{}')
    expect([bids, asks]).to.deep.equal([story.book.topBids(1000), story.book.topAsks(1000)])
    expect(world.dispatcher.stats().books.mismatches).to.deep.equal({})
    expect(world.dispatcher.stats().snapshotRequests).to.equal(2)
  })

  it('is compared with the venue when a delta is odd, and found wrong only where the venue says so', async () => {
    const story = await Story.begin()
    const { world } = story
    world.dispatcher.instrumentsChanged([info('BTC-USDT')])
    // An old order beside the tick of today, and what it leaves of a new one.
    story.change([['99.985', '2.000001']])
    await world.advance(1_000)
    expect(world.dispatcher.stats().books).to.deep.include({
      ...{ oddities: { tick: 1, step: 1, time: 0 }, resyncs: { start: 1, suspect: 1 }, mismatches: {} },
    })
    expect(world.dispatcher.bookShown(BTC)?.quality).to.equal('LIVE')
    expect(world.incidents.map(({ kind }) => kind)).to.deep.equal(['book-odd'])
    story.answer()
    await world.settle()
    for (let round = 0; round < 5; round++) {
      story.change([['99.984', `${round + 1}.000001`]])
      await world.advance(1_000)
    }
    expect(world.dispatcher.stats().books.resyncs, 'seen to be so').to.deep.equal({ start: 1, suspect: 1 })
    expect(world.dispatcher.stats().books.mismatches).to.deep.equal({})
    world.dispatcher.instrumentsChanged([{ ...info('BTC-USDT'), tickSize: '0.001' }])
    story.change([['99.70', '6']], [], { bids: [['99.70', '6.000001']] })
    await world.advance(1_000)
    story.answer()
    await world.settle()
    expect(world.dispatcher.stats().books).to.deep.include({
      ...{ resyncs: { start: 1, suspect: 2 }, mismatches: { audit: 1 } },
    })
    expect(readers(world)).to.deep.equal(story.book.topBids(20))
  })

  it('is asked for at growing intervals while the venue answers with what is no book, and each such answer is told and counted', async () => {
    const world = new World({ books: limits.books })
    const story = new Story(world)
    story.change([['99.00', '2']])
    await world.settle()
    const { bids, asks, ...rest } = story.snapshot()
    const odd: VenueBookSnapshot[] = [
      { ...rest, bids: asks, asks: bids },
      { ...rest, bids: [...bids].reverse(), asks },
      { ...rest, bids: [], asks: [], last: -1 },
    ]
    let tried = 0
    for (let second = 0; second < 600; second++) {
      if (world.rest.snapshots.length > tried) story.answer(odd[tried++ % odd.length])
      await world.advance(1_000)
    }
    // 0.2 s, doubled up to a minute, and every minute from then on.
    expect(tried).to.be.within(16, 19)
    expect(world.dispatcher.stats()).to.include({ snapshotsOdd: tried })
    expect(world.incidents.filter(({ kind }) => kind === 'snapshot-odd')).to.have.length(tried)
    await world.advance(60_000)
    story.answer()
    await world.settle()
    expect(world.dispatcher.bookShown(BTC)?.quality).to.equal('LIVE')
  })

  it('waits with the snapshot until the stream is where it stands', async () => {
    const story = await Story.begin()
    const { world } = story
    await world.advance(181_000)
    // Inside the delta that is still to come.
    story.answer({ ...story.snapshot(), last: story.last + 2 })
    await world.settle()
    expect(entries(world).filter(({ type }) => type === 'ORDERBOOK.SNAPSHOT')).to.have.length(1)
    story.change([['100.00', '4']])
    await world.settle()
    expect(entries(world).at(-1)).to.include({ type: 'ORDERBOOK.SNAPSHOT', venueSeq: `${story.last}` })
  })

  it('that differs from the venue deep down is wrong, and put right by that very snapshot', async () => {
    const story = await Story.begin()
    const { world } = story
    story.change([['99.70', '6']], [], { bids: [['99.70', '60']] })
    await world.advance(181_000)
    expect(world.dispatcher.stats().books.mismatches).to.deep.equal({})
    story.answer()
    await world.settle()
    expect(world.dispatcher.stats().books.mismatches).to.deep.equal({ audit: 1 })
    expect(world.dispatcher.bookShown(BTC)?.quality).to.equal('LIVE')
    expect(readers(world)).to.deep.equal(story.book.topBids(20))
  })

  it('tells a hole that nothing else showed when the venue is ahead and its deltas do not come', async () => {
    const story = await Story.begin()
    const { world } = story
    await world.advance(181_000)
    const from = story.last + 1
    story.last += 10
    story.answer()
    await world.advance(6_500)
    await world.advance(1_000)
    await world.settle()
    const told = world.bus.ids('BTC-USDT', 'ORDERBOOK').slice(-2)
    expect(told).to.deep.equal([`GAP ${from}-${story.last} lost`, `SNAPSHOT ${story.last}`])
    expect(world.dispatcher.bookShown(BTC)?.quality).to.equal('LIVE')
  })

  /** An answer waits for its place, `short` updates before the end of a hole of ten, and then the delta behind that comes. */
  async function answerBeforeHole({ short = 0, answered = (_: Story): void => {} } = {}) {
    const story = await Story.begin()
    const { world } = story
    await world.advance(181_000)
    const [from, asked] = [story.last + 1, world.rest.snapshots.length]
    story.last += 10
    story.answer({ ...story.snapshot(), last: story.last - short })
    await world.settle()
    answered(story)
    story.change([['100.00', '4']])
    await world.advance(150)
    await world.settle()
    return { story, from, asked }
  }

  it('is joined anew by the answer that it had in hand when the hole below it showed, without asking again', async () => {
    const { story, from, asked } = await answerBeforeHole()
    const { world } = story
    const told = world.bus.ids('BTC-USDT', 'ORDERBOOK').slice(-3)
    expect(told).to.deep.equal([`GAP ${from}-${from + 9} lost`, `SNAPSHOT ${from + 9}`, `DELTA ${story.last}`])
    expect(world.rest.snapshots).to.have.length(asked)
    expect(world.dispatcher.bookShown(BTC)?.quality).to.equal('LIVE')
    expect(readers(world)).to.deep.equal(story.book.topBids(20))
  })

  it('says on the entry of such an answer what is known of the market', async () => {
    const { story } = await answerBeforeHole({
      answered: ({ world }) => world.dispatcher.instrumentsChanged([info('BTC-USDT', 'HALT')]),
    })
    const { world } = story
    const told = entries(world).map(({ type, quality }) => `${type.slice(10)} ${quality}`)
    expect(told.slice(-2)).to.deep.equal(['SNAPSHOT HALTED', 'DELTA HALTED'])
  })

  it('asks again when the answer that it had in hand lies inside the hole', async () => {
    const { story, asked } = await answerBeforeHole({ short: 5 })
    const { world } = story
    expect(world.rest.snapshots).to.have.length(asked + 1)
    story.answer()
    await world.settle()
    expect(world.dispatcher.bookShown(BTC)?.quality).to.equal('LIVE')
    expect(readers(world)).to.deep.equal(story.book.topBids(20))
  })

  it('forgets an answer that waited for its place when a newer one joins the book after an interruption', async () => {
    const story = await Story.begin()
    const { world } = story
    await world.advance(181_000)
    story.answer({ ...story.snapshot(), last: story.last + 2 })
    await world.settle()
    world.interrupted('btcusdt@depth@100ms')
    world.dispatcher.resync(BTC, false, () => {})
    await world.settle()
    story.answer()
    await world.settle()
    story.change([['100.00', '4']])
    await world.settle()
    const asked = world.rest.snapshots.length
    await world.advance(181_000)
    expect(world.rest.snapshots, 'the next refresh').to.have.length(asked + 1)
    story.answer()
    await world.settle()
    expect(entries(world).at(-1)).to.include({ type: 'ORDERBOOK.SNAPSHOT', venueSeq: `${story.last}` })
  })

  it('is STALE when no delta comes for five minutes although the ticker moves', async () => {
    const story = await Story.begin({ books: { ...limits.books, refreshMs: 3_600_000 } })
    const { world } = story
    for (let minute = 1; minute <= 5; minute++) {
      await world.advance(61_000)
      story.last++
      story.ticker()
    }
    await world.advance(2_000)
    expect(world.dispatcher.bookShown(BTC)?.quality).to.equal('STALE')
    expect(world.dispatcher.stats().books.resyncs).to.include({ silent: 1 })
    story.answer()
    await world.advance(7_000)
    await world.advance(1_000)
    story.change([['100.00', '9']])
    await world.advance(1_000)
    expect(world.dispatcher.bookShown(BTC)?.quality).to.equal('LIVE')
    expect(world.bus.ids('BTC-USDT', 'ORDERBOOK').at(-3)).to.match(/^GAP/)
    expect(readers(world)).to.deep.equal(story.book.topBids(20))
  })

  it('is not STALE because its market is quiet', async () => {
    const story = await Story.begin({ books: { ...limits.books, refreshMs: 3_600_000 } })
    await story.world.advance(400_000)
    expect(story.world.dispatcher.bookShown(BTC)?.quality).to.equal('LIVE')
  })

  it('is asked for again when its top nears the end of what is known', async () => {
    const story = await Story.begin({}, 55)
    const { world } = story
    const gone = story.book.topBids(8).map(([price]): Level => [price, '0'])
    story.change(gone)
    await world.advance(1_100)
    expect(world.dispatcher.stats().books.resyncs).to.deep.equal({ start: 1, edge: 1 })
    expect(world.incidents).to.deep.equal([])
  })

  it('asks no more often for what can wait than its share allows', async () => {
    const story = await Story.begin({ books: { ...limits.books, refreshMs: 1_000, refreshesPerMinuteMax: 2 } })
    const { world } = story
    for (let second = 0; second < 60; second++) {
      story.change([['99.99', `${second + 1}`]])
      story.answer()
      await world.advance(1_000)
    }
    expect(world.dispatcher.stats().books.resyncs.refresh).to.be.within(2, 4)
  })
})

/** The best bids as a reader of the stream has them, who takes every entry as the contract says. */
function readers(world: World): Level[] {
  const book = new Book()
  for (const { type, data } of entries(world)) {
    const { bids, asks } = JSON.parse(data)
    if (type === 'ORDERBOOK.SNAPSHOT') book.replace(bids, asks)
    else if (type === 'ORDERBOOK.DELTA') book.apply(bids, asks)
  }
  return book.topBids(20)
}
