import { createReadStream, existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { createGunzip } from 'node:zlib'
import type { CheckedStreams } from '../checker/checker.ts'
import type { CheckResult } from '../checker/report.ts'
import type { Config } from '../config/schema.ts'
import { UsageError } from '../errors.ts'
import type { RedisConnection } from '../redis/connection.ts'
import type { CommandContext, CommandHost } from './context.ts'
import { openRedis } from './redis.ts'
import { table } from './table.ts'

interface Flags {
  readonly ledger: string
  readonly market?: string
  readonly whole?: boolean
}

export function registerVerify({ program, run }: CommandHost): void {
  const command = program
    .command('verify')
    .description('Compares the streams with the ledger of a simulated venue; exit code 1 when a promise was broken.')
    .requiredOption('--ledger <file>', 'what `meltica simulate --ledger` wrote, or a capture (.jsonl or .jsonl.gz)')
    .option('--market <name>', 'market of the ledger (default BINANCE-SPOT)')
    .option('--whole', 'also count as lost what the ledger has before the first and after the last entry of a stream')
    .addHelpText(
      'after',
      '\nExamples:\n  $ meltica verify --ledger truth.jsonl --redis redis://localhost:6379\n' +
        '  $ meltica verify --ledger capture.jsonl.gz --whole --json',
    )
  run<Flags>(command, verify)
}

async function verify(context: CommandContext, flags: Flags): Promise<number> {
  if (!existsSync(flags.ledger)) {
    throw new UsageError(`--ledger: expected a file that can be read, found no file "${flags.ledger}"`)
  }
  const { config } = await context.load()
  const { checkStreams } = await import('../checker/checker.ts')
  const connection = await openRedis(config, 'command')
  try {
    const streams = await openStreams(connection, config)
    const result = await checkStreams(streams, linesOf(flags.ledger), {
      whole: flags.whole === true,
      ...(flags.market === undefined ? {} : { market: flags.market }),
    })
    context.write(context.json ? `${JSON.stringify(result)}\n` : describe(result))
    return result.ok ? 0 : 1
  } finally {
    connection.close()
  }
}

async function* linesOf(file: string): AsyncGenerator<string> {
  const bytes = createReadStream(file)
  if (!file.endsWith('.gz')) {
    yield* createInterface({ input: bytes, crlfDelay: Number.POSITIVE_INFINITY })
    return
  }
  const gunzip = createGunzip()
  // A reader that fails must not leave the other end waiting.
  bytes.on('error', (error) => gunzip.destroy(error))
  yield* createInterface({ input: bytes.pipe(gunzip), crlfDelay: Number.POSITIVE_INFINITY })
}

async function openStreams(connection: RedisConnection, config: Config): Promise<CheckedStreams> {
  const [{ readCatalog }, { Keys }, { StreamReader }] = await Promise.all([
    import('../redis/catalog.ts'),
    import('../redis/keys.ts'),
    import('../redis/stream-reader.ts'),
  ])
  const keys = new Keys(config.prefix, config.partitions)
  const reader = new StreamReader(connection)
  const catalog = new Map((await readCatalog(connection, keys)).map((entry) => [entry.name, entry]))
  return {
    channels: async () => [...catalog.keys()],
    entries: async function* (channel, pageEntries) {
      const stream = catalog.get(channel)?.stream ?? ''
      for (let from = '-'; ; ) {
        const records = await reader.range(stream, from, '+', pageEntries)
        for (const { id, fields } of records) yield { id, fields: Object.entries(fields).flat() }
        const last = records.at(-1)
        if (last === undefined || records.length < pageEntries) return
        from = `(${last.id}`
      }
    },
    gapLedger: async (channel) => {
      const entry = catalog.get(channel)
      if (entry === undefined) return []
      const key = keys.gaps(entry.market, entry.instrument, entry.channel)
      return (await connection.send('zrange', [key, 0, -1])) as string[]
    },
  }
}

function describe(result: CheckResult): string {
  const { ok, channels, ledgerEvents, entries, wrong, notes, examples } = result
  const lines = [
    `${channels} channels, ${entries} entries against ${ledgerEvents} events of the ledger: ${ok ? 'nothing wrong' : 'WRONG'}`,
  ]
  const counts = (found: object): string =>
    table(
      ['', ''],
      Object.entries(found).map(([kind, count]) => [`  ${kind}`, String(count)]),
      [1],
    )
      .split('\n')
      .slice(1)
      .join('\n')
  if (!ok) lines.push('broken promises:', counts(wrong).trimEnd())
  if (Object.keys(notes).length > 0) lines.push('noted:', counts(notes).trimEnd())
  for (const { kind, channel, entryId, what } of examples)
    lines.push(`${kind} ${channel}${entryId && ` ${entryId}`}: ${what}`)
  return `${lines.join('\n')}\n`
}
