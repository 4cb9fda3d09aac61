import { z } from 'zod'
import { type Operation, operation } from '../operation.ts'

/** Why the process cannot do its work now; empty when it can. */
export type Obstacles = () => readonly string[]

const readiness = z.strictObject({ ready: z.boolean(), reasons: z.array(z.string()) }).meta({ id: 'Readiness' })

export function healthOperations(obstacles: Obstacles): Operation[] {
  return [
    operation({
      id: 'livez',
      method: 'get',
      path: '/livez',
      tag: 'health',
      summary: 'Whether the process runs',
      role: null,
      answers: { 200: { description: 'It does.', type: 'text/plain', schema: z.literal('ok\n') } },
      handle: async () => ({ status: 200, body: 'ok\n' }),
    }),
    operation({
      id: 'readyz',
      method: 'get',
      path: '/readyz',
      tag: 'health',
      summary: 'Whether Redis can be reached and the instruments that this process owns are live',
      role: null,
      answers: {
        200: { description: 'It can do its work.', schema: readiness },
        503: { description: 'It cannot, and why.', schema: readiness },
      },
      handle: async () => {
        const reasons = obstacles()
        const ready = reasons.length === 0
        return { status: ready ? 200 : 503, body: { ready, reasons } }
      },
    }),
  ]
}
