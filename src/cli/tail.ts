import type { Config } from '../config/schema.ts'
import { UnavailableError } from '../errors.ts'
import type { RedisConnection } from '../redis/connection.ts'
import type { StreamReader, StreamRecord } from '../redis/stream-reader.ts'
import { integer, parsePosition } from './arguments.ts'
import type { CommandContext, CommandHost } from './context.ts'
import { openRedis } from './redis.ts'
import { untilStopped } from './wait.ts'

interface Flags {
  readonly from?: string
  readonly count?: number
  readonly follow: boolean
}

/** Entries asked for at once over all streams, which bounds what is in memory. */
const ENTRIES_PER_READ_MAX = 10_000
const BLOCK_MS = 500
/** How often the catalog is looked at for new streams that fit. */
const CATALOG_PERIOD_MS = 1_000

export function registerTail({ program, run }: CommandHost): void {
  const command = program
    .command('tail')
    .description('Shows the entries of streams as they stand in Redis, and those that come.')
    .argument('<pattern>', 'MARKET:INSTRUMENT:CHANNEL, * standing for any characters')
    .option('--from <position>', '0 from the beginning, $ from now on, or what follows an entry id', parsePosition)
    .option('--count <number>', 'end after so many entries', integer(1))
    .option('--no-follow', 'end at the last entry; begins at 0 unless --from is given')
    .addHelpText(
      'after',
      "\nExamples:\n  $ meltica tail 'BINANCE-SPOT:BTC-USDT:TRADE' --redis redis://localhost:6379\n" +
        "  $ meltica tail '*:BTC-USDT:*' --from 0 --count 100\n" +
        "  $ meltica tail '*:TRADE' --no-follow --json | wc -l",
    )
  run<Flags>(command, tail)
}

async function tail(context: CommandContext, flags: Flags, [pattern = '']: readonly string[]): Promise<number> {
  const { config } = await context.load()
  const from = flags.from ?? (flags.follow ? '$' : '0')
  const connection = await openRedis(config, 'command')
  try {
    const output = new Output(context, flags.count ?? Number.POSITIVE_INFINITY)
    const find = await finder(connection, config, pattern)
    if (!flags.follow) await showWhatIsThere(connection, await find(), from, output, () => noStream(config, pattern))
    else await follow(context, config, connection, find, from, output, pattern)
    return 0
  } finally {
    connection.close()
  }
}

/** Answers the keys of the streams that fit, sorted by their names. */
async function finder(connection: RedisConnection, config: Config, pattern: string): Promise<() => Promise<string[]>> {
  const { matchesPattern, readCatalog } = await import('../redis/catalog.ts')
  const { Keys } = await import('../redis/keys.ts')
  const keys = new Keys(config.prefix, config.partitions)
  return async () => {
    const entries = await readCatalog(connection, keys)
    return entries.filter(({ name }) => matchesPattern(name, pattern)).map(({ stream }) => stream)
  }
}

const noStream = (config: Config, pattern: string): string =>
  `expected a stream that fits ${pattern} in ${config.prefix}:catalog, found none; \`meltica streams\` lists what is there`

async function showWhatIsThere(
  connection: RedisConnection,
  streams: readonly string[],
  from: string,
  output: Output,
  problem: () => string,
): Promise<void> {
  if (streams.length === 0) throw new UnavailableError(problem())
  if (from === '$') return
  const { StreamReader } = await import('../redis/stream-reader.ts')
  const reader = new StreamReader(connection)
  for (const stream of streams) {
    for await (const records of reader.pages(stream, `(${from}`)) {
      await output.show(records)
      if (output.isOver) return
    }
  }
}

async function follow(
  context: CommandContext,
  config: Config,
  connection: RedisConnection,
  find: () => Promise<string[]>,
  from: string,
  output: Output,
  pattern: string,
): Promise<void> {
  const { StreamReader } = await import('../redis/stream-reader.ts')
  const waiting = await openRedis(config, 'blocking')
  try {
    const reader = new StreamReader(connection)
    const follower = new StreamReader(waiting)
    const cursors = new Map<string, string>()
    for (const stream of await find()) cursors.set(stream, from === '$' ? await lastId(reader, stream) : from)
    if (cursors.size === 0) process.stderr.write(`meltica: ${noStream(config, pattern)}; waiting for one\n`)
    let lookedMs = performance.now()
    while (!context.signal.aborted && !output.isOver) {
      try {
        if (performance.now() - lookedMs > CATALOG_PERIOD_MS) {
          lookedMs = performance.now()
          // A stream that appears while we follow is new from its first entry.
          for (const stream of await find()) if (!cursors.has(stream)) cursors.set(stream, from === '$' ? '0' : from)
        }
        if (cursors.size === 0) await untilStopped(context.signal, BLOCK_MS)
        else await output.show(await follower.follow(cursors, BLOCK_MS, perStream(cursors.size)))
      } catch (error) {
        await recover(context, error, [connection, waiting])
      }
    }
  } finally {
    waiting.close()
  }
}

const perStream = (streams: number): number => Math.max(1, Math.floor(ENTRIES_PER_READ_MAX / streams))

async function lastId(reader: StreamReader, stream: string): Promise<string> {
  return (await reader.last(stream))?.id ?? '0'
}

/** A Redis that went away may come back; the places in the streams are kept. */
async function recover(context: CommandContext, error: unknown, connections: RedisConnection[]): Promise<void> {
  const { BusError } = await import('../redis/errors.ts')
  if (!(error instanceof BusError) || !error.retryable) throw error
  process.stderr.write(`meltica: ${error.message}; going on when it is back\n`)
  const restored = Promise.all(connections.map((connection) => connection.restored()))
  await Promise.race([restored, untilStopped(context.signal, null)])
}

/** Writes entries, counts them, and waits when the reader of the output is slower. */
class Output {
  readonly #context: CommandContext
  #left: number

  constructor(context: CommandContext, countMax: number) {
    this.#context = context
    this.#left = countMax
  }

  get isOver(): boolean {
    return this.#left <= 0 || this.#context.signal.aborted
  }

  async show(records: readonly StreamRecord[]): Promise<void> {
    let text = ''
    for (const record of records.slice(0, Math.min(records.length, this.#left))) {
      text += this.#context.json ? jsonLine(record) : wordsLine(record)
      this.#left--
    }
    this.#context.write(text)
    await this.#context.drained()
  }
}

/** All fields as the texts they are, `data` parsed. */
export function jsonLine({ stream, id, fields }: StreamRecord): string {
  return `${JSON.stringify({ ...fields, data: parsed(fields.data ?? ''), stream, id })}\n`
}

export function wordsLine({ id, fields }: StreamRecord): string {
  const { market, instrument, type, seq, quality, data } = fields
  return `${id} ${market}:${instrument} ${type} seq=${seq}${quality ? ` ${quality}` : ''} ${data}\n`
}

function parsed(data: string): unknown {
  try {
    return JSON.parse(data)
  } catch {
    // Shown as it stands: whoever looks at a broken entry wants to see it.
    return data
  }
}
