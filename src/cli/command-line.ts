import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { MelticaError } from '../errors.ts'
import { registerBook } from './book.ts'
import { registerCheck } from './check.ts'
import { registerCommands } from './commands.ts'
import { registerConfig } from './config.ts'
import { addCommonOptions, type CommandBody, type CommandContext, commonOptions, configInputs } from './context.ts'
import { registerDeadLetters } from './dead-letters.ts'
import { registerLimits } from './limits.ts'
import { registerRoutes } from './routes.ts'
import { registerSimulate } from './simulate.ts'
import { registerStart } from './start.ts'
import { registerStreams } from './streams.ts'
import { registerSubscribe, registerSubscriptions, registerUnsubscribe } from './subscribe.ts'
import { registerTail } from './tail.ts'
import { registerVerify } from './verify.ts'
import { registerWorkers } from './workers.ts'
import { describeWrongUse } from './wrong-use.ts'

/**
 * The command line. Each command is a file beside this one that declares its options and imports what it runs only when
 * it runs, so that `--help` is quick. Exit codes: 0 done, 1 something needed is not there or a check failed, 2 wrong use.
 */
const EXIT_UNAVAILABLE = 1
const EXIT_WRONG_USE = 2
/** After a signal everything must be closed within this time; the promise of the command line is 5 s. */
const CLOSE_TIMEOUT_MS = 4_500

const stop = new AbortController()
let isDebug = process.argv.includes('--debug')

function fail(error: unknown): number {
  const isKnown = error instanceof MelticaError
  const message = error instanceof Error ? error.message : String(error)
  process.stderr.write(isKnown ? `meltica: ${message}\n` : `meltica: an error that should not occur: ${message}\n`)
  if (isDebug) process.stderr.write(`${describeChain(error)}\n`)
  else if (!isKnown) process.stderr.write('Run again with --debug for the place.\n')
  return isKnown && error.code === 'usage' ? EXIT_WRONG_USE : EXIT_UNAVAILABLE
}

function describeChain(error: unknown): string {
  const lines: string[] = []
  for (let at: unknown = error; at instanceof Error && lines.length < 10; at = at.cause)
    lines.push(at.stack ?? at.message)
  return lines.join('\ncaused by: ')
}

function listenForTheEnd(): void {
  const onSignal = (): void => {
    if (stop.signal.aborted) process.exit(130)
    stop.abort()
    setTimeout(() => {
      process.stderr.write(`meltica: not everything could be closed within ${CLOSE_TIMEOUT_MS} ms\n`)
      process.exit(EXIT_UNAVAILABLE)
    }, CLOSE_TIMEOUT_MS).unref()
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      // A reader that has seen enough (`| head`) is no error.
      if (error.code === 'EPIPE') stop.abort()
      else process.exit(fail(error))
    })
  }
  process.on('uncaughtException', (error) => process.exit(fail(error)))
}

/** Ends with the exit code once everything written has left. */
function exit(code: number): void {
  process.exitCode = code
  const isOpen = process.stdout.writable && !process.stdout.destroyed
  if (isOpen) process.stdout.write('', () => process.exit(code))
  else process.exit(code)
}

function run<Options>(program: Command, command: Command, body: CommandBody<Options>): void {
  addCommonOptions(command).action(async () => {
    const common = commonOptions(program, command)
    isDebug = common.debug === true
    const context: CommandContext = {
      json: common.json === true,
      debug: isDebug,
      signal: stop.signal,
      write: (text) => {
        if (!stop.signal.aborted || process.stdout.writable) process.stdout.write(text)
      },
      drained: async () => {
        if (process.stdout.writableNeedDrain)
          await Promise.race([once(process.stdout, 'drain'), once(stop.signal, 'abort')])
      },
      load: async (assignments = []) => {
        const { loadConfig } = await import('../config/load.ts')
        return loadConfig(configInputs(common, assignments))
      },
    }
    exit(await body(context, command.opts() as Options, command.args))
  })
}

function version(): string {
  const file = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}

function build(): Command {
  const program = new Command('meltica')
  addCommonOptions(program)
    .description(
      'Market data from exchanges into sequenced, deduplicated Redis Streams that are never wrong in silence.',
    )
    .version(version(), '--version', 'show the version')
    .helpOption('--help', 'show this help')
    .addHelpText(
      'after',
      '\nExamples:\n  $ meltica start                                  a generated market into a private Redis\n' +
        '  $ meltica start --config config/binance.yaml     the real Binance\n' +
        '  $ meltica tail "*:BTC-USDT:TRADE"                read what is there\n' +
        '  $ meltica start --help                           options and examples of a command',
    )
  const host = { program, run: <Options>(command: Command, body: CommandBody<Options>) => run(program, command, body) }
  for (const register of [
    registerStart,
    registerSimulate,
    registerTail,
    registerBook,
    registerStreams,
    registerConfig,
    registerCheck,
    registerVerify,
    registerWorkers,
    registerSubscribe,
    registerUnsubscribe,
    registerSubscriptions,
    registerCommands,
    registerRoutes,
    registerLimits,
    registerDeadLetters,
  ]) {
    register(host)
  }
  for (const command of [program, ...program.commands]) {
    command
      .helpOption('--help', 'show this help')
      .exitOverride()
      .configureOutput({ outputError: () => undefined, writeErr: () => undefined })
    command.showSuggestionAfterError(true)
  }
  return program
}

const program = build()
listenForTheEnd()
try {
  await program.parseAsync()
} catch (error) {
  if (!(error instanceof CommanderError)) exit(fail(error))
  else if (error.exitCode === 0) exit(0)
  else {
    process.stderr.write(`${describeWrongUse(error, program, process.argv.slice(2))}\n`)
    exit(EXIT_WRONG_USE)
  }
}
