import {
  type ChannelState,
  channelStateSchema,
  type PausedInstrument,
  pausedSchema,
  type Route,
  routeSchema,
  type Subscription,
  subscriptionSchema,
} from '../control/contract.ts'
import { type Mark, TableData } from '../control/table-data.ts'
import type { RedisConnection } from './connection.ts'
import type { ControlKeys } from './control-keys.ts'
import { BusError } from './errors.ts'
import { Script } from './script.ts'

const readScript = new Script('control-read-7.lua')

export interface ReadTable {
  readonly version: number
  readonly lineage: string
  readonly appliedId: string
  /** Entry id of the command that made this version. */
  readonly madeBy: string
  /** Id of the last change entry. */
  readonly changesId: string
  readonly routes: readonly (readonly [string, Route])[]
  readonly subscriptions: readonly (readonly [string, Subscription])[]
  readonly paused: readonly (readonly [string, PausedInstrument])[]
  readonly channels: readonly (readonly [string, ChannelState])[]
  readonly marks: readonly (readonly [string, Mark])[]
}

/** The whole table at one moment, null when there is none. Throws: BusError. */
export async function readTable(connection: RedisConnection, keys: ControlKeys): Promise<ReadTable | null> {
  const reply = await readScript.run(connection, [7, keys.table, ...keys.parts, keys.changes])
  if (reply === null) return null
  const [version, lineage, appliedId, madeBy, changesId, ...parts] = reply as [
    ...[string, string, string, string, string],
    ...string[][],
  ]
  const [routes = [], subscriptions = [], paused = [], channels = [], marks = []] = parts
  return {
    ...{ version: Number(version), lineage, appliedId, madeBy, changesId },
    routes: pairs(routes, (value) => routeSchema.parse(value)),
    subscriptions: pairs(subscriptions, (value) => subscriptionSchema.parse(value)),
    paused: pairs(paused, (value) => pausedSchema.parse(value)),
    channels: pairs(channels, (value) => channelStateSchema.parse(value)),
    marks: pairs(marks, (value) => value as Mark),
  }
}

export function tableOf(read: ReadTable): TableData {
  return new TableData(read, read)
}

function pairs<Value>(flat: readonly string[], admit: (value: unknown) => Value): (readonly [string, Value])[] {
  const found: (readonly [string, Value])[] = []
  for (let at = 0; at + 1 < flat.length; at += 2)
    found.push([flat[at] as string, admitJson(flat[at + 1] as string, admit)])
  return found
}

/** Throws: BusError where the table holds what this version does not know. */
export function admitJson<Value>(text: string, admit: (value: unknown) => Value): Value {
  try {
    return admit(JSON.parse(text))
  } catch (cause) {
    throw new BusError('other', 'the dispatch table holds what this version of Meltica cannot read', { cause })
  }
}
