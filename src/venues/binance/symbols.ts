import { asVenueSymbol, type Instrument, type InstrumentInfo, type VenueSymbol } from '../../domain/instrument.ts'

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
