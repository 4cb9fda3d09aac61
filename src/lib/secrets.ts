export const HIDDEN = '***'

/** Lists of secrets count too, and their items, which are named by their index. */
const SECRET_NAME = /(password|secret|token|apikey|passphrase|authorization)s?(\.\d+)*$/i

/** Replaces the password in every address within a text: `redis://user:***@host`. */
export function hidePasswords(text: string): string {
  return text
    .replace(/([a-z][a-z0-9+.-]*:\/\/[^\s/:@]*):[^\s/]*@/gi, `$1:${HIDDEN}@`)
    .replace(/([?&](?:password|secret|token|apikey)=)[^&\s]*/gi, `$1${HIDDEN}`)
}

/** Whether the setting or field of this name holds a secret. Names of files that hold one are not secret. */
export function isSecret(path: string): boolean {
  return SECRET_NAME.test(path)
}

/** A copy fit to be shown: secrets hidden, also inside addresses. */
export function hideSecrets(value: unknown, path = ''): unknown {
  if (typeof value === 'string') return isSecret(path) ? HIDDEN : hidePasswords(value)
  if (Array.isArray(value)) return value.map((item, index) => hideSecrets(item, `${path}.${index}`))
  if (typeof value !== 'object' || value === null) return isSecret(path) && value !== null ? HIDDEN : value
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, hideSecrets(inner, path === '' ? key : `${path}.${key}`)]),
  )
}
