import { asMarket } from '../domain/instrument.ts'

/** The market of the adapter that there is. */
export const MARKET = asMarket('BINANCE-SPOT')
