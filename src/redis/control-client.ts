import {
  type Answer,
  answerSchema,
  type ChannelState,
  type CommandInput,
  type CommandStory,
  type ControlClient,
  ControlLimits,
  type ControlledChannel,
  channelStateSchema,
  commandSchema,
  type SubmitResult,
  type TopicReport,
} from '../control/contract.ts'
import { encodeCommand, namesOf } from '../control/decode.ts'
import { fingerprintOf } from '../control/fingerprint.ts'
import type { Effect } from '../control/step.ts'
import { outcomeOf } from '../control/story.ts'
import { channelKey } from '../control/table-data.ts'
import { asInstrument, asMarket } from '../domain/instrument.ts'
import { UsageError } from '../errors.ts'
import type { Clock } from '../lib/clock.ts'
import type { RedisConnection } from './connection.ts'
import { ControlKeys } from './control-keys.ts'
import { RedisTopicReports } from './control-reports.ts'
import { entriesOf, type RawEntry } from './control-store.ts'
import { admitJson } from './control-table.ts'
import type { Keys } from './keys.ts'
import { RedisMembers } from './members.ts'
import { Script } from './script.ts'

const submitScript = new Script('control-submit-3.lua')

/** Between two looks at a command that is waited for, ms: at first, and at most. */
const LOOK_MS_MIN = 10
const LOOK_MS_MAX = 50
/** Channels of a pattern's command that are looked at. */
const CHANNELS_SHOWN_MAX = 1_000

export interface RedisControlClientOptions {
  readonly connection: RedisConnection
  readonly keys: Keys
  readonly clock: Clock
  /** A member that has not beaten for so long counts as gone, ms. */
  readonly expiryMs: number
}

/** Puts commands on the control stream and tells what became of them. */
export class RedisControlClient implements ControlClient {
  readonly #options: RedisControlClientOptions
  readonly #keys: ControlKeys
  readonly #reports: RedisTopicReports
  readonly #members: RedisMembers

  constructor(options: RedisControlClientOptions) {
    this.#options = options
    this.#keys = new ControlKeys(options.keys)
    this.#reports = new RedisTopicReports(options.connection, options.keys)
    this.#members = new RedisMembers(options.connection, options.keys)
  }

  async submit(input: CommandInput): Promise<SubmitResult> {
    const parsed = commandSchema.safeParse(input)
    if (!parsed.success) {
      const issue = parsed.error.issues[0]
      throw new UsageError(`a command's ${issue?.path.join('.') || 'form'}: expected ${issue?.message}`)
    }
    const fields = encodeCommand(parsed.data)
    const bytes = Object.values(fields).reduce((sum, value) => sum + Buffer.byteLength(value), 0)
    const { commandBytesMax, commandsWaitingMax, rememberMs } = ControlLimits
    if (bytes > commandBytesMax) {
      throw new UsageError(`a command: expected at most ${commandBytesMax} bytes, found ${bytes}`)
    }
    const { commands, table } = this.#keys
    const reply = (await submitScript.run(this.#options.connection, [
      ...[3, commands, this.#keys.answer(parsed.data.id), table, fingerprintOf(fields), rememberMs, commandsWaitingMax],
      ...Object.entries(fields).flat(),
    ])) as [string, string?]
    const [status, word = ''] = reply
    if (status === 'full') return { status, waiting: Number(word) }
    if (status === 'different') return { status }
    return { status: status === 'repeated' ? 'repeated' : 'accepted', entryId: word }
  }

