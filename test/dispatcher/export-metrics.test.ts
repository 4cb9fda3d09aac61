import { expect } from 'chai'
import { exportDispatcherMetrics } from '../../src/dispatcher/export-metrics.ts'
import { registry } from '../../src/telemetry/metrics.ts'
import { World } from './world.ts'

describe('the metrics of a dispatcher', () => {
  it('are carried over when Prometheus asks, and summed over dispatchers', async () => {
    const worlds = [new World(), new World()]
    const ends = worlds.map((world) => exportDispatcherMetrics(world.dispatcher))
    for (const world of worlds) {
      for (const id of [1, 2, 2]) world.dispatcher.event(world.trade(id))
      world.dispatcher.event(world.trade(1, 'DOGEUSDT'))
      await world.dispatcher.whenIdle()
    }
    for (let scrape = 0; scrape < 2; scrape++) {
      const text = await registry.metrics()
      const trades = 'meltica_events_total{market="BINANCE-SPOT",instrument="BTC-USDT",type="TRADE"} 4'
      expect(text).to.contain(trades)
      expect(text).to.contain('meltica_events_left_out_total{market="BINANCE-SPOT",reason="duplicate"} 2')
      expect(text).to.contain('meltica_dead_letters_total{reason="unmapped"} 2')
      expect(text).to.contain('meltica_dispatcher_queue_events{market="BINANCE-SPOT"} 0')
    }
    for (const end of ends) end()
    expect(await registry.metrics()).to.not.contain('type="TRADE"')
  })

  it('say what was given up, and why', async () => {
    const world = new World()
    const end = exportDispatcherMetrics(world.dispatcher)
    for (const id of [1, 60_002]) world.dispatcher.event(world.trade(id))
    await world.advance(150)
    const text = await registry.metrics()
    const labels = (more: string) => `{market="BINANCE-SPOT",${more}}`
    expect(text).to.contain(`meltica_backfill_given_up_ranges_total${labels('channel="TRADE",reason="too-many"')} 1`)
    expect(text).to.contain(`meltica_backfill_given_up_trades_total${labels('reason="too-many"')} 10000`)
    expect(text).to.contain('meltica_backfill_gaps{market="BINANCE-SPOT"} 1')
    end()
  })
})
