import { BurstConnection } from './burst.ts'
import { Books } from './commit-books.ts'
import { BookStory } from './conductor-story.ts'
import { median } from './report.ts'
import { type BenchRedis, entryFields, MAX_LENGTH } from './runs.ts'

/** What a call, or a commit where several share a call, takes of Redis, us: in the median of the windows and in the best. */
export interface CallCost {
  /** User and system time of the server: reading, script, answering. */
  readonly redisUs: number
  readonly redisUsBest: number
  /** By Redis's own clock, in the command alone: `usec_per_call` of INFO commandstats. */
  readonly insideUs: number
  readonly insideUsBest: number
}

/** A commit on a book of 1,000 levels a side, and in the same windows what no commit by script can spare. */
export interface CommitCosts extends CallCost {
  readonly changedLevels: number
  /** Instruments that one call commits. */
  readonly perCall: number
  /** Nothing but the HSET of the same levels and one XADD of 14 fields of the same size, by script; for an instrument, too. */
  readonly bare: CallCost
  /** A call of a script that does nothing. */
  readonly empty: CallCost
  /** A plain XADD of fourteen fields. */
  readonly xadd14: CallCost
}

const WINDOWS = 25
/** Calls that leave together. */
const IN_FLIGHT = 8
const EMPTY = 'return 1'
/** KEYS: hash and stream an instrument. ARGV: for each its number of strings of levels, 28 of the entry, levels. */
const BARE = `
local at = 1
for number = 1, #KEYS, 2 do
  local levels = tonumber(ARGV[at])
  redis.call('XADD', KEYS[number + 1], 'MAXLEN', '~', ${MAX_LENGTH}, '*', unpack(ARGV, at + 1, at + 28))
  redis.call('HSET', KEYS[number], unpack(ARGV, at + 29, at + 28 + levels))
  at = at + 29 + levels
end
return 1
`

export async function measureCommits(
  redis: BenchRedis,
  count: number,
  say: (text: string) => void,
): Promise<{ commits: CommitCosts[]; wholeBookBytes: number; smallChangeBytes: number }> {
  const commits: CommitCosts[] = []
  let wholeBookBytes = 0
  let smallChangeBytes = 0
  const connection = new BurstConnection(redis.url)
  await connection.ready()
  try {
    for (const [changedLevels, perCall] of [
      [10, 1],
      [50, 1],
      [10, 16],
      [50, 16],
    ] as const) {
      await redis.client.flushall()
      const calls = Array.from({ length: IN_FLIGHT }, (_, at) => new Books(connection, at * perCall, perCall))
      const before = await inputBytes(redis)
      for (const books of calls) await books.open()
      if (perCall === 1) wholeBookBytes = ((await inputBytes(redis)) - before) / IN_FLIGHT
      const single = Math.ceil(count / WINDOWS / IN_FLIGHT)
      const rounds = Math.ceil(single / perCall)
      let sent = 0
      const commitAll = async (): Promise<void> => {
        const bytesBefore = await inputBytes(redis)
        for (let round = 0; round < rounds; round++)
          await Promise.all(calls.map((books) => books.commit(changedLevels)))
        sent = ((await inputBytes(redis)) - bytesBefore) / rounds / IN_FLIGHT
      }
      const [commit, bare, empty, xadd14] = await alternate(redis, [
        { command: 'evalsha', calls: rounds * IN_FLIGHT, share: perCall, run: commitAll },
        { ...(await bareLoad(connection, calls, changedLevels, rounds)), share: perCall },
        { ...(await scriptLoad(connection, EMPTY, single, () => [0])), share: 1 },
        { ...xaddLoad(connection, single), share: 1 },
      ])
      if (changedLevels === 10 && perCall === 1) smallChangeBytes = sent
      const cost = { ...(commit as CallCost), changedLevels, perCall }
      const beside = { bare: bare as CallCost, empty: empty as CallCost, xadd14: xadd14 as CallCost }
      commits.push({ ...cost, ...beside })
      say(
        `commit of ${changedLevels} levels, ${perCall} a call: Redis ${cost.redisUs.toFixed(1)} us, best ${cost.redisUsBest.toFixed(1)}; ` +
          `levels and entry alone ${beside.bare.redisUs.toFixed(1)} us, best ${beside.bare.redisUsBest.toFixed(1)}`,
      )
    }
  } finally {
    connection.close()
  }
  return { commits, wholeBookBytes, smallChangeBytes }
}

