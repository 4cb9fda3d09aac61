import { ManualClock } from '../../../src/lib/clock.ts'
import {
  createGeneratedMarket,
  type GeneratedMarket,
  type GeneratedMarketOptions,
} from '../../../src/simulator/market/market.ts'

/** 2025-10-09 08:54:40 UTC. */
export const START_MS = 1_760_000_080_000

export interface Frame {
  readonly stream: string
  readonly symbol: string
  readonly feed: string
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: the payloads of every feed, read by tests only
  readonly data: any
}

export interface MarketRun {
  readonly market: GeneratedMarket
  readonly clock: ManualClock
  readonly frames: Frame[]
  /** The body of a REST answer, parsed. */
  // biome-ignore lint/suspicious/noExplicitAny: answers of every endpoint
  rest(pathAndQuery: string): Promise<any>
}

/** A market in simulated time with these streams subscribed (all by default), started and not yet moved. */
export function runMarket(
  options: Partial<GeneratedMarketOptions> = {},
  isSubscribed: (stream: string) => boolean = () => true,
): MarketRun {
  const clock = new ManualClock(START_MS)
  const market = createGeneratedMarket({ instruments: 3, seed: 1, rate: 200, levelsMax: 60, clock, ...options })
  const frames: Frame[] = []
  market.subscribed(new Set([...market.streams].filter(isSubscribed)))
  market.start(
    (stream, text) => {
      const at = stream.indexOf('@')
      const symbol = stream.slice(0, at).toUpperCase()
      frames.push({ stream, symbol, feed: stream.slice(at + 1), text, data: JSON.parse(text) })
      return true
    },
    () => Promise.resolve(),
  )
  return {
    market,
    clock,
    frames,
    async rest(pathAndQuery) {
      const [path = '', query] = pathAndQuery.split('?')
      const answer = await market.rest(`/api/v3/${path}`, new URLSearchParams(query))
      return answer && JSON.parse(answer.body)
    },
  }
}
