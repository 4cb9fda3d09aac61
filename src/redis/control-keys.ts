import { PARTS } from '../control/table-data.ts'
import type { Keys } from './keys.ts'

/** The consumer group of the control stream. */
export const CONTROL_GROUP = 'control'

/** Entries kept in the streams of the control plane, about; the oldest go. */
export const CONTROL_LENGTHS = { acks: 10_000, audit: 100_000, changes: 10_000, dead: 1_000 } as const

/** Where the control plane keeps what (DESIGN 7): everything under one hash tag, so that one script can move it together. */
export class ControlKeys {
  readonly table: string
  /** In the order of `PARTS`. */
  readonly parts: readonly string[]
  readonly index: string
  readonly commands: string
  readonly acks: string
  readonly audit: string
  readonly changes: string
  readonly dead: string
  readonly #keys: Keys

  constructor(keys: Keys) {
    this.#keys = keys
    this.table = keys.control('table')
    this.parts = PARTS.map((part) => keys.control(part))
    this.index = keys.control('subscriptions:index')
    this.commands = keys.control('commands')
    this.acks = keys.control('acks')
    this.audit = keys.control('audit')
    this.changes = keys.control('changes')
    this.dead = keys.control('dead-letters')
  }

  answer(commandId: string): string {
    return this.#keys.control(`answer:${commandId}`)
  }
}
