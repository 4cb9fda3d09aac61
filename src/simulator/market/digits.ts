/** Places that the venue writes behind the point of every price, quantity and volume. */
export const DECIMAL_PLACES = 8

const ZEROS = ['', '0', '00', '000', '0000', '00000', '000000', '0000000', '00000000']

/** `units` of 10^-`decimals` as a decimal string padded to 8 places: (6183763, 2) is "61837.63000000". */
export function digits(units: number | bigint, decimals: number): string {
  if (decimals === 0) return `${units}.00000000`
  let text = String(units)
  if (text.length <= decimals) text = text.padStart(decimals + 1, '0')
  const point = text.length - decimals
  return `${text.slice(0, point)}.${text.slice(point)}${ZEROS[DECIMAL_PLACES - decimals]}`
}

/** As `digits`, for values that may be negative. */
export function signedDigits(units: number | bigint, decimals: number): string {
  return units < 0 ? `-${digits(-units, decimals)}` : digits(units, decimals)
}

/** `numerator / denominator` rounded half up; both not negative, denominator above zero. */
export function divideRounded(numerator: bigint, denominator: bigint): bigint {
  return (numerator * 2n + denominator) / (denominator * 2n)
}
