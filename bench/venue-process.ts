import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'
import { answerQuestions, type VenueAsked, type VenueOpened } from './messages.ts'
import { readTape, symbolOf, type TapeHead } from './tape.ts'
import { BookHistory, depthAnswer } from './tape-books.ts'

/**
 * The venue of the bench: Binance's combined stream, SUBSCRIBE, depth and exchangeInfo, around a tape that is encoded into
 * WebSocket frames beforehand. Frames that follow each other on one connection go out as one slice of that memory, so the
 * venue takes next to nothing of the two cores that worker and Redis need. As fast as the readers take it, or paced.
 */
const SLICE_BYTES = 256 * 1024
/** The books' snapshots are waited for this long. */
const SNAPSHOTS_MS = 20_000
const WEIGHT_PER_MINUTE = 100_000_000

let head: TapeHead
let bytes = Buffer.alloc(0)
/** Where each frame begins; one more than there are frames. */
let starts = new Uint32Array(0)
let streamOf = new Uint16Array(0)
let position = 0
const sockets: (Socket | null)[] = []
const booksAsked = new Set<string>()
const histories = new Map<string, BookHistory>()
let askedAll: () => void = () => {}

function load(file: string): void {
  const tape = readTape(file)
  head = tape.head
  const indexOf = new Map(head.streams.map((stream, index) => [stream, index]))
  starts = new Uint32Array(head.frames + 1)
  streamOf = new Uint16Array(head.frames)
  let size = 0
  for (const { text } of tape.frames) size += text.length + (text.length < 126 ? 2 : text.length < 65_536 ? 4 : 10)
  bytes = Buffer.allocUnsafeSlow(size)
  let at = 0
  for (const [index, { stream, text }] of tape.frames.entries()) {
    starts[index] = at
    streamOf[index] = indexOf.get(stream) as number
    bytes[at++] = 0x81
    if (text.length < 126) {
      bytes[at++] = text.length
    } else if (text.length < 65_536) {
      bytes[at++] = 126
      at = bytes.writeUInt16BE(text.length, at)
    } else {
      bytes[at++] = 127
      at = bytes.writeBigUInt64BE(BigInt(text.length), at)
    }
    at += bytes.write(text, at, 'latin1')
  }
  starts[head.frames] = at
  for (let index = 0; index < head.streams.length; index++) sockets.push(null)
  const deltas = new Map<string, { frame: number; text: string }[]>(head.symbols.map((symbol) => [symbol, []]))
  for (const [frame, { stream, text }] of tape.frames.entries()) {
    if (stream.endsWith('@depth@100ms')) deltas.get(symbolOf(stream))?.push({ frame, text })
  }
  for (const [symbol, [level, last]] of Object.entries(head.books)) {
    const answer = depthAnswer(last, head.levels[level] as string)
    histories.set(symbol, new BookHistory(answer, deltas.get(symbol) ?? []))
  }
}

/** Sends frames from..to; answers a promise where a reader is not as fast. */
function send(from: number, to: number): Promise<void> | null {
  const touched = new Set<Socket>()
  let full: Socket | null = null
  let begin = from
  while (begin < to) {
    const socket = sockets[streamOf[begin] as number] ?? null
    let end = begin + 1
    while (end < to && (sockets[streamOf[end] as number] ?? null) === socket) end++
    if (socket !== null) {
      if (!touched.has(socket)) {
        touched.add(socket)
        socket.cork()
      }
      socket.write(bytes.subarray(starts[begin], starts[end]))
    }
    begin = end
  }
  for (const socket of touched) {
    socket.uncork()
    if (socket.writableNeedDrain) full = socket
  }
  if (full === null) return null
  const waited = full
  return new Promise((resolve) => {
    const done = () => {
      waited.off('drain', done).off('close', done)
      resolve()
    }
    waited.on('drain', done).on('close', done)
  })
}

async function playMax(to: number): Promise<void> {
  while (position < to) {
    let end = position + 1
    while (end < to && (starts[end + 1] as number) - (starts[position] as number) < SLICE_BYTES) end++
    const wait = send(position, end)
    position = end
    await (wait ?? new Promise((resolve) => setImmediate(resolve)))
  }
}

