import { expect } from 'chai'
import { Random } from '../../src/simulator/market/random.ts'
import type { TimedFault } from '../support/fault-mixture.ts'
import type { Scenario } from '../support/scenario.ts'

/**
 * What is done to a running system. The short form of each is a test of every run; the long one is run by
 * `MELTICA_RESILIENCE=long mocha --spec 'test/resilience/**'`, with `MELTICA_RESILIENCE_SEEDS=N` seeds.
 */
export const isLong = process.env.MELTICA_RESILIENCE === 'long'
export const firstSeed = Number(process.env.MELTICA_RESILIENCE_SEED ?? Math.floor(Math.random() * 1e6))
export const seedsCount = Number(process.env.MELTICA_RESILIENCE_SEEDS ?? 10)

/** Instruments of the generated market in the order of its list, and the venue's streams with the channels they feed. */
export const SYMBOLS = ['BTC', 'ETH', 'BNB', 'SOL', 'XRP', 'DOGE'] as const
const UNTOUCHED = 'DOGE-USDT'
export const FEEDS = [
  ['trade', 'TRADE'],
  ['bookTicker', 'QUOTE'],
  ['depth@100ms', 'ORDERBOOK'],
  ['ticker', 'TICKER'],
  ['kline_1m', 'KLINE'],
] as const

export const streamOf = (base: string, feed: string): string => `${base.toLowerCase()}usdt@${feed}`

/** Every channel of the first instruments. */
export function channelsOf(instruments: number): [string, string][] {
  return SYMBOLS.slice(0, instruments).flatMap((base) =>
    FEEDS.map(([, channel]): [string, string] => [`${base}-USDT`, channel]),
  )
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)))

/** Does what is due at its second, by request. */
export async function tell(scenario: Scenario, faults: readonly TimedFault[], seconds: number): Promise<void> {
  const startMs = performance.now()
  for (const { at, ...fault } of faults) {
    await sleep(at * 1000 - (performance.now() - startMs))
    await scenario.fault(fault)
  }
  await sleep(seconds * 1000 - (performance.now() - startMs))
}

/** `count` moments spread over the seconds, one in each part of equal length. */
export function spread(random: Random, count: number, seconds: number): number[] {
  return Array.from({ length: count }, (_, index) => ((index + random.unit()) / count) * seconds)
}

/** Kills the worker so often and starts it at once again. */
export async function killAgainAndAgain(scenario: Scenario, seed: number, kills: number, seconds: number) {
  const startMs = performance.now()
  for (const at of spread(new Random(seed, 9), kills, seconds)) {
    await sleep(at * 1000 - (performance.now() - startMs))
    await scenario.killWorker()
    scenario.startWorker()
  }
  await sleep(seconds * 1000 - (performance.now() - startMs))
}

/**
 * Makes one stream of each kind silent, each of another instrument, and answers for how long each channel stood still;
 * `neighbour` is the channel of an instrument nobody touched.
 */
export async function silenceEachKind(
  scenario: Scenario,
): Promise<{ readonly channel: string; readonly silentMs: number; readonly neighbourMs: number }[]> {
  const watched = FEEDS.map(([feed, channel], index) => ({
    base: SYMBOLS[index] as string,
    feed,
    channel,
    silentMs: 0,
    neighbourMs: 0,
    flows: false,
  }))
  for (const { base, feed } of watched) await scenario.fault({ fault: 'silent', stream: streamOf(base, feed) })
  const toldMs = Date.now()
  while (watched.some(({ flows }) => !flows) && Date.now() - toldMs < 30_000) {
    for (const stream of watched) {
      const newestMs = await scenario.newestMs(`${stream.base}-USDT`, stream.channel)
      const neighbourMs = await scenario.newestMs(UNTOUCHED, stream.channel)
      const nowMs = Date.now()
      stream.neighbourMs = Math.max(stream.neighbourMs, nowMs - Math.max(neighbourMs, toldMs))
      // What was under way when the fault began may still have arrived.
      if (newestMs > toldMs + 1_000) stream.flows = true
      else stream.silentMs = nowMs - toldMs
    }
    await sleep(50)
  }
  return watched
}

/** Everything flows again, no hole that can be filled is open, and the checker finds nothing wrong. */
export async function expectWell(scenario: Scenario, instruments: number, healMs = 60_000): Promise<void> {
  await scenario.flowingSince(Date.now(), channelsOf(instruments), healMs)
  await scenario.flowingSince(Date.now(), channelsOf(instruments), healMs)
  const open = await scenario.healed(healMs)
  expect([...open], `open gaps, ${scenario.log.slice(-1_000)}`).to.deep.equal([])
  const { violations } = await scenario.state()
  const { result, stalled } = await scenario.verify()
  expect({ wrong: result.wrong, examples: result.examples, stalled }).to.deep.equal({
    wrong: {},
    examples: [],
    stalled: [],
  })
  expect(result.notes.booksCompared ?? 0, 'books compared').to.be.greaterThan(0)
  const { askedWhileRefused, ...limits } = violations
  expect(askedWhileRefused, 'requests that were under way when the venue said stop').to.be.lessThan(40)
  for (const [name, count] of Object.entries(limits)) expect(count, name).to.equal(0)
}
