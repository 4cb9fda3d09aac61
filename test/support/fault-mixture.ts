import { Random } from '../../src/simulator/market/random.ts'

/** Every fault of the simulated venue that the pipeline can see; a changed but well-formed value it cannot. */
const faultKinds: readonly { readonly fault: string; readonly [field: string]: unknown }[] = [
  { fault: 'drop', count: 3 },
  { fault: 'gap', count: 6 },
  { fault: 'duplicate', count: 20 },
  { fault: 'reorder', count: 20 },
  { fault: 'delay', ms: 400, count: 5 },
  { fault: 'corrupt', how: 'quantity', count: 3 },
  { fault: 'corrupt', how: 'truncated', count: 3 },
  { fault: 'half-open', for: 30 },
  { fault: 'silent', count: 1 },
  { fault: 'disconnect', how: 'reset' },
  { fault: 'disconnect', how: 'close' },
  { fault: 'refuse', how: '503', for: 2 },
  { fault: 'refuse', how: 'reset', for: 2 },
  { fault: 'lifetime' },
  { fault: 'serverShutdown', delay: 3 },
  { fault: 'rest-slow', ms: 1500, for: 4 },
  { fault: 'rest-5xx', count: 3 },
  { fault: 'rest-429', retryAfter: 2 },
  { fault: 'rest-418', retryAfter: 3 },
  { fault: 'snapshot-old', count: 2 },
  { fault: 'clock-skew', ms: 5000, for: 5 },
]

const FEEDS = ['trade', 'bookTicker', 'depth@100ms', 'ticker', 'kline_1m', '*']
const ON_FRAMES: ReadonlySet<string> = new Set(['drop', 'gap', 'duplicate', 'reorder', 'delay', 'corrupt'])
const ON_CONNECTIONS: ReadonlySet<string> = new Set(['half-open', 'disconnect', 'serverShutdown'])
const CLOCK_SKEWS_MS = [3_600_000, -3_600_000, 5_000]

/**
 * `count` faults within `seconds`, sorted by time; the same seed gives the same ones. Some begin together and at second 0,
 * some name no stream, one stream of all symbols, or all of one, some last instead of being counted.
 */
export function faultMixture(seed: number, count: number, seconds: number, symbols: readonly string[]): TimedFault[] {
  const random = new Random(seed, 77)
  const one = <Item>(items: readonly Item[]): Item => items[random.below(items.length)] as Item
  const faults = Array.from({ length: count }, (): TimedFault => {
    const { count: times, ...kind } = one(faultKinds)
    const at = random.unit() < 0.15 ? 0 : Math.round(random.unit() * seconds * 1000) / 1000
    const counted = times === undefined ? kind : { ...kind, count: times }
    const place = random.unit()
    const stream = `${place < 0.3 ? '*' : one(symbols)}@${one(FEEDS)}`
    if (kind.fault === 'clock-skew') return { at, ...kind, ms: one(CLOCK_SKEWS_MS) }
    if (ON_CONNECTIONS.has(kind.fault)) return place < 0.3 ? { at, ...counted, stream } : { at, ...counted }
    if (kind.fault === 'silent') return place < 0.1 ? { at, ...counted } : { at, ...counted, stream }
    if (!ON_FRAMES.has(kind.fault)) return { at, ...counted }
    if (place < 0.15) return { at, ...counted }
    return place > 0.7 ? { at, ...kind, for: 1 + random.below(3), stream } : { at, ...counted, stream }
  })
  return faults.sort((before, after) => before.at - after.at)
}

export interface TimedFault {
  readonly at: number
  readonly fault: string
  readonly [field: string]: unknown
}
