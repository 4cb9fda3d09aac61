import { closeSync, existsSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { readCapture } from '../src/simulator/capture.ts'
import { startSimulatorFrom } from '../src/simulator/simulator.ts'
import { parseTopic } from '../src/venues/binance/binance.ts'
import { deltaOf, TapeBook } from './tape-books.ts'

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
  /** Depth answers behind the prelude: both sides as JSON text behind `lastUpdateId`, and whose they are at which update. */
  readonly levels: readonly string[]
  readonly books: Readonly<Record<string, readonly [level: number, last: number]>>
  /** What it was made of, for the table. */
  readonly origin: string
}

export interface Frame {
  readonly stream: string
  readonly text: string
}

/** Frames in order, without the deltas that the books hold already. */
export interface Source {
  readonly frames: readonly Frame[]
  /** The book of each symbol before its first delta. */
  readonly books: ReadonlyMap<string, TapeBook>
  readonly origin: string
}

/** Frames to be played, and the books behind their prelude. */
export interface Story {
  readonly frames: readonly Frame[]
  readonly levels: readonly string[]
  readonly books: TapeHead['books']
}

const CAPTURE = 'binance-spot-btcusdt-ethusdt-20240808'
const GENERATED_SEED = 7
/** Moments of each instrument of the source at which invented ones may begin. */
const BEGINNINGS = 8

/** Frames of the recording, or of a generated market of the same kinds where it is absent. */
export async function loadSource(): Promise<Source> {
  const recordings = process.env.MELTICA_RECORDINGS ?? resolve(import.meta.dirname, '../../shared')
  const file = join(recordings, 'captures', `${CAPTURE}.jsonl.gz`)
  if (existsSync(file)) return { ...(await sourceOf(file)), origin: CAPTURE }
  const ledger = await generateLedger()
  try {
    return { ...(await sourceOf(ledger)), origin: `generated market, seed ${GENERATED_SEED}` }
  } finally {
    rmSync(ledger)
  }
}

