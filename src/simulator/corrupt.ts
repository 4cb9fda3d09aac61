/** How a frame is spoilt. Each answers null where there is nothing to spoil. */

/** The first quantity that is not zero: of a trade, a quote, a bar, or a level. */
const QUANTITY = /"(?:q|B|v|Q)":"(?=[0-9.]*[1-9])([0-9.]+)"|\["[0-9.]+","(?=[0-9.]*[1-9])([0-9.]+)"\]/

/** A quantity that is no decimal any more: a reader can see it. */
export function corruptQuantity(data: string): string | null {
  return replaceQuantity(data, (quantity) => {
    const middle = quantity.length >> 1
    return `${quantity.slice(0, middle)}x${quantity.slice(middle + 1)}`
  })
}

/** Another quantity of the same length: only a comparison with something else shows it. */
export function changeQuantity(data: string): string | null {
  return replaceQuantity(data, (quantity) => quantity.replace(/[1-9]/, (digit) => String((Number(digit) % 9) + 1)))
}

function replaceQuantity(data: string, change: (quantity: string) => string): string | null {
  const match = QUANTITY.exec(data)
  const quantity = match?.[1] ?? match?.[2]
  if (match === null || quantity === undefined) return null
  const at = match.index + match[0].lastIndexOf(quantity)
  return data.slice(0, at) + change(quantity) + data.slice(at + quantity.length)
}

/** The beginning of the text; `share` from 0 to 1 says how much of it. */
export function truncate(text: string, share: number): string {
  return text.slice(0, Math.max(1, Math.floor((text.length - 1) * share)))
}

/** A depth answer whose id is lower by `by`; null when it is no depth answer. */
export function ageSnapshot(body: string, by: number): string | null {
  const match = /"lastUpdateId":\s*(\d+)/.exec(body)
  if (match === null) return null
  const id = Math.max(1, Number(match[1]) - by)
  return `${body.slice(0, match.index)}"lastUpdateId":${id}${body.slice(match.index + match[0].length)}`
}

/** `serverTime` moved by `ms`; null where there is none. */
export function skewServerTime(body: string, ms: number): string | null {
  const match = /"serverTime":\s*(\d+)/.exec(body)
  if (match === null) return null
  return `${body.slice(0, match.index)}"serverTime":${Number(match[1]) + ms}${body.slice(match.index + match[0].length)}`
}
