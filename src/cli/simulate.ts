import type { Config } from '../config/schema.ts'
import { UsageError } from '../errors.ts'
import type { SimulatorPlan } from '../simulator/simulator.ts'
import { integer, parseDuration, parseRate, parseSpeed, type Speed } from './arguments.ts'
import type { CommandContext, CommandHost } from './context.ts'
import { checkReplay } from './start.ts'
import { untilStopped } from './wait.ts'

interface Flags {
  readonly replay?: string
  readonly speed?: Speed
  readonly startAfter?: number
  readonly port?: number
  readonly host?: string
  readonly instruments?: number
  readonly seed?: number
  readonly rate?: number | 'max'
  readonly requestWeight?: number
  readonly ledger?: string
  readonly faults?: string
  readonly for?: number
}

export function registerSimulate({ program, run }: CommandHost): void {
  const command = program
    .command('simulate')
    .description('Runs the simulated venue alone; the first line of output is JSON with its addresses.')
    .option('--replay <capture>', 'serve a recorded capture (.jsonl or .jsonl.gz) instead of a generated market')
    .option('--speed <factor>', 'speed of the replay: 1 as recorded, N times that, or max (default 1)', parseSpeed)
    .option(
      '--start-after <duration>',
      'begin the replay after this time although not all is subscribed',
      parseDuration,
    )
    .option('--port <number>', 'port to listen on, 0 is any free one', integer(0, 65_535))
    .option('--host <address>', 'address to listen on (default 127.0.0.1; 0.0.0.0 lets other machines in)')
    .option('--instruments <number>', 'how many instruments to generate', integer(1))
    .option('--seed <number>', 'the same seed makes the same market', integer(0))
    .option('--rate <number>', 'orders and cancels a second over all instruments, or max', parseRate)
    .option('--request-weight <number>', 'REST weight allowed in a minute (default 6000)', integer(1))
    .option('--ledger <file>', 'write every market event and every fault, before faults are applied')
    .option('--faults <file>', 'JSON lines of faults, for example {"at":5,"fault":"drop","stream":"btcusdt@trade"}')
    .option('--for <duration>', 'end after this time, for example 20s', parseDuration)
    .addHelpText(
      'after',
      '\nExamples:\n  $ meltica simulate --port 9443 --instruments 50 --seed 7 --rate 2000\n' +
        '  $ meltica simulate --ledger truth.jsonl --faults faults.jsonl --for 5m\n' +
        '  $ meltica simulate --replay capture.jsonl.gz --speed max --start-after 5s\n' +
        '\nFaults can also be told while it runs: curl -d \'{"fault":"disconnect"}\' REST/simulator/faults; what went wrong\n' +
        'so far: REST/simulator/state. Every kind of fault and the form of the ledger: docs/simulator.md',
    )
  run<Flags>(command, simulate)
}

async function simulate(context: CommandContext, flags: Flags): Promise<number> {
  checkReplay(flags)
  checkMarket(flags)
  const assignments = (['port', 'instruments', 'seed', 'rate', 'requestWeight'] as const)
    .filter((name) => flags[name] !== undefined)
    .map((name) => `simulator.${name}=${flags[name]}`)
  const { config } = await context.load(assignments)
  const { startSimulatorFrom } = await import('../simulator/simulator.ts')
  const simulator = await startSimulatorFrom(planOf(flags, config))
  context.write(`${JSON.stringify({ ws: simulator.ws, rest: simulator.rest })}\n`)
  try {
    // A source that fails ends the command; one that has come to its end goes on answering.
    const failed = simulator.done.then(() => new Promise<never>(() => undefined))
    await Promise.race([untilStopped(context.signal, flags.for ?? null), failed])
  } finally {
    await simulator.close()
  }
  return 0
}

function planOf(flags: Flags, config: Config): SimulatorPlan {
  const { instruments, seed, rate, requestWeight, port } = config.simulator
  const server = { faultsFile: flags.faults ?? null, port, host: flags.host ?? '127.0.0.1' }
  if (flags.replay === undefined) {
    return { generated: { instruments, seed, rate, requestWeight, ledgerFile: flags.ledger ?? null }, ...server }
  }
  const replay = { file: flags.replay, speed: flags.speed ?? 1, startAfterMs: flags.startAfter ?? null }
  return { replay, ...server }
}

function checkMarket(flags: Flags): void {
  if (flags.replay === undefined) {
    if (flags.startAfter !== undefined)
      throw new UsageError('expected --replay CAPTURE with --start-after, found it alone')
    return
  }
  const generated = (['instruments', 'seed', 'rate', 'requestWeight', 'ledger'] as const).filter(
    (name) => flags[name] !== undefined,
  )
  if (generated.length > 0) {
    const found = generated.map((name) => `--${name === 'requestWeight' ? 'request-weight' : name}`).join(' ')
    throw new UsageError(
      `expected only options of a replay with --replay, found ${found}, which shape a generated market`,
    )
  }
}
