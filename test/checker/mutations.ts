import type { Wrong } from '../../src/checker/report.ts'
import type { Run, StreamEntry } from './correct-run.ts'

/** Every way to spoil a correct run that the checker must see, each with the kinds of finding of which one must appear. */
export interface Mutation {
  readonly name: string
  readonly finds: readonly Wrong[]
  readonly spoil: (run: Run, random: (below: number) => number) => void
}

type Random = (below: number) => number

const CHANNELS = ['TRADE', 'QUOTE', 'TICKER', 'KLINE', 'ORDERBOOK']
const pick = <Item>(items: readonly Item[], random: Random): Item => items[random(items.length)] as Item
const isEvent = (entry: StreamEntry): boolean => !entry.type.endsWith('.GAP')

/** A random entry that fits, with its channel and index. */
function anEntry(run: Run, random: Random, fits: (entry: StreamEntry) => boolean = () => true) {
  const found = CHANNELS.flatMap((channel) =>
    run.of(channel).flatMap((entry, at) => (fits(entry) ? [{ channel, entry, at }] : [])),
  )
  return pick(found, random)
}

/** Changes one digit of a text that holds one. */
function otherDigit(text: string): string {
  return text.replace(/\d/, (digit) => `${(Number(digit) + 1) % 10}`)
}

const removed: Mutation = {
  name: 'an event is taken out of the stream',
  finds: ['lost', 'gapUntold', 'unfilled', 'ledgerWrong', 'unjoined', 'gapRange'],
  spoil(run, random) {
    // A bar that REST brought lies in a gap that is told as not to be filled.
    const { channel, at } = anEntry(run, random, (entry) => isEvent(entry) && entry.source !== 'binance.rest.klines')
    run.of(channel).splice(at, 1)
    run.renumber(channel)
  },
}

const untold: Mutation = {
  name: 'a gap is not told',
  finds: ['gapUntold', 'lost', 'outOfOrder', 'ledgerWrong'],
  spoil(run, random) {
    const { channel, at } = anEntry(run, random, (entry) => !isEvent(entry))
    run.of(channel).splice(at, 1)
    run.renumber(channel)
  },
}

const doubled: Mutation = {
  name: 'an event stands twice',
  finds: ['repeated'],
  spoil(run, random) {
    const { channel, entry, at } = anEntry(run, random, (entry) => isEvent(entry) && !entry.type.endsWith('SNAPSHOT'))
    const behind = at + 1 + random(run.of(channel).length - at)
    run.of(channel).splice(behind, 0, { ...entry, epoch: (run.of(channel)[behind - 1] as StreamEntry).epoch })
    run.renumber(channel)
  },
}

const doubledKey: Mutation = {
  name: 'a key is used twice',
  finds: ['key'],
  spoil(run, random) {
    const { channel, entry } = anEntry(run, random)
    const other = pick(
      run.of(channel).filter((one) => one !== entry),
      random,
    )
    other.key = entry.key
  },
}

const toldTwice: Mutation = {
  name: 'a gap is told twice',
  finds: ['gapTwice'],
  spoil(run, random) {
    const { channel, entry, at } = anEntry(run, random, (entry) => !isEvent(entry))
    run.of(channel).splice(at + 1, 0, { ...entry, key: `${entry.key}b` })
    run.renumber(channel)
  },
}

const swapped: Mutation = {
  name: 'two neighbours are swapped',
  finds: ['outOfOrder', 'gapUntold', 'repeated', 'unjoined', 'gapRange'],
  spoil(run, random) {
    // Late fillings of a gap have no order among themselves, and a bar that REST brings stands anywhere.
    const inOrder = (entry: StreamEntry | undefined): boolean =>
      entry !== undefined && isEvent(entry) && !entry.source.includes('.rest.')
    const interval = (entry: StreamEntry | undefined) => entry?.data.interval
    const { channel, entry, at } = anEntry(
      run,
      random,
      (one) =>
        inOrder(one) &&
        CHANNELS.some((name) => {
          const entries = run.of(name)
          const index = entries.indexOf(one)
          return index >= 0 && inOrder(entries[index + 1]) && interval(entries[index + 1]) === interval(one)
        }),
    )
    const entries = run.of(channel)
    const next = entries[at + 1] as StreamEntry
    entries.splice(at, 2, { ...next, epoch: entry.epoch }, { ...entry, epoch: next.epoch })
    run.renumber(channel)
  },
}

