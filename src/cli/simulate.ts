import { integer, parseDuration, parseSpeed, type Speed } from './arguments.ts'
import type { CommandContext, CommandHost } from './context.ts'
import { checkReplay } from './start.ts'
import { untilStopped } from './wait.ts'

interface Flags {
  readonly replay?: string
  readonly speed?: Speed
  readonly startAfter?: number
  readonly port?: number
  readonly for?: number
}

export function registerSimulate({ program, run }: CommandHost): void {
  const command = program
    .command('simulate')
    .description('Runs the simulated venue alone; the first line of output is JSON with its addresses.')
    .option('--replay <capture>', 'serve a recorded capture (.jsonl or .jsonl.gz)')
    .option('--speed <factor>', 'speed of the replay: 1 as recorded, N times that, or max (default 1)', parseSpeed)
    .option('--start-after <duration>', 'begin after this time although not all is subscribed', parseDuration)
    .option('--port <number>', 'port on 127.0.0.1, 0 is any free one', integer(0, 65_535))
    .option('--for <duration>', 'end after this time, for example 20s', parseDuration)
    .addHelpText(
      'after',
      '\nExamples:\n  $ meltica simulate --port 9443\n' +
        '  $ meltica simulate --replay capture.jsonl.gz --speed max --start-after 5s',
    )
  run<Flags>(command, simulate)
}

async function simulate(context: CommandContext, flags: Flags): Promise<number> {
  checkReplay(flags)
  const assignments = flags.port === undefined ? [] : [`simulator.port=${flags.port}`]
  const { config } = await context.load(assignments)
  const { startSimulator } = await import('../simulator/simulator.ts')
  const { openReplay } = await import('../simulator/replay.ts')
  const source = await openReplay({
    file: flags.replay ?? '',
    speed: flags.speed ?? 1,
    startAfterMs: flags.startAfter ?? null,
  })
  const simulator = await startSimulator({ source, port: config.simulator.port })
  context.write(`${JSON.stringify({ ws: simulator.ws, rest: simulator.rest })}\n`)
  await untilStopped(context.signal, flags.for ?? null)
  await simulator.close()
  return 0
}
