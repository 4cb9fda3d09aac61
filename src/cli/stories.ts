import { UnavailableError } from '../errors.ts'
import type { ApiClient } from './api.ts'
import type { CommandContext } from './context.ts'
import { table } from './table.ts'

/** A command's story as the API tells it; times in us. */
export interface Story {
  readonly commandId: string
  readonly type: string
  readonly status: 'pending' | 'applied' | 'effective' | 'failed'
  readonly code: string | null
  readonly message: string | null
  readonly version: number | null
  readonly issuedAt: number | null
  readonly appliedAt: number | null
  readonly effectiveAt: number | null
  readonly topics: readonly {
    readonly topic: string
    readonly state: string
    readonly requestedAt: number | null
    readonly ackedAt: number | null
    readonly flowingAt: number | null
    readonly stoppedAt: number | null
    readonly worker: string
  }[]
}

export async function fetchStory(api: ApiClient, commandId: string, waitMs: number): Promise<Story> {
  const query = waitMs > 0 ? `?wait=${waitMs}ms` : ''
  return (await api.send(`/v1/commands/${encodeURIComponent(commandId)}${query}`, { waitMs })) as Story
}

/** Shows what became of a command; answers the exit code: 1 where it failed. */
export function showStory(context: CommandContext, story: Story, more: Readonly<Record<string, string>> = {}): number {
  if (context.json) context.write(`${JSON.stringify({ ...more, ...story })}\n`)
  else {
    const words = [`${story.type} ${story.status}`]
    if (story.effectiveAt !== null && story.issuedAt !== null) {
      words.push(`${((story.effectiveAt - story.issuedAt) / 1_000).toFixed(0)} ms after it was issued`)
    }
    if (story.message !== null) words.push(story.code === null ? story.message : `${story.code}: ${story.message}`)
    context.write(`${words.join(', ')}\n`)
    for (const [name, value] of Object.entries({ ...more, commandId: story.commandId })) {
      context.write(`${name} ${value}\n`)
    }
    if (story.topics.length > 0) {
      const header = ['topic', 'state', 'requested', 'acked', 'flowing', 'stopped', 'worker']
      const rows = story.topics.map((topic) => [
        ...[topic.topic, topic.state, clockTime(topic.requestedAt), clockTime(topic.ackedAt)],
        ...[clockTime(topic.flowingAt), clockTime(topic.stoppedAt), topic.worker],
      ])
      context.write(table(header, rows))
    }
  }
  return story.status === 'failed' ? 1 : 0
}

/** Sends a request that issues a command, waits for it and shows it. */
export async function issueAndShow(
  context: CommandContext,
  api: ApiClient,
  path: string,
  request: { readonly method: 'POST' | 'DELETE'; readonly body?: unknown },
  waitMs: number,
): Promise<number> {
  const accepted = (await api.send(path, request)) as { commandId: string; subscriptionId?: string }
  const story = await fetchStory(api, accepted.commandId, waitMs)
  const more = accepted.subscriptionId === undefined ? {} : { subscriptionId: accepted.subscriptionId }
  const code = showStory(context, story, more)
  if (waitMs > 0 && (story.status === 'pending' || story.status === 'applied')) {
    throw new UnavailableError(`the command is ${story.status} after ${waitMs} ms; it goes on, ask again by its id`)
  }
  return code
}

/** Time of day of a moment in us, `-` for none. */
export function clockTime(us: number | null): string {
  return us === null ? '-' : new Date(us / 1_000).toISOString().slice(11, 23)
}
