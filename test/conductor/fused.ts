import { expect } from 'chai'
import type { Redis } from 'ioredis'
import { decodeEntry, type Entry, fieldsOf } from '../../src/bus/contract.ts'
import type { SnapshotStore } from '../../src/conductor/snapshot-store.ts'
import { BookReader } from '../../src/consumer/reader.ts'
import { trimDecimal } from '../../src/domain/decimal.ts'
import type { Level } from '../../src/domain/event.ts'
import { asInstrument, asMarket } from '../../src/domain/instrument.ts'
import type { Keys } from '../../src/redis/keys.ts'

export type Fused = Extract<Entry, { type: 'ANALYTICS.FUSED' }>

export const MARKET = asMarket('BINANCE-SPOT')
export const BTC = asInstrument('BTC-USDT')

/** Every fused event of an instrument, each admitted by the contract. */
export async function readFused(client: Redis, keys: Keys, instrument = BTC): Promise<Fused[]> {
  const raw = await client.xrange(keys.stream(MARKET, instrument, 'ANALYTICS'), '-', '+')
  return raw.map(([, flat]) => {
    const decoded = decodeEntry(fieldsOf(flat))
    if (!decoded.ok) throw new Error(decoded.problem)
    return decoded.entry as Fused
  })
}

/** Dense, without repeats, and every range begins where the one before ended. */
export function expectWhole(entries: readonly Fused[]): void {
  expect(entries.map(({ seq }) => Number(seq))).to.deep.equal(entries.map((_, index) => index + 1))
  expect(new Set(entries.map(({ key }) => key)).size).to.equal(entries.length)
  const versions = entries.map(({ venueSeq }) => Number(venueSeq))
  expect(versions).to.deep.equal([...versions].sort((one, other) => one - other))
  for (const channel of ['ORDERBOOK', 'TRADE', 'QUOTE'] as const) {
    let end = 0
    for (const { data } of entries) {
      const range = data.ranges[channel]
      if (range === undefined) continue
      expect(Number(range[0]), `${channel} begins where it ended`).to.equal(end + 1)
      end = Number(range[1])
    }
  }
  for (const [index, { data }] of entries.entries()) {
    const before = entries[index - 1]
    if (before !== undefined) expect(data.window.start).to.equal(before.data.window.end)
    const ranges = Object.values(data.ranges).filter((range) => range !== undefined)
    const folded = ranges.reduce((sum, [from, to]) => sum + Number(to) - Number(from) + 1, 0)
    expect(data.suppressed).to.equal(Math.max(0, folded - 1))
  }
}

/** Last `seq` of a source inside the fused events, 0 if none. */
export function foldedTo(entries: readonly Fused[], channel: 'ORDERBOOK' | 'TRADE' | 'QUOTE'): number {
  return Math.max(0, ...entries.map(({ data }) => Number(data.ranges[channel]?.[1] ?? 0)))
}

/** The record as it stands, and the stream up to its place read from the beginning, are one book; what follows continues it. */
export async function expectBookOfStream(
  client: Redis,
  keys: Keys,
  store: SnapshotStore,
  instrument = BTC,
): Promise<void> {
  const found = await store.get({ market: MARKET, instrument })
  if (found.outcome !== 'found') throw new Error(`expected a record, found ${found.outcome}`)
  const { snapshot } = found
  const raw = await client.xrange(keys.stream(MARKET, instrument, 'ORDERBOOK'), '-', '+')
  const whole = new BookReader()
  let last: Entry | null = null
  let next: Entry | null = null
  let past = false
  for (const [id, flat] of raw) {
    const decoded = decodeEntry(fieldsOf(flat))
    if (!decoded.ok) throw new Error(decoded.problem)
    if (past) {
      next = decoded.entry
      break
    }
    whole.step(decoded.entry)
    last = decoded.entry
    past = id === snapshot.streamId
  }
  expect(past, `${snapshot.streamId} is in the stream`).to.equal(true)
  expect({ seq: snapshot.seq, epoch: snapshot.epoch }).to.deep.equal({ seq: last?.seq, epoch: last?.epoch })
  if (next !== null) expect(Number(next.seq)).to.equal(Number(snapshot.seq) + 1)
  const { bids, asks } = whole.top(Number.POSITIVE_INFINITY)
  const byPrice = (levels: readonly Level[]) => levels.map(([price, much]) => `${trimDecimal(price)} ${much}`).sort()
  expect({ bids: byPrice(snapshot.bids), asks: byPrice(snapshot.asks) }).to.deep.equal({
    bids: byPrice(bids),
    asks: byPrice(asks),
  })
  expect(snapshot.venueSeq).to.equal(String(whole.have))
}
