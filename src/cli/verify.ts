import type { CommandHost } from './context.ts'

export function registerVerify({ program, run }: CommandHost): void {
  run(program.command('verify'), async () => 0)
}
