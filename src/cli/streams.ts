import type { CatalogEntry } from '../redis/catalog.ts'
import type { RedisConnection } from '../redis/connection.ts'
import type { CommandContext, CommandHost } from './context.ts'
import { openRedis } from './redis.ts'
import { table } from './table.ts'
import { untilStopped } from './wait.ts'

/** Time between the two looks from which the rates are made. */
const RATE_MS = 1_000
const REQUESTS_AT_ONCE_MAX = 200

export function registerStreams({ program, run }: CommandHost): void {
  const command = program
    .command('streams')
    .description('Lists the streams of the catalog with their lengths, rates and quality.')
    .argument('[pattern]', 'MARKET:INSTRUMENT:CHANNEL, * standing for any characters')
    .addHelpText(
      'after',
      '\nExamples:\n  $ meltica streams --redis redis://localhost:6379\n' +
        "  $ meltica streams '*:BTC-USDT:*'\n  $ meltica streams --json",
    )
  run(command, showStreams)
}

/** What Redis tells of a stream at one moment. */
interface StreamLook {
  readonly length: number
  /** Entries ever added, those trimmed since included. */
  readonly added: number
  readonly lastId: string
  readonly quality: string
}

async function showStreams(context: CommandContext, _: object, [pattern = '*']: readonly string[]): Promise<number> {
  const { config } = await context.load()
  const { matchesPattern, readCatalog } = await import('../redis/catalog.ts')
  const { Keys } = await import('../redis/keys.ts')
  const connection = await openRedis(config, 'command')
  try {
    const catalog = await readCatalog(connection, new Keys(config.prefix, config.partitions))
    const entries = catalog.filter(({ name }) => matchesPattern(name, pattern))
    const before = await look(connection, entries)
    const beganMs = performance.now()
    if (entries.length > 0) await untilStopped(context.signal, RATE_MS)
    const seconds = (performance.now() - beganMs) / 1000
    const after = await look(connection, entries)
    const [clockSeconds] = (await connection.send('time', [])) as [string, string]
    const rows = entries.map(({ name, stream }, index) => {
      const { length, added, lastId, quality } = after[index] as StreamLook
      const perSecond = Math.max(0, added - (before[index]?.added ?? 0)) / seconds
      const ageSeconds =
        lastId === '' ? null : Math.max(0, Number(clockSeconds) - Math.floor(Number.parseInt(lastId, 10) / 1000))
      return { name, stream, length, entriesPerSecond: Number(perSecond.toFixed(1)), quality, lastId, ageSeconds }
    })
    if (context.json) for (const row of rows) context.write(`${JSON.stringify(row)}\n`)
    else {
      const header = ['stream', 'length', 'entries/s', 'quality', 'last entry']
      const cells = rows.map(({ name, length, entriesPerSecond, quality, ageSeconds }) => [
        ...[name, String(length), entriesPerSecond.toFixed(1), quality],
        ageSeconds === null ? 'none' : `${ageSeconds} s ago`,
      ])
      context.write(table(header, cells, [1, 2]))
      context.write(`${rows.length} of ${catalog.length} streams in ${config.prefix} at ${connection.address}\n`)
    }
    return 0
  } finally {
    connection.close()
  }
}

async function look(connection: RedisConnection, entries: readonly CatalogEntry[]): Promise<StreamLook[]> {
  const looks: StreamLook[] = []
  for (let start = 0; start < entries.length; start += REQUESTS_AT_ONCE_MAX) {
    const page = entries.slice(start, start + REQUESTS_AT_ONCE_MAX)
    looks.push(...(await Promise.all(page.map((entry) => lookAt(connection, entry)))))
  }
  return looks
}

async function lookAt(connection: RedisConnection, { stream, channel }: CatalogEntry): Promise<StreamLook> {
  // A stream is in the catalog before its first entry.
  if (Number(await connection.send('exists', [stream])) === 0) return { length: 0, added: 0, lastId: '', quality: '-' }
  const flat = (await connection.send('xinfo', ['STREAM', stream])) as unknown[]
  const info = new Map<string, unknown>()
  for (let at = 0; at + 1 < flat.length; at += 2) info.set(String(flat[at]), flat[at + 1])
  const [lastId = '', fields = []] = (info.get('last-entry') ?? []) as [string?, string[]?]
  const at = fields.indexOf('quality')
  const hasQuality = channel === 'ORDERBOOK' || channel === 'ANALYTICS'
  const quality = hasQuality ? fields[at + 1] || 'LIVE' : '-'
  return { length: Number(info.get('length')), added: Number(info.get('entries-added')), lastId, quality }
}
