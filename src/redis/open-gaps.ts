import type { BarLine, OpenBars, OpenGapReader, OpenTradeGap } from '../bus/open-gaps.ts'
import { Channel } from '../domain/event.ts'
import type { Instrument, Market } from '../domain/instrument.ts'
import type { RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'

const READS_AT_ONCE_MAX = 200

/** The open ranges as the append script keeps them in the state hashes, so that no ledger is searched. Throws: BusError. */
export class RedisOpenGaps implements OpenGapReader {
  readonly #connection: RedisConnection
  readonly #keys: Keys
  readonly #market: Market

  constructor(connection: RedisConnection, keys: Keys, market: Market) {
    this.#connection = connection
    this.#keys = keys
    this.#market = market
  }

  async openTradeGaps(instruments: readonly Instrument[]): Promise<readonly OpenTradeGap[]> {
    return inParts(instruments, (instrument) => this.#read(instrument))
  }

  async openBars(lines: readonly BarLine[], ageUs: number): Promise<readonly OpenBars[]> {
    return inParts(lines, (line) => this.#readBars(line, ageUs))
  }

  async #readBars(line: BarLine, ageUs: number): Promise<OpenBars[]> {
    const state = this.#keys.state(this.#market, line.instrument)
    const fields = [`KLINE:${line.interval}`, `closed:${line.interval}`]
    const found = await this.#connection.send('hmget', [state, ...fields])
    const [newest, closed] = Array.isArray(found) ? (found as unknown[]) : []
    if (typeof newest !== 'string' || typeof closed !== 'string') return []
    const newestOpenTimeUs = Number.parseInt(newest, 10)
    const hole = holesOf(closed, newestOpenTimeUs, ageUs)
    return hole === null ? [] : [{ ...line, ...hole, newestOpenTimeUs }]
  }

  async #read(instrument: Instrument): Promise<OpenTradeGap[]> {
    const state = this.#keys.state(this.#market, instrument)
    const text = await this.#connection.send('hget', [state, `open:${Channel.Trade}`])
    if (typeof text !== 'string') return []
    return [...text.matchAll(/(\d+) (\d+) \S+ (\d+);/g)].map(([, from, to, openedAt]) => ({
      ...{ instrument, from: Number(from), to: Number(to) },
      openedAtUs: Number(openedAt),
    }))
  }
}

async function inParts<Item, Found>(
  items: readonly Item[],
  read: (item: Item) => Promise<readonly Found[]>,
): Promise<Found[]> {
  const all: Found[] = []
  for (let start = 0; start < items.length; start += READS_AT_ONCE_MAX) {
    const found = await Promise.all(items.slice(start, start + READS_AT_ONCE_MAX).map(read))
    all.push(...found.flat())
  }
  return all
}

/** From the first to the last of what lies between the closed ranges, and between them and the newest bar; null for nothing. */
function holesOf(
  closed: string,
  newestOpenUs: number,
  ageUs: number,
): Pick<OpenBars, 'fromOpenTimeUs' | 'toOpenTimeUs'> | null {
  const ranges = [...closed.matchAll(/(\d+)-(\d+);/g)].map(([, from, to]) => [Number(from), Number(to)] as const)
  // At least as long as a bar is, so that one that ended just within the age is not cut off.
  const longUs = Math.min(...ranges.map(([from, to]) => to - from))
  let fromUs = Number.POSITIVE_INFINITY
  let toUs = -1
  for (const [at, [, endUs]] of ranges.entries()) {
    const nextUs = ranges[at + 1]?.[0] ?? newestOpenUs
    if (endUs >= nextUs || nextUs <= newestOpenUs - ageUs) continue
    fromUs = Math.min(fromUs, Math.max(endUs, newestOpenUs - ageUs - longUs))
    toUs = nextUs - 1
  }
  return toUs < 0 ? null : { fromOpenTimeUs: fromUs, toOpenTimeUs: toUs }
}