const otherContent: Mutation = {
  name: 'a digit of a price or quantity is another',
  finds: ['differs', 'falseBook'],
  spoil(run, random) {
    const names = ['price', 'quantity', 'bidPrice', 'askQuantity', 'close', 'high', 'takerBuyVolume', 'vwap', 'change']
    const { entry } = anEntry(run, random, (one) => names.some((name) => name in one.data))
    const name = pick(
      names.filter((one) => one in entry.data),
      random,
    )
    entry.data = { ...entry.data, [name]: otherDigit(entry.data[name] as string) }
  },
}

const otherWriting: Mutation = {
  name: 'a number is written with other digits',
  finds: ['differs'],
  spoil(run, random) {
    const { entry } = anEntry(run, random, ({ type }) => type === 'TRADE')
    entry.data = { ...entry.data, price: `${entry.data.price}0` }
  },
}

const otherLevel: Mutation = {
  name: 'a level of the book is another',
  finds: ['differs', 'falseBook'],
  spoil(run, random) {
    const { entry } = anEntry(run, random, ({ data }) => ((data.bids as string[]) ?? []).length > 0)
    const bids = (entry.data.bids as string[][]).map((level) => [...level])
    const level = pick(bids, random)
    level[1] = `1${level[1]}`
    entry.data = { ...entry.data, bids }
  },
}

const forgottenLevel: Mutation = {
  name: 'a level of a snapshot is missing',
  finds: ['falseBook'],
  spoil(run, random) {
    const { entry } = anEntry(run, random, ({ type }) => type === 'ORDERBOOK.SNAPSHOT')
    const asks = [...(entry.data.asks as string[][])]
    asks.splice(random(asks.length), 1)
    entry.data = { ...entry.data, asks }
  },
}

const otherTime: Mutation = {
  name: "the venue's time is another",
  finds: ['differs'],
  spoil(run, random) {
    const { entry } = anEntry(run, random, ({ type }) => type === 'TRADE' || type === 'ORDERBOOK.DELTA')
    entry.venueTime = `${Number(entry.venueTime) + 1}`
  },
}

const seqHole: Mutation = {
  name: 'seq has a hole',
  finds: ['seq'],
  spoil(run, random) {
    const { channel, at } = anEntry(run, random)
    if (at === 0) run.of(channel).splice(1, 1)
    else for (const entry of run.of(channel).slice(at)) entry.seq += 1 + random(3)
  },
}

const seqRepeated: Mutation = {
  name: 'a seq is used twice',
  finds: ['seq'],
  spoil(run, random) {
    const { entry } = anEntry(run, random, ({ seq }) => seq > 1)
    entry.seq -= 1
  },
}

const epochBack: Mutation = {
  name: 'an epoch comes back',
  finds: ['seq'],
  spoil(run, random) {
    const { channel, entry } = anEntry(run, random, ({ epoch }) => epoch === '1700000005000000')
    entry.epoch = (run.of(channel)[0] as StreamEntry).epoch
    const last = run.of(channel).at(-1) as StreamEntry
    if (last.epoch === entry.epoch) last.epoch = '1700000005000000'
    run.of(channel).splice(0, 0, { ...last, epoch: last.epoch })
    run.renumber(channel)
  },
}

