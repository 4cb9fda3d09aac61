import type { CommandHost } from './context.ts'

export function registerStreams({ program, run }: CommandHost): void {
  run(program.command('streams'), async () => 0)
}
