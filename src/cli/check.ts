import type { CommandHost } from './context.ts'

export function registerCheck({ program, run }: CommandHost): void {
  run(program.command('check'), async () => 0)
}
