import type { CommitLog } from '../../src/conductor/commit-log.ts'
import { PartitionLoop } from '../../src/conductor/partition.ts'
import type { SourceStreams } from '../../src/conductor/source-streams.ts'
import { type FusedChannel, FusedChannels } from '../../src/domain/fusion/fusion.ts'
import { MemoryRedis } from '../support/memory-conductor.ts'
import type { NaiveEntry } from '../support/naive-append.ts'
import { FusedJudge } from './fused-judge.ts'
import type { Network } from './network.ts'
import type { Owner } from './scheduler.ts'
import type { Market } from './venue.ts'

const THROTTLE_MS = 20
const SWEEP_MS = 1_000

/** What the conductors see of one instrument, and what is to be said of it. */
interface Place {
  readonly market: Market
  readonly redis: MemoryRedis
  readonly judge: FusedJudge
  epoch: string
}

interface Conductor {
  readonly owner: Owner
  readonly loops: readonly PartitionLoop[]
}

/** All processes of the role `conductor`. Each works on every instrument, so that they are rivals everywhere. */
export class Conductors {
  readonly #network: Network
  readonly #places: readonly Place[]
  readonly #failed: (message: string) => void
  #running: Conductor[] = []
  #lives = 0

  constructor(network: Network, markets: readonly Market[], failed: (message: string) => void) {
    this.#network = network
    this.#failed = failed
    this.#places = markets.map((market) => {
      const { instrument } = market.info
      const redis = new MemoryRedis({ market: market.info.market, instrument })
      return { market, redis, judge: new FusedJudge(market, redis), epoch: '' }
    })
  }

  get alive(): readonly Owner[] {
    this.#running = this.#running.filter(({ owner }) => owner.state !== 'dead')
    return this.#running.map(({ owner }) => owner)
  }

  /** Not every history has any. */
  get begun(): boolean {
    return this.#lives > 0
  }

  get commits(): number {
    return this.#places.reduce((sum, { redis }) => sum + redis.fused.length, 0)
  }

  begin(): void {
    const owner: Owner = { name: `conductor.${++this.#lives}`, state: 'running', backlog: [] }
    const clock = this.#network.scheduler.clockOf(owner)
    this.#network.tell(`${owner.name}: begins`)
    const loops = this.#places.map((place, index) => {
      const link = this.#link(owner, place)
      return new PartitionLoop(index, {
        ...{ streams: link, log: link, clock, levelsMax: 1_000, ttlMs: 60_000, staleMs: Number.POSITIVE_INFINITY },
        resyncs: { request: () => {} },
        incident: ({ kind, message }) => this.#network.tell(`${owner.name}: ${kind}: ${message}`),
        throttleMsOf: () => THROTTLE_MS,
        flowing: async () => new Set(),
        trace: 'f'.repeat(32),
        left: () => {},
      })
    })
    this.#running.push({ owner, loops })
    const { scheduler } = this.#network
    const sweep = (): void => {
      for (const loop of loops) loop.sweep(false)
      scheduler.after(SWEEP_MS, owner, sweep)
    }
    scheduler.after(0, owner, () => {
      for (const [index, loop] of loops.entries()) loop.ring(namesOf(this.#places[index] as Place))
      scheduler.after(SWEEP_MS, owner, sweep)
    })
  }

  /** An entry of a stream stands. */
  grown(market: Market, entry: NaiveEntry): void {
    const index = this.#places.findIndex((place) => place.market === market)
    const place = this.#places[index] as Place
    const channel = entry.type.split('.')[0] as FusedChannel
    if (place.epoch !== '' && place.epoch !== entry.epoch) place.redis.beginEpoch()
    place.epoch = entry.epoch
    place.redis.append(channel, entry.type, JSON.parse(entry.data) as object)
    const { dice, scheduler, weather } = this.#network
    for (const { owner, loops } of this.#running) {
      if (dice.chance(weather.frameLost)) continue
      const name = { ...place.redis.name, channel }
      scheduler.after(this.#network.delayMs(), owner, () => loops[index]?.ring([name]))
    }
  }

  missing(): string[] {
    if (!this.begun) return []
    return this.#places.flatMap(({ judge }) => judge.missing())
  }

  #link(owner: Owner, { redis, judge }: Place): SourceStreams & CommitLog {
    const call = <Answer>(name: string, work: () => Answer | Promise<Answer>) => this.#network.call(owner, name, work)
    return {
      list: () => redis.list(),
      hear: () => redis.hear(),
      read: (places, countMax) => call('a read', () => redis.read(places, countMax)),
      newest: (names) => call('a look at the newest', () => redis.newest(names)),
      forward: (...range) => call('a read forward', () => redis.forward(...range)),
      backward: (...range) => call('a read backward', () => redis.backward(...range)),
      moveGroups: () => call('a move of groups', () => redis.moveGroups()),
      load: (names) => call('a load', () => redis.load(names)),
      commit: (run, commits) =>
        call('a commit', () => {
          const answer = redis.commit(run, commits)
          try {
            judge.look()
          } catch (error) {
            this.#failed((error as Error).message)
          }
          return answer
        }),
      qualities: (names) => call('a look at qualities', () => redis.qualities(names)),
      renew: (names) => call('a renewal', () => redis.renew(names)),
    }
  }
}

function namesOf({ redis }: Place) {
  return FusedChannels.map((channel) => ({ ...redis.name, channel }))
}
