import { expect } from 'chai'
import fc from 'fast-check'
import type { ChannelBatch, Offer } from '../../src/bus/publish.ts'
import { Channel, GapCause, Quality } from '../../src/domain/event.ts'
import { asInstrument, asMarket } from '../../src/domain/instrument.ts'
import { type AppendCall, AppendCalls, AppendTarget, type Bell, bulksOf } from '../../src/redis/append-call.ts'
import { encodeCommand } from '../../src/redis/packed-command.ts'

const market = asMarket('BINANCE-SPOT')
const texts = fc.oneof(fc.string({ unit: 'binary', maxLength: 40 }), fc.string({ maxLength: 40 }), fc.constant(''))

const times = fc.oneof(
  fc.maxSafeNat(),
  fc.nat(1_000),
  fc.nat(16).map((digits) => Math.min(10 ** digits, Number.MAX_SAFE_INTEGER)),
  fc.nat(15).map((digits) => 10 ** digits - 1),
)

const offers: fc.Arbitrary<Offer> = fc.record({
  kind: fc.constantFrom('TRADE', 'DELTA', 'SNAPSHOT', 'GIVEUP', 'LOST'),
  id: texts,
  first: texts,
  venueTimeUs: fc.option(times),
  receivedTimeUs: times,
  source: texts,
  trace: texts,
  declare: fc.constantFrom('' as const, GapCause.Lost),
  refresh: fc.boolean(),
  data: fc.oneof(texts, fc.string({ minLength: 1_000, maxLength: 60_000, size: 'max' })),
})

const batches: fc.Arbitrary<ChannelBatch> = fc.record({
  market: fc.constant(market),
  instrument: fc.constantFrom('BTC-USDT', 'ETH-USDT', '币安人生-USDT').map(asInstrument),
  channel: fc.constantFrom(Channel.Trade, Channel.OrderBook),
  tableVersion: fc.nat(3),
  numbering: fc.constantFrom('trade' as const, 'aggTrade' as const, '' as const),
  quality: fc.constantFrom(Quality.Live, Quality.Halted),
  epoch: fc.constantFrom('', '1723161254087891'),
  offers: fc.array(offers, { maxLength: 4 }),
})

const FLAGS: Readonly<Record<string, string>> = { SNAPSHOT: 'S', GIVEUP: 'G', LOST: 'L' }

/** The layout of the script's head, argument by argument. */
function plainArguments(batch: ChannelBatch, bell: number): string[] {
  const { channel, instrument, epoch, tableVersion, numbering, quality } = batch
  const head = [String(bell), channel, market, instrument, epoch, String(tableVersion), numbering, quality, '100000']
  const events = batch.offers.flatMap((offer) => {
    const letter = offer.kind === 'SNAPSHOT' && offer.refresh ? 'R' : (FLAGS[offer.kind] ?? '')
    const flags = offer.declare === '' ? letter : `${letter || 'N'}:${offer.declare}`
    const times = [offer.venueTimeUs === null ? '' : String(offer.venueTimeUs), String(offer.receivedTimeUs)]
    return [flags, offer.id, offer.first, ...times, offer.source, offer.trace, offer.data]
  })
  return [...head, String(batch.offers.length), ...events]
}

/** A target for each channel, and two bells that they share. */
function newTargets() {
  const bells = ['bell:0', 'bell:1'].map((key): Bell => ({ bytes: bulksOf([key]), call: 0, number: 0 }))
  const targets = new Map<string, AppendTarget>()
  const targetOf = (batch: ChannelBatch): AppendTarget => {
    const name = `${batch.instrument}:${batch.channel}`
    const known = targets.get(name)
    if (known !== undefined) return known
    const names = { state: `${name}:state`, stream: name, gaps: `${name}:gaps`, catalogField: name }
    const target = new AppendTarget(batch, names, bells[targets.size % 2] as Bell, '100000')
    targets.set(name, target)
    return target
  }
  return { bells, targetOf }
}

