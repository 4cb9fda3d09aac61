import { Random } from '../../src/simulator/market/random.ts'

/**
 * Every fault of the simulated venue that the pipeline can see; a changed but well-formed value it cannot. `at` and `for`
 * are left to the caller.
 */
export const faultKinds: readonly { readonly fault: string; readonly [field: string]: unknown }[] = [
  { fault: 'drop', count: 3 },
  { fault: 'gap', count: 12 },
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
const ON_STREAMS: ReadonlySet<string> = new Set(['drop', 'gap', 'duplicate', 'reorder', 'delay', 'corrupt', 'silent'])

/** `count` faults within `seconds`, sorted by time; the same seed gives the same ones. */
export function faultMixture(seed: number, count: number, seconds: number, symbols: readonly string[]): object[] {
  const random = new Random(seed, 77)
  const faults = Array.from({ length: count }, () => {
    const kind = faultKinds[random.below(faultKinds.length)] as (typeof faultKinds)[number]
    const at = Math.round((1 + random.unit() * (seconds - 1)) * 1000) / 1000
    if (!ON_STREAMS.has(kind.fault)) return { at, ...kind }
    const symbol = symbols[random.below(symbols.length)]
    const feed = FEEDS[random.below(FEEDS.length)]
    return { at, ...kind, stream: `${symbol}@${feed}` }
  })
  return faults.sort((one, other) => one.at - other.at)
}
