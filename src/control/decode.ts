import { type Command, commandSchema } from './contract.ts'

/** An entry of the control stream. */
export interface ControlEntry {
  readonly id: string
  readonly fields: Readonly<Record<string, string>>
}

export type Decoded =
  | { readonly kind: 'command'; readonly command: Command }
  | { readonly kind: 'malformed'; readonly commandId: string; readonly detail: string }

const FIELD_CHARACTERS_MAX = 16_384
const NAME = /^[A-Za-z0-9._:@-]{1,128}$/

/** As it is written on the stream: every field text, the payload JSON. */
export function encodeCommand(command: Command): Record<string, string> {
  const { id, type, issuer, consumer, trace, issuedAtUs, payload } = command
  return { id, type, issuer, consumer, trace, issuedAt: String(issuedAtUs), payload: JSON.stringify(payload) }
}

/** Admits an entry of the control stream. What is none can never be applied and is answered all the same. */
export function decodeCommand(entry: ControlEntry): Decoded {
  const { id = '', type, issuer, consumer, trace, issuedAt, payload = '' } = entry.fields
  // An id that is none cannot be asked for; the entry's own stands for it.
  const commandId = /^[A-Za-z0-9._:-]{1,128}$/.test(id) ? id : `entry:${entry.id}`
  const refuse = (detail: string): Decoded => ({ kind: 'malformed', commandId, detail })
  if (payload.length > FIELD_CHARACTERS_MAX) {
    return refuse(`payload: expected at most ${FIELD_CHARACTERS_MAX} characters, found ${payload.length}`)
  }
  let content: unknown
  try {
    content = JSON.parse(payload)
  } catch {
    return refuse('payload: expected JSON, found none')
  }
  const issuedAtUs = /^\d{1,16}$/.test(issuedAt ?? '') ? Number(issuedAt) : issuedAt
  const found = commandSchema.safeParse({ id, type, issuer, consumer, trace, issuedAtUs, payload: content })
  if (found.success) return { kind: 'command', command: found.data }
  const issue = found.error.issues[0]
  return refuse(`${issue?.path.join('.') || 'command'}: expected ${issue?.message ?? 'a command'}`.slice(0, 500))
}

/** Who sent an entry, as far as it says so in words that can be shown. */
export function namesOf(entry: ControlEntry): { type: string; issuer: string; consumer: string; trace: string } {
  const { type = '', issuer = '', consumer = '', trace = '' } = entry.fields
  const shown = (text: string): string => (NAME.test(text) ? text : '')
  return { type: shown(type), issuer: shown(issuer), consumer: shown(consumer), trace: shown(trace) }
}
