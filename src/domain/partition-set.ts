/**
 * Sets of partitions as text: ascending ranges, `0-3,7`. What is no such text, or lies outside of what a keyspace can
 * have, is left out: another version's words must not stop a member.
 */
const PARTITIONS_MAX = 16_384

export function formatPartitions(partitions: Iterable<number>): string {
  const sorted = [...new Set(partitions)].sort((a, b) => a - b)
  const ranges: string[] = []
  for (let at = 0; at < sorted.length; ) {
    let end = at
    while (sorted[end + 1] === (sorted[end] as number) + 1) end++
    ranges.push(end === at ? `${sorted[at]}` : `${sorted[at]}-${sorted[end]}`)
    at = end + 1
  }
  return ranges.join(',')
}

export function parsePartitions(text: string): Set<number> {
  const partitions = new Set<number>()
  for (const range of text.split(',')) {
    const [from, to = from] = range.split('-')
    if (from === undefined || to === undefined || !/^\d{1,5}$/.test(from) || !/^\d{1,5}$/.test(to)) continue
    for (let partition = Number(from); partition <= Math.min(Number(to), PARTITIONS_MAX - 1); partition++) {
      partitions.add(partition)
    }
  }
  return partitions
}
