import { ControlLimits, type DeadLetter, type DeadLetterBox, type Page, type PageRequest } from '../control/contract.ts'
import type { RedisConnection } from './connection.ts'
import { ControlKeys } from './control-keys.ts'
import { entriesOf, type RawEntry } from './control-store.ts'
import type { Keys } from './keys.ts'

const SAMPLE_CHARACTERS = 1_000
const ENTRY_ID = /^\d{1,16}-\d{1,16}$/
const COMMAND_FIELDS = ['id', 'type', 'issuer', 'consumer', 'trace', 'issuedAt', 'payload'] as const

/** Dead letters of the control stream and of the venues, in this order, the oldest first. Throws: BusError. */
export class RedisDeadLetterBox implements DeadLetterBox {
  readonly #connection: RedisConnection
  readonly #streams: Readonly<Record<DeadLetter['source'], string>>
  readonly #commands: string

  constructor(connection: RedisConnection, keys: Keys) {
    this.#connection = connection
    const control = new ControlKeys(keys)
    this.#streams = { control: control.dead, venue: keys.deadLetters }
    this.#commands = control.commands
  }

  async list(page: PageRequest): Promise<Page<DeadLetter>> {
    const limit = Math.max(1, Math.min(ControlLimits.pageMax, Math.floor(page.limit)))
    const after = page.cursor === null ? null : placeOf(page.cursor)
    const items: DeadLetter[] = []
    for (const source of ['control', 'venue'] as const) {
      if (after !== null && after.source === 'venue' && source === 'control') continue
      const from = after?.source === source ? `(${after.id}` : '-'
      const args = [this.#streams[source], from, '+', 'COUNT', limit - items.length]
      const entries = entriesOf((await this.#connection.send('xrange', args)) as RawEntry[])
      for (const { id, fields } of entries) items.push(letterOf(source, id, fields))
      if (items.length === limit) return { items, cursor: items.at(-1)?.id ?? null }
    }
    return { items, cursor: null }
  }

  async requeue(id: string): Promise<'requeued' | 'unknown' | 'not-requeueable'> {
    const place = placeOf(id)
    if (place === null) return 'unknown'
    if (place.source === 'venue') return 'not-requeueable'
    const [entry] = entriesOf(
      (await this.#connection.send('xrange', [this.#streams.control, place.id, place.id])) as RawEntry[],
    )
    if (entry === undefined) return 'unknown'
    const fields = COMMAND_FIELDS.filter((name) => entry.fields[name] !== undefined)
    if (fields.length === 0) return 'not-requeueable'
    // Its old id was answered; under a new one it is another command.
    const args = fields.flatMap((name) => [
      name,
      name === 'id' ? `requeued:${place.id}` : (entry.fields[name] as string),
    ])
    await this.#connection.send('xadd', [this.#commands, '*', ...args])
    await this.drop(id)
    return 'requeued'
  }

  async drop(id: string): Promise<'dropped' | 'unknown'> {
    const place = placeOf(id)
    if (place === null) return 'unknown'
    const dropped = await this.#connection.send('xdel', [this.#streams[place.source], place.id])
    return Number(dropped) > 0 ? 'dropped' : 'unknown'
  }
}

function placeOf(text: string): { source: DeadLetter['source']; id: string } | null {
  const at = text.indexOf(':')
  const [source, id] = [text.slice(0, at), text.slice(at + 1)]
  return (source === 'control' || source === 'venue') && ENTRY_ID.test(id) ? { source, id } : null
}

function letterOf(source: DeadLetter['source'], id: string, fields: Readonly<Record<string, string>>): DeadLetter {
  const common = { id: `${source}:${id}`, source }
  if (source === 'venue') {
    const { reason = '', detail = '', sample = '' } = fields
    return {
      ...common,
      reason,
      detail,
      sample: sample.slice(0, SAMPLE_CHARACTERS),
      atUs: Number.parseInt(id, 10) * 1_000,
    }
  }
  const { reason = '', time, entry: _, ...command } = fields
  const sample = JSON.stringify(command).slice(0, SAMPLE_CHARACTERS)
  const [code = '', ...detail] = reason.split(': ')
  return { ...common, reason: code, detail: detail.join(': '), sample, atUs: Number(time ?? 0) }
}
