import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { readCapture } from '../src/simulator/capture.ts'
import { startSimulatorFrom } from '../src/simulator/simulator.ts'
import { parseTopic } from '../src/venues/binance/binance.ts'

/**
 * A tape is what the venue of the bench plays: frames in order, prepared once and kept as a plain file, so that playing it
 * costs nearly nothing beside what is measured. First line: the head as JSON; then `stream TAB frame` a line.
 */
export interface TapeHead {
  readonly symbols: readonly string[]
  readonly streams: readonly string[]
  /** Frames played before the books' snapshots are waited for. */
  readonly prelude: number
  readonly frames: number
  /** Sides of a depth answer: JSON text behind `lastUpdateId`. */
  readonly levels: string
  /** What it was made of, for the table. */
  readonly origin: string
}

export interface Frame {
  readonly stream: string
  readonly text: string
}

const CAPTURE = 'binance-spot-btcusdt-ethusdt-20240808'
const GENERATED_SEED = 7
const LEVELS_A_SIDE = 1_000

/** Frames of the recording, or of a generated market of the same kinds where it is absent. */
export async function loadSource(): Promise<{ frames: Frame[]; origin: string }> {
  const recordings = process.env.MELTICA_RECORDINGS ?? resolve(import.meta.dirname, '../../shared')
  const file = join(recordings, 'captures', `${CAPTURE}.jsonl.gz`)
  if (existsSync(file)) return { frames: await framesOf(file), origin: CAPTURE }
  const ledger = await generateLedger()
  return { frames: await framesOf(ledger), origin: `generated market, seed ${GENERATED_SEED}` }
}

async function framesOf(file: string): Promise<Frame[]> {
  const frames: Frame[] = []
  for await (const records of readCapture(file)) {
    for (const { kind, msg } of records) {
      if (kind !== 'ws') continue
      const stream = msg.slice('{"stream":"'.length, msg.indexOf('"', '{"stream":"'.length))
      if (/@(trade|bookTicker|depth@100ms)$/.test(stream)) frames.push({ stream, text: msg })
    }
  }
  return frames
}

/** Two instruments for as long as it takes to have frames enough; the market needs somebody who listens. */
async function generateLedger(): Promise<string> {
  const ledgerFile = join(tmpdir(), `meltica-bench-ledger-${process.pid}.jsonl`)
  const simulator = await startSimulatorFrom({
    generated: { instruments: ['BTCUSDT', 'ETHUSDT'], seed: GENERATED_SEED, rate: 20_000, ledgerFile },
  })
  const streams = ['btcusdt', 'ethusdt'].flatMap((symbol) =>
    ['trade', 'bookTicker', 'depth@100ms'].map((word) => `${symbol}@${word}`),
  )
  const socket = new WebSocket(`${simulator.ws}/stream?streams=${streams.join('/')}`)
  let seen = 0
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('message', () => {
      if (++seen >= 75_000) resolve()
    })
    socket.addEventListener('error', () => reject(new Error('the generated market cannot be reached')))
  })
  socket.close()
  await simulator.close()
  return ledgerFile
}

/** One kind of number that runs on: its bounds in the source, so that a repetition goes on where the one before ended. */
interface Run {
  first: number
  last: number
}

const ID_FIELDS = /"(t|u|U)":(\d+)/g
const TIME_FIELDS = /"(E|T)":(\d+)/g
const frameOfKind = (stream: string) => stream.slice(stream.indexOf('@') + 1)
const symbolOf = (stream: string) => stream.slice(0, stream.indexOf('@')).toUpperCase()

/**
 * The source repeated to `count` frames: in every repetition ids, update ids and times are shifted so that all of them
 * continue without a hole.
 */
export function repeatFrames(source: readonly Frame[], count: number): Frame[] {
  const trades = new Map<string, Run>()
  const updates = new Map<string, Run>()
  const times: Run = { first: Number.POSITIVE_INFINITY, last: 0 }
  for (const { stream, text } of source) {
    for (const [, , value] of text.matchAll(TIME_FIELDS)) stretch(times, Number(value))
    const kind = frameOfKind(stream)
    if (kind === 'trade') stretch(runOf(trades, symbolOf(stream)), idOf(text, 't'))
    if (kind === 'depth@100ms') {
      stretch(runOf(updates, symbolOf(stream)), idOf(text, 'U'))
      stretch(runOf(updates, symbolOf(stream)), idOf(text, 'u'))
    }
  }
  // A best bid and ask outside the range of the deltas would come twice.
  const usable = source.filter(({ stream, text }) => {
    if (frameOfKind(stream) !== 'bookTicker') return true
    const run = updates.get(symbolOf(stream))
    const id = idOf(text, 'u')
    return run === undefined || (id >= run.first && id <= run.last)
  })
  const frames: Frame[] = []
  for (let turn = 0; frames.length < count; turn++) {
    const timeShift = turn * (times.last - times.first + 1)
    for (const { stream, text } of usable) {
      if (frames.length === count) break
      if (turn === 0) {
        frames.push({ stream, text })
        continue
      }
      const run = (frameOfKind(stream) === 'trade' ? trades : updates).get(symbolOf(stream))
      const idShift = run === undefined ? 0 : turn * (run.last - run.first + 1)
      const shifted = text
        .replace(ID_FIELDS, (_, name: string, value: string) => `"${name}":${Number(value) + idShift}`)
        .replace(TIME_FIELDS, (_, name: string, value: string) => `"${name}":${Number(value) + timeShift}`)
      frames.push({ stream, text: shifted })
    }
  }
  return frames
}

