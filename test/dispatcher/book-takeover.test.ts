import { expect } from 'chai'
import { defaultDispatcherLimits } from '../../src/dispatcher/dispatcher.ts'
import { BTC, Story } from './story.ts'
import { info, tableOf, World } from './world.ts'

const { books } = defaultDispatcherLimits
const TOPICS = new Set(['btcusdt@depth@100ms', 'btcusdt@bookTicker'])

const entries = (world: World) => world.bus.append.entries('BINANCE-SPOT:BTC-USDT:ORDERBOOK')
const shown = ({ dispatcher }: World) => dispatcher.bookShown(BTC)

/** The process that had the book is gone; another one has it, over the same streams. */
function takenOver(story: Story): World {
  const { bus, standing, clock } = story.world
  story.world.dispatcher.close()
  const world = new World({ books, bus, standing })
  world.clock.advance(clock.monotonicMs() - world.clock.monotonicMs())
  story.world = world
  return world
}

describe('a book that another process took over', () => {
  it('inherits the doubt of the process before, is asked for at once, and is LIVE only behind the snapshot', async () => {
    const story = await Story.begin()
    story.change([['99.50', '1']], [], { bids: [['100.50', '1']] })
    await story.world.settle()
    const before = shown(story.world)
    expect(before).to.include({ quality: 'CROSSED', reason: 'crossed' })
    const world = takenOver(story)
    world.dispatcher.carry(TOPICS)
    await world.settle()
    expect(shown(world)).to.deep.equal(before)
    story.change([['99.98', '4']])
    await world.settle()
    expect(entries(world).at(-1)).to.include({ type: 'ORDERBOOK.DELTA', quality: 'CROSSED' })
    expect(world.dispatcher.stats().books.resyncs).to.deep.equal({ inherited: 1 })
    expect(world.qualities).not.to.include('BTC-USDT LIVE')
    story.answer()
    await world.settle()
    story.change([['99.97', '4']])
    await world.settle()
    expect(entries(world).slice(-2)).to.have.nested.property('[0].type', 'ORDERBOOK.SNAPSHOT')
    expect(entries(world).at(-1)).to.include({ quality: '' })
    expect(world.standing.get(BTC)).to.include({ quality: 'LIVE' })
  })

  it('stays in quarantine for the time that is left of it, and is tried then', async () => {
    const story = await Story.begin()
    await story.quarantine()
    const before = shown(story.world)
    expect(before).to.include({ quality: 'QUARANTINED' })
    await story.world.advance(100_000)
    const world = takenOver(story)
    world.dispatcher.carry(TOPICS)
    await world.settle()
    story.change([['99.98', '4']])
    await world.advance(190_000)
    expect(shown(world)).to.deep.equal(before)
    expect(entries(world).at(-1)).to.include({ quality: 'QUARANTINED' })
    expect(world.rest.snapshots).to.have.length(0)
    await world.advance(12_000)
    expect(world.rest.snapshots).to.have.length(1)
    story.answer()
    await world.settle()
    expect(shown(world)).to.include({ quality: 'LIVE' })
  })

  it('shows no quality of its own until the one said before could be read; a failed read is repeated', async () => {
    const story = await Story.begin()
    story.change([['99.50', '1']], [], { bids: [['100.50', '1']] })
    await story.world.settle()
    const world = takenOver(story)
    const answers = [() => Promise.reject(new Error('no connection')), async () => false, async () => true]
    world.readQualities = () => (answers.shift() as () => Promise<boolean>)()
    world.dispatcher.carry(TOPICS)
    story.change([['99.98', '4']])
    await world.settle()
    expect(entries(world).at(-1), 'nobody knows').to.include({ quality: 'SYNCING' })
    expect(world.standing.get(BTC)).to.include({ quality: 'CROSSED' })
    // One is refused, one is never answered.
    await world.advance(1_000)
    await world.advance(2_000)
    await world.advance(1_000)
    expect(world.qualityReads).to.deep.equal([1, 1, 1])
    expect(shown(world)).to.include({ quality: 'CROSSED' })
    expect(world.qualities.filter((word) => word !== 'BTC-USDT CROSSED crossed')).to.deep.equal([])
  })

  it('is LIVE at once when nothing spoke against it', async () => {
    const story = await Story.begin()
    const world = takenOver(story)
    world.dispatcher.carry(TOPICS)
    await world.settle()
    story.change([['99.98', '4']])
    await world.settle()
    expect(entries(world).at(-1)).to.include({ type: 'ORDERBOOK.DELTA', quality: '' })
    expect(shown(world)).to.include({ quality: 'LIVE' })
    expect(world.rest.snapshots).to.have.length(0)
  })

  it('is doubted too when the process before found something wrong only after its quality was read', async () => {
    const story = await Story.begin()
    const before = story.world
    const world = takenOver(story)
    world.dispatcher.carry(TOPICS)
    await world.settle()
    story.change([['99.98', '4']])
    await world.settle()
    const sinceUs = before.clock.nowUs()
    world.standing.set(BTC, { quality: 'GAPPED', reason: 'ticker', sinceUs })
    await world.advance(11_000)
    expect(shown(world)).to.deep.equal({ quality: 'GAPPED', reason: 'ticker', sinceUs })
    expect(world.dispatcher.stats().books.resyncs).to.include({ inherited: 1 })
  })

  it('is doubted by both processes that keep it, and the better quality of one does not hide the doubt of the other', async () => {
    const story = await Story.begin()
    const { world } = story
    world.covered = true
    const sinceUs = world.clock.nowUs()
    world.standing.set(BTC, { quality: 'CROSSED', reason: 'crossed', sinceUs })
    world.dispatcher.instrumentsChanged([info('BTC-USDT', 'HALT')])
    await world.settle()
    expect(world.standing.get(BTC)).to.deep.equal({ quality: 'CROSSED', reason: 'crossed', sinceUs })
    expect(shown(world)).to.include({ quality: 'CROSSED' })
    expect(world.dispatcher.stats().books.resyncs).to.deep.equal({ start: 1, inherited: 1 })
    story.answer()
    await world.settle()
    expect(world.standing.get(BTC)).to.include({ quality: 'HALTED' })
    // The other one knows less: that is left as it is.
    world.standing.set(BTC, { quality: 'STALE', reason: 'silent', sinceUs })
    await world.advance(11_000)
    expect(world.standing.get(BTC)).to.include({ quality: 'STALE' })
    // Its own doubt was covered all the same: it is said again.
    story.change([['99.50', '1']], [], { bids: [['100.50', '1']] })
    await world.settle()
    world.standing.set(BTC, { quality: 'LIVE', reason: '', sinceUs })
    await world.advance(11_000)
    expect(world.standing.get(BTC)).to.include({ quality: 'CROSSED' })
  })

  it('counts as blind until it is proved, and gets its snapshot from a share of requests of its own', async () => {
    const names = ['BTC', 'ETH', 'BNB', 'XRP', 'SOL', 'ADA', 'DOT', 'LTC', 'TRX', 'UNI']
    const table = tableOf(
      undefined,
      names.map((name) => info(`${name}-USDT`)),
    )
    const first = new World({ books, table })
    const stories = names.map((name) => new Story(first, `${name}USDT`))
    for (const story of stories) {
      story.change([['99.00', '2']])
      await first.settle()
      story.answer()
      await first.settle()
    }
    first.dispatcher.close()
    const limits = { ...books, refreshesPerMinuteMax: 0.5, blindPerMinuteMax: 4 }
    const world = new World({ books: limits, table, bus: first.bus, standing: first.standing })
    for (const story of stories) {
      story.world = world
      story.change([['99.98', '4']])
    }
    await world.settle()
    const { blind, checks } = world.dispatcher.stats().books
    expect([blind, checks.unchecked]).to.deep.equal([10, 10])
    for (let second = 0; second < 62; second++) {
      await world.advance(1_000)
      for (const { symbol, answer } of world.rest.snapshots.splice(0)) {
        const story = stories.find((one) => one.symbol === symbol)
        if (story !== undefined) answer(story.snapshot())
      }
    }
    await world.settle()
    expect(world.dispatcher.stats().books).to.deep.include({ blind: 2, resyncs: { blind: 8 } })
    for (const story of stories) story.change([['99.98', '5']])
    await world.settle()
    expect(world.dispatcher.stats().books.checks).to.include({ right: 8, unchecked: 12 })
  })

  it('is neither asked for nor spoken of by the process that gave it away', async () => {
    const story = await Story.begin()
    const { world } = story
    world.dispatcher.carry(TOPICS)
    await world.settle()
    world.dispatcher.carry(new Set())
    const said = world.qualities.length
    await world.advance(400_000)
    expect(world.rest.snapshots).to.have.length(1)
    story.change([['99.50', '1']], [], { bids: [['100.50', '1']] })
    await world.settle()
    expect(world.qualities).to.have.length(said)
  })

  it('begins without the old doubt where a process takes it back from somebody else', async () => {
    const story = await Story.begin()
    const { world } = story
    story.change([['99.50', '1']], [], { bids: [['100.50', '1']] })
    await world.settle()
    expect(shown(world)).to.include({ quality: 'CROSSED' })
    world.dispatcher.carry(new Set())
    world.standing.set(BTC, { quality: 'LIVE', reason: '', sinceUs: world.clock.nowUs() })
    world.dispatcher.carry(TOPICS)
    await world.settle()
    expect(shown(world)).to.include({ quality: 'LIVE' })
  })
})
