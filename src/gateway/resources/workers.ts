import { z } from 'zod'
import type { ClusterRole, Member, MemberStore } from '../../cluster/member-store.ts'
import { formatPartitions } from '../../domain/partition-set.ts'
import { type Operation, operation } from '../operation.ts'
import { Problem } from '../problems.ts'
import { timeUs } from '../schemas.ts'
import { ACCEPTED, accepted, type CommandParts, issue } from './commands.ts'

export interface WorkerParts extends CommandParts {
  readonly members: MemberStore
  /** Without a heartbeat for longer a member counts as gone. */
  readonly expiryMs: number
}

const ROLES = ['ingest', 'conductor', 'poller', 'reader'] as const satisfies readonly ClusterRole[]

const name = z.string().regex(/^[A-Za-z0-9._-]{1,128}$/, { error: '1 to 128 letters, digits and . _ -' })
const worker = z
  .strictObject({
    worker: z.string(),
    role: z.enum(ROLES),
    state: z.enum(['joining', 'active', 'leaving', 'gone']),
    partitions: z.int().nonnegative(),
    flowing: z.int().nonnegative(),
    owned: z.string().meta({ description: 'Partitions, for example 0-3,7.' }),
    flowsSince: timeUs.nullable(),
    lagMs: z
      .number()
      .nullable()
      .meta({ description: "From a frame's arrival to Redis's reply, the longest since the heartbeat before." }),
    silentMs: z.int().nonnegative().meta({ description: 'Since its last heartbeat.' }),
    startedAt: timeUs,
    version: z.string(),
  })
  .meta({ id: 'Worker' })

export function workerOperations(parts: WorkerParts): Operation[] {
  const { members, expiryMs } = parts
  const all = async () => {
    const lists = await Promise.all(ROLES.map(async (role) => ({ role, members: await members.list(role) })))
    return lists.flatMap(({ role, members: list }) => list.map((member) => told(role, member, expiryMs)))
  }
  return [
    operation({
      id: 'listWorkers',
      method: 'get',
      path: '/v1/workers',
      tag: 'workers',
      summary: 'Who is there and what each works on',
      description: 'At most 1,000 of a role; one that fell silent is shown as gone for a minute.',
      role: 'read',
      answers: { 200: { description: 'All of them.', schema: z.strictObject({ items: z.array(worker) }) } },
      handle: async () => ({ status: 200, body: { items: await all() } }),
    }),
    operation({
      id: 'drainWorker',
      method: 'post',
      path: '/v1/workers/{worker}/drain',
      tag: 'workers',
      summary: 'Let a worker hand over what it owns and end',
      role: 'operate',
      params: z.strictObject({ worker: name }),
      answers: { 202: { ...ACCEPTED, schema: accepted } },
      refusals: ['not-found'],
      handle: async (request) => {
        const { worker: wanted } = request.params
        const isThere =
          (await all()).some((one) => one.worker === wanted && one.state !== 'gone') ||
          // A repeated request whose command was issued: the worker may have gone since, as it was told to.
          (await parts.control.status(request.commandId)) !== null
        if (!isThere) {
          throw new Problem('not-found', `expected a worker that is there, found none called ${wanted}`)
        }
        return issue<'drain'>(parts, request, { type: 'drain', payload: request.params })
      },
    }),
  ]
}

function told(role: ClusterRole, { id, startedUs, ageMs, state, facts }: Member, expiryMs: number) {
  const { version, owns, flows, flowsSinceUs, lagMs } = facts
  return {
    ...{ worker: id, role, state: ageMs < expiryMs ? state : ('gone' as const) },
    ...{ partitions: owns.size, flowing: flows.size, owned: formatPartitions(owns) },
    ...{ flowsSince: flowsSinceUs, lagMs, silentMs: Math.max(0, Math.round(ageMs)), startedAt: startedUs, version },
  }
}
