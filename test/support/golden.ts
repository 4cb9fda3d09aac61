import { join } from 'node:path'
import type { EventBus, Offer } from '../../src/bus/publish.ts'
import { channelOfKind, offerOf, payloadOf } from '../../src/dispatcher/canonical.ts'
import type { GapCause } from '../../src/domain/event.ts'
import { asInstrument, asMarket, asVenueSymbol } from '../../src/domain/instrument.ts'
import { parseDepth, parseTrades } from '../../src/venues/binance/answers.ts'
import { BinanceStreams } from '../../src/venues/binance/binance.ts'
import type { VenueEvent } from '../../src/venues/venue.ts'
import { type CaptureLine, readCapture } from './capture.ts'
import { depthLines, snapshotBehind } from './variants.ts'
import { instrumentOf } from './wire.ts'

/**
 * Golden entries: venue frames in, entries out, so that a reader in any language can be tested without us. The frames are
 * the simulated venue's (test/fixtures/market); what was left out of them to show a hole is left out by code.
 */

/** A line of a capture; `declare` says that the tolerance is over and the hole below it is to be told. */
export interface GoldenLine extends CaptureLine {
  readonly declare?: GapCause
}

export const goldenFolder = join(import.meta.dirname, '..', 'fixtures', 'golden')
const MARKET = asMarket('BINANCE-SPOT')
export const GOLDEN_TRACE = '0af7651916cd43dd8448eb211c80319c'

/** Chooses the frames: some of every stream of one instrument, with one hole in each that can have one. */
export function makeGoldenLines(): GoldenLine[] {
  const all = readCapture(join(import.meta.dirname, '..', 'fixtures', 'market', 'small-market.jsonl.gz'))
  const symbol = 'BTCUSDT'
  const of = (stream: string): CaptureLine[] =>
    all.filter(({ kind, msg }) => kind === 'ws' && msg.includes(`"${symbol.toLowerCase()}@${stream}`))
  const declared = (line: CaptureLine | undefined, declare: GapCause): GoldenLine[] =>
    line ? [{ ...line, declare }] : []

  const trades = of('trade')
  const missed = trades.slice(3, 6)
  const seen = trades[6] as CaptureLine
  const late = { ...answerOf(missed, symbol), ts: seen.ts }
  const tradeLines = [
    ...trades.slice(0, 3),
    ...declared(seen, 'lost'),
    ...trades.slice(7, 8),
    late,
    ...trades.slice(8, 10),
  ]

  const quotes = of('bookTicker')
  const quoteLines = [...quotes.slice(0, 3), ...declared(quotes[6], 'disconnect'), ...quotes.slice(7, 9)]
  const tickers = of('ticker')
  const tickerLines = [...tickers.slice(0, 2), ...declared(tickers[4], 'disconnect')]
  const bars = of('kline_1m')
  const closedAt = bars.findIndex(({ msg }) => msg.includes('"x":true'))
  const barLines = [...bars.slice(closedAt - 1, closedAt + 2), ...declared(bars[closedAt + 3], 'disconnect')]

  const snapshotAt = all.findIndex(({ kind, url }) => kind === 'http' && url.includes(`/depth?symbol=${symbol}&`))
  const at = depthLines(all, symbol).filter((line) => line > snapshotAt)
  const deltas = at.map((line) => all[line] as CaptureLine)
  const bookLines = [
    all[snapshotAt] as CaptureLine,
    ...deltas.slice(0, 2),
    ...declared(deltas[4], 'lost'),
    snapshotBehind(all, symbol, at[5] as number),
    ...deltas.slice(6, 8),
    ...declared(deltas[9], 'late'),
    ...deltas.slice(8, 11),
  ]
  return [...tradeLines, ...quoteLines, ...tickerLines, ...barLines, ...bookLines]
}

/** What the venue answers to `historicalTrades` for trades it once sent as frames. */
function answerOf(frames: readonly CaptureLine[], symbol: string): CaptureLine {
  const rows = frames.map(({ msg }) => {
    const { t, p, q, T, m } = JSON.parse(msg).data
    return { id: t, price: p, qty: q, time: T, isBuyerMaker: m, isBestMatch: true }
  })
  const url = `http://simulated/api/v3/historicalTrades?symbol=${symbol}&fromId=${rows[0]?.id}&limit=${rows.length}`
  return { ts: null, conn: 'rest', kind: 'http', url, msg: JSON.stringify(rows) }
}

const streams = new BinanceStreams({ market: MARKET, streamUrl: 'ws://simulated' })

function eventsOf({ kind, url, msg, ts }: GoldenLine): readonly VenueEvent[] {
  const receivedTimeUs = Math.round((ts as number) * 1000)
  if (kind === 'http') {
    const { pathname, searchParams } = new URL(url)
    const symbol = asVenueSymbol(searchParams.get('symbol') as string)
    if (pathname.endsWith('/depth'))
      return [parseDepth(JSON.parse(msg), symbol, Number(searchParams.get('limit')), receivedTimeUs)]
    return parseTrades(JSON.parse(msg), 'historicalTrades', symbol, 0, receivedTimeUs)
  }
  const frame = streams.parseFrame(msg, receivedTimeUs)
  if (frame.type !== 'event') throw new Error(`expected an event, found ${JSON.stringify(frame)}`)
  return [frame.event]
}

/** Offers every line to the bus, one call each, as the dispatcher would. */
export async function publishGolden(lines: readonly GoldenLine[], bus: EventBus): Promise<void> {
  for (const line of lines)
    for (const event of eventsOf(line)) {
      const { low, high, part, order, heldSinceMs, ...offer } = offerOf(event, payloadOf(event), GOLDEN_TRACE)
      const offers: Offer[] = [{ ...offer, declare: line.declare ?? '' }]
      await bus.publish([
        {
          market: MARKET,
          instrument: asInstrument(instrumentOf(event.symbol)),
          channel: channelOfKind[event.kind],
          tableVersion: 1,
          numbering: event.kind === 'trade' ? event.numbering : '',
          quality: 'LIVE',
          epoch: '',
          offers,
        },
      ])
    }
}
