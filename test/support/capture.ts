import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'

/** Recorded captures: where they are, how they are read and written. The format is the one of `captures/README.md`. */

export interface CaptureLine {
  readonly ts: number | null
  readonly conn: string
  readonly kind: 'ws' | 'http' | 'sent'
  readonly url: string
  readonly msg: string
}

/** The folder of recordings, `MELTICA_RECORDINGS` or `../shared`. */
export const recordings = resolve(
  process.env.MELTICA_RECORDINGS ?? join(import.meta.dirname, '..', '..', '..', 'shared'),
)

/** Names of the Binance captures that came with their expected results. */
export const binanceCaptures = [
  'binance-spot-4sym-20211012',
  'binance-spot-btcusdt-ethusdt-20240808',
  'derived/binance-spot-gap-resync-20240808',
]

export const capturePath = (name: string): string => join(recordings, 'captures', `${name}.jsonl.gz`)
export const expectedPath = (name: string): string => join(recordings, 'captures', 'expected', `${name}.json`)

/** Skips the running test, in words, where a recording is absent. */
export function needRecording(test: Mocha.Context, name: string): void {
  if (existsSync(capturePath(name))) return
  console.log(`    skipped: no ${capturePath(name)}; set MELTICA_RECORDINGS to the folder that holds captures/`)
  test.skip()
}

export function readCapture(path: string): CaptureLine[] {
  return gunzipSync(readFileSync(path))
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as CaptureLine)
}

export function writeCapture(path: string, lines: readonly CaptureLine[]): void {
  writeFileSync(path, gzipSync(lines.map((line) => `${JSON.stringify(line)}\n`).join(''), { level: 1 }))
}
