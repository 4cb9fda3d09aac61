import { crc32 } from 'node:zlib'

declare const brand: unique symbol
type Branded<Name extends string> = string & { readonly [brand]: Name }

/** A venue's market in Meltica's words, for example `BINANCE-SPOT`. */
export type Market = Branded<'Market'>
/** An instrument in Meltica's words, `BASE-QUOTE`, for example `BTC-USDT`. */
export type Instrument = Branded<'Instrument'>
/** The venue's own name of an instrument, for example `BTCUSDT`. */
export type VenueSymbol = Branded<'VenueSymbol'>

export const asMarket = (text: string): Market => text as Market
export const asInstrument = (text: string): Instrument => text as Instrument
export const asVenueSymbol = (text: string): VenueSymbol => text as VenueSymbol

/** What a venue tells about an instrument; decimal strings with the venue's digits, '' where it tells nothing. */
export interface InstrumentInfo {
  readonly market: Market
  readonly instrument: Instrument
  readonly symbol: VenueSymbol
  readonly base: string
  readonly quote: string
  readonly tickSize: string
  readonly stepSize: string
  readonly minNotional: string
  /** The venue's word, for example `TRADING`. */
  readonly status: string
}

/** The partition that owns every key of an instrument: `crc32(utf8("MARKET:INSTRUMENT")) mod partitions`. */
export function partitionOf(market: Market, instrument: Instrument, partitions: number): number {
  return crc32(`${market}:${instrument}`) % partitions
}
