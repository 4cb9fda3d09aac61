import type { ChannelBatch, Offer } from '../../src/bus/publish.ts'
import { asInstrument, asMarket } from '../../src/domain/instrument.ts'

/** Short ways to say what a test offers. Times in seconds after a fixed moment, to keep the numbers readable. */
const START_US = 1_700_000_000_000_000
export const atUs = (seconds: number): number => START_US + Math.round(seconds * 1_000_000)
export const at = (seconds: number): string => String(atUs(seconds))

const base = {
  first: '',
  source: 'binance.ws.trade',
  trace: '0123456789abcdef0123456789abcdef',
  declare: '',
  refresh: false,
} as const

export function trade(id: number, seconds = id / 1000, more: Partial<Offer> = {}): Offer {
  const data = `{"id":"${id}","price":"1.10","quantity":"0.50000000","side":"buy"}`
  const times = { venueTimeUs: atUs(seconds), receivedTimeUs: atUs(seconds) }
  return { ...base, kind: 'TRADE', id: String(id), ...times, data, ...more }
}

export function quote(id: number, seconds = id / 1000, more: Partial<Offer> = {}): Offer {
  const data = '{"bidPrice":"1.0","bidQuantity":"2","askPrice":"1.1","askQuantity":"3"}'
  return { ...base, kind: 'QUOTE', id: String(id), venueTimeUs: null, receivedTimeUs: atUs(seconds), data, ...more }
}

export function delta(first: number, last: number, seconds = last / 1000, more: Partial<Offer> = {}): Offer {
  const data = `{"first":"${first}","last":"${last}","bids":[["1.0","2"]],"asks":[]}`
  const times = { venueTimeUs: atUs(seconds), receivedTimeUs: atUs(seconds) }
  return { ...base, kind: 'DELTA', id: String(last), first: String(first), ...times, data, ...more }
}

export function snapshot(last: number, seconds = last / 1000, more: Partial<Offer> = {}): Offer {
  const data = `{"last":"${last}","bids":[],"asks":[],"depth":1000}`
  return {
    ...base,
    kind: 'SNAPSHOT',
    id: String(last),
    venueTimeUs: null,
    receivedTimeUs: atUs(seconds),
    data,
    ...more,
  }
}

export function bar(minute: number, trades: number, closed: boolean, more: Partial<Offer> = {}): Offer {
  const open = atUs(minute * 60)
  const id = `1m@${open}@${trades}${closed ? '@closed' : ''}`
  const times = {
    first: `${open}@${open + 60_000_000}`,
    venueTimeUs: atUs(minute * 60),
    receivedTimeUs: atUs(minute * 60 + trades),
  }
  return { ...base, kind: 'KLINE', id, ...times, data: '{}', ...more }
}

export function giveUp(from: number, to: number, how = 'given-up'): Offer {
  const times = { venueTimeUs: null, receivedTimeUs: atUs(0) }
  return { ...base, kind: 'GIVEUP', id: String(from), first: String(to), ...times, data: how }
}

/** One batch; the channel follows from the first offer unless said otherwise. */
export function batch(offers: readonly Offer[], more: Partial<ChannelBatch> = {}): ChannelBatch {
  const kind = offers[0]?.kind ?? 'TRADE'
  const channel =
    kind === 'DELTA' || kind === 'SNAPSHOT' ? 'ORDERBOOK' : kind === 'GIVEUP' || kind === 'LOST' ? 'TRADE' : kind
  return {
    market: asMarket('BINANCE-SPOT'),
    instrument: asInstrument('BTC-USDT'),
    channel,
    tableVersion: 1,
    numbering: channel === 'TRADE' ? 'trade' : '',
    quality: 'LIVE',
    epoch: '',
    offers,
    ...more,
  }
}
