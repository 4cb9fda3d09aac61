import { existsSync } from 'node:fs'
import { UsageError } from '../errors.ts'
import { parseDuration, parseRetention, parseSpeed, type Speed } from './arguments.ts'
import type { CommandContext, CommandHost } from './context.ts'

interface Flags {
  readonly roles?: string
  readonly replay?: string
  readonly speed?: Speed
  readonly untilDone?: boolean
  readonly retention?: 'none'
  readonly for?: number
}

const EVENT_CHANNELS = ['TRADE', 'QUOTE', 'TICKER', 'KLINE', 'ORDERBOOK', 'ANALYTICS']

export function registerStart({ program, run }: CommandHost): void {
  const command = program
    .command('start')
    .description('Takes venue data into the streams: a generated market unless a venue or a replay is named.')
    .option('--roles <list>', 'what this process does, the same as --set roles=...')
    .option(
      '--replay <capture>',
      'serve a recorded capture (.jsonl or .jsonl.gz) as the venue and subscribe to all it holds',
    )
    .option('--speed <factor>', 'speed of the replay: 1 as recorded, N times that, or max (default 1)', parseSpeed)
    .option('--until-done', 'end when the replay is read, the queues are empty and nothing is asked for')
    .option('--retention <word>', 'none: keep every entry', parseRetention)
    .option('--for <duration>', 'end after this time, for example 20s', parseDuration)
    .addHelpText(
      'after',
      '\nExamples:\n  $ meltica start\n  $ meltica start --config config/binance.yaml --redis redis://localhost:6379\n' +
        '  $ meltica start --replay capture.jsonl.gz --speed max --until-done\n' +
        '  $ meltica start --for 20s --set simulator.instruments=50 --set simulator.rate=2000',
    )
  run<Flags>(command, start)
}

async function start(context: CommandContext, flags: Flags): Promise<number> {
  checkReplay(flags)
  const assignments: string[] = []
  if (flags.roles !== undefined) assignments.push(`roles=${flags.roles}`)
  if (flags.retention === 'none') {
    for (const channel of EVENT_CHANNELS) assignments.push(`retention.${channel}.maxLength=null`)
  }
  const { config, origin } = await context.load(assignments)
  const isNamed = (path: string): boolean => !origin(path).startsWith('config/meltica.yaml')
  const { runStart } = await import('../processes/start.ts')
  return runStart(config, {
    replay: flags.replay === undefined ? null : { file: flags.replay, speed: flags.speed ?? 1 },
    untilDone: flags.untilDone === true,
    forMs: flags.for ?? null,
    gatewayNamed: isNamed('roles') || isNamed('gateway.listen'),
    json: context.json,
    terminal: process.stdout.isTTY === true && !context.json,
    signal: context.signal,
    write: context.write,
  })
}

/** What makes no sense together, said before anything is started. */
export function checkReplay(flags: {
  readonly replay?: string
  readonly speed?: Speed
  readonly untilDone?: boolean
}): void {
  if (flags.replay === undefined) {
    if (flags.speed !== undefined) throw new UsageError('expected --replay CAPTURE with --speed, found --speed alone')
    if (flags.untilDone) {
      throw new UsageError(
        'expected --replay CAPTURE with --until-done, found --until-done alone; --for ends an endless market',
      )
    }
  } else if (!existsSync(flags.replay)) {
    throw new UsageError(
      `--replay: expected a capture (.jsonl or .jsonl.gz) that can be read, found no file "${flags.replay}"`,
    )
  }
}
