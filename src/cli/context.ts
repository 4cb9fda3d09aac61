import type { Command } from 'commander'
import type { ConfigInputs, LoadedConfig } from '../config/load.ts'
import { repeated } from './arguments.ts'

/** Options that every command takes, before or after its name. */
interface CommonOptions {
  readonly config?: readonly string[]
  readonly redis?: string
  readonly prefix?: string
  readonly set?: readonly string[]
  readonly json?: boolean
  readonly debug?: boolean
}

/** What a command is given beside its own options. */
export interface CommandContext {
  /** One JSON object a line instead of words. */
  readonly json: boolean
  readonly debug: boolean
  /** Aborted by SIGINT, SIGTERM, or when nobody reads the output any more; the command then ends with exit code 0. */
  readonly signal: AbortSignal
  /** Writes to standard output; waits for nothing. */
  write(text: string): void
  /** Waits until what was written has been taken, so that a slow reader of the output slows the command down. */
  drained(): Promise<void>
  /** Reads the configuration; `assignments` stand above the user's own `--set`. Throws UsageError. */
  load(assignments?: readonly string[]): Promise<LoadedConfig>
}

/** Answers the exit code. */
export type CommandBody<Options> = (
  context: CommandContext,
  options: Options,
  args: readonly string[],
) => Promise<number>

/** Joins a command's own part with what all commands share; `registerX` of every file in this folder takes it. */
export interface CommandHost {
  readonly program: Command
  run<Options>(command: Command, body: CommandBody<Options>): void
}

export function addCommonOptions(command: Command): Command {
  return command
    .option('--config <file>', 'settings laid over config/meltica.yaml (repeatable)', repeated)
    .option('--redis <url>', 'address of Redis, the same as --set redis.url=...')
    .option('--prefix <word>', 'first segment of every key, the same as --set prefix=...')
    .option('--set <path=value>', 'one setting, for example ingest.redundancy=2 (repeatable)', repeated)
    .option('--json', 'one JSON object a line')
    .option('--debug', 'stack traces with errors')
}

/** The shared options as given before and after the command's name; what stands later is stronger. */
export function commonOptions(program: Command, command: Command): CommonOptions {
  const before = program.opts<CommonOptions>()
  const after = command.opts<CommonOptions>()
  return {
    ...before,
    ...after,
    config: [...(before.config ?? []), ...(after.config ?? [])],
    set: [...(before.set ?? []), ...(after.set ?? [])],
  }
}

export function configInputs(common: CommonOptions, assignments: readonly string[]): ConfigInputs {
  return {
    files: common.config ?? [],
    environment: process.env,
    assignments: [...(common.set ?? []), ...assignments],
    redis: common.redis,
    prefix: common.prefix,
  }
}
