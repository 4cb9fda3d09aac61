import type { Redis } from 'ioredis'
import { trimDecimal } from '../../src/domain/decimal.ts'
import type { Level } from '../../src/domain/event.ts'
import { NaiveLiveBook } from '../support/naive-live-book.ts'

interface Fused {
  readonly bids: Level[]
  readonly asks: Level[]
  readonly ranges: { readonly ORDERBOOK?: readonly [string, string] }
}

type Entry = readonly [id: string, fields: string[]]

const QUALITY = 25
const DATA = 27

/**
 * What the conductors made of one book: each fused event that calls itself good shows the top of the book that whoever reads the
 * stream has at the end of its range, and so does the record where it stands. Answers what is wrong, in words.
 */
export async function judgeFused(client: Redis, bookStream: string): Promise<string[]> {
  const base = bookStream.slice(0, -':ORDERBOOK'.length)
  const entries = await client.xrange(bookStream, '-', '+')
  const wrong = judgeTops(entries, await client.xrange(`${base}:ANALYTICS`, '-', '+'))
  const record = await client.hgetall(`${base}:book`)
  if (record.quality === 'LIVE') wrong.push(...judgeRecord(entries, record))
  return wrong.map((what) => `${base}: ${what}`)
}

function judgeTops(entries: readonly Entry[], fused: readonly Entry[]): string[] {
  const book = new NaiveLiveBook()
  let read = 0
  for (const [id, fields] of fused) {
    const { bids, asks, ranges } = JSON.parse(fields[DATA] as string) as Fused
    if (ranges.ORDERBOOK === undefined) continue
    const to = ranges.ORDERBOOK[1]
    while (read < entries.length && entries[read]?.[1][11] !== to) take(book, entries[read++] as Entry)
    if (read === entries.length)
      return [`fused ${id} stands for ORDERBOOK up to ${to}, which is not behind what stood before`]
    take(book, entries[read++] as Entry)
    if (fields[QUALITY] !== '') continue
    for (const [side, shown] of [['bids', bids] as const, ['asks', asks] as const]) {
      const top = book.top(side)
      const at = top.findIndex(([price, quantity], index) => {
        const [found, size] = shown[index] ?? ['', '']
        return trimDecimal(found) !== price || size !== quantity
      })
      if (at >= 0 || top.length !== shown.length)
        return [`fused ${id} shows other ${side} at ${to}: level ${at} is ${top[at]}, found ${shown[at]}`]
    }
  }
  return []
}

function judgeRecord(entries: readonly Entry[], record: Readonly<Record<string, string>>): string[] {
  const end = entries.findIndex(([id]) => id === record.streamId)
  if (end < 0) return [`the record stands at ${record.streamId}, which is no entry`]
  const book = new NaiveLiveBook()
  for (const entry of entries.slice(0, end + 1)) take(book, entry)
  const sides = { b: book.sides.bids, a: book.sides.asks }
  const found = Object.keys(record).filter((field) => /^[ab]:/.test(field))
  const isTrue = found.every((field) => sides[field[0] as 'a' | 'b'].get(field.slice(2)) === record[field])
  if (isTrue && found.length === sides.a.size + sides.b.size) return []
  return [`the record at ${record.streamId} holds ${found.length} levels, other ones than the stream has there`]
}

function take(book: NaiveLiveBook, [, fields]: Entry): void {
  book.take(fields[3] as string, JSON.parse(fields[DATA] as string) as Parameters<NaiveLiveBook['take']>[1])
}
