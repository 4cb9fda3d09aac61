import type { Instrument } from '../domain/instrument.ts'

/** A hole in a TRADE numbering that was told and stands open in the ledger, whoever told it. */
export interface OpenTradeGap {
  readonly instrument: Instrument
  readonly from: number
  readonly to: number
  readonly openedAtUs: number
}

/** Bars of one interval. */
export interface BarLine {
  readonly instrument: Instrument
  readonly interval: string
}

/** Bars that may have closed and are not closed in the stream, by open time, us, both ends included. */
export interface OpenBars extends BarLine {
  readonly fromOpenTimeUs: number
  readonly toOpenTimeUs: number
  /** Open time of the newest bar in the stream, us: the venue's clock was there. */
  readonly newestOpenTimeUs: number
}

/** What is open, as the streams know it. Rejects when that cannot be read. */
export interface OpenGapReader {
  openTradeGaps(instruments: readonly Instrument[]): Promise<readonly OpenTradeGap[]>
  /** One answer a line at most; bars that ended more than `ageUs` before the newest are left out. */
  openBars(lines: readonly BarLine[], ageUs: number): Promise<readonly OpenBars[]>
}
