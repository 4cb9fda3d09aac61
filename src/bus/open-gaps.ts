import type { Instrument } from '../domain/instrument.ts'

/** A hole in a TRADE numbering that was told and stands open in the ledger, whoever told it. */
export interface OpenTradeGap {
  readonly instrument: Instrument
  readonly from: number
  readonly to: number
  readonly openedAtUs: number
}

/** What is open in the ledgers. Rejects when they cannot be read. */
export interface OpenGapReader {
  openTradeGaps(instruments: readonly Instrument[]): Promise<readonly OpenTradeGap[]>
}
