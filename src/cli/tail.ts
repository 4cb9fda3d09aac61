import type { CommandHost } from './context.ts'

export function registerTail({ program, run }: CommandHost): void {
  run(program.command('tail'), async () => 0)
}
