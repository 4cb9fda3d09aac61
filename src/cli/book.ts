import type { Config } from '../config/schema.ts'
import type { OpenBook } from '../consumer/open-book.ts'
import type { Level } from '../domain/event.ts'
import { asInstrument, asMarket } from '../domain/instrument.ts'
import { UnavailableError, UsageError } from '../errors.ts'
import type { RedisConnection } from '../redis/connection.ts'
import { integer } from './arguments.ts'
import type { CommandContext, CommandHost } from './context.ts'
import { openRedis } from './redis.ts'
import { untilStopped } from './wait.ts'

interface Flags {
  readonly levels: number
  readonly count?: number
}

const BLOCK_MS = 500
/** On a terminal the ladder is drawn again no sooner than this. */
const DRAW_MS = 100
/** So long a record is waited for. */
const RECORD_MS_MAX = 5_000
const LOOK_MS = 200
const CLEAR = '\u001b[H\u001b[J'

export function registerBook({ program, run }: CommandHost): void {
  const command = program
    .command('book')
    .description('Joins a book late and shows it live: its record first, then the stream behind it, verified.')
    .argument('<book>', 'MARKET:INSTRUMENT')
    .option('--levels <number>', 'levels a side', integer(1, 1_000), 10)
    .option('--count <number>', 'end after it was shown so many times', integer(1))
    .addHelpText(
      'after',
      '\nExamples:\n  $ meltica book BINANCE-SPOT:BTC-USDT --redis redis://localhost:6379\n' +
        '  $ meltica book BINANCE-SPOT:BTC-USDT --count 1 --levels 5 --json',
    )
  run<Flags>(command, book)
}

async function book(context: CommandContext, flags: Flags, [name = '']: readonly string[]): Promise<number> {
  const [, market, instrument] = /^([A-Z0-9][A-Z0-9-]*):([^\s:{}]+-[^\s:{}]+)$/.exec(name) ?? []
  if (market === undefined || instrument === undefined) {
    throw new UsageError(`expected a book as MARKET:INSTRUMENT, for example BINANCE-SPOT:BTC-USDT, found "${name}"`)
  }
  const { config } = await context.load()
  const connection = await openRedis(config, 'command')
  try {
    const waiting = await openRedis(config, 'blocking')
    try {
      const opened = await open(config, connection, waiting, market, instrument)
      await show(context, flags, name, opened, [connection, waiting])
      return 0
    } finally {
      waiting.close()
    }
  } finally {
    connection.close()
  }
}

async function open(
  config: Config,
  connection: RedisConnection,
  waiting: RedisConnection,
  market: string,
  instrument: string,
): Promise<OpenBook> {
  const [{ RedisBookSources }, { Keys }, { openBook }] = await Promise.all([
    import('../redis/book-sources.ts'),
    import('../redis/keys.ts'),
    import('../consumer/open-book.ts'),
  ])
  const sources = new RedisBookSources(connection, waiting, new Keys(config.prefix, config.partitions))
  return openBook(sources, asMarket(market), asInstrument(instrument))
}

async function show(
  context: CommandContext,
  flags: Flags,
  name: string,
  opened: OpenBook,
  connections: readonly RedisConnection[],
): Promise<void> {
  const isScreen = process.stdout.isTTY === true && !context.json
  let left = flags.count ?? Number.POSITIVE_INFINITY
  let drawnMs = Number.NEGATIVE_INFINITY
  let changed = false
  let missingMs = 0
  while (!context.signal.aborted && left > 0) {
    try {
      const step = await opened.next(changed ? DRAW_MS : BLOCK_MS)
      if (step === 'absent' || step === 'behind') {
        missingMs += LOOK_MS
        if (step === 'absent' && missingMs > RECORD_MS_MAX) throw new UnavailableError(noRecord(name))
        await untilStopped(context.signal, LOOK_MS)
        continue
      }
      missingMs = 0
      changed ||= step !== 'quiet'
    } catch (error) {
      await recover(context, error, connections)
      continue
    }
    if (!changed || (isScreen && performance.now() - drawnMs < DRAW_MS)) continue
    drawnMs = performance.now()
    changed = false
    left--
    context.write(context.json ? jsonLine(name, opened, flags.levels) : ladder(name, opened, flags.levels, isScreen))
    await context.drained()
  }
}

const noRecord = (name: string): string =>
  `expected a snapshot record of ${name}, found none for ${RECORD_MS_MAX / 1_000} s; a process with the role conductor keeps it`

/** A Redis that went away may come back; the book goes on or is taken anew. */
async function recover(
  context: CommandContext,
  error: unknown,
  connections: readonly RedisConnection[],
): Promise<void> {
  const { BusError } = await import('../redis/errors.ts')
  if (!(error instanceof BusError) || !error.retryable) throw error
  process.stderr.write(`meltica: ${error.message}; going on when it is back\n`)
  const restored = Promise.all(connections.map((connection) => connection.restored()))
  await Promise.race([restored, untilStopped(context.signal, null)])
}

function jsonLine(book: string, opened: OpenBook, levels: number): string {
  const { streamId, epoch, seq } = opened.place
  const have = opened.have === null ? null : String(opened.have)
  const quality = opened.quality || 'LIVE'
  const facts = { book, quality, joined: opened.joined, have, epoch, seq, streamId, ...opened.top(levels) }
  return `${JSON.stringify(facts)}\n`
}

/** Asks above, bids below, the best ones in the middle. */
function ladder(book: string, opened: OpenBook, levels: number, isScreen: boolean): string {
  const { bids, asks } = opened.top(levels)
  const { bids: bidsCount, asks: asksCount } = opened.levelsCount
  const width = Math.max(8, ...[...bids, ...asks].map(([price]) => price.length))
  const much = Math.max(8, ...[...bids, ...asks].map(([, quantity]) => quantity.length))
  const row = ([price, quantity]: Level, side: string) => `${side} ${price.padStart(width)}  ${quantity.padStart(much)}`
  const state = opened.joined ? opened.quality || 'LIVE' : `${opened.quality || 'GAPPED'}, not whole`
  const lines = [
    `${book}  ${state}  update ${opened.have ?? '-'}  seq ${opened.place.seq}  ${bidsCount} bids, ${asksCount} asks`,
    ...asks.map((level) => row(level, 'ask')).reverse(),
    '-'.repeat(width + much + 6),
    ...bids.map((level) => row(level, 'bid')),
  ]
  return `${isScreen ? CLEAR : ''}${lines.join('\n')}\n${isScreen ? '' : '\n'}`
}