async function sourceOf(file: string): Promise<Pick<Source, 'frames' | 'books'>> {
  const all: Frame[] = []
  const books = new Map<string, TapeBook>()
  for await (const records of readCapture(file)) {
    for (const { kind, url, msg } of records) {
      if (kind === 'http') {
        const symbol = new URL(url).searchParams.get('symbol') ?? ''
        if (url.includes('/depth?') && !books.has(symbol)) books.set(symbol, TapeBook.of(JSON.parse(msg)))
      }
      if (kind !== 'ws') continue
      const stream = msg.slice('{"stream":"'.length, msg.indexOf('"', '{"stream":"'.length))
      if (/@(trade|bookTicker|depth@100ms)$/.test(stream)) all.push({ stream, text: msg })
    }
  }
  const frames = all.filter(({ stream, text }) => {
    const book = books.get(symbolOf(stream))
    if (book === undefined) throw new Error(`expected a snapshot of ${symbolOf(stream)} in ${file}`)
    return frameOfKind(stream) !== 'depth@100ms' || idOf(text, 'u') > book.last
  })
  return { frames, books }
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
      seen++
      // Its answers stand in the ledger too.
      if (seen === 100) for (const symbol of ['BTCUSDT', 'ETHUSDT']) void fetch(depthOf(simulator.rest, symbol))
      if (seen === 75_000) resolve()
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
const depthOf = (rest: string, symbol: string) => `${rest}/api/v3/depth?symbol=${symbol}&limit=1000`
const frameOfKind = (stream: string) => stream.slice(stream.indexOf('@') + 1)
export const symbolOf = (stream: string) => stream.slice(0, stream.indexOf('@')).toUpperCase()

/**
 * The source repeated to `count` frames: in every repetition ids, update ids and times are shifted so that all of them
 * continue without a hole, and one delta brings each book back to where it began.
 */
export function repeatFrames({ frames: source, books }: Source, count: number): Story {
  const trades = new Map<string, Run>()
  const updates = new Map<string, Run>()
  const times: Run = { first: Number.POSITIVE_INFINITY, last: 0 }
  const ends = new Map([...books].map(([symbol, book]) => [symbol, book.copy()]))
  for (const { stream, text } of source) {
    for (const [, , value] of text.matchAll(TIME_FIELDS)) stretch(times, Number(value))
    const kind = frameOfKind(stream)
    if (kind === 'trade') stretch(runOf(trades, symbolOf(stream)), idOf(text, 't'))
    if (kind === 'depth@100ms') {
      stretch(runOf(updates, symbolOf(stream)), idOf(text, 'U'))
      stretch(runOf(updates, symbolOf(stream)), idOf(text, 'u'))
      ends.get(symbolOf(stream))?.apply(deltaOf(text))
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
    // One id more than the source has, for the delta between two turns.
    const updateShift = ({ first, last }: Run): number => turn * (last - first + 2)
    if (turn > 0) {
      for (const [symbol, run] of updates) {
        const [from, to] = [ends.get(symbol) as TapeBook, books.get(symbol) as TapeBook]
        frames.push(...framesBetween(symbol, from, to, run.first + updateShift(run) - 1, times.first + timeShift))
      }
    }
    for (const { stream, text } of usable) {
      if (frames.length >= count) break
      if (turn === 0) {
        frames.push({ stream, text })
        continue
      }
      const run = (frameOfKind(stream) === 'trade' ? trades : updates).get(symbolOf(stream))
      const isTrade = frameOfKind(stream) === 'trade'
      const idShift = run === undefined ? 0 : isTrade ? turn * (run.last - run.first + 1) : updateShift(run)
      const shifted = text
        .replace(ID_FIELDS, (_, name: string, value: string) => `"${name}":${Number(value) + idShift}`)
        .replace(TIME_FIELDS, (_, name: string, value: string) => `"${name}":${Number(value) + timeShift}`)
      frames.push({ stream, text: shifted })
    }
  }
  const played = new Map([...books].map(([symbol, book]) => [symbol, book.copy()]))
  for (const { stream, text } of frames.slice(0, preludeOf(frames))) {
    if (frameOfKind(stream) === 'depth@100ms') played.get(symbolOf(stream))?.apply(deltaOf(text))
  }
  return {
    frames: frames.slice(0, count),
    levels: [...played.values()].map((book) => book.levels()),
    books: Object.fromEntries([...played].map(([symbol, { last }], index) => [symbol, [index, last]])),
  }
}

/** The best prices and the delta that make one book of another, under one id. */
function framesBetween(symbol: string, from: TapeBook, to: TapeBook, id: number, timeMs: number): Frame[] {
  const lower = symbol.toLowerCase()
  const [[b, B], [a, A]] = [to.best('bids'), to.best('asks')]
  const frameOf = (word: string, data: object): Frame => {
    const stream = `${lower}@${word}`
    return { stream, text: JSON.stringify({ stream, data }) }
  }
  const delta = { e: 'depthUpdate', E: timeMs, s: symbol, U: id, u: id, ...from.changesTo(to) }
  return [frameOf('bookTicker', { u: id, s: symbol, b, B, a, A }), frameOf('depth@100ms', delta)]
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

/** One instrument of the source from one of its deltas on. */
interface Beginning {
  readonly frames: readonly Frame[]
  readonly book: TapeBook
  readonly levels: string
}

/**
 * The source dealt to `instruments` invented ones in turn, each going on by itself from one of a few moments of it, so that
 * the mix and the sizes are much the same for any number of instruments. The first frames are one delta for each book.
 */
export function dealFrames(source: Source, instruments: number, count: number): Story {
  const beginnings = beginningsOf(source, count / instruments)
  const cursors = new Array<number>(instruments).fill(0)
  const frames: Frame[] = []
  const deal = (at: number): boolean => {
    const frame = (beginnings[at % beginnings.length] as Beginning).frames[cursors[at] as number]
    if (frame === undefined) return false
    cursors[at] = (cursors[at] as number) + 1
    const symbol = symbolName(at)
    const text = frame.text
      .replace(/"s":"\w+"/, `"s":"${symbol}"`)
      .replace(/"stream":"\w+@/, `"stream":"${symbol.toLowerCase()}@`)
    frames.push({ stream: `${symbol.toLowerCase()}@${frameOfKind(frame.stream)}`, text })
    return true
  }
  for (let at = 0; at < instruments; at++) deal(at)
  for (let index = 0, idle = 0; frames.length < count && idle < instruments; index++) {
    // A step that shares no factor with the number of instruments visits each of them, but not in order of their names.
    idle = deal((index * 7919) % instruments) ? 0 : idle + 1
  }
  const books: Record<string, [number, number]> = {}
  for (let at = 0; at < instruments; at++) {
    const level = at % beginnings.length
    books[symbolName(at)] = [level, (beginnings[level] as Beginning).book.last]
  }
  return { frames, levels: beginnings.map(({ levels }) => levels), books }
}

/** Moments early enough that `needed` frames follow, where the source has as many. */
function beginningsOf({ frames, books }: Source, needed: number): Beginning[] {
  const found: Beginning[] = []
  for (const [symbol, begin] of books) {
    const own = frames.filter(({ stream }) => symbolOf(stream) === symbol)
    const share = Math.max(0, 1 - (needed * 1.2) / own.length)
    const book = begin.copy()
    let next = 0
    for (const [index, { stream, text }] of own.entries()) {
      if (frameOfKind(stream) !== 'depth@100ms') continue
      book.apply(deltaOf(text))
      if (next >= BEGINNINGS || index < (next / BEGINNINGS) * share * own.length) continue
      next++
      const copy = book.copy()
      found.push({ frames: own.slice(index), book: copy, levels: copy.levels() })
    }
  }
  return found
}

/** Letters only, ending in the quote asset, so that a listing can name base and quote. */
function symbolName(at: number): string {
  let name = ''
  for (let digit = 0, rest = at; digit < 4; digit++, rest = Math.trunc(rest / 26)) {
    name = String.fromCharCode(65 + (rest % 26)) + name
  }
  return `Z${name}USDT`
}

/** How many frames it takes until every book has shown a delta. */
function preludeOf(frames: readonly Frame[]): number {
  const waiting = new Set(frames.map(({ stream }) => stream).filter((stream) => stream.endsWith('@depth@100ms')))
  let prelude = 0
  while (waiting.size > 0) waiting.delete((frames[prelude++] as Frame).stream)
  return prelude
}

/** Writes a tape; its prelude goes to where every book has shown a delta. */
export function writeTape(file: string, { frames, levels, books }: Story, origin: string): TapeHead {
  const streams = [...new Set(frames.map((frame) => frame.stream))]
  const unknown = streams.find((stream) => parseTopic(stream) === null)
  if (unknown !== undefined) throw new Error(`expected streams that Meltica knows, found ${unknown}`)
  const head: TapeHead = {
    symbols: [...new Set(streams.map(symbolOf))],
    streams,
    prelude: preludeOf(frames),
    frames: frames.length,
    levels,
    books,
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
