import { createHash } from 'node:crypto'

/** What makes two commands with one id the same: everything but when it was issued and its trace. */
export function fingerprintOf(fields: Readonly<Record<string, string>>): string {
  const { type = '', issuer = '', consumer = '', payload = '' } = fields
  return createHash('sha256')
    .update(JSON.stringify([type, issuer, consumer, payload]))
    .digest('hex')
    .slice(0, 32)
}
