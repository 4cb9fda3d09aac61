import { z } from 'zod'
import {
  type CommandInput,
  type ControlClient,
  channelSchema,
  commandStatusSchema,
  idSchema,
} from '../../control/contract.ts'
import { metrics } from '../../telemetry/metrics.ts'
import { type Answer, type Operation, operation } from '../operation.ts'
import { Problem } from '../problems.ts'
import { queryDuration, timeUs, withoutUnits } from '../schemas.ts'

const RETRY_SECONDS = '1'

export const topicSchema = z
  .strictObject({
    topic: z.string().meta({ description: "The venue's own name of the stream." }),
    type: channelSchema,
    interval: z.string().meta({ description: 'KLINE only, else empty.' }),
    state: z.enum(['requested', 'acked', 'flowing', 'stopped']),
    requestedAt: timeUs.nullable(),
    ackedAt: timeUs.nullable(),
    flowingAt: timeUs.nullable(),
    stoppedAt: timeUs.nullable(),
    worker: z.string().meta({ description: 'Who reports it.' }),
    version: z.int().nonnegative().meta({ description: 'Table version that the worker had followed.' }),
  })
  .meta({ id: 'Topic', description: 'What became of a native topic at the venue.' })

const story = z
  .strictObject({
    commandId: idSchema,
    type: z.string(),
    status: commandStatusSchema.meta({
      description:
        'pending: not applied yet. applied: the table says so, the venue is being told. effective: data flows (TICKER, KLINE: acknowledged), or the venue was told and the channel is closed. failed: nothing was changed.',
    }),
    code: z.string().nullable().meta({ description: 'Why it failed; null where it did not.' }),
    message: z.string().nullable(),
    entryId: z.string().meta({ description: 'On the control stream; commands take effect in this order.' }),
    issuer: z.string(),
    consumer: z.string(),
    trace: z.string(),
    before: z.unknown().meta({ description: 'What stood in the table, null where nothing.' }),
    after: z.unknown(),
    version: z.int().nonnegative().nullable().meta({ description: 'Of the table after it; null while pending.' }),
    issuedAt: timeUs.nullable(),
    appliedAt: timeUs.nullable(),
    effectiveAt: timeUs.nullable(),
    topics: z.array(topicSchema),
  })
  .meta({ id: 'Command', description: 'The whole story of a command.' })

export interface CommandParts {
  readonly control: ControlClient
  readonly nowUs: () => number
  readonly waitMsMax: number
}

/** `202` to whatever puts a command on the control stream. */
export const accepted = z
  .strictObject({ commandId: idSchema.meta({ description: 'For GET /v1/commands/{commandId}.' }) })
  .meta({ id: 'Accepted' })

export const ACCEPTED = {
  description: 'The command is on the control stream.',
  headers: { Location: 'Where to see what becomes of it.' },
} as const

/** What a request adds to the command it issues. */
export interface Issue {
  readonly commandId: string
  readonly trace: string
  readonly caller: { readonly name: string }
}

type Order<Type extends CommandInput['type']> = Pick<Extract<CommandInput, { type: Type }>, 'type' | 'payload'> & {
  readonly consumer?: string
}

/** Puts a command on the control stream; the answer is 202, or the problem that kept it off. */
export async function issue<Type extends CommandInput['type']>(
  { control, nowUs }: CommandParts,
  { commandId, trace, caller }: Issue,
  { type, payload, consumer = caller.name }: Order<Type>,
  more: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const command = { id: commandId, issuer: caller.name, consumer, trace, issuedAtUs: nowUs(), type, payload }
  const result = await control.submit(command as CommandInput)
  if (result.status === 'full') {
    const detail = `expected fewer than ${result.waiting} commands to wait, found the control stream full`
    throw new Problem('too-many-requests', detail, { headers: { 'retry-after': RETRY_SECONDS } })
  }
  if (result.status === 'different') {
    throw new Problem('key-reused', 'header.idempotency-key: expected a new key, found that of another command', {
      errors: [{ field: 'header.idempotency-key', found: 'the key of another command', allowed: 'a new key' }],
    })
  }
  return { status: 202, body: { commandId, ...more }, headers: { location: `/v1/commands/${commandId}` } }
}

export function commandOperations(parts: CommandParts): Operation[] {
  const { control, waitMsMax } = parts
  return [
    operation({
      id: 'getCommand',
      method: 'get',
      path: '/v1/commands/{commandId}',
      tag: 'commands',
      summary: 'What became of a command',
      description: 'Commands are remembered for 24 h.',
      role: 'read',
      params: z.strictObject({ commandId: idSchema }),
      query: z.strictObject({
        wait: queryDuration(
          waitMsMax,
          'Answer when it is effective or failed, or after this time: 2s, 500ms.',
        ).optional(),
      }),
      answers: { 200: { description: 'Its story so far.', schema: story } },
      refusals: ['not-found'],
      waitMs: ({ wait = 0 }) => wait,
      handle: async ({ params: { commandId }, query: { wait = 0 }, signal }) => {
        const found =
          wait > 0 && !signal.aborted
            ? await untilEither(control.waitFor(commandId, wait), signal, () => control.status(commandId))
            : await control.status(commandId)
        if (found === null) {
          throw new Problem('not-found', `expected a command of the last 24 h, found none with the id ${commandId}`)
        }
        return { status: 200, body: withoutUnits(found) }
      },
    }),
  ]
}

/** What is waited for, or how it stands when the caller went away or the gateway closes. */
async function untilEither<T>(waited: Promise<T>, signal: AbortSignal, now: () => Promise<T>): Promise<T> {
  const stopped = Promise.withResolvers<void>()
  const stop = (): void => stopped.resolve()
  signal.addEventListener('abort', stop, { once: true })
  try {
    return await Promise.race([waited, stopped.promise.then(now)])
  } finally {
    signal.removeEventListener('abort', stop)
    // Nobody looks at it any more when the race was lost.
    waited.catch(() => metrics.gatewayWaitsAbandoned.inc())
  }
}
