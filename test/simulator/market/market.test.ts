import { expect } from 'chai'
import fc from 'fast-check'
import { UsageError } from '../../../src/errors.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import { createGeneratedMarket } from '../../../src/simulator/market/market.ts'
import { type MarketRun, runMarket, START_MS } from './run-market.ts'

const texts = (run: MarketRun): string[] => run.frames.map(({ stream, text }) => stream + text)

describe('the generated market', () => {
  it('tells the same for the same seed, however its clock is moved, and something else for another', () => {
    const steps = fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 30 })
    fc.assert(
      fc.property(fc.integer(), steps, (seed, stepsMs) => {
        const stepped = runMarket({ seed })
        const whole = runMarket({ seed })
        const other = runMarket({ seed: seed + 1 })
        for (const ms of stepsMs) stepped.clock.advance(ms)
        const passedMs = stepped.clock.monotonicMs() - START_MS
        whole.clock.advance(passedMs)
        other.clock.advance(passedMs)
        expect(texts(stepped)).to.deep.equal(texts(whole))
        if (passedMs > 500) expect(texts(other)).not.to.deep.equal(texts(whole))
      }),
      { numRuns: 15 },
    )
  })

  it('does not change its course when streams come and go or REST is asked', async () => {
    const asked = runMarket()
    const left = runMarket()
    for (let step = 0; step < 40; step += 1) {
      asked.clock.advance(100)
      left.clock.advance(100)
      await asked.rest('depth?symbol=BTCUSDT&limit=5000')
      await asked.rest('klines?symbol=ETHUSDT&interval=1m')
      asked.market.subscribed(new Set(step % 2 === 0 ? ['btcusdt@trade'] : [...asked.market.streams]))
    }
    const trades = (run: MarketRun): string[] =>
      run.frames.filter(({ stream }) => stream === 'btcusdt@trade').map(({ text }) => text)
    expect(trades(asked)).to.deep.equal(trades(left)).and.not.empty
  })

  it('keeps the rate that was asked for, from one order a second', () => {
    for (const rate of [1, 50, 3000]) {
      const { market, clock } = runMarket({ rate })
      clock.advance(20_000)
      expect(market.state().orders as number).to.be.within(rate * 20 * 0.7 - 3, rate * 20 * 1.3 + 3)
    }
  })

  it('gives busy instruments more than quiet ones', () => {
    const { clock, frames } = runMarket({ instruments: 8, rate: 1000 })
    clock.advance(10_000)
    const count = (symbol: string): number => frames.filter((frame) => frame.stream === `${symbol}@bookTicker`).length
    expect(count('btcusdt')).to.be.above(count('solusdt') * 2)
    expect(count('solusdt')).to.be.above(count('trxusdt'))
  })

  it('feeds only what is subscribed, and falls silent when nothing is', () => {
    const { market, clock, frames } = runMarket({}, (stream) => stream === 'ethusdt@bookTicker')
    clock.advance(3000)
    expect(new Set(frames.map(({ stream }) => stream))).to.deep.equal(new Set(['ethusdt@bookTicker']))
    market.subscribed(new Set())
    const before = frames.length
    clock.advance(3000)
    expect(frames.length).to.equal(before)
  })

  it('acknowledges streams of instruments it does not have with silence', () => {
    const { market, clock } = runMarket()
    market.subscribed(new Set(['nopeusdt@trade', 'btcusdt@nope', 'btcusdt']))
    expect(() => clock.advance(1000)).not.to.throw()
  })

  it('waits for no receiver at a rate, as a venue does', () => {
    const { market, clock } = runMarket({ rate: 1000 }, () => false)
    clock.advance(2000)
    expect(market.state().orders as number).to.be.above(1500)
  })

  it('waits for a full receiver with rate max, and for a stuck one no longer than a second', async () => {
    const clock = new ManualClock(START_MS)
    const market = createGeneratedMarket({ instruments: 2, seed: 3, rate: 'max', clock })
    let emitted = 0
    market.subscribed(market.streams)
    market.start(
      () => {
        emitted += 1
        return false
      },
      () => new Promise<void>(() => {}),
    )
    clock.advance(20)
    const whenFull = emitted
    clock.advance(500)
    expect(emitted).to.equal(whenFull)
    clock.advance(600)
    await new Promise((resolve) => setImmediate(resolve))
    clock.advance(20)
    expect(emitted).to.be.above(whenFull)
  })

  it('runs as fast as it may with rate max, in slices', () => {
    const { market, clock } = runMarket({ rate: 'max' }, () => false)
    clock.advance(20)
    expect(market.state().orders as number).to.be.above(20_000)
  })

  it('has a time of its own when told one', async () => {
    const run = runMarket({ startUs: 1_600_000_000_000_000 })
    run.clock.advance(1500)
    expect(await run.rest('time')).to.deep.equal({ serverTime: 1_600_000_001_500 })
  })

  it('ends when it is closed, twice without harm', async () => {
    const { market, clock, frames } = runMarket()
    clock.advance(500)
    await market.close()
    await market.close()
    await market.done
    const before = frames.length
    clock.advance(5000)
    expect(frames.length).to.equal(before)
  })

  it('refuses options that do not fit, in words', () => {
    const clock = new ManualClock()
    const make = (options: object) => () =>
      createGeneratedMarket({ instruments: 1, seed: 1, rate: 1, clock, ...options })
    expect(make({ instruments: 0 })).to.throw(UsageError, 'expected 1 to 5000 instruments, found 0')
    expect(make({ instruments: ['BTCUSDT', 'BTCUSDT'] })).to.throw(UsageError, '"BTCUSDT" twice')
    expect(make({ instruments: ['NONSENSE'] })).to.throw(UsageError, '"NONSENSE"')
    expect(make({ rate: 0 })).to.throw(UsageError, 'found 0')
    expect(make({ rate: Number.NaN })).to.throw(UsageError, 'found NaN')
    expect(make({ seed: 1.5 })).to.throw(UsageError, 'found 1.5')
    expect(make({ weights: [1, 2] })).to.throw(UsageError, 'expected 1 weights')
    expect(make({ levelsMax: 3 })).to.throw(UsageError, 'found 3')
  })
})