async function playPaced(to: number, perSecond: number): Promise<void> {
  const from = position
  const startMs = performance.now()
  while (position < to) {
    const due = Math.min(to, from + Math.floor(((performance.now() - startMs) * perSecond) / 1000))
    if (due > position) {
      const wait = send(position, due)
      position = due
      if (wait !== null) await wait
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

async function play(to: number, perSecond: number | null): Promise<void> {
  if (position < head.prelude && to >= head.prelude) {
    await playMax(head.prelude)
    const books = head.streams.filter((stream) => stream.endsWith('@depth@100ms')).length
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, snapshots ? SNAPSHOTS_MS : 0)
      askedAll = () => {
        if (booksAsked.size < books) return
        clearTimeout(timer)
        resolve()
      }
      askedAll()
    })
  }
  if (perSecond === null) await playMax(to)
  else await playPaced(to, perSecond)
}

/** Whoever asked for exchangeInfo will ask for snapshots too. */
let snapshots = false

function listing(symbol: string): Record<string, unknown> {
  return {
    symbol,
    status: 'TRADING',
    baseAsset: symbol.slice(0, -4),
    quoteAsset: symbol.slice(-4),
    isSpotTradingAllowed: true,
    permissionSets: [['SPOT']],
    filters: [
      { filterType: 'PRICE_FILTER', minPrice: '0.01000000', maxPrice: '1000000.00000000', tickSize: '0.01000000' },
      { filterType: 'LOT_SIZE', minQty: '0.00001000', maxQty: '9000.00000000', stepSize: '0.00001000' },
      { filterType: 'NOTIONAL', minNotional: '5.00000000', applyMinToMarket: true },
    ],
  }
}

function restAnswer(url: URL): string | null {
  if (url.pathname === '/api/v3/exchangeInfo') {
    snapshots = true
    const rateLimits = [
      { rateLimitType: 'REQUEST_WEIGHT', interval: 'MINUTE', intervalNum: 1, limit: WEIGHT_PER_MINUTE },
    ]
    const symbols = head.symbols.map(listing)
    return JSON.stringify({ timezone: 'UTC', serverTime: Date.now(), rateLimits, exchangeFilters: [], symbols })
  }
  if (url.pathname !== '/api/v3/depth') return null
  const symbol = url.searchParams.get('symbol') ?? ''
  const history = histories.get(symbol)
  if (history === undefined) return null
  booksAsked.add(symbol)
  queueMicrotask(askedAll)
  return history.at(position)
}

async function open(): Promise<VenueOpened> {
  const http = createServer((request, response) => {
    const answer = restAnswer(new URL(request.url ?? '/', 'http://venue'))
    response.writeHead(answer === null ? 404 : 200, { 'content-type': 'application/json' })
    response.end(answer ?? '{}')
  })
  const server = new WebSocketServer({ server: http, perMessageDeflate: false })
  server.on('connection', (client: WebSocket, request: IncomingMessage) => {
    request.socket.setNoDelay(true)
    client.on('message', (data) => {
      const { method, params, id } = JSON.parse(String(data)) as { method: string; params: string[]; id: number }
      for (const stream of params ?? []) {
        const index = head.streams.indexOf(stream)
        if (index < 0) continue
        if (method === 'SUBSCRIBE') sockets[index] = request.socket
        // Another line may carry it by now.
        else if (sockets[index] === request.socket) sockets[index] = null
      }
      client.send(JSON.stringify({ result: null, id }))
    })
    client.on('error', () => {})
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const { port } = http.address() as AddressInfo
  return { ws: `ws://127.0.0.1:${port}`, rest: `http://127.0.0.1:${port}` }
}

/** Every stream has somebody who listens. */
async function subscribed(): Promise<void> {
  while (sockets.includes(null)) await new Promise((resolve) => setTimeout(resolve, 5))
}

answerQuestions(async (asked: VenueAsked) => {
  switch (asked.type) {
    case 'open':
      load(asked.tape)
      return open()
    case 'play':
      await subscribed()
      await play(asked.to, asked.perSecond)
      return position
  }
})
