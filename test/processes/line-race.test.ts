import { expect } from 'chai'
import type { ChannelBatch, ChannelOutcome, PublishResult } from '../../src/bus/publish.ts'
import { Channel, Quality } from '../../src/domain/event.ts'
import { asInstrument, asMarket } from '../../src/domain/instrument.ts'
import { LineRace, type LostEvent } from '../../src/processes/line-race.ts'
import { metrics } from '../../src/telemetry/metrics.ts'
import { SentCopy } from '../support/sent-copy.ts'

const market = asMarket('RACE-SPOT')

function batch(channel: Channel, ids: readonly number[], source = 'race.ws.trade'): ChannelBatch {
  return {
    ...{ market, instrument: asInstrument('A-B'), channel, tableVersion: 1, numbering: 'trade', quality: Quality.Live },
    epoch: '',
    offers: ids.map((id) => ({
      ...{
        kind: 'TRADE',
        id: `${id}`,
        first: '',
        venueTimeUs: null,
        receivedTimeUs: id * 1_000_000,
        source,
        trace: '',
      },
      ...{ declare: '', refresh: false, data: '{}' },
    })),
  }
}

function result(verdicts: readonly (readonly [number, 'duplicate' | 'gapTold' | 'gap'])[]): PublishResult {
  const outcomes = verdicts.map(([index, verdict]) => ({ index, verdict, reason: null, error: null }))
  const channel: ChannelOutcome = { epoch: '1', epochChanged: false, have: '', joined: false, outcomes }
  return { greatestEntryMs: 0, run: 'r', channels: [channel], sent: new SentCopy([]) }
}

async function counted(channel: Channel): Promise<Record<string, number>> {
  const { values } = await metrics.lineOffers.get()
  const own = values.filter(({ labels }) => labels.market === market && labels.channel === channel)
  return Object.fromEntries(own.map(({ labels, value }) => [labels.outcome, value]))
}

describe('the race of two lines', () => {
  let race: LineRace
  let nowMs = 10_000
  const asked: LostEvent[] = []
  beforeEach(() => {
    asked.length = 0
    metrics.lineBehindSeconds.reset()
    race = new LineRace({
      nowMs: () => nowMs,
      winnerReceivedUs: async (event) => {
        asked.push(event)
        return event.receivedTimeUs - 20_000
      },
    })
  })
  afterEach(() => race.close())

  it('counts the copies that came first and those that another line had brought, answers of REST apart', async () => {
    race.published([batch(Channel.Trade, [1, 2, 3, 4])], result([[1, 'duplicate'] as const, [2, 'gapTold'] as const]))
    race.published([batch(Channel.Trade, [5, 6])], { ...result([]), channels: [null] })
    race.published([batch(Channel.Trade, [7], 'race.rest.trades')], result([[0, 'duplicate'] as const]))
    race.published([batch(Channel.Trade, [9])], result([[0, 'gap'] as const]))
    race.close()
    expect(await counted(Channel.Trade)).to.deep.equal({ won: 5, lost: 1 })
  })

  it('does not take for lost what this process offered before: again after an outage, or by a second connection', async () => {
    const all = (count: number) => result(Array.from({ length: count }, (_, index) => [index, 'duplicate'] as const))
    nowMs += 1_000
    race.published([batch(Channel.OrderBook, [1, 2, 3])], { ...result([]), channels: [null] })
    race.published([batch(Channel.OrderBook, [1, 2, 3])], all(3))
    race.published([batch(Channel.OrderBook, [3, 4, 4])], all(3))
    race.published([batch(Channel.OrderBook, [4, 5])], all(2))
    // Another instrument's ids, and the venue's that begin anew, are numbers of their own.
    race.published([{ ...batch(Channel.OrderBook, [1]), instrument: asInstrument('C-D') }], all(1))
    race.published([batch(Channel.OrderBook, [1, 2])], { ...result([]), channels: [null] })
    race.published([batch(Channel.OrderBook, [2, 3])], all(2))
    race.published([batch(Channel.Kline, [9, 9])], all(2))
    race.close()
    expect(await counted(Channel.OrderBook)).to.deep.equal({ won: 5, lost: 4 })
    expect(await counted(Channel.Kline)).to.deep.equal({})
  })

  it('has not offered less because REST filled an old gap since', async () => {
    const taken = { ...result([]), channels: [null] }
    metrics.lineOffers.reset()
    nowMs += 1_000
    race.published([batch(Channel.Trade, [50, 51, 52])], taken)
    race.published([batch(Channel.Trade, [10, 11], 'race.rest.trades')], taken)
    race.published([batch(Channel.Trade, [51, 52])], result([[0, 'duplicate'] as const, [1, 'duplicate'] as const]))
    race.close()
    expect(await counted(Channel.Trade)).to.deep.equal({ won: 3 })
  })

  it('measures by how much the other line was ahead, of one lost trade a second', async () => {
    nowMs += 1_000
    race.published([batch(Channel.Trade, [1, 2])], result([[0, 'duplicate'] as const, [1, 'duplicate'] as const]))
    race.published([batch(Channel.Quote, [3])], result([[0, 'duplicate'] as const]))
    await new Promise((resolve) => setImmediate(resolve))
    expect(asked.map(({ id }) => id)).to.deep.equal(['1'])
    const { values } = await metrics.lineBehindSeconds.get()
    const sum = values.find(({ labels, metricName }) => labels.market === market && metricName?.endsWith('_sum'))
    expect(sum?.value).to.be.closeTo(0.02, 1e-9)
  })
})
