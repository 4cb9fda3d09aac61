import { expect } from 'chai'
import { exportDispatcherMetrics } from '../../src/dispatcher/export-metrics.ts'
import { asInstrument } from '../../src/domain/instrument.ts'
import { registry } from '../../src/telemetry/metrics.ts'
import { unproved, World } from './world.ts'

describe('what finds no room beside a book', () => {
  it('is counted: deltas recorded for a snapshot that is under way, and requests for a snapshot', async () => {
    const world = new World({ books: { ...unproved, recordedMax: 10 } })
    const end = exportDispatcherMetrics(world.dispatcher)
    world.dispatcher.event(world.delta(1, 1))
    await world.settle()
    world.rest.snapshots[0]?.answer(world.snapshot(1))
    await world.settle()
    let answered = 0
    for (let wish = 0; wish < 102; wish++) world.dispatcher.resync(asInstrument('BTC-USDT'), true, () => answered++)
    for (let id = 2; id < 13; id++) world.dispatcher.event(world.delta(id, id))
    await world.settle()
    const text = await registry.metrics()
    expect(text).to.contain('meltica_book_recorded_deltas_dropped_total{market="BINANCE-SPOT"} 6')
    expect(text).to.contain('meltica_book_resyncs_unanswered_total{market="BINANCE-SPOT"} 2')
    expect(text).to.contain('meltica_book_proof_overflows_total{market="BINANCE-SPOT"} 0')
    world.rest.snapshots[1]?.answer(world.snapshot(12))
    await world.dispatcher.whenIdle()
    expect(answered).to.equal(100)
    end()
  })
})
