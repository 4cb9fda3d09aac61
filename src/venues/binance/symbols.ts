import {
  asInstrument,
  asVenueSymbol,
  type Instrument,
  type InstrumentInfo,
  type VenueSymbol,
} from '../../domain/instrument.ts'

/**
 * Venue symbol <-> instrument, fed by exchangeInfo and by nothing else: `BTCUSDT` cannot be split by looking at it
 * (`USDTTRY`, `1000SATSUSDT`). An instrument that the venue no longer lists stays known, because its events may be on the way.
 */
export class SymbolTable {
  readonly #bySymbol = new Map<VenueSymbol, InstrumentInfo>()
  readonly #byInstrument = new Map<Instrument, InstrumentInfo>()

  update(infos: readonly InstrumentInfo[]): void {
    for (const info of infos) {
      this.#bySymbol.set(info.symbol, info)
      this.#byInstrument.set(info.instrument, info)
    }
  }

  instrumentOf(symbol: VenueSymbol): Instrument | null {
    return this.#bySymbol.get(symbol)?.instrument ?? null
  }

  /** Where the venue has not told, base and quote joined, which is how it forms its symbols. */
  symbolOf(instrument: Instrument): VenueSymbol {
    return this.#byInstrument.get(instrument)?.symbol ?? asVenueSymbol(instrument.replace('-', ''))
  }

  infoOf(instrument: Instrument): InstrumentInfo | null {
    return this.#byInstrument.get(instrument) ?? null
  }

  instruments(): Instrument[] {
    return [...this.#byInstrument.keys()]
  }

  get size(): number {
    return this.#bySymbol.size
  }
}

/** Quote assets by which a symbol is split where no exchangeInfo exists: captures that hold none. */
const KNOWN_QUOTES = (
  'USDT USDC FDUSD TUSD BUSD USD1 DAI USD BTC ETH BNB EUR TRY BRL GBP JPY RUB ' +
  'AUD UAH NGN ZAR PLN RON ARS MXN COP CZK IDRT BIDR XRP TRX DOGE SOL DOT'
)
  .split(' ')
  .sort((left, right) => right.length - left.length)

export interface SplitSymbol {
  readonly base: string
  readonly quote: string
  readonly instrument: Instrument
}

/**
 * A guess for the simulated venue's own exchangeInfo, never for the adapter: the symbol is split at the longest known quote.
 * null if it ends in none.
 */
export function splitSymbol(symbol: string): SplitSymbol | null {
  const quote = KNOWN_QUOTES.find((candidate) => symbol.length > candidate.length && symbol.endsWith(candidate))
  if (quote === undefined) return null
  const base = symbol.slice(0, -quote.length)
  return { base, quote, instrument: asInstrument(`${base}-${quote}`) }
}
