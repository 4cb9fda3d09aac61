import { type ApiFlags, addApiOptions, openApi } from './api.ts'
import type { CommandHost } from './context.ts'
import { table } from './table.ts'

interface Limit {
  readonly venue: string
  readonly egress: string
  readonly weightPerMinute: number
  readonly spent: number
  readonly inFlight: number
  readonly bannedForMs: number
  readonly connectsInWindow: number
  readonly connectsMax: number | null
}

export function registerLimits({ program, run }: CommandHost): void {
  const command = addApiOptions(program.command('limits'))
    .description('Shows what the venues allow, and what all processes together have spent of it.')
    .addHelpText('after', '\nExamples:\n  $ meltica limits\n  $ meltica limits --json')
  run<ApiFlags>(command, async (context, flags) => {
    const { items } = (await (await openApi(context, flags)).send('/v1/limits')) as { items: readonly Limit[] }
    if (context.json) for (const item of items) context.write(`${JSON.stringify(item)}\n`)
    else {
      const header = ['venue', 'egress', 'weight a minute', 'spent', 'in flight', 'connects', 'banned for']
      const rows = items.map((item) => [
        ...[item.venue, item.egress, String(item.weightPerMinute), String(item.spent), String(item.inFlight)],
        ...[
          `${item.connectsInWindow}/${item.connectsMax ?? '-'}`,
          item.bannedForMs > 0 ? `${Math.ceil(item.bannedForMs / 1_000)} s` : '-',
        ],
      ])
      context.write(table(header, rows, [2, 3, 4, 5, 6]))
    }
    return 0
  })
}
