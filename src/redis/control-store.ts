import { ControlLimits } from '../control/contract.ts'
import type { ControlEntry } from '../control/decode.ts'
import { fingerprintOf } from '../control/fingerprint.ts'
import type { ApplyResult, ControlStore, RestoreResult, TableChange, TableHead, Verdict } from '../control/store.ts'
import { type Change, PARTS, type TableData } from '../control/table-data.ts'
import type { Clock } from '../lib/clock.ts'
import type { RedisConnection } from './connection.ts'
import { RedisChannelGate } from './control-gate.ts'
import { CONTROL_GROUP, CONTROL_LENGTHS, ControlKeys } from './control-keys.ts'
import { readTable, tableOf } from './control-table.ts'
import { BusError } from './errors.ts'
import type { Keys } from './keys.ts'
import { Script } from './script.ts'

const applyScript = new Script('control-apply-13.lua')
const restoreScript = new Script('control-restore-10.lua')

const ENTRIES_AT_ONCE = 20
const SETTLE_MS = 1_500
/** Consumers of the group that did nothing for so long are those of processes that are gone, ms. */
const CONSUMER_IDLE_MS = 3_600_000

export type RawEntry = [id: string, fields: string[]]

export interface RedisControlStoreParts {
  readonly connection: RedisConnection
  /** Nothing else uses these: one waits for commands, the other for changes. */
  readonly takeConnection: RedisConnection
  readonly followConnection: RedisConnection
  readonly keys: Keys
  readonly clock: Clock
  readonly worker: string
  /** How long a table that was written anew waits for newer copies, ms: longer than a holder takes to notice. */
  readonly settleMs?: number
}

/** The control plane's store in Redis. Throws: BusError. */
export class RedisControlStore implements ControlStore {
  readonly #parts: RedisControlStoreParts
  readonly #keys: ControlKeys
  readonly #gate: RedisChannelGate
  #changesId = '0-0'

  constructor(parts: RedisControlStoreParts) {
    this.#parts = parts
    this.#keys = new ControlKeys(parts.keys)
    this.#gate = new RedisChannelGate(parts.connection, parts.keys)
  }

  async take(consumer: string, blockMs: number): Promise<readonly ControlEntry[]> {
    const args = ['GROUP', CONTROL_GROUP, consumer, 'COUNT', ENTRIES_AT_ONCE, 'BLOCK', Math.max(1, blockMs)]
    try {
      const reply = await this.#parts.takeConnection.send('xreadgroup', [...args, 'STREAMS', this.#keys.commands, '>'])
      return reply === null ? [] : entriesOf((reply as [string, RawEntry[]][])[0]?.[1] ?? [])
    } catch (error) {
      if (!isNoGroup(error)) throw error
      await this.#makeGroup()
      return []
    }
  }