/** One of the things that are measured in turns. */
interface Load {
  /** As INFO commandstats calls it. */
  readonly command: string
  readonly calls: number
  /** What a call's cost is divided by. */
  readonly share: number
  run(): Promise<void>
}

/** Many short windows of each load, in turns: most are disturbed by nobody, and those that are tell of the machine. */
async function alternate(redis: BenchRedis, loads: readonly Load[]): Promise<CallCost[]> {
  const found = loads.map(() => ({ redisUs: [] as number[], insideUs: [] as number[] }))
  for (const load of loads) await load.run()
  for (let window = 0; window < WINDOWS; window++) {
    for (const [index, { command, calls, share, run }] of loads.entries()) {
      await redis.client.config('RESETSTAT')
      const before = await redis.cpuUs()
      await run()
      found[index]?.redisUs.push(((await redis.cpuUs()) - before) / calls / share)
      const stats = await redis.client.info('commandstats')
      const perCall = Number(new RegExp(`cmdstat_${command}:.*usec_per_call=([\\d.]+)`).exec(stats)?.[1])
      found[index]?.insideUs.push(perCall / share)
    }
  }
  return found.map(({ redisUs, insideUs }) => ({
    redisUs: median(redisUs),
    redisUsBest: Math.min(...redisUs),
    insideUs: median(insideUs),
    insideUsBest: Math.min(...insideUs),
  }))
}

/** Calls of a script, in bursts as the commits are. */
async function scriptLoad(
  connection: BurstConnection,
  source: string,
  rounds: number,
  argsOf: (call: number) => readonly (string | number)[],
) {
  const sha = String(await connection.send('script', ['LOAD', source]))
  const run = async (): Promise<void> => {
    for (let round = 0; round < rounds; round++) {
      const burst = Array.from({ length: IN_FLIGHT }, (_, call) => connection.send('evalsha', [sha, ...argsOf(call)]))
      await Promise.all(burst)
    }
  }
  return { command: 'evalsha', calls: rounds * IN_FLIGHT, run }
}

/** The same levels into books that stand there as whole as those of the commits. */
async function bareLoad(connection: BurstConnection, calls: readonly Books[], changedLevels: number, rounds: number) {
  const story = new BookStory()
  for (const books of calls) {
    for (const { hash } of books.bare) await connection.send('hset', [hash, ...flat(story.snapshot())])
  }
  return scriptLoad(connection, BARE, rounds, (call) => {
    const groups = (calls[call] as Books).bare
    const args = groups.flatMap(({ entry }) => {
      const levels = flat(story.changes(changedLevels))
      return [levels.length, ...entry, ...levels]
    })
    return [2 * groups.length, ...groups.flatMap(({ hash, stream }) => [hash, stream]), ...args]
  })
}

function xaddLoad(connection: BurstConnection, rounds: number) {
  const args = ['bench:limit', 'MAXLEN', '~', MAX_LENGTH, '*', ...entryFields()]
  const run = async (): Promise<void> => {
    for (let round = 0; round < rounds; round++) {
      await Promise.all(Array.from({ length: IN_FLIGHT }, () => connection.send('xadd', args)))
    }
  }
  return { command: 'xadd', calls: rounds * IN_FLIGHT, run }
}

const flat = ({ bids, asks }: ReturnType<BookStory['changes']>): string[] => [
  ...bids.flatMap(([price, quantity]) => [`b:${price}`, quantity]),
  ...asks.flatMap(([price, quantity]) => [`a:${price}`, quantity]),
]

async function inputBytes(redis: BenchRedis): Promise<number> {
  return Number(/total_net_input_bytes:(\d+)/.exec(await redis.client.info('stats'))?.[1])
}
