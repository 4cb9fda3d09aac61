import type {
  Beat,
  BeatAnswer,
  ClusterRole,
  Member,
  MemberFacts,
  MemberState,
  MemberStore,
} from '../cluster/member-store.ts'
import { formatPartitions, parsePartitions } from '../domain/partition-set.ts'
import type { RedisConnection } from './connection.ts'
import { BusError } from './errors.ts'
import type { Keys } from './keys.ts'
import { Script } from './script.ts'

const beatScript = new Script('beat-1.lua')
const membersScript = new Script('members-1.lua')

/** Members kept of a role, and how long one that fell silent is still shown. */
const MEMBERS_MAX = 1_000
const FORGET_MS = 60_000

const STATES = new Set<string>(['joining', 'active', 'leaving'] satisfies MemberState[])
const FIELDS_PER_MEMBER = 7

/** The members of every role, one hash a role (DESIGN 3): heartbeats by Redis's own clock. */
export class RedisMembers implements MemberStore {
  readonly #connection: RedisConnection
  readonly #keys: Keys

  constructor(connection: RedisConnection, keys: Keys) {
    this.#connection = connection
    this.#keys = keys
  }

  /** Throws: BusError. */
  async beat(role: ClusterRole, beat: Beat): Promise<BeatAnswer> {
    const { id, incarnation, startedUs, number, state, facts, expiryMs, outageMs } = beat
    const started = startedUs === null ? '' : String(startedUs)
    const args = [
      id,
      incarnation,
      started,
      state,
      encodeFacts(facts),
      expiryMs,
      Math.max(FORGET_MS, expiryMs),
      MEMBERS_MAX,
      outageMs,
      number,
    ]
    const [standing, startedAt, runId, ...flat] = await this.#run(beatScript, role, args)
    const members = parseMembers(flat)
    return { standing: standing as BeatAnswer['standing'], startedUs: Number(startedAt), runId: runId ?? '', members }
  }

  /** Throws: BusError. */
  async list(role: ClusterRole): Promise<readonly Member[]> {
    return parseMembers(await this.#run(membersScript, role, [FORGET_MS]))
  }

  async #run(script: Script, role: ClusterRole, args: readonly (string | number)[]): Promise<string[]> {
    const reply = await script.run(this.#connection, [1, this.#keys.members(role), ...args])
    if (!Array.isArray(reply))
      throw new BusError('other', `expected a list from a script of the members, found ${typeof reply}`)
    return reply as string[]
  }
}

function parseMembers(flat: readonly string[]): Member[] {
  const members: Member[] = []
  for (let at = 0; at + FIELDS_PER_MEMBER <= flat.length; at += FIELDS_PER_MEMBER) {
    const [id, incarnation, startedUs, ageUs, spared, state, facts] = flat.slice(at) as [
      ...[string, string, string, string, string, string, string],
    ]
    members.push({
      id,
      incarnation,
      startedUs: Number(startedUs),
      ageMs: Number(ageUs) / 1_000,
      spared: spared === '1',
      // A word of another version: it is there, and what it does is not known.
      state: STATES.has(state) ? (state as MemberState) : 'joining',
      facts: decodeFacts(facts),
    })
  }
  return members
}

function encodeFacts(facts: MemberFacts): string {
  const { version, owns, flows, flowsSinceUs, lagMs, unheardMs, missingMs, untold } = facts
  const sets = { owns: formatPartitions(owns), flows: formatPartitions(flows), untold: formatPartitions(untold) }
  return JSON.stringify({
    version,
    ...sets,
    flowsSince: flowsSinceUs,
    lagMs,
    unheard: unheardMs,
    missing: [...missingMs],
  })
}

function isPairOfNumbers(value: unknown): value is [number, number] {
  return Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === 'number')
}

/** Admits what it knows; anything else of another version's facts counts as not said. */
function decodeFacts(text: string): MemberFacts {
  let said: Record<string, unknown> = {}
  try {
    const parsed: unknown = JSON.parse(text)
    if (typeof parsed === 'object' && parsed !== null) said = parsed as Record<string, unknown>
  } catch {
    // No facts: the member is alive and owns nothing as far as we can tell, so nobody lets go of anything for it.
  }
  const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')
  const numberOf = (value: unknown): number | null => (typeof value === 'number' ? value : null)
  return {
    version: textOf(said.version),
    owns: parsePartitions(textOf(said.owns)),
    flows: parsePartitions(textOf(said.flows)),
    flowsSinceUs: numberOf(said.flowsSince),
    lagMs: numberOf(said.lagMs),
    unheardMs: numberOf(said.unheard) ?? 0,
    missingMs: new Map(Array.isArray(said.missing) ? said.missing.filter(isPairOfNumbers) : []),
    untold: parsePartitions(textOf(said.untold)),
  }
}
