import type { CaptureRecord } from './capture.ts'

/** What the lines of a capture mean in Binance's words. Lines of other venues mean nothing here. */

const ENVELOPE = '{"stream":"'
const DATA = '","data":'

/** Which streams a WebSocket address names; null when it is not one of Binance's. */
export function streamsOfUrl(url: string): readonly string[] | null {
  const parsed = URL.parse(url)
  if (parsed === null) return null
  if (parsed.pathname === '/stream') return splitStreams(parsed.searchParams.get('streams') ?? '')
  if (parsed.pathname === '/ws') return []
  if (parsed.pathname.startsWith('/ws/')) return splitStreams(decodeURIComponent(parsed.pathname.slice('/ws/'.length)))
  return null
}

function splitStreams(list: string): readonly string[] {
  return list.split('/').filter((stream) => stream !== '')
}

/**
 * The stream a received frame belongs to; null for replies and for what cannot be told. `named` are the streams of its
 * connection's address, which a frame without envelope is matched to.
 */
export function streamOfFrame(msg: string, named: readonly string[]): string | null {
  if (msg.startsWith(ENVELOPE)) {
    const end = msg.indexOf('"', ENVELOPE.length)
    return end === -1 ? null : msg.slice(ENVELOPE.length, end)
  }
  const frame = parseObject(msg)
  if (frame === null) return null
  if (typeof frame.stream === 'string' && 'data' in frame) return frame.stream
  if ('result' in frame || 'code' in frame || 'error' in frame) return null
  return streamOfPayload(frame, named)
}

/** Whether the frame carries the combined envelope. */
export function isCombined(msg: string): boolean {
  return msg.startsWith(ENVELOPE) || typeof parseObject(msg)?.stream === 'string'
}

/** The text of `data` of a combined frame, digit for digit; a raw frame is its own data. */
export function dataOfFrame(msg: string, stream: string): string {
  const start = ENVELOPE.length + stream.length
  if (msg.startsWith(ENVELOPE) && msg.startsWith(DATA, start)) {
    return msg.slice(start + DATA.length, msg.endsWith('}') ? -1 : undefined)
  }
  if (!isCombined(msg)) return msg
  // Another spacing or order of the members: the value of `data` begins after its colon and ends with its last brace.
  const from = msg.indexOf(':', msg.indexOf('"data"')) + 1
  const to = msg.indexOf('"stream"') > from ? msg.lastIndexOf(',', msg.indexOf('"stream"')) : msg.lastIndexOf('}')
  return msg.slice(from, to).trim()
}

function streamOfPayload(payload: Record<string, unknown>, named: readonly string[]): string | null {
  const only = named.length === 1 ? named[0] : undefined
  if (only !== undefined) return only
  if (typeof payload.s !== 'string') return null
  const symbol = payload.s.toLowerCase()
  const suffix = suffixOfPayload(payload)
  if (suffix === null) return null
  // `@depth` names one of several speeds; the address tells which one was open.
  return (
    named.find((stream) => stream.startsWith(`${symbol}@${suffix}`)) ??
    `${symbol}@${suffix}${suffix === 'depth' ? '@100ms' : ''}`
  )
}

function suffixOfPayload(payload: Record<string, unknown>): string | null {
  switch (payload.e) {
    case 'trade':
    case 'aggTrade':
    case 'blockTrade':
    case 'avgPrice':
      return payload.e
    case 'depthUpdate':
      return 'depth'
    case '24hrTicker':
      return 'ticker'
    case '24hrMiniTicker':
      return 'miniTicker'
    case 'kline': {
      const interval = (payload.k as { i?: unknown } | undefined)?.i
      return typeof interval === 'string' ? `kline_${interval}` : null
    }
    case undefined:
      return 'u' in payload && 'B' in payload ? 'bookTicker' : null
    default:
      return null
  }
}

/** The path of a recorded or asked REST request as `/api/v3/...`, and its symbol ('' where it has none). */
export interface RestKey {
  readonly path: string
  readonly symbol: string
}

/** null when the line is not an answer of Binance's public REST API. */
export function restKeyOf(record: CaptureRecord): RestKey | null {
  const url = URL.parse(record.url)
  if (url === null || !/^\/api\/v\d+\//.test(url.pathname)) return null
  return { path: normalPath(url.pathname), symbol: (url.searchParams.get('symbol') ?? '').toUpperCase() }
}

/** Old recordings say `/api/v1/depth`; today's clients ask `/api/v3/depth` for the same. */
export function normalPath(path: string): string {
  return path.replace(/^\/api\/v\d+\//, '/api/v3/')
}

/** The upper-case symbol of a stream; null for streams over all symbols (`!miniTicker@arr`). */
export function symbolOfStream(stream: string): string | null {
  const at = stream.indexOf('@')
  return at <= 0 || stream.startsWith('!') ? null : stream.slice(0, at).toUpperCase()
}

function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null
  } catch {
    return null
  }
}
