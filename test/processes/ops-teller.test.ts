import { expect } from 'chai'
import { ManualClock } from '../../src/lib/clock.ts'
import { opsTeller } from '../../src/processes/ops-teller.ts'
import type { OpsEvent } from '../../src/redis/ops-log.ts'
import { directLossMetrics } from '../../src/telemetry/loss-metrics.ts'

describe('what operators are told', () => {
  function telling() {
    const clock = new ManualClock()
    const told: OpsEvent[] = []
    const tell = opsTeller({ append: async (event) => void told.push(event) }, 'worker-1', clock)
    const quarantined = (instrument: string) =>
      tell({ kind: 'book-quarantined', severity: 'error', message: 'left alone', instrument })
    const facts = () => told.map((event) => JSON.parse(event.facts) as { instrument?: string; suppressed?: number })
    return { clock, told, tell, quarantined, facts }
  }

  it('names every one of ten books that are quarantined within a second', () => {
    const { quarantined, facts } = telling()
    const instruments = Array.from({ length: 10 }, (_, at) => `COIN${at}-USDT`)
    for (const instrument of instruments) quarantined(instrument)
    expect(facts().map(({ instrument }) => instrument)).to.deep.equal(instruments)
  })

  it('is one entry a second of a kind and instrument, and the next says how many were left out', async () => {
    const { clock, quarantined, facts } = telling()
    const before = (await directLossMetrics.opsSuppressed.get()).values[0]?.value ?? 0
    for (let time = 0; time < 5; time++) quarantined('BTC-USDT')
    expect(facts()).to.deep.equal([{ instrument: 'BTC-USDT' }])
    clock.advance(1_000)
    for (let time = 0; time < 2; time++) quarantined('BTC-USDT')
    expect(facts().slice(1)).to.deep.equal([{ instrument: 'BTC-USDT', suppressed: 4 }])
    expect(((await directLossMetrics.opsSuppressed.get()).values[0]?.value ?? 0) - before).to.equal(5)
  })

  it('stays readable in a storm over all instruments, which hides no other kind', () => {
    const { clock, told, tell, quarantined, facts } = telling()
    for (let at = 0; at < 5_000; at++) quarantined(`COIN${at}-USDT`)
    tell({ kind: 'saturated', severity: 'warning', message: 'full' })
    expect(told).to.have.length(51)
    expect(told.at(-1)?.kind).to.equal('saturated')
    clock.advance(1_000)
    quarantined('COIN4999-USDT')
    expect(facts().at(-1)).to.deep.equal({ instrument: 'COIN4999-USDT', suppressed: 4_950 })
  })
})
