import type { Commit, CommitOutcome } from '../conductor/commit-log.ts'
import type { BookName, SnapshotChange } from '../conductor/snapshot-store.ts'
import { Channel } from '../domain/event.ts'
import type { RedisConnection } from './connection.ts'
import { BusError } from './errors.ts'
import type { Keys } from './keys.ts'
import { Script } from './script.ts'

const commitScript = new Script('commit.lua')

/** One instrument of a call, in the words of `scripts/commit.lua`. */
export interface CommitArguments {
  readonly name: BookName
  /** '' for any. */
  readonly version: string
  readonly record: string
  readonly versionFloor: number
  readonly maxLength: number | null
  readonly carried: string
  readonly ttlMs: number
  readonly change: SnapshotChange
  readonly event: Commit['event']
}

export interface CommitCall {
  readonly run: string
  readonly floorMs: number
  readonly commits: readonly CommitArguments[]
}

export interface CommitReply {
  readonly greatestEntryMs: number
  readonly bellError: string | null
  readonly answers: readonly CommitOutcome[]
}

/** One run of the script. Throws: BusError. */
export async function runCommit(connection: RedisConnection, keys: Keys, call: CommitCall): Promise<CommitReply> {
  const reply = await commitScript.run(connection, encode(keys, call, connection.run))
  if (!Array.isArray(reply))
    throw new BusError('other', `expected a list from the commit script, found ${typeof reply}`)
  const [head = '0', ...answers] = reply as string[]
  const bang = head.indexOf('!')
  return {
    greatestEntryMs: Number.parseInt(head, 10),
    bellError: bang === -1 ? null : head.slice(bang + 1),
    answers: answers.map(decode),
  }
}

/** `process`: of the answering process, '' where the script has to ask. */
function encode(keys: Keys, { run, floorMs, commits }: CommitCall, process: string): string[] {
  const args = ['']
  const bells: string[] = []
  const bellOf: number[] = []
  for (const { name } of commits) {
    const { market, instrument } = name
    args.push(keys.state(market, instrument), keys.book(market, instrument))
    args.push(keys.stream(market, instrument, Channel.Analytics))
    const bell = keys.bell(keys.partition(market, instrument))
    if (!bells.includes(bell)) bells.push(bell)
    bellOf.push(bells.indexOf(bell))
  }
  for (const bell of bells) args.push(bell)
  args[0] = String(args.length - 1)
  args.push(String(floorMs), String(commits.length), run, process)
  for (const [index, commit] of commits.entries()) {
    const { name, change, event } = commit
    const { head, set, removed } = change
    args.push(String(bellOf[index]), name.market, name.instrument, commit.version, commit.record)
    args.push(String(commit.versionFloor), commit.maxLength === null ? '' : String(commit.maxLength), commit.carried)
    args.push(String(commit.ttlMs), head.epoch, head.seq, head.streamId, head.venueSeq, head.updatedAt, head.quality)
    args.push(event.quality, event.venueTime, event.receivedTime, event.trace, event.data)
    args.push(String(removed.length), String(set.length))
    for (const field of removed) args.push(field)
    for (const text of set) args.push(text)
  }
  return args
}

function decode(answer: string): CommitOutcome {
  const lineEnd = answer.indexOf('\n')
  switch (answer.charAt(0)) {
    case 'k': {
      const [, version = '0', epoch = '', seq = '0'] = answer.split(' ')
      return { outcome: 'committed', version: Number(version), epoch, seq }
    }
    case 'c':
      return { outcome: 'conflict' }
    case 'u':
      return { outcome: 'record-unavailable', error: answer.slice(lineEnd + 1) }
    default:
      return { outcome: 'failed', error: answer.slice(lineEnd + 1) }
  }
}
