import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { BookProof } from '../../src/domain/book/proof.ts'
import type { Grid } from '../../src/domain/book/shadow-book.ts'
import { asMarket, asVenueSymbol, type VenueSymbol } from '../../src/domain/instrument.ts'
import { parseDepth, parseExchangeInfo } from '../../src/venues/binance/answers.ts'
import { FrameParser } from '../../src/venues/binance/frames.ts'
import type { VenueBookDelta, VenueBookSnapshot, VenueQuote } from '../../src/venues/venue.ts'
import {
  binanceCaptures,
  type CaptureLine,
  capturePath,
  needRecording,
  readCapture,
  recordings,
} from '../support/capture.ts'
import { randomOf, withCorruptedTop } from '../support/variants.ts'

const BIG = 'binance-spot-btcusdt-ethusdt-20240808'

type Told = VenueBookDelta | VenueBookSnapshot | VenueQuote

/** What one symbol's streams and answers told, in order. */
function storyOf(lines: readonly CaptureLine[], symbol: string): Told[] {
  const parser = new FrameParser({ usPerUnit: 1_000, frameBytesMax: 1 << 24 })
  const story: Told[] = []
  for (const { kind, url, msg, ts } of lines) {
    const receivedUs = Math.round((ts ?? 0) * 1_000)
    if (kind === 'http' && url.includes('/depth?') && url.includes(`symbol=${symbol}&`)) {
      story.push(parseDepth(JSON.parse(msg), asVenueSymbol(symbol), 1_000, receivedUs))
    } else if (kind === 'ws' && msg.startsWith(`{"stream":"${symbol.toLowerCase()}@`)) {
      const frame = parser.parse(msg, receivedUs)
      if (frame.type === 'event' && (frame.event.kind === 'delta' || frame.event.kind === 'quote'))
        story.push(frame.event)
    }
  }
  return story
}

const infoPath = join(recordings, 'fixtures', 'binance', 'rest', 'recorded', 'exchangeInfo-2021-10.json')

/** What the venue said of these in October 2021, before its captures; null where nothing is recorded, which is said. */
function gridOf(symbol: VenueSymbol | undefined): Grid | null {
  if (!existsSync(infoPath)) {
    console.log(`    not judged by tick and step: no ${infoPath}`)
    return null
  }
  const { instruments } = parseExchangeInfo(JSON.parse(readFileSync(infoPath, 'utf8')), asMarket('BINANCE-SPOT'))
  const info = instruments.find((one) => one.symbol === symbol)
  if (info === undefined) throw new Error(`expected ${symbol} in ${infoPath}`)
  return { tick: info.tickSize, step: info.stepSize }
}

interface Found {
  readonly proof: BookProof
  /** How many deltas were taken before each mismatch was told. */
  readonly mismatches: number[]
  /** The same for the first verdict that was wrong. */
  firstWrong: number | null
  deltas: number
}

/** Feeds a proof as the dispatcher does; `copies` connections bring everything, each `lag` events behind the one before. */
function prove(story: readonly Told[], copies = 1, lag = 0): Found {
  const proof = new BookProof()
  const grid = gridOf(story[0]?.symbol)
  if (grid !== null) proof.judgeBy(grid)
  const found: Found = { proof, mismatches: [], firstWrong: null, deltas: 0 }
  let buffer: VenueBookDelta[] = []
  const take = (event: Told, line: number): void => {
    let mismatch = proof.sweep(event.receivedTimeUs)
    if (event.kind === 'snapshot') {
      if (line === 1 && proof.join(event, buffer)) buffer = []
    } else if (event.kind === 'quote') mismatch = proof.ticker(event, line)
    else {
      if (line === 1) found.deltas++
      if (proof.blind) buffer.push(event)
      else mismatch = proof.update(event, line, event.receivedTimeUs)
    }
    if (mismatch !== null) found.mismatches.push(found.deltas)
    if (proof.counts.wrong > 0 && found.firstWrong === null) found.firstWrong = found.deltas
  }
  for (let at = 0; at < story.length + lag * (copies - 1); at++) {
    for (let line = 1; line <= copies; line++) {
      const event = story[at - lag * (line - 1)]
      if (event !== undefined) take(event, line)
    }
  }
  if (proof.sweep(Number.MAX_SAFE_INTEGER) !== null) found.mismatches.push(found.deltas)
  return found
}

const symbolsOf = (lines: readonly CaptureLine[]): string[] => [
  ...new Set(lines.flatMap(({ msg }) => /^\{"stream":"(\w+)@depth/.exec(msg)?.[1]?.toUpperCase() ?? [])),
]

describe('the proof of books over recorded captures', function () {
  this.timeout(30_000)

  for (const name of binanceCaptures)
    it(`finds nothing wrong in ${name}, by one line or two of which one lags`, function () {
      needRecording(this, name)
      const lines = readCapture(capturePath(name)).slice(0, 30_000)
      for (const symbol of symbolsOf(lines)) {
        const story = storyOf(lines, symbol)
        for (const [copies, lag] of [
          [1, 0],
          [2, 0],
          [2, 3],
          [2, 40],
        ] as const) {
          const { proof, mismatches } = prove(story, copies, lag)
          expect(mismatches, `${symbol} by ${copies} lines, lag ${lag}`).to.deep.equal([])
          expect(proof.counts, symbol).to.include({ wrong: 0, doubtful: 0 })
          expect(proof.oddities, symbol).to.deep.equal({ tick: 0, step: 0, time: 0 })
        }
      }
    })

  it('proves nearly every delta where tickers flow', function () {
    needRecording(this, BIG)
    const { proof, deltas } = prove(storyOf(readCapture(capturePath(BIG)), 'ETHUSDT'))
    expect(proof.counts.right).to.equal(deltas - 2)
  })

  it('finds a corrupted quantity at the top within two deltas, wherever it is', function () {
    needRecording(this, BIG)
    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9))
    console.log(`    seed ${seed} (repeat with SEED=${seed})`)
    const random = randomOf(seed)
    const lines = readCapture(capturePath(BIG)).slice(0, 10_000)
    const late: string[] = []
    for (let run = 0; run < 12; run++) {
      const symbol = random(2) === 0 ? 'BTCUSDT' : 'ETHUSDT'
      const corrupted = withCorruptedTop(lines, symbol, 5 + random(400), random)
      const { firstWrong } = prove(storyOf(corrupted.lines, symbol))
      // `delta` counts from 0: with the corrupted one and the next behind it there are two more.
      const after = (firstWrong ?? Number.POSITIVE_INFINITY) - corrupted.delta
      if (after > 2) late.push(`${symbol} delta ${corrupted.delta}: told after ${after}`)
    }
    expect(late).to.deep.equal([])
  })
})
