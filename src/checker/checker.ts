/**
 * Compares the streams of a market with the ledger of the venue that fed it. It reads only what the wire contract
 * promises and parses the ledger's frames itself, so that no mistake of the pipeline can hide in a piece they share.
 *
 * Order: the ledger is read once; books are compared in step with it, the other channels are indexed and their streams
 * read afterwards. Memory: 21 bytes a ledger event, 16 a stream entry while its stream is read, one page of entries a
 * book.
 */
import { AnalyticsCheck } from './analytics-check.ts'
import { BookCheck, RESET_AFTER_US } from './book-check.ts'
import { EventTable, hashText } from './event-table.ts'
import { checkBookStates, checkToldInLedger, checkTradeStates, readGapLedger } from './gap-ledger-check.ts'
import { type LedgerRow, readLedgerLine } from './ledger.ts'
import { NewestCheck } from './newest-check.ts'
import { type CheckResult, Note, Report, Wrong } from './report.ts'
import { type CheckedEntry, type RawEntry, StreamCheck } from './stream-check.ts'
import type { ToldRange } from './told-ranges.ts'
import { TradeCheck, tradeHash } from './trade-check.ts'

/** The streams that are checked; Redis behind it in use, arrays in tests. */
export interface CheckedStreams {
  /** `MARKET:INSTRUMENT:CHANNEL` of every stream, as in the catalog. */
  channels(): Promise<readonly string[]>
  /** All entries of the stream in order; at most `pageEntries` are held at a time. */
  entries(channel: string, pageEntries: number): AsyncIterable<RawEntry>
  /** Members of the channel's gap ledger. */
  gapLedger(channel: string): Promise<readonly string[]>
}

export interface CheckOptions {
  /** Market whose venue the ledger belongs to. */
  readonly market?: string
  /** Events before the first and after the last entry of a stream count as lost too, and a channel without a stream. */
  readonly whole?: boolean
}

const BOOK_PAGE_ENTRIES = 64
const PAGE_ENTRIES = 1_000
const CHANNEL_OF = { trade: 'TRADE', aggTrade: 'TRADE', quote: 'QUOTE', ticker: 'TICKER', kline: 'KLINE' } as const

/** Throws: what reading the streams or the ledger throws; RangeError for a ledger beyond the checker's bounds. */
export async function checkStreams(
  streams: CheckedStreams,
  ledgerLines: AsyncIterable<string> | Iterable<string>,
  options: CheckOptions = {},
): Promise<CheckResult> {
  const market = options.market ?? 'BINANCE-SPOT'
  const whole = options.whole ?? false
  const report = new Report()
  const bySymbol = new Map<string, SymbolCheck>()
  for (const channel of await streams.channels()) {
    const [channelMarket, instrument, name] = channel.split(':')
    if (channelMarket !== market || !instrument || !name) continue
    report.channels += 1
    const symbol = instrument.replaceAll('-', '')
    const check = bySymbol.get(symbol) ?? new SymbolCheck(`${market}:${instrument}`, streams, report)
    bySymbol.set(symbol, check)
    await check.open(name)
  }
  for await (const line of ledgerLines) {
    const event = readLedgerLine(line)
    if (event.kind === 'fault') {
      report.note(Note.Faults)
      if (event.struck) bySymbol.get(event.struck.symbol)?.strike(event.struck)
    } else if (event.kind === 'skipped') report.note(Note.Skipped)
    else {
      report.ledgerEvents += 1
      const check = bySymbol.get(event.symbol)
      if (!check) report.note(Note.Absent)
      if (!check && whole) report.wrong(Wrong.Lost, `${market}:${event.symbol}`, '', `no stream for ${event.symbol}`)
      if (event.kind === 'delta') await check?.book?.ledgerDelta(event)
      else if (event.kind === 'snapshot') await check?.book?.ledgerSnapshot(event)
      else check?.add(event, whole)
    }
  }
  for (const check of bySymbol.values()) await check.finish(whole)
  return report.result()
}

/** All channels of one instrument. */
class SymbolCheck {
  book: BookCheck | null = null
  readonly #name: string
  readonly #streams: CheckedStreams
  readonly #report: Report
  readonly #opened = new Set<string>()
  readonly #tables = new Map<string, EventTable>()
  readonly #trimmed = new Set<string>()
  #tradeKind: 'trade' | 'aggTrade' = 'trade'
  #generation = 0
  #newestTrade = { id: 0, timeUs: 0 }

  constructor(name: string, streams: CheckedStreams, report: Report) {
    this.#name = name
    this.#streams = streams
    this.#report = report
  }

  async open(channel: string): Promise<void> {
    this.#opened.add(channel)
    if (channel === 'ORDERBOOK') {
      const entries = this.#checked(channel, BOOK_PAGE_ENTRIES)
      this.book = new BookCheck(
        `${this.#name}:${channel}`,
        this.#report,
        async () => (await entries.next()).value ?? null,
      )
    }
    if (channel !== 'TRADE') return
    for await (const { fields } of this.#streams.entries(`${this.#name}:TRADE`, 10)) {
      if (fields[3] !== 'TRADE') continue
      const source = fields[fields.indexOf('source') + 1] ?? ''
      this.#tradeKind = /\.aggTrade/i.test(source) ? 'aggTrade' : 'trade'
      return
    }
  }