  async status(commandId: string): Promise<CommandStory | null> {
    const key = this.#keys.answer(commandId)
    const fields = ['entry', 'answer', 'effect', 'effectiveAt', 'effectiveCode']
    const found = (await this.#options.connection.send('hmget', [key, ...fields])) as (string | null)[]
    const [entry, answerText, effectText, effectiveAt, effectiveCode] = found
    if (!entry) return null
    if (!answerText || !effectText) return this.#pending(commandId, entry)
    const answer = admitJson(answerText, (value) => answerSchema.parse(value))
    const effect = admitJson(effectText, (value) => value as Effect)
    if (answer.status === 'failed') return { ...answer, topics: [] }
    const facts = await this.#factsOf(effect, answer)
    const topics = facts.flatMap(({ reports }) => reports)
    if (effectiveAt) return { ...answer, ...effectiveOf(Number(effectiveAt), effectiveCode ?? ''), topics }
    const outcomes = facts.map(({ facts: one }) => outcomeOf(effect, one))
    if (outcomes.some((outcome) => outcome === null)) return { ...answer, topics }
    const effectiveAtUs = Math.max(answer.appliedAtUs ?? 0, ...outcomes.map((outcome) => outcome?.effectiveAtUs ?? 0))
    const code = outcomes.find((outcome) => outcome?.code)?.code ?? ''
    // What has come true once stays so, whatever later commands do.
    await this.#options.connection.send('hset', [key, 'effectiveAt', effectiveAtUs, 'effectiveCode', code])
    return { ...answer, ...effectiveOf(effectiveAtUs, code), topics }
  }

  async waitFor(commandId: string, timeoutMs: number): Promise<CommandStory | null> {
    const { clock } = this.#options
    const endMs = clock.monotonicMs() + timeoutMs
    for (let lookMs = LOOK_MS_MIN; ; lookMs = Math.min(LOOK_MS_MAX, lookMs * 1.5)) {
      const story = await this.status(commandId)
      const leftMs = endMs - clock.monotonicMs()
      if (story === null || story.status === 'effective' || story.status === 'failed' || leftMs <= 0) return story
      await new Promise<void>((resolve) => clock.after(Math.min(lookMs, leftMs), resolve))
    }
  }

  async #pending(commandId: string, entryId: string): Promise<CommandStory> {
    const raw = await this.#options.connection.send('xrange', [this.#keys.commands, entryId, entryId])
    const entry = entriesOf(raw as RawEntry[])[0] ?? { id: entryId, fields: {} }
    const issuedAt = entry.fields.issuedAt ?? ''
    return {
      ...{ commandId, ...namesOf(entry), status: 'pending', code: null, message: null, entryId },
      ...{ before: null, after: null, version: null, appliedAtUs: null, effectiveAtUs: null, topics: [] },
      issuedAtUs: /^\d{1,16}$/.test(issuedAt) ? Number(issuedAt) : null,
    }
  }

  /** What there is to know of each instrument that the command is about. */
  async #factsOf(effect: Effect, answer: Answer) {
    const { connection, keys, expiryMs } = this.#options
    const members = effect.kind === 'none' ? [] : await this.#members.list('ingest')
    const alive = new Set(members.filter(({ ageMs }) => ageMs < expiryMs).map(({ id }) => id))
    const common = { version: answer.version ?? 0, appliedAtUs: answer.appliedAtUs ?? 0, alive }
    const nothing = { reports: [], channels: [], closedBelow: new Map<ControlledChannel, number>() }
    if (effect.instrument === '') return [{ reports: [] as TopicReport[], facts: { ...common, ...nothing } }]
    const { market, types } = effect
    const instruments = effect.instrument.includes('*')
      ? await this.#instrumentsAt(common.version)
      : [effect.instrument]
    return Promise.all(
      instruments.map(async (instrument) => {
        const fields = types.map((type) => channelKey(market, instrument, type))
        const stateKey = keys.state(asMarket(market), asInstrument(instrument))
        const [all, states, packed] = await Promise.all([
          this.#reports.of(market, instrument),
          connection.send('hmget', [this.#keys.parts[3] as string, ...fields]) as Promise<(string | null)[]>,
          connection.send('hmget', [stateKey, ...types]) as Promise<(string | null)[]>,
        ])
        const reports = all.filter(({ type }) => types.includes(type))
        const channels = states.filter((text) => text !== null).map(channelStateOf)
        const closedBelow = new Map(types.map((type, at) => [type, versionOf(packed[at] ?? null)] as const))
        return { reports, facts: { ...common, reports, channels, closedBelow } }
      }),
    )
  }

  /** Instruments whose channels the table says this version closed. */
  async #instrumentsAt(version: number): Promise<string[]> {
    const texts = (await this.#options.connection.send('hvals', [this.#keys.parts[3] as string])) as string[]
    const states = texts.map(channelStateOf).filter((state) => state.version === version)
    return [...new Set(states.map(({ instrument }) => instrument))].slice(0, CHANNELS_SHOWN_MAX)
  }
}

function effectiveOf(effectiveAtUs: number, code: string): Partial<Answer> & { status: 'effective' } {
  const message = 'a later command undid this one before it had taken effect at the venue'
  return { status: 'effective', effectiveAtUs, ...(code === '' ? {} : { code, message }) }
}

function channelStateOf(text: string): ChannelState {
  return admitJson(text, (value) => channelStateSchema.parse(value))
}

/** The table version in a channel's state, see `pack` in append.lua. */
function versionOf(packed: string | null): number {
  return Number(packed?.split(' ')[5] ?? 0)
}
