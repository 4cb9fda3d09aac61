import type { Route } from '../control/contract.ts'
import { type ApiFlags, addApiOptions, openApi } from './api.ts'
import type { CommandHost } from './context.ts'
import { table } from './table.ts'

export function registerRoutes({ program, run }: CommandHost): void {
  const command = addApiOptions(program.command('routes'))
    .description('Shows the dispatch table: how each channel is had from the venue.')
    .addHelpText('after', '\nExamples:\n  $ meltica routes\n  $ meltica routes --json')
  run<ApiFlags>(command, async (context, flags) => {
    const api = await openApi(context, flags)
    const rows: string[][] = []
    for await (const item of api.list('/v1/routes')) {
      if (context.json) context.write(`${JSON.stringify(item)}\n`)
      else rows.push(rowOf(item as unknown as Route))
    }
    const header = ['route', 'channel', 'market', 'instruments', 'topics', 'rest', 'polls', 'since']
    if (!context.json) context.write(table(header, rows, [7]))
    return 0
  })
}

function rowOf({ routeId, type, market, instruments, topics, rest, polls, sinceVersion }: Route): string[] {
  const said = polls.map((poll) => `${poll.type} every ${poll.everyMs / 1_000} s`)
  const list = (words: readonly string[]): string => words.join(' ') || '-'
  return [routeId, type, market, list(instruments), list(topics), list(rest), list(said), String(sinceVersion)]
}
