import { expect } from 'chai'
import { QualityReads } from '../../src/dispatcher/quality-reads.ts'
import { asInstrument, asMarket } from '../../src/domain/instrument.ts'
import type { ShownQuality } from '../../src/domain/quality.ts'
import { ManualClock } from '../../src/lib/clock.ts'

const BTC = { market: asMarket('BINANCE-SPOT'), instrument: asInstrument('BTC-USDT') }
const crossed: ShownQuality = { quality: 'CROSSED', reason: 'crossed', sinceUs: 1 }

/** Reads that the test answers. */
function scripted() {
  const clock = new ManualClock()
  const asked: { answer(told: (ShownQuality | null)[]): void; fail(): void }[] = []
  const heard: (ShownQuality | null)[] = []
  const read = () =>
    new Promise<(ShownQuality | null)[]>((answer, reject) => {
      asked.push({ answer, fail: () => reject(new Error('no connection')) })
    })
  const reads = new QualityReads({ read, write: async () => {} }, clock, (_, shown) => heard.push(shown))
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
  return { clock, asked, heard, reads, settle }
}

describe('the reads of what was said of books', () => {
  it('tell the answer to the newest wish, and none that was on its way before it', async () => {
    const { asked, heard, reads, settle } = scripted()
    reads.want(BTC)
    await settle()
    reads.drop(BTC.instrument)
    reads.want(BTC)
    asked[0]?.answer([null])
    await settle()
    expect(heard).to.deep.equal([])
    asked[1]?.answer([crossed])
    await settle()
    expect(heard).to.deep.equal([crossed])
    expect(asked).to.have.length(2)
  })

  it('are not repeated for a book that is not wanted any more', async () => {
    const { clock, asked, heard, reads, settle } = scripted()
    reads.want(BTC)
    await settle()
    reads.drop(BTC.instrument)
    asked[0]?.fail()
    await settle()
    clock.advance(60_000)
    await settle()
    expect([asked.length, heard.length, reads.failures]).to.deep.equal([1, 0, 1])
  })
})