  async claim(consumer: string, idleMs: number): Promise<readonly ControlEntry[]> {
    const args = [this.#keys.commands, CONTROL_GROUP, consumer, idleMs, '0', 'COUNT', ENTRIES_AT_ONCE]
    try {
      const reply = (await this.#parts.connection.send('xautoclaim', args)) as [string, RawEntry[]]
      return entriesOf(reply[1])
    } catch (error) {
      if (!isNoGroup(error)) throw error
      await this.#makeGroup()
      return []
    }
  }

  async apply(
    entry: ControlEntry,
    table: { version: number; lineage: string },
    verdict: Verdict,
  ): Promise<ApplyResult> {
    const { answer, effect, changes, deadReason } = verdict
    const keys = this.#keys
    const changed = changes.length > 0
    const answerFields = ['status', answer.status, 'answer', JSON.stringify(answer), 'effect', JSON.stringify(effect)]
    const args = [
      13,
      ...[keys.table, ...keys.parts, keys.index, keys.commands, keys.acks, keys.audit, keys.changes, keys.dead],
      keys.answer(answer.commandId),
      ...[CONTROL_GROUP, entry.id, table.lineage, table.version, this.#parts.clock.nowUs()],
      ...[ControlLimits.rememberMs, answer.commandId, changed ? '1' : '0', changed ? JSON.stringify(changes) : ''],
      ...[deadReason ?? '', fingerprintOf(entry.fields)],
      ...[CONTROL_LENGTHS.acks, CONTROL_LENGTHS.audit, CONTROL_LENGTHS.changes, CONTROL_LENGTHS.dead],
      changes.length,
      ...changes.flatMap(({ part, field, value }) => [
        PARTS.indexOf(part) + 1,
        field,
        value === null ? '' : JSON.stringify(value),
      ]),
      ...[answerFields.length, ...answerFields],
      ...auditOf(verdict),
    ]
    const reply = (await applyScript.run(this.#parts.connection, args)) as string[]
    const [status, ...rest] = reply
    switch (status) {
      case 'applied':
      case 'repeated':
      case 'done':
      case 'stale':
      case 'gone':
        return { status }
      case 'next':
        return { status, entry: entryOf([rest[0] ?? '', rest.slice(1)]) }
      case 'settling':
        return { status, leftMs: Number(rest[0]) }
      default:
        throw new BusError('other', `the control plane's key ${rest[0] ?? ''} is of another type than expected`)
    }
  }

  async read(): Promise<TableData | null> {
    const found = await readTable(this.#parts.connection, this.#keys)
    if (found === null) return null
    this.#changesId = found.changesId
    return tableOf(found)
  }

  async head(): Promise<TableHead | null> {
    const fields = ['version', 'lineage', 'settleUntil', 'origin', 'madeBy']
    const reply = await this.#parts.connection.send('hmget', [this.#keys.table, ...fields])
    const [version, lineage, settleUntil, origin, madeBy] = reply as (string | null)[]
    if (!version || !lineage) return null
    return {
      version: Number(version),
      lineage,
      madeBy: madeBy ?? '0-0',
      settling: Number(settleUntil ?? 0) > this.#parts.clock.nowUs(),
      origin: origin === 'seed' ? 'seed' : 'copy',
    }
  }

  async follow(blockMs: number): Promise<readonly TableChange[]> {
    const args = ['COUNT', ENTRIES_AT_ONCE * 5, 'BLOCK', Math.max(1, blockMs), 'STREAMS', this.#keys.changes]
    const reply = await this.#parts.followConnection.send('xread', [...args, this.#changesId])
    if (reply === null) return []
    const entries = entriesOf((reply as [string, RawEntry[]][])[0]?.[1] ?? [])
    const last = entries.at(-1)
    if (last !== undefined) this.#changesId = last.id
    return entries.map(({ fields }) => ({
      version: Number(fields.version),
      lineage: fields.lineage ?? '',
      madeBy: fields.appliedId ?? '0-0',
      changes: fields.changes ? (JSON.parse(fields.changes) as Change[]) : [],
    }))
  }

  async restore(table: TableData, origin: 'seed' | 'copy'): Promise<RestoreResult> {
    const keys = this.#keys
    const contents = PARTS.map((part) =>
      [...table[part]].flatMap(([field, value]) => [field, JSON.stringify(value)] as const),
    )
    const args = [
      10,
      ...[keys.table, ...keys.parts, keys.index, keys.commands, keys.changes, keys.audit],
      ...[
        origin,
        table.lineage,
        table.version,
        table.madeBy,
        this.#parts.clock.nowUs(),
        this.#parts.settleMs ?? SETTLE_MS,
      ],
      ...[CONTROL_GROUP, this.#parts.worker, CONTROL_LENGTHS.audit, CONTROL_LENGTHS.changes],
      ...contents.flatMap((strings) => [strings.length, ...strings]),
    ]
    return (await restoreScript.run(this.#parts.connection, args)) as RestoreResult
  }

  async isUsed(): Promise<boolean> {
    return Number(await this.#parts.connection.send('exists', [this.#parts.keys.catalog])) > 0
  }

  closeChannels(changes: readonly Change[]): Promise<void> {
    const closed = changes.flatMap((change) =>
      change.part === 'channels' && change.value !== null ? [change.value] : [],
    )
    return this.#gate.close(closed.filter(({ open }) => !open))
  }

  async leave(consumer: string): Promise<void> {
    const { connection } = this.#parts
    const { commands } = this.#keys
    const pending = (await connection.send('xpending', [commands, CONTROL_GROUP, '-', '+', 1, consumer])) as unknown[]
    // What it holds goes with a consumer that is deleted; another member has to claim it first.
    if (pending.length === 0) await connection.send('xgroup', ['DELCONSUMER', commands, CONTROL_GROUP, consumer])
  }

  async #makeGroup(): Promise<void> {
    const { connection } = this.#parts
    const { commands } = this.#keys
    try {
      await connection.send('xgroup', ['CREATE', commands, CONTROL_GROUP, '0', 'MKSTREAM'])
    } catch (error) {
      // Another member was first.
      if (!(error instanceof BusError) || !error.message.includes('BUSYGROUP')) throw error
    }
    const reply = (await connection.send('xinfo', ['CONSUMERS', commands, CONTROL_GROUP])) as (string | number)[][]
    for (const flat of reply) {
      const facts = new Map(flat.map((value, at) => [value, flat[at + 1]]))
      const isGone = Number(facts.get('pending')) === 0 && Number(facts.get('idle')) > CONSUMER_IDLE_MS
      if (isGone) await connection.send('xgroup', ['DELCONSUMER', commands, CONTROL_GROUP, String(facts.get('name'))])
    }
  }
}

export function entriesOf(raw: readonly RawEntry[]): ControlEntry[] {
  return raw.map(entryOf)
}

function entryOf([id, flat]: RawEntry): ControlEntry {
  const fields: Record<string, string> = {}
  // What was trimmed while it was pending comes without fields.
  for (let at = 0; at + 1 < (flat?.length ?? 0); at += 2) fields[flat[at] as string] = flat[at + 1] as string
  return { id, fields }
}

function auditOf({ answer }: Verdict): string[] {
  const fields = {
    ...{ v: '1', type: 'CONTROL.UPDATE', commandId: answer.commandId, command: answer.type, issuer: answer.issuer },
    ...{ consumer: answer.consumer, trace: answer.trace, entryId: answer.entryId, status: answer.status },
    ...{ code: answer.code ?? '', message: answer.message ?? '', before: JSON.stringify(answer.before) },
    ...{ after: JSON.stringify(answer.after), version: String(answer.version), time: String(answer.appliedAtUs) },
  }
  return Object.entries(fields).flat()
}

function isNoGroup(error: unknown): boolean {
  return error instanceof BusError && error.message.includes('NOGROUP')
}
