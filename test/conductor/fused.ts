import { expect } from 'chai'
import type { Redis } from 'ioredis'
import { decodeEntry, type Entry, fieldsOf } from '../../src/bus/contract.ts'
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
