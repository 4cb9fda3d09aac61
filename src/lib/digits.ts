const THOUSAND = 1_000
const MILLION = 1_000_000
const MILLIARD = 1_000_000_000
/** Texts of fewer than 13 letters are made in one piece. */
const LONGEST = 1_000_000_000_000

const GROUPS: readonly string[] = Array.from({ length: THOUSAND }, (_, value) => String(value).padStart(3, '0'))

/**
 * The digits of a safe integer >= 0. V8 keeps the texts of the last thousands of numbers it turned into text, so each of them
 * outlives what is young, and looks there before it makes one: of ids, which never come again, that is all waste. So up to
 * twelve digits are put together of groups of three.
 */
export function digitsOf(value: number): string {
  if (value < THOUSAND || value >= LONGEST) return String(value)
  const thousands = Math.floor(value / THOUSAND)
  const last = GROUPS[value - thousands * THOUSAND] as string
  if (value < MILLION) return String(thousands) + last
  const millions = Math.floor(value / MILLION)
  const middle = GROUPS[thousands - millions * THOUSAND] as string
  if (value < MILLIARD) return String(millions) + middle + last
  const milliards = Math.floor(value / MILLIARD)
  return String(milliards) + (GROUPS[millions - milliards * THOUSAND] as string) + middle + last
}
