import { expect } from 'chai'
import type { OpenBars, OpenTradeGap } from '../../src/bus/open-gaps.ts'
import { Adoption } from '../../src/dispatcher/adoption.ts'
import { asInstrument } from '../../src/domain/instrument.ts'
import { ManualClock } from '../../src/lib/clock.ts'

describe('gaps that others told and left open', () => {
  const btc = asInstrument('BTC-USDT')
  const SECOND_US = 1_000_000

  function looking(open: () => readonly OpenTradeGap[]) {
    const clock = new ManualClock()
    const filled: number[] = []
    const errors: unknown[] = []
    let here = [btc]
    const adoption = new Adoption({
      reader: {
        openTradeGaps: async (instruments) => open().filter((gap) => instruments.includes(gap.instrument)),
        openBars: async () => [],
      },
      clock,
      instruments: () => here,
      fill: ({ from }) => filled.push(from),
      ...{ barLines: () => [], fillBars: () => {}, barAgeMsMax: 600_000 },
      failed: (error) => errors.push(error),
    })
    const gap = (from: number, ageSeconds: number): OpenTradeGap => ({
      ...{ instrument: btc, from, to: from + 9 },
      openedAtUs: clock.nowUs() - ageSeconds * SECOND_US,
    })
    return {
      adoption,
      filled,
      errors,
      gap,
      goTo: (instruments: (typeof btc)[]) => {
        here = instruments
      },
    }
  }

  it('are filled when the instrument has just come here', async () => {
    const open: OpenTradeGap[] = []
    const { adoption, filled, gap } = looking(() => open)
    open.push(gap(100, 4), gap(200, 3_600))
    await adoption.look()
    expect(filled).to.deep.equal([100, 200])
    adoption.close()
  })

  it('are left to the process that told them while they are young, and looked at again', async () => {
    const open: OpenTradeGap[] = []
    const { adoption, filled, gap } = looking(() => open)
    open.push(gap(100, 1))
    await adoption.look()
    expect(filled).to.deep.equal([])
    open[0] = gap(100, 6)
    await adoption.look()
    expect(filled).to.deep.equal([100])
    adoption.close()
  })

  it('are left to this process when it told them itself, and taken up when nobody filled them for a minute', async () => {
    const open: OpenTradeGap[] = []
    const { adoption, filled, gap } = looking(() => open)
    await adoption.look()
    open.push(gap(100, 30), gap(200, 61))
    await adoption.look()
    expect(filled).to.deep.equal([200])
    adoption.close()
  })

  it('are of nobody here after the instrument has gone, and orphans again when it comes back', async () => {
    const open: OpenTradeGap[] = []
    const { adoption, filled, gap, goTo } = looking(() => open)
    await adoption.look()
    goTo([])
    open.push(gap(100, 5))
    await adoption.look()
    expect(filled).to.deep.equal([])
    goTo([btc])
    await adoption.look()
    expect(filled).to.deep.equal([100])
    adoption.close()
  })

  it('are looked for again when the ledgers could not be read', async () => {
    let broken = true
    const { adoption, filled, errors, gap } = looking(() => {
      if (broken) throw new Error('away')
      return [gap(100, 5)]
    })
    await adoption.look()
    broken = false
    await adoption.look()
    expect([errors.length, filled]).to.deep.equal([1, [100]])
    adoption.close()
  })
})

describe('bars that others were fetching', () => {
  const instrument = asInstrument('BTC-USDT')

  it('are looked for one time, 15 s after their line came here, and again where that failed', async () => {
    const clock = new ManualClock()
    const asked: string[] = []
    const errors: unknown[] = []
    const filled: OpenBars[] = []
    let intervals = ['1m']
    let broken = true
    const bars = { fromOpenTimeUs: 1, toOpenTimeUs: 2, newestOpenTimeUs: 3 }
    const adoption = new Adoption({
      reader: {
        openTradeGaps: async () => [],
        openBars: async (lines, ageUs) => {
          asked.push(`${lines.map(({ interval }) => interval)} ${ageUs}`)
          if (broken) throw new Error('away')
          return lines.map((line) => ({ ...line, ...bars }))
        },
      },
      ...{ clock, instruments: () => [], fill: () => {} },
      barLines: () => intervals.map((interval) => ({ instrument, interval })),
      ...{ fillBars: (open) => filled.push(open), barAgeMsMax: 600_000, failed: (error) => errors.push(error) },
    })
    const pass = async (seconds: number) => {
      for (let second = 0; second < seconds; second++) {
        clock.advance(1_000)
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    await pass(18)
    expect(asked, 'it came at the first look, after 3.5 s').to.deep.equal([])
    await pass(5)
    expect([asked.length, errors.length]).to.deep.equal([1, 1])
    broken = false
    asked.length = 0
    await pass(5)
    intervals = ['1m', '5m']
    await pass(60)
    expect(asked).to.deep.equal(['1m 600000000', '5m 600000000'])
    expect(filled.map(({ interval }) => interval)).to.deep.equal(['1m', '5m'])
    asked.length = 0
    intervals = ['5m']
    await pass(10)
    intervals = ['1m', '5m']
    await pass(60)
    expect(asked, 'one that went and came back').to.deep.equal(['1m 600000000'])
    adoption.close()
  })
})
