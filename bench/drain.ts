import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { drainByCommand } from './runs.ts'
import type { Frame, TapeHead } from './tape.ts'
import { depthAnswer } from './tape-books.ts'

const STREAM_URL = 'wss://stream.binance.com:9443/stream'
const DEPTH_URL = 'https://api.binance.com/api/v3/depth'

/** Writes the frames as a capture, with a snapshot of each book where the tape has one, and drains it by the real command. */
export async function measureDrain(
  frames: readonly Frame[],
  head: TapeHead,
  folder: string,
): Promise<{ frames: number; seconds: number }> {
  const capture = join(folder, 'drain.jsonl.gz')
  const lines: string[] = []
  const line = (kind: string, url: string, msg: string) =>
    lines.push(`{"ts":null,"conn":"${kind}","kind":"${kind}","url":"${url}","msg":${JSON.stringify(msg)}}`)
  for (const [index, { text }] of frames.entries()) {
    line('ws', STREAM_URL, text)
    if (index !== head.prelude - 1) continue
    for (const [symbol, [level, last]] of Object.entries(head.books)) {
      line('http', `${DEPTH_URL}?symbol=${symbol}&limit=1000`, depthAnswer(last, head.levels[level] as string))
    }
  }
  writeFileSync(capture, gzipSync(`${lines.join('\n')}\n`, { level: 1 }))
  const { seconds, summary } = await drainByCommand(capture)
  if (summary.ok !== true) throw new Error(`expected the drain to end well, found ${JSON.stringify(summary)}`)
  return { frames: frames.length, seconds }
}
