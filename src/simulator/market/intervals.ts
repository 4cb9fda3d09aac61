/** The venue's kline intervals, shortest first. */
export const INTERVALS = [
  '1s',
  '1m',
  '3m',
  '5m',
  '15m',
  '30m',
  '1h',
  '2h',
  '4h',
  '6h',
  '8h',
  '12h',
  '1d',
  '3d',
  '1w',
  '1M',
] as const
export type Interval = (typeof INTERVALS)[number]

export const SECOND_MS = 1000
export const MINUTE_MS = 60_000
export const HOUR_MS = 3_600_000
export const DAY_MS = 86_400_000

const UNIT_MS: Readonly<Record<string, number>> = {
  s: SECOND_MS,
  m: MINUTE_MS,
  h: HOUR_MS,
  d: DAY_MS,
  w: 7 * DAY_MS,
}
/** Weeks open on Monday, and 1970-01-05 was one. */
const FIRST_MONDAY_MS = 4 * DAY_MS

export function isInterval(text: string): text is Interval {
  return (INTERVALS as readonly string[]).includes(text)
}

/** The length of an interval; only months have none. */
function lengthMs(interval: Interval): number {
  return Number.parseInt(interval, 10) * (UNIT_MS[interval.slice(-1)] as number)
}

/** When the bar that holds `timeMs` opened (UTC). */
export function openOf(interval: Interval, timeMs: number): number {
  if (interval === '1M') {
    const date = new Date(timeMs)
    return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1)
  }
  const length = lengthMs(interval)
  const origin = interval === '1w' ? FIRST_MONDAY_MS : 0
  return Math.floor((timeMs - origin) / length) * length + origin
}

/** When the bar after the one that opened at `openMs` opens. */
export function nextOpen(interval: Interval, openMs: number): number {
  if (interval !== '1M') return openMs + lengthMs(interval)
  const date = new Date(openMs)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1)
}

export function previousOpen(interval: Interval, openMs: number): number {
  return openOf(interval, openMs - 1)
}
