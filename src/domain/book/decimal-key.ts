const POINT = 46
const ZERO = 48
const NINE = 57
/** So many significant digits a double tells apart without exception. */
const DIGITS_EXACT = 15
const POWERS = Array.from({ length: DIGITS_EXACT + 1 }, (_, exponent) => 10 ** exponent)

/**
 * A number that stands for an unsigned decimal where it is only compared: equal values have equal keys however they are
 * written, and keys are ordered as their values are. Up to 15 significant digits different values have different keys;
 * beyond, values closer than 1 in 10^15 may share one. No key is ever written anywhere: digits travel as text.
 */
export function decimalKey(text: string): number {
  let end = text.length
  const point = text.indexOf('.')
  if (point !== -1) {
    while (text.charCodeAt(end - 1) === ZERO) end--
    if (end === point + 1) end = point
  }
  let at = 0
  while (at < end && text.charCodeAt(at) === ZERO) at++
  if (end - at > DIGITS_EXACT) return Number(text)
  let digits = 0
  for (; at < end; at++) {
    const code = text.charCodeAt(at)
    if (code !== POINT) digits = digits * 10 + code - ZERO
  }
  // Both are exact, so the quotient is the double nearest to the value, however many zeros were written.
  return end > point && point !== -1 ? digits / (POWERS[end - point - 1] as number) : digits
}

/** Where the decimal ends that `readDecimalKey` read last. Reading is synchronous, and an object for each would be waste. */
export let decimalEnd = 0

/** The key of the unsigned decimal that begins at `from`, without cutting it out; it ends before the first other character. */
export function readDecimalKey(text: string, from: number): number {
  let digits = 0
  let point = -1
  let at = from
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code >= ZERO && code <= NINE) digits = digits * 10 + code - ZERO
    else if (code === POINT) point = at
    else break
  }
  decimalEnd = at
  const length = point === -1 ? at - from : at - from - 1
  if (length > DIGITS_EXACT) return decimalKey(text.slice(from, at))
  return point === -1 ? digits : digits / (POWERS[at - point - 1] as number)
}
