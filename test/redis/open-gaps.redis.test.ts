import { expect } from 'chai'
import type { OpenTradeGap } from '../../src/bus/open-gaps.ts'
import type { Offer } from '../../src/bus/publish.ts'
import { asInstrument, asMarket } from '../../src/domain/instrument.ts'
import { RedisEventBus } from '../../src/redis/event-bus.ts'
import { RedisOpenGaps } from '../../src/redis/open-gaps.ts'
import { useKeyspace } from '../support/keyspace.ts'
import { bar, batch, trade } from '../support/offers.ts'

const market = asMarket('BINANCE-SPOT')
const instrument = asInstrument('BTC-USDT')

describe('what is open in the streams', () => {
  const space = useKeyspace()
  let bus: RedisEventBus
  let openGaps: RedisOpenGaps

  beforeEach(() => {
    const { connection, keys } = space
    bus = new RedisEventBus({ connection, keys, retention: {} })
    openGaps = new RedisOpenGaps(connection, keys, market)
  })

  const offer = (...offers: Offer[]) => bus.publish([batch(offers)])
  const openTimeUs = (number: number) => Number(bar(number, 1, false).first.split('@')[0])
  /** As numbers of bars: the first and the last one, and the newest. */
  const openBars = async (ageBars: number) => {
    const [line] = [{ instrument, interval: '1m' }]
    const found = await openGaps.openBars([line], openTimeUs(ageBars) - openTimeUs(0))
    const numberOf = (timeUs: number) => (timeUs - openTimeUs(0)) / (openTimeUs(1) - openTimeUs(0))
    return found.map((bars) => [bars.fromOpenTimeUs, bars.toOpenTimeUs + 1, bars.newestOpenTimeUs].map(numberOf))
  }

  it('are the ranges of trades that were told and not filled', async () => {
    const beforeUs = Date.now() * 1_000
    await offer(trade(1), trade(5, 0, { declare: 'lost' }), trade(9, 0, { declare: 'lost' }))
    const ranges = (gaps: readonly OpenTradeGap[]) => gaps.map(({ from, to }) => [from, to])
    const gaps = await openGaps.openTradeGaps([asInstrument('ETH-USDT'), instrument])
    expect(ranges(gaps)).to.deep.equal([
      [2, 4],
      [6, 8],
    ])
    for (const { openedAtUs } of gaps) expect(openedAtUs).to.be.within(beforeUs, (Date.now() + 1) * 1_000)
    await offer(...[2, 3, 4].map((id) => trade(id, 0, { source: 'binance.rest.historicalTrades' })))
    expect(ranges(await openGaps.openTradeGaps([instrument]))).to.deep.equal([[6, 8]])
  })

  it('are no bars where the stream has closed each before the newest, or has just begun', async () => {
    await offer(bar(5, 2, false), bar(6, 1, false))
    expect(await openBars(10)).to.deep.equal([])
    await offer(bar(6, 2, true), bar(7, 1, true), bar(8, 1, false))
    expect(await openBars(10)).to.deep.equal([])
  })

  it('are the bars before the newest that it has not closed, from the first to the last', async () => {
    await offer(bar(5, 2, true), bar(6, 1, false), bar(7, 1, false))
    expect(await openBars(10)).to.deep.equal([[6, 7, 7]])
    await offer(bar(7, 2, true), bar(9, 2, true), bar(12, 1, false))
    expect(await openBars(10)).to.deep.equal([[6, 12, 12]])
    await offer(bar(6, 3, true), bar(8, 3, true))
    expect(await openBars(10)).to.deep.equal([[10, 12, 12]])
  })

  it('are no bars that ended too long ago', async () => {
    await offer(bar(5, 2, true), bar(40, 2, true), bar(41, 1, false))
    expect(await openBars(10)).to.deep.equal([[30, 40, 41]])
    await offer(...Array.from({ length: 12 }, (_, at) => bar(41 + at, 2, true)), bar(53, 1, false))
    expect(await openBars(10)).to.deep.equal([])
  })
})