function runOf(runs: Map<string, Run>, symbol: string): Run {
  let run = runs.get(symbol)
  if (run === undefined) {
    run = { first: Number.POSITIVE_INFINITY, last: 0 }
    runs.set(symbol, run)
  }
  return run
}

function stretch(run: Run, value: number): void {
  run.first = Math.min(run.first, value)
  run.last = Math.max(run.last, value)
}

function idOf(text: string, name: string): number {
  return Number(new RegExp(`"${name}":(\\d+)`).exec(text)?.[1])
}

/**
 * The payloads of the source dealt to `instruments` invented ones in turn, so that the mix and the sizes are the same for
 * any number of instruments; each numbers its own trades and updates. The first frames are one delta for each book.
 */
export function dealFrames(source: readonly Frame[], instruments: number, count: number): Frame[] {
  // One numbering for the deltas and quotes of an instrument, as at the venue, and one for its trades.
  const last = new Array<number>(instruments).fill(0)
  const tradeIds = new Array<number>(instruments).fill(0)
  const deal = (template: Frame, at: number): Frame => {
    const symbol = symbolName(at)
    const kind = frameOfKind(template.stream)
    const id = (last[at] as number) + 1
    last[at] = id
    const text = template.text
      .replace(ID_FIELDS, (_, name: string) => `"${name}":${kind === 'trade' ? tradeIds[at] : id}`)
      .replace(/"s":"\w+"/, `"s":"${symbol}"`)
      .replace(/"stream":"\w+@/, `"stream":"${symbol.toLowerCase()}@`)
    return { stream: `${symbol.toLowerCase()}@${kind}`, text }
  }
  const frames: Frame[] = []
  const delta = source.find(({ stream }) => stream.endsWith('@depth@100ms')) as Frame
  for (let at = 0; at < instruments; at++) frames.push(deal(delta, at))
  const deltas = new Array<number>(instruments).fill(1)
  for (let index = 0; frames.length < count; index++) {
    const template = source[index % source.length] as Frame
    // A step that shares no factor with the number of instruments visits each of them, but not in order of their names.
    const at = (index * 7919) % instruments
    const kind = frameOfKind(template.stream)
    if (kind === 'trade') tradeIds[at] = (tradeIds[at] as number) + 1
    const frame = deal(template, at)
    if (kind === 'depth@100ms') {
      const first = (deltas[at] as number) + 1
      deltas[at] = last[at] as number
      frames.push({ stream: frame.stream, text: frame.text.replace(/"U":\d+/, `"U":${first}`) })
    } else {
      frames.push(frame)
    }
  }
  return frames
}

/** Letters only, ending in the quote asset, so that a listing can name base and quote. */
export function symbolName(at: number): string {
  let name = ''
  for (let digit = 0, rest = at; digit < 4; digit++, rest = Math.trunc(rest / 26)) {
    name = String.fromCharCode(65 + (rest % 26)) + name
  }
  return `Z${name}USDT`
}

/** Writes a tape; its prelude goes to where every book has shown a delta. */
export function writeTape(file: string, frames: readonly Frame[], origin: string): TapeHead {
  const streams = [...new Set(frames.map((frame) => frame.stream))]
  const unknown = streams.find((stream) => parseTopic(stream) === null)
  if (unknown !== undefined) throw new Error(`expected streams that Meltica knows, found ${unknown}`)
  const books = new Set(streams.filter((stream) => stream.endsWith('@depth@100ms')))
  const waiting = new Set(books)
  let prelude = 0
  while (waiting.size > 0) waiting.delete((frames[prelude++] as Frame).stream)
  const head: TapeHead = {
    symbols: [...new Set(streams.map(symbolOf))],
    streams,
    prelude,
    frames: frames.length,
    levels: levelsText(),
    origin,
  }
  const handle = openSync(file, 'w')
  let text = `${JSON.stringify(head)}\n`
  for (const frame of frames) {
    text += `${frame.stream}\t${frame.text}\n`
    if (text.length < 1_000_000) continue
    writeSync(handle, text)
    text = ''
  }
  writeSync(handle, text)
  closeSync(handle)
  return head
}

export function readTape(file: string): { head: TapeHead; frames: Frame[] } {
  const lines = readFileSync(file, 'latin1').split('\n')
  const head = JSON.parse(lines[0] as string) as TapeHead
  const frames = lines.slice(1, head.frames + 1).map((line) => {
    const tab = line.indexOf('\t')
    return { stream: line.slice(0, tab), text: line.slice(tab + 1) }
  })
  return { head, frames }
}

function levelsText(): string {
  const side = (price: number, step: number) =>
    Array.from({ length: LEVELS_A_SIDE }, (_, at) => `["${(price + at * step).toFixed(8)}","1.25000000"]`).join(',')
  return `"bids":[${side(60_000, -0.01)}],"asks":[${side(60_000.01, 0.01)}]`
}
