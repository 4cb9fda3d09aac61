/**
 * A test for names in which `*` of the pattern stands for any characters, for example `BTC-*`. Linear in the length of the
 * name.
 */
export function patternTest(pattern: string): (name: string) => boolean {
  const [head = '', ...rest] = pattern.split('*')
  const tail = rest.pop()
  if (tail === undefined) return (name) => name === pattern
  return (name) => {
    if (name.length < head.length + tail.length || !name.startsWith(head) || !name.endsWith(tail)) return false
    let at = head.length
    for (const part of rest) {
      const found = name.indexOf(part, at)
      if (found < 0 || found + part.length > name.length - tail.length) return false
      at = found + part.length
    }
    return true
  }
}

export function isPattern(text: string): boolean {
  return text.includes('*')
}
