/**
 * Decimal strings from the frame to the consumer: nothing here ever becomes a float. A decimal is an optional `-`, one or
 * more digits, and optionally a point with one or more digits behind it; no exponent, no `+`, at most
 * `DECIMAL_LENGTH_MAX` characters where it comes from outside.
 */

/** Longest decimal admitted from outside, in characters; venues pad to 8 places and stay far below. */
export const DECIMAL_LENGTH_MAX = 40

const MINUS = 45
const POINT = 46
const ZERO = 48
const NINE = 57

/** Whether the text is a decimal as described above. A single scan, because it runs several times for every frame. */
export function isDecimal(text: string): boolean {
  return isDigitsFrom(text, text.charCodeAt(0) === MINUS ? 1 : 0)
}

/** A decimal without a sign: what a price or a quantity must be. */
export function isUnsignedDecimal(text: string): boolean {
  return isDigitsFrom(text, 0)
}

function isDigitsFrom(text: string, start: number): boolean {
  const length = text.length
  if (length > DECIMAL_LENGTH_MAX || length === start) return false
  let point = -1
  for (let at = start; at < length; at++) {
    const code = text.charCodeAt(at)
    if (code >= ZERO && code <= NINE) continue
    if (code !== POINT || point !== -1 || at === start || at === length - 1) return false
    point = at
  }
  return true
}

/** Whether the value is zero, however written. */
export function isZeroDecimal(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code > ZERO && code <= NINE) return false
  }
  return true
}

/** Negative, zero or positive as `left` is below, equal to or above `right`; by digits, without building a number. */
export function compareDecimal(left: string, right: string): number {
  if (left === right) return 0
  const leftNegative = left.charCodeAt(0) === MINUS
  const rightNegative = right.charCodeAt(0) === MINUS
  if (leftNegative !== rightNegative) {
    if (isZeroDecimal(left) && isZeroDecimal(right)) return 0
    return leftNegative ? -1 : 1
  }
  const order = compareMagnitude(left, right, leftNegative ? 1 : 0)
  return leftNegative ? 0 - order : order
}

function compareMagnitude(left: string, right: string, start: number): number {
  const leftPoint = pointOf(left)
  const rightPoint = pointOf(right)
  let leftAt = skipZeros(left, start, leftPoint)
  let rightAt = skipZeros(right, start, rightPoint)
  const digits = leftPoint - leftAt - (rightPoint - rightAt)
  if (digits !== 0) return digits < 0 ? -1 : 1
  for (; leftAt < leftPoint; leftAt++, rightAt++) {
    const difference = left.charCodeAt(leftAt) - right.charCodeAt(rightAt)
    if (difference !== 0) return difference < 0 ? -1 : 1
  }
  leftAt = leftPoint + 1
  rightAt = rightPoint + 1
  while (leftAt < left.length || rightAt < right.length) {
    const leftCode = leftAt < left.length ? left.charCodeAt(leftAt) : ZERO
    const rightCode = rightAt < right.length ? right.charCodeAt(rightAt) : ZERO
    if (leftCode !== rightCode) return leftCode < rightCode ? -1 : 1
    leftAt++
    rightAt++
  }
  return 0
}

/** The one canonical spelling of a value: no leading or trailing zeros, no `-0`. */
export function trimDecimal(text: string): string {
  const negative = text.charCodeAt(0) === MINUS
  const point = pointOf(text)
  const start = skipZeros(text, negative ? 1 : 0, point)
  let end = text.length
  if (point < text.length) {
    while (end > point + 1 && text.charCodeAt(end - 1) === ZERO) end--
    if (end === point + 1) end = point
  }
  if (start === point) {
    if (end === point) return '0'
    return `${negative ? '-' : ''}0${text.slice(point, end)}`
  }
  return `${negative ? '-' : ''}${text.slice(start, end)}`
}

/** The exact sum in canonical spelling. */
export function addDecimal(left: string, right: string): string {
  const leftScale = scaleOf(left)
  const rightScale = scaleOf(right)
  const scale = Math.max(leftScale, rightScale)
  const sum = unscaled(left) * 10n ** BigInt(scale - leftScale) + unscaled(right) * 10n ** BigInt(scale - rightScale)
  return scaled(sum, scale)
}

/** The exact product in canonical spelling. */
export function multiplyDecimal(left: string, right: string): string {
  return scaled(unscaled(left) * unscaled(right), scaleOf(left) + scaleOf(right))
}

/**
 * `left / right` with `digits` places behind the point, half to even, in canonical spelling. Throws: RangeError when `right`
 * is zero.
 */
export function divideDecimal(left: string, right: string, digits: number): string {
  const dividend = unscaled(left) * 10n ** BigInt(digits + scaleOf(right))
  const divisor = unscaled(right) * 10n ** BigInt(scaleOf(left))
  if (divisor === 0n) throw new RangeError(`expected a divisor other than zero, found ${right}`)
  let quotient = dividend / divisor
  const rest = magnitude(dividend % divisor) * 2n
  const half = magnitude(divisor)
  if (rest > half || (rest === half && quotient % 2n !== 0n)) quotient += dividend < 0n === divisor < 0n ? 1n : -1n
  return scaled(quotient, digits)
}

/** The exact difference in canonical spelling. */
export function subtractDecimal(left: string, right: string): string {
  return addDecimal(left, right.charCodeAt(0) === MINUS ? right.slice(1) : `-${right}`)
}

/** Digits behind the point, as written. */
export function scaleOf(text: string): number {
  const point = text.indexOf('.')
  return point === -1 ? 0 : text.length - point - 1
}

const magnitude = (value: bigint): bigint => (value < 0n ? -value : value)

function pointOf(text: string): number {
  const point = text.indexOf('.')
  return point === -1 ? text.length : point
}

function skipZeros(text: string, start: number, end: number): number {
  let at = start
  while (at < end && text.charCodeAt(at) === ZERO) at++
  return at
}

function unscaled(text: string): bigint {
  return BigInt(text.replace('.', ''))
}

function scaled(value: bigint, scale: number): string {
  const negative = value < 0n
  const digits = (negative ? -value : value).toString().padStart(scale + 1, '0')
  const point = digits.length - scale
  const text = scale === 0 ? digits : `${digits.slice(0, point)}.${digits.slice(point)}`
  return trimDecimal(negative ? `-${text}` : text)
}
