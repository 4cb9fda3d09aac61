import { InvalidArgumentError } from 'commander'

/** Replay speed: a multiple of the recorded time, or as fast as it goes. */
export type Speed = number | 'max'

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** `500ms`, `20s`, `5m`, `1.5h` in milliseconds. */
export function parseDuration(text: string): number {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? []
  if (amount === undefined || unit === undefined) {
    throw new InvalidArgumentError(`expected a duration such as 500ms, 20s, 5m or 1h, found "${text}"`)
  }
  return Math.round(Number(amount) * (UNIT_MS[unit] ?? 1))
}

export function parseSpeed(text: string): Speed {
  if (text === 'max') return 'max'
  const factor = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0
  if (factor > 0) return factor
  throw new InvalidArgumentError(`expected a number above 0, or max, found "${text}"`)
}

/** Events a second, or as many as the machine can do. */
export function parseRate(text: string): number | 'max' {
  return parseSpeed(text)
}

export function parseRetention(text: string): 'none' {
  if (text === 'none') return text
  throw new InvalidArgumentError(
    `expected none (bounds are settings, for example retention.TRADE.maxLength), found "${text}"`,
  )
}

/** A parser for integers within a closed range. */
export function integer(from: number, to = Number.MAX_SAFE_INTEGER): (text: string) => number {
  const range = to === Number.MAX_SAFE_INTEGER ? `of at least ${from}` : `from ${from} to ${to}`
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (value >= from && value <= to) return value
    throw new InvalidArgumentError(`expected an integer ${range}, found "${text}"`)
  }
}

/** Collects a repeated option. */
export function repeated(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), text]
}

/** `0` (from the beginning), `$` (only what comes from now on), or an entry id. */
export function parsePosition(text: string): string {
  if (text === '0' || text === '$' || /^\d{1,16}(-\d{1,20})?$/.test(text)) return text
  throw new InvalidArgumentError(`expected 0, $ or an entry id such as 1700000000000-0, found "${text}"`)
}
