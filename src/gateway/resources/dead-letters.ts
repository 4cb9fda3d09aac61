import { z } from 'zod'
import type { DeadLetterBox } from '../../control/contract.ts'
import { type Operation, operation } from '../operation.ts'
import { Problem } from '../problems.ts'
import { pageOf, pageQuery, timeUs } from '../schemas.ts'

const letter = z
  .strictObject({
    id: z.string(),
    source: z
      .enum(['control', 'venue'])
      .meta({ description: 'A command that can never apply, or an input not understood.' }),
    reason: z.string(),
    detail: z.string(),
    sample: z.string().meta({ description: 'What it was, at most 1,000 characters.' }),
    at: timeUs,
  })
  .meta({ id: 'DeadLetter' })

const params = z.strictObject({
  deadLetterId: z
    .string()
    .regex(/^(control|venue):[0-9]{1,16}-[0-9]{1,16}$/, { error: 'control: or venue: and an entry id' }),
})
const tag = 'dead letters'
const path = '/v1/dead-letters/{deadLetterId}'

export function deadLetterOperations(box: DeadLetterBox): Operation[] {
  return [
    operation({
      id: 'listDeadLetters',
      method: 'get',
      path: '/v1/dead-letters',
      tag,
      summary: 'What could not be used, and why',
      role: 'read',
      query: z.strictObject(pageQuery),
      answers: { 200: { description: 'A page of them.', schema: pageOf(letter) } },
      handle: async ({ query: { limit, cursor = null } }) => {
        const { items, cursor: next } = await box.list({ limit, cursor })
        const told = items.map(({ atUs: at, ...rest }) => ({ ...rest, at }))
        return { status: 200, body: { items: told, cursor: next } }
      },
    }),
    operation({
      id: 'requeueDeadLetter',
      method: 'post',
      path: `${path}/requeue`,
      tag,
      summary: 'Put a command on the control stream again',
      description: 'What came from a venue cannot be put back: its hole is told in the stream and filled from there.',
      role: 'operate',
      params,
      answers: { 202: { description: 'It is on the control stream and no dead letter any more.' } },
      refusals: ['not-found', 'conflict'],
      handle: async ({ params: { deadLetterId } }) => {
        const outcome = await box.requeue(deadLetterId)
        if (outcome === 'unknown') throw unknown(deadLetterId)
        if (outcome === 'not-requeueable') {
          throw new Problem('conflict', `expected a command, found ${deadLetterId}, which can only be dropped`)
        }
        return { status: 202 }
      },
    }),
    operation({
      id: 'dropDeadLetter',
      method: 'delete',
      path,
      tag,
      summary: 'Drop a dead letter',
      role: 'operate',
      params,
      answers: { 204: { description: 'It is gone.' } },
      refusals: ['not-found'],
      handle: async ({ params: { deadLetterId } }) => {
        if ((await box.drop(deadLetterId)) === 'unknown') throw unknown(deadLetterId)
        return { status: 204 }
      },
    }),
  ]
}

const unknown = (id: string): Problem =>
  new Problem('not-found', `expected a dead letter, found none with the id ${id}`)