const foreign: Mutation = {
  name: 'an event is in the stream that never was',
  finds: ['foreign', 'repeated', 'malformed'],
  spoil(run, random) {
    const { channel, entry } = anEntry(
      run,
      random,
      ({ type }) => type === 'TRADE' || type === 'QUOTE' || type === 'TICKER',
    )
    const last = run.of(channel).at(-1) as StreamEntry
    const venueSeq = `${Number(last.venueSeq) + 1_000_000}`
    const place = channel === 'TRADE' ? { id: venueSeq } : channel === 'TICKER' ? { closeTime: Number(venueSeq) } : {}
    const key = `BTC-USDT:${entry.type}:${venueSeq}`
    run.of(channel).push({ ...entry, epoch: last.epoch, venueSeq, key, data: { ...entry.data, ...place } })
    run.renumber(channel)
  },
}

const falseGap: Mutation = {
  name: 'a gap is told over trades that were there',
  finds: ['gapFalse'],
  spoil(run, random) {
    const trades = run.of('TRADE')
    const at = 4 + random(5)
    const [from, to] = [at - 3, at - 1].map((index) => trades[index]?.data.id as string)
    const key = `BTC-USDT:TRADE.GAP:${from}-${to}`
    const entry = trades[at] as StreamEntry
    trades.splice(at + 1, 0, { ...entry, type: 'TRADE.GAP', key, data: { from, to, cause: 'lost' } })
    run.renumber('TRADE')
  },
}

const otherRange: Mutation = {
  name: 'a gap has another range than the hole',
  finds: ['gapRange', 'gapUntold', 'gapTwice', 'ledgerMissing'],
  spoil(run, random) {
    const { channel, entry } = anEntry(run, random, (one) => !isEvent(one))
    // Which of several lost deltas showed the end of a book's hole is not in the stream.
    const edge = channel === 'ORDERBOOK' || random(2) === 0 ? 'from' : 'to'
    const value = Number(entry.data[edge]) + (random(2) === 0 ? 1 : -1)
    entry.data = { ...entry.data, [edge]: typeof entry.data[edge] === 'string' ? `${value}` : value }
  },
}

const noMember: Mutation = {
  name: 'the gap ledger lacks a gap',
  finds: ['ledgerMissing'],
  spoil(run, random) {
    const members = run.membersOf(pick(['TRADE', 'QUOTE', 'KLINE', 'ORDERBOOK'], random))
    members.splice(random(members.length), 1)
  },
}

const falseMember: Mutation = {
  name: 'the gap ledger says filled what is not, or open what is',
  finds: ['ledgerWrong'],
  spoil(run, random) {
    const channel = pick(['TRADE', 'ORDERBOOK'], random)
    const member = pick(run.membersOf(channel), random)
    if (member.filledAt === null) member.filledAt = 1_700_000_000_000_000
    else Object.assign(member, { filledAt: null, how: null })
  },
}

const forgotten: Mutation = {
  name: 'a hole is told and never filled',
  finds: ['unfilled'],
  spoil(run) {
    for (const member of run.membersOf('TRADE')) Object.assign(member, { filledAt: null, how: null })
  },
}

const noStream: Mutation = {
  name: 'a whole channel is missing',
  finds: ['lost'],
  spoil(run, random) {
    run.streams.delete(pick(['TRADE', 'QUOTE', 'TICKER', 'KLINE'], random))
  },
}

const brokenData: Mutation = {
  name: 'an entry is not what the contract says',
  finds: ['malformed'],
  spoil(run, random) {
    const { entry } = anEntry(run, random, isEvent)
    const ways: (() => void)[] = [
      () => Object.assign(entry, { data: {} }),
      () => Object.assign(entry, { receivedTime: '1.5' }),
      () => Object.assign(entry, { type: 'TRADES' }),
      () => Object.assign(entry, { key: `ETH${entry.key.slice(3)}` }),
      () => Object.assign(entry, { venueSeq: `${entry.venueSeq}9` }),
      () => Object.assign(entry, { quality: 'LIVE' }),
    ]
    pick(ways, random)()
  },
}

export const mutations: readonly Mutation[] = [
  ...[removed, untold, doubled, doubledKey, toldTwice, swapped, otherContent, otherWriting, otherLevel, forgottenLevel],
  ...[otherTime, seqHole, seqRepeated, epochBack, foreign, falseGap, otherRange, noMember, falseMember, forgotten],
  ...[noStream, brokenData],
]
