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
import { median } from './report.ts'
import { type BenchRedis, benchmarkXadd, entryFields } from './runs.ts'

/** CPU of Redis for a commit on a book of 1,000 levels a side. */
export interface CommitCosts {
  readonly changedLevels: number
  /** Instruments that one call commits. */
  readonly perCall: number
  readonly redisUs: number
  /** A call of a script that does nothing, for comparison. */
  readonly emptyCallUs: number
  /** A plain XADD of fourteen fields beside it. */
  readonly xadd14Us: number
}

const LIMITS = { throttleMs: 0, eventsMax: Number.POSITIVE_INFINITY, changesMax: Number.POSITIVE_INFINITY }
const WINDOWS = 25
const NOW_US = 1_723_161_254_087_891

export async function measureCommits(
  redis: BenchRedis,
  connection: RedisConnection,
  count: number,
  say: (text: string) => void,
): Promise<{ commits: CommitCosts[]; wholeBookBytes: number; smallChangeBytes: number }> {
  const commits: CommitCosts[] = []
  let wholeBookBytes = 0
  let smallChangeBytes = 0
  for (const [changedLevels, perCall] of [
    [10, 1],
    [50, 1],
    [10, 16],
    [50, 16],
  ] as const) {
    await redis.client.flushall()
    const xadd14Us = (await benchmarkXadd(redis, entryFields(), 20_000, 64)).us
    const books = new Books(connection, perCall)
    const before = await inputBytes(redis)
    await books.open()
    if (perCall === 1) wholeBookBytes = (await inputBytes(redis)) - before
    await books.commit(changedLevels, 100)
    const callsPerWindow = Math.ceil(count / perCall / WINDOWS)
    const emptyCallUs = await medianUs(redis, callsPerWindow, async () => {
      for (let call = 0; call < callsPerWindow; call++) await connection.send('eval', ['return 1', 0])
    })
    const bytesBefore = await inputBytes(redis)
    const callUs = await medianUs(redis, callsPerWindow, () => books.commit(changedLevels, callsPerWindow))
    const calls = callsPerWindow * WINDOWS
    if (changedLevels === 10 && perCall === 1) smallChangeBytes = ((await inputBytes(redis)) - bytesBefore) / calls
    const cost = { changedLevels, perCall, redisUs: callUs / perCall, emptyCallUs, xadd14Us }
    commits.push(cost)
    say(
      `commit of ${changedLevels} levels, ${perCall} a call: Redis ${cost.redisUs.toFixed(1)} us; ` +
        `an empty call ${emptyCallUs.toFixed(1)} us, XADD ${xadd14Us.toFixed(2)} us`,
    )
  }
  return { commits, wholeBookBytes, smallChangeBytes }
}

/** Books that are committed as the conductor does it. */
class Books {
  readonly #log: RedisCommitLog
  readonly #story = new BookStory()
  readonly #names
  readonly #states: FusionState[]
  readonly #bases: Commit['base'][]
  readonly #versions: number[]
  #run = ''
  #seq = 0

  constructor(connection: RedisConnection, count: number) {
    this.#log = new RedisCommitLog({
      connection,
      keys: new Keys('bench', PARTITIONS),
      ttlMs: 60_000,
      maxLength: 100_000,
    })
    this.#names = Array.from({ length: count }, (_, at) => ({
      market: MARKET,
      instrument: asInstrument(`A${at}-USDT`),
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

  async commit(changedLevels: number, calls: number): Promise<void> {
    for (let call = 0; call < calls; call++) {
      const id = String(this.#seq + 1)
      this.#fold('ORDERBOOK.DELTA', () => ({ first: id, last: id, ...this.#story.changes(changedLevels) }))
      await this.#commitAll()
    }
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

/** CPU of Redis for a call, us: the median of many short windows, most of which nobody else disturbs. */
async function medianUs(redis: BenchRedis, calls: number, run: () => Promise<void>): Promise<number> {
  const found: number[] = []
  for (let window = 0; window < WINDOWS; window++) {
    const before = await redis.cpuUs()
    await run()
    found.push(((await redis.cpuUs()) - before) / calls)
  }
  return median(found)
}

async function inputBytes(redis: BenchRedis): Promise<number> {
  return Number(/total_net_input_bytes:(\d+)/.exec(await redis.client.info('stats'))?.[1])
}