/** The offer as its channel's: of the plain kinds each channel has one, and a text is what UTF-8 can hold of it. */
function asSent(offer: Offer, channel: Channel): Offer {
  const plain = channel === Channel.Trade ? 'TRADE' : 'DELTA'
  const kind = offer.kind === 'TRADE' || offer.kind === 'DELTA' ? plain : offer.kind
  const { id, first, source, trace, data } = offer
  const held = Object.entries({ id, first, source, trace, data })
  const texts = Object.fromEntries(held.map(([name, text]) => [name, text.toWellFormed()]))
  return { ...offer, ...texts, kind, refresh: offer.refresh && kind === 'SNAPSHOT' }
}

describe('a call of the append script', () => {
  it('is byte for byte what its arguments would have been, call after call', function () {
    this.timeout(90_000)
    const calls = new AppendCalls()
    const { bells, targetOf } = newTargets()
    fc.assert(
      fc.property(fc.array(batches, { minLength: 1, maxLength: 6 }), fc.nat(), (call, floorMs) => {
        const used = call.map(targetOf)
        const rung = [...new Set(used.map((target) => target.bell))]
        const keys = used.flatMap((target) => [target.state, target.stream, `${target.stream}:gaps`])
        const all = [...keys, ...rung.map((bell) => `bell:${bells.indexOf(bell)}`)]
        const groups = call.flatMap((batch, at) => plainArguments(batch, rung.indexOf((used[at] as AppendTarget).bell)))
        const args = ['hash', String(all.length), ...all, String(floorMs), String(call.length), ...groups]
        const expected = encodeCommand('evalsha', args)
        expect(calls.encode('evalsha', 'hash', call, used, floorMs).bytes.equals(expected)).to.equal(true)
      }),
      { numRuns: 12 },
    )
  })

  it('stands unchanged, and its offers can be read back, until it is released, however many are made and released meanwhile', function () {
    this.timeout(90_000)
    const calls = new AppendCalls()
    const { targetOf } = newTargets()
    const made: { readonly sent: AppendCall; readonly bytes: Buffer; readonly batches: readonly ChannelBatch[] }[] = []
    const release = fc.array(fc.nat(), { maxLength: 3 })
    fc.assert(
      fc.property(fc.array(batches, { minLength: 1, maxLength: 6 }), release, (call, released) => {
        const sent = calls.encode('evalsha', 'hash', call, call.map(targetOf), 0)
        made.push({ sent, bytes: Buffer.from(sent.bytes), batches: call })
        for (const { sent, bytes, batches } of made) {
          expect(sent.bytes.equals(bytes)).to.equal(true)
          for (const [index, { offers, channel }] of batches.entries()) {
            const memory = Buffer.alloc(7 + sent.bytesOf(index))
            sent.copy(index, memory, 7)
            const expected = offers.map((offer) => asSent(offer, channel))
            expect(sent.reader.read(memory, 7, offers.length, channel)).to.deep.equal(expected)
          }
        }
        for (const at of released) made.splice(at % Math.max(1, made.length), 1)[0]?.sent.release()
      }),
      { numRuns: 60 },
    )
  })

  it('cannot be looked at once it was released, and is released once', () => {
    const calls = new AppendCalls()
    const { targetOf } = newTargets()
    const batch = fc.sample(batches, { numRuns: 1, seed: 1 })[0] as ChannelBatch
    const encode = () => calls.encode('evalsha', 'hash', [batch], [targetOf(batch)], 0)
    const first = encode()
    first.release()
    first.release()
    expect(() => first.bytes).to.throw('released')
    expect(() => first.copy(0, Buffer.alloc(100_000), 0)).to.throw('released')
    const [second, third] = [encode(), encode()]
    expect(second.bytes.buffer === third.bytes.buffer, 'the same memory twice').to.equal(false)
  })
})
