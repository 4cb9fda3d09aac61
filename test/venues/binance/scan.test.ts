import { expect } from 'chai'
import fc from 'fast-check'
import { asMarket } from '../../../src/domain/instrument.ts'
import { BinanceStreams } from '../../../src/venues/binance/binance.ts'
import type { Frame } from '../../../src/venues/venue.ts'

const RECEIVED_US = 1_723_161_255_000_123
const LETTERS = '0123456789.,:"{}[]-+eE\\ xmMtruefals\u0000é'

const frames = {
  trade:
    '{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}',
  aggTrade:
    '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1723161255343,"s":"BTCUSDT","a":26129,"p":"0.01633102","q":"4","f":100,"l":105,"T":1723161255342,"m":false}}',
  bookTicker:
    '{"stream":"btcusdt@bookTicker","data":{"u":50093239246,"s":"BTCUSDT","b":"61837.63000000","B":"3.44878000","a":"61837.64000000","A":"1.60520000"}}',
  depth:
    '{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":50093239189,"u":50093239202,"b":[["61737.63000000","0.00000000"],["1","2"]],"a":[]}}',
}

/** All that is told of an event, levels looked at. */
function contentOf(frame: Frame): unknown {
  if (frame.type === 'rejected') return frame.frame.reason
  if (frame.type !== 'event' || frame.event.kind !== 'delta') return frame
  const { bidsText, asksText, bids, asks, ...rest } = { ...frame.event, bids: frame.event.bids, asks: frame.event.asks }
  return { ...rest, bids, asks }
}

describe('frames that are read without JSON.parse', () => {
  const protocol = new BinanceStreams({ market: asMarket('BINANCE-SPOT'), streamUrl: 'wss://stream.invalid' })
  /** What a frame means, and what the same one means behind a blank, which only the general way takes. */
  function both(text: string): [unknown, unknown] {
    return [contentOf(protocol.parseFrame(text, RECEIVED_US)), contentOf(protocol.parseFrame(` ${text}`, RECEIVED_US))]
  }

  for (const [name, text] of Object.entries(frames)) {
    it(`mean what JSON.parse would have found: ${name}`, () => {
      for (let time = 0; time < 2; time++) {
        const [scanned, parsed] = both(text)
        expect(scanned).to.deep.equal(parsed)
        expect(scanned).to.be.an('object')
      }
    })
  }

  it('keep the levels as the venue wrote them', () => {
    for (let time = 0; time < 2; time++) protocol.parseFrame(frames.depth, RECEIVED_US)
    const frame = protocol.parseFrame(frames.depth, RECEIVED_US)
    if (frame.type !== 'event' || frame.event.kind !== 'delta') throw new Error('expected a delta')
    expect(frame.event.bidsText).to.equal('[["61737.63000000","0.00000000"],["1","2"]]')
    expect(frame.event.asksText).to.equal('[]')
  })

  it('are admitted only where the general way admits them too, whatever is damaged', () => {
    for (const text of Object.values(frames)) both(text)
    const damage = fc.record({
      text: fc.constantFrom(...Object.values(frames)),
      at: fc.nat(220),
      remove: fc.nat(3),
      insert: fc.oneof(
        fc.constant(''),
        fc.constantFrom(...LETTERS),
        fc.constantFrom(
          '00',
          '99999999999999999',
          '9007199254740992',
          '1e3',
          '"",',
          '["1","2"],',
          '.5',
          '0',
          '"M":false',
        ),
      ),
    })
    fc.assert(
      fc.property(damage, ({ text, at, remove, insert }) => {
        const damaged = text.slice(0, at) + insert + text.slice(at + remove)
        const [scanned, parsed] = both(damaged)
        expect(scanned, damaged).to.deep.equal(parsed)
      }),
      { numRuns: Number(process.env.SCAN_RUNS ?? 5_000) },
    )
  })
})