  add(row: LedgerRow, whole: boolean): void {
    const channel = CHANNEL_OF[row.kind]
    if ((row.kind === 'trade' || row.kind === 'aggTrade') && this.#opened.has(channel) && row.kind !== this.#tradeKind)
      return
    if (!this.#opened.has(channel)) {
      this.#report.note(Note.Absent)
      if (whole) this.#report.wrong(Wrong.Lost, `${this.#name}:${channel}`, '', `no stream for ${row.kind} ${row.id}`)
      return
    }
    if (channel !== 'TRADE') {
      this.#table(`${channel}${row.interval}`).add(row.id, row.minor, hashText(row.content))
      return
    }
    if (row.id < this.#newestTrade.id && row.timeUs > this.#newestTrade.timeUs + RESET_AFTER_US) this.#generation += 1
    this.#newestTrade = row
    this.#table(channel).add(this.#generation, row.id, tradeHash(row.content, row.timeUs))
  }

  /** A fault took this update from every client. */
  strike(row: LedgerRow): void {
    this.#tables.get(`${CHANNEL_OF[row.kind]}${row.interval}`)?.strike(row.id, row.minor)
  }

  async finish(whole: boolean): Promise<void> {
    for (const table of this.#tables.values()) table.close()
    for (const channel of this.#opened) {
      const name = `${this.#name}:${channel}`
      const ranges = readGapLedger(await this.#streams.gapLedger(name), name, this.#report)
      if (channel === 'ORDERBOOK' && this.book) {
        await this.book.end(whole)
        checkToldInLedger([...this.book.told], ranges, this.#told(channel), this.#report)
        checkBookStates(ranges, this.book.broken, name, this.#report)
      } else if (channel === 'TRADE') {
        const check = new TradeCheck(name, this.#table(channel), this.#report)
        for await (const entry of this.#checked(channel, PAGE_ENTRIES)) check.step(entry)
        const closed = ranges.filter(({ state }) => state === 'closed')
        check.end(whole, (id) => closed.some(({ from, to }) => from <= id && id <= to))
        checkToldInLedger([...check.told], ranges, this.#told(channel), this.#report)
        checkTradeStates(ranges, this.#table(channel), this.#generation, name, this.#report)
      } else if (channel === 'ANALYTICS') {
        const check = new AnalyticsCheck(name, this.#report)
        for await (const entry of this.#checked(channel, PAGE_ENTRIES)) check.step(entry)
      } else if (channel === 'QUOTE' || channel === 'TICKER' || channel === 'KLINE') {
        const told = await this.#finishNewest(channel, whole)
        checkToldInLedger(told, ranges, this.#told(channel), this.#report)
      }
    }
  }

  #told(channel: string) {
    const ids = channel === 'TRADE' || channel === 'ORDERBOOK'
    return { channel: `${this.#name}:${channel}`, ids, trimmed: this.#trimmed.has(channel) }
  }

  async #finishNewest(channel: string, whole: boolean): Promise<ToldRange[]> {
    const checks = new Map<string, NewestCheck>()
    const checkOf = (interval: string): NewestCheck => {
      let check = checks.get(interval)
      if (!check) {
        check = new NewestCheck(`${this.#name}:${channel}`, this.#table(`${channel}${interval}`), this.#report)
        checks.set(interval, check)
      }
      return check
    }
    if (whole) for (const name of this.#tables.keys()) if (name.startsWith(channel)) checkOf(name.slice(channel.length))
    const told: ToldRange[] = []
    for await (const checked of this.#checked(channel, PAGE_ENTRIES)) {
      const { id, entry, generation } = checked
      if (entry.type === 'QUOTE.GAP' || entry.type === 'TICKER.GAP' || entry.type === 'KLINE.GAP') {
        this.#report.note(Note.Gaps)
        const { data } = entry
        const range = 'from' in data ? { from: data.from, to: data.to } : null
        if (range && 'from' in data) told.push({ ...range, generation, cause: data.cause, entryId: id })
        const interval = 'interval' in data ? data.interval : undefined
        if (interval !== undefined) checkOf(interval).gap(id, range)
        else for (const check of entry.type === 'KLINE.GAP' ? checks.values() : [checkOf('')]) check.gap(id, range)
      } else checkOf(entry.type === 'KLINE.SUMMARY' ? entry.data.interval : '').event(checked)
    }
    for (const check of checks.values()) check.end(whole)
    return told
  }

  #table(name: string): EventTable {
    let table = this.#tables.get(name)
    if (!table) {
      table = new EventTable()
      this.#tables.set(name, table)
    }
    return table
  }

  async *#checked(channel: string, pageEntries: number): AsyncGenerator<CheckedEntry, null> {
    const name = `${this.#name}:${channel}`
    const check = new StreamCheck(name, this.#report)
    for await (const raw of this.#streams.entries(name, pageEntries)) {
      const entry = check.step(raw)
      if (check.trimmed) this.#trimmed.add(channel)
      if (entry) yield entry
    }
    return null
  }
}
