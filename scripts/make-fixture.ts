import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { ManualClock } from '../src/lib/clock.ts'
import { createGeneratedMarket } from '../src/simulator/market/market.ts'
import type { CaptureLine } from '../test/support/capture.ts'
import { expectedOf } from '../test/support/oracle.ts'

/*
 * Writes the small market that the repository carries: the ledger of a generated market with a fixed seed, run in
 * simulated time, and what an oracle that shares no code with it says must become of it.
 */

const FOLDER = join(import.meta.dirname, '..', 'test', 'fixtures', 'market')
const NAME = 'small-market'
const SEED = 20_251_009
/** 2025-10-09 08:54:45 UTC: a minute ends after a half of it, so there are closed bars. */
const START_MS = 1_760_000_085_000
const SECONDS = 30
const STEP_MS = 20
/** How long after its first delta a client asks for the snapshot of a book. */
const SNAPSHOT_AFTER_MS = 140

/** The text of the capture. The third instrument is quiet: a few orders in all. */
export async function makeMarket(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'meltica-fixture-'))
  const ledgerFile = join(folder, 'ledger.jsonl')
  try {
    const clock = new ManualClock(START_MS)
    const market = createGeneratedMarket({
      instruments: ['BTCUSDT', 'ETHUSDT', 'NEARBTC'],
      weights: [3, 2, 0.015],
      seed: SEED,
      rate: 90,
      levelsMax: 100,
      clock,
      ledgerFile,
    })
    const askAtMs = new Map<string, number>()
    market.subscribed(new Set([...market.streams].filter((stream) => stream.endsWith('@depth@100ms'))))
    market.start(
      (stream) => {
        const [symbol = '', feed] = stream.split('@')
        if (feed === 'depth' && !askAtMs.has(symbol)) askAtMs.set(symbol, clock.monotonicMs() + SNAPSHOT_AFTER_MS)
        return true
      },
      () => Promise.resolve(),
    )
    for (let passedMs = 0; passedMs < SECONDS * 1000; passedMs += STEP_MS) {
      clock.advance(STEP_MS)
      for (const [symbol, dueMs] of askAtMs) {
        if (clock.monotonicMs() < dueMs) continue
        askAtMs.set(symbol, Infinity)
        await market.rest('/api/v3/depth', new URLSearchParams({ symbol: symbol.toUpperCase(), limit: '1000' }))
      }
    }
    await market.close()
    return readFileSync(ledgerFile, 'utf8')
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** What a correct client makes of it, with the fields of the recordings' expected results. */
export function expectedOfMarket(text: string): Record<string, unknown> {
  const lines = text.split('\n').filter((line) => line !== '')
  const expected = expectedOf(
    lines.map((line) => JSON.parse(line) as CaptureLine),
    true,
  )
  const counted = (counts: Record<string, number>): Record<string, { count: number }> =>
    Object.fromEntries(Object.entries(counts).map(([symbol, count]) => [symbol, { count }]))
  return {
    capture: `${NAME}.jsonl.gz`,
    protocol: 'binance-spot',
    trades: expected.trades,
    bookTicker: expected.bookTicker,
    kline_1m: counted(expected.klines),
    ticker: counted(expected.tickers),
    books: Object.fromEntries(
      Object.entries(expected.books).map(([symbol, { appliedRanges, ...book }]) => [symbol, book]),
    ),
  }
}

if (import.meta.main) {
  const text = await makeMarket()
  const packed = gzipSync(text, { level: 9 })
  writeFileSync(join(FOLDER, `${NAME}.jsonl.gz`), packed)
  writeFileSync(join(FOLDER, `${NAME}.expected.json`), `${JSON.stringify(expectedOfMarket(text), null, 1)}\n`)
  console.log(`${NAME}: ${text.split('\n').length - 1} lines, ${packed.length} bytes`)
}
