import { type ApiFlags, addApiOptions, openApi } from './api.ts'
import { parseDuration } from './arguments.ts'
import type { CommandHost } from './context.ts'
import { fetchStory, showStory } from './stories.ts'

export function registerCommands({ program, run }: CommandHost): void {
  const command = addApiOptions(program.command('commands <commandId>'))
    .description('Shows what became of a command: applied, effective, and every native topic it is about.')
    .option('--wait <duration>', 'wait until it is effective or failed', parseDuration, 0)
    .addHelpText('after', '\nExamples:\n  $ meltica commands 6d1c4c8e-6f1f-4d0e-9f5e-0f8d1b2a3c4d --wait 2s')
  run<ApiFlags & { readonly wait: number }>(command, async (context, flags, args) => {
    const api = await openApi(context, flags)
    return showStory(context, await fetchStory(api, args[0] ?? '', flags.wait))
  })
}
