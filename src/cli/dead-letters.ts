import { UsageError } from '../errors.ts'
import { type ApiFlags, addApiOptions, openApi } from './api.ts'
import type { CommandContext, CommandHost } from './context.ts'
import { table } from './table.ts'

const SHOWN_CHARACTERS = 60

export function registerDeadLetters({ program, run }: CommandHost): void {
  const command = addApiOptions(program.command('dead-letters [action] [id]'))
    .description('Shows what could not be used and why; requeue puts a command back, drop forgets a letter.')
    .addHelpText(
      'after',
      '\nExamples:\n  $ meltica dead-letters\n  $ meltica dead-letters requeue control:1790000000000-0\n' +
        '  $ meltica dead-letters drop venue:1790000000000-0',
    )
  run<ApiFlags>(command, deadLetters)
}

async function deadLetters(context: CommandContext, flags: ApiFlags, args: readonly string[]): Promise<number> {
  const [action = 'list', id] = args
  if (!['list', 'requeue', 'drop'].includes(action)) {
    throw new UsageError(`expected list, requeue or drop, found "${action}"`)
  }
  if ((action === 'list') !== (id === undefined)) {
    throw new UsageError(`expected ${action === 'list' ? 'no id with list' : `an id with ${action}`}`)
  }
  const api = await openApi(context, flags)
  if (id !== undefined) {
    const path = `/v1/dead-letters/${encodeURIComponent(id)}`
    await api.send(action === 'requeue' ? `${path}/requeue` : path, {
      method: action === 'requeue' ? 'POST' : 'DELETE',
    })
    const done = action === 'requeue' ? 'requeued' : 'dropped'
    context.write(context.json ? `${JSON.stringify({ id, done })}\n` : `${id} ${done}\n`)
    return 0
  }
  const rows: string[][] = []
  for await (const item of api.list('/v1/dead-letters')) {
    if (context.json) {
      context.write(`${JSON.stringify(item)}\n`)
      await context.drained()
    } else {
      const at = new Date(Number(item.at) / 1_000).toISOString().slice(0, 19).replace('T', ' ')
      rows.push([String(item.id), at, String(item.reason), String(item.detail).slice(0, SHOWN_CHARACTERS)])
    }
  }
  if (!context.json) context.write(table(['dead letter', 'at', 'reason', 'detail'], rows))
  return 0
}
