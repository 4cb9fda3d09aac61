import { UsageError } from '../errors.ts'
import { type ApiFlags, addApiOptions, openApi } from './api.ts'
import { parseDuration, repeated } from './arguments.ts'
import type { CommandContext, CommandHost } from './context.ts'
import { issueAndShow } from './stories.ts'
import { table } from './table.ts'

interface SubscribeFlags extends ApiFlags {
  readonly consumer: string
  readonly market: string
  readonly filter?: readonly string[]
  readonly throttle?: number
  readonly interval?: readonly string[]
  readonly wait: number
}

const OPERATORS = ['eq', 'neq', 'in', 'prefix', 'exists', 'gt', 'lt']

export function registerSubscribe({ program, run }: CommandHost): void {
  const command = addApiOptions(program.command('subscribe <instrument> <channel>'))
    .description('Makes a channel of an instrument flow, and waits until it does.')
    .requiredOption('--consumer <name>', 'who wants it; a name of your own choice')
    .option('--market <market>', 'where the instrument is traded', 'BINANCE-SPOT')
    .option(
      '--filter <path:op:value>',
      'only events that meet it, for example data.price:gt:100 (repeatable)',
      repeated,
    )
    .option('--throttle <duration>', 'TRADE, QUOTE, ORDERBOOK: at most one fused event in this time', parseDuration)
    .option('--interval <word>', 'KLINE: for example 1m (repeatable)', repeated)
    .option('--wait <duration>', 'how long to wait until it flows, 0s for not at all', parseDuration, 5_000)
    .addHelpText(
      'after',
      '\nExamples:\n  $ meltica subscribe BTC-USDT TRADE --consumer desk\n' +
        '  $ meltica subscribe ETH-USDT KLINE --interval 1m --interval 1h --consumer charts --json',
    )
  run<SubscribeFlags>(command, subscribe)
}

export function registerUnsubscribe({ program, run }: CommandHost): void {
  const command = addApiOptions(program.command('unsubscribe <subscriptionId>'))
    .description('Ends a subscription; the stream at the venue ends with the last one.')
    .option('--wait <duration>', 'how long to wait until the venue was told, 0s for not at all', parseDuration, 5_000)
    .addHelpText('after', '\nExamples:\n  $ meltica unsubscribe 6d1c4c8e-6f1f-4d0e-9f5e-0f8d1b2a3c4d')
  run<ApiFlags & { readonly wait: number }>(command, async (context, flags, args) => {
    const api = await openApi(context, flags)
    const path = `/v1/subscriptions/${encodeURIComponent(args[0] ?? '')}`
    return issueAndShow(context, api, path, { method: 'DELETE' }, flags.wait)
  })
}

export function registerSubscriptions({ program, run }: CommandHost): void {
  const command = addApiOptions(program.command('subscriptions'))
    .description('Shows who is subscribed to what.')
    .option('--consumer <name>', 'only of this consumer')
    .addHelpText('after', '\nExamples:\n  $ meltica subscriptions --consumer desk\n  $ meltica subscriptions --json')
  run<ApiFlags & { readonly consumer?: string }>(command, showSubscriptions)
}

async function subscribe(context: CommandContext, flags: SubscribeFlags, args: readonly string[]): Promise<number> {
  const [instrument, type] = args
  const { consumer, market, filter = [], throttle = null, interval = null, wait } = flags
  const body = {
    ...{ consumer, market, instrument, type: type?.toUpperCase(), filters: filter.map(parseFilter) },
    ...{ throttleMs: throttle, intervals: interval },
  }
  const api = await openApi(context, flags)
  return issueAndShow(context, api, '/v1/subscriptions', { method: 'POST', body }, wait)
}

async function showSubscriptions(
  context: CommandContext,
  flags: ApiFlags & { readonly consumer?: string },
): Promise<number> {
  const api = await openApi(context, flags)
  const query = flags.consumer === undefined ? '' : `?${new URLSearchParams({ consumer: flags.consumer })}`
  const rows: string[][] = []
  for await (const item of api.list(`/v1/subscriptions${query}`)) {
    if (context.json) {
      context.write(`${JSON.stringify(item)}\n`)
      await context.drained()
    } else {
      const { subscriptionId, consumer, market, instrument, type, sinceVersion, filters, throttleMs } = item
      const kept = (filters as unknown[]).length === 0 ? '-' : JSON.stringify(filters)
      const throttle = throttleMs === null ? '-' : `${throttleMs} ms`
      rows.push([subscriptionId, consumer, market, instrument, type, kept, throttle, sinceVersion].map(String))
    }
  }
  const header = ['subscription', 'consumer', 'market', 'instrument', 'channel', 'filters', 'throttle', 'version']
  if (!context.json) context.write(table(header, rows, [7]))
  return 0
}

/** `data.price:gt:100`; a value may hold colons, `in` takes a list joined by commas, `exists` true or false. */
function parseFilter(text: string): { path: string; op: string; value?: string | boolean | string[] } {
  const [path = '', op = '', ...rest] = text.split(':')
  const value = rest.join(':')
  if (path === '' || !OPERATORS.includes(op)) {
    throw new UsageError(`--filter: expected path:op:value with op one of ${OPERATORS.join(', ')}, found "${text}"`)
  }
  if (op === 'exists') return { path, op, value: value !== 'false' }
  return { path, op, value: op === 'in' ? value.split(',') : value }
}
