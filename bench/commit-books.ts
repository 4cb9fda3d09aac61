import type { Commit, CommitOutcome } from '../src/conductor/commit-log.ts'
import { carriedText } from '../src/domain/fusion/carried.ts'
import { type FusionState, fuse, newFusion, published, type SourceEvent, step } from '../src/domain/fusion/fusion.ts'
import { Ladder } from '../src/domain/fusion/ladder.ts'
import { LiveBook } from '../src/domain/fusion/live-book.ts'
import { asInstrument } from '../src/domain/instrument.ts'
import { RedisCommitLog } from '../src/redis/commit-log.ts'
import type { RedisConnection } from '../src/redis/connection.ts'
import { Keys } from '../src/redis/keys.ts'
import { BookStory, LEVELS, MARKET, PARTITIONS } from './conductor-story.ts'
import { MAX_LENGTH } from './runs.ts'

const LIMITS = { throttleMs: 0, eventsMax: Number.POSITIVE_INFINITY, changesMax: Number.POSITIVE_INFINITY }
const NOW_US = 1_723_161_254_087_891

/** Books that are committed as the conductor does it. */
export class Books {
  readonly #log: RedisCommitLog
  readonly #story = new BookStory()
  readonly #names
  readonly #states: FusionState[]
  readonly #bases: Commit['base'][]
  readonly #versions: number[]
  #run = ''
  #seq = 0

  /** `count` instruments, the first of which has the number `from`. */
  constructor(connection: RedisConnection, from: number, count: number) {
    this.#log = new RedisCommitLog({
      connection,
      keys: new Keys('bench', PARTITIONS),
      ttlMs: 60_000,
      maxLength: MAX_LENGTH,
    })
    this.#names = Array.from({ length: count }, (_, at) => ({
      market: MARKET,
      instrument: asInstrument(`A${from + at}-USDT`),
    }))
    this.#states = this.#names.map(() => newFusion(new LiveBook(new Ladder(LEVELS)), NOW_US))
    this.#bases = this.#names.map(() => 'replace')
    this.#versions = this.#names.map(() => 0)
  }

  async open(): Promise<void> {
    this.#run = (await this.#log.load(this.#names)).run
    this.#fold('ORDERBOOK.SNAPSHOT', () => ({ last: '1', ...this.#story.snapshot(), depth: LEVELS }))
    await this.#commitAll()
  }

  /** One call. */
  commit(changedLevels: number): Promise<void> {
    const id = String(this.#seq + 1)
    this.#fold('ORDERBOOK.DELTA', () => ({ first: id, last: id, ...this.#story.changes(changedLevels) }))
    return this.#commitAll()
  }

  /** Keys and the entry of each instrument, for a load that promises nothing. */
  get bare(): { hash: string; stream: string; entry: string[] }[] {
    return this.#names.map(({ market, instrument }, at) => {
      const { quality, venueTime, receivedTime, trace, data } = fuse(this.#states[at] as FusionState, NOW_US)
      const named = ['v', '1', 'type', 'ANALYTICS.FUSED', 'market', market, 'instrument', instrument]
      const counted = ['epoch', String(NOW_US), 'seq', '123456', 'key', `${instrument}:ANALYTICS.FUSED:123456`]
      const timed = ['venueSeq', '123456', 'venueTime', venueTime, 'receivedTime', receivedTime]
      const rest = ['source', 'conductor.fused', 'trace', trace, 'quality', quality, 'data', data]
      return {
        hash: `bare:book:${instrument}`,
        stream: `bare:stream:${instrument}`,
        entry: [...named, ...counted, ...timed, ...rest],
      }
    })
  }

  #fold(type: string, dataOf: () => unknown): void {
    this.#seq++
    for (const state of this.#states) {
      const place = {
        channel: 'ORDERBOOK',
        type,
        id: `${(NOW_US / 1_000) | 0}-${this.#seq}`,
        epoch: String(NOW_US),
        seq: this.#seq,
      } as const
      const event: SourceEvent = {
        ...place,
        ...{
          quality: '',
          venueTime: String(NOW_US),
          receivedTime: String(NOW_US),
          trace: '0'.repeat(32),
          data: dataOf(),
        },
      }
      step(state, event, LIMITS)
    }
  }

  async #commitAll(): Promise<void> {
    const commits = this.#states.map((state, at): Commit => {
      const { epoch, seq, id } = state.positions.ORDERBOOK
      const version = this.#versions[at] ?? 0
      const head = {
        epoch,
        seq: String(seq),
        streamId: id,
        venueSeq: String(seq),
        updatedAt: String(NOW_US),
        quality: 'LIVE',
      } as const
      return {
        ...{
          name: this.#names[at] as Commit['name'],
          version,
          versionFloor: version,
          base: this.#bases[at] as Commit['base'],
        },
        ...{
          change: { ...state.book.ladder.changes(), head },
          carried: carriedText(state, NOW_US),
          event: fuse(state, NOW_US),
        },
      }
    })
    const outcomes = await this.#log.commit(this.#run, commits)
    for (const [at, state] of this.#states.entries()) {
      const outcome = outcomes[at] as CommitOutcome
      if (outcome.outcome !== 'committed') throw new Error(`expected a commit, found ${JSON.stringify(outcome)}`)
      const { epoch, streamId } = (commits[at] as Commit).change.head
      this.#versions[at] = outcome.version
      this.#bases[at] = { epoch, streamId }
      state.book.ladder.settle()
      published(state, NOW_US, 0)
    }
  }
}
