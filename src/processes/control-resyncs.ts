import { randomBytes, randomUUID } from 'node:crypto'
import type { ResyncRequests } from '../conductor/resync-requests.ts'
import { CONDUCTOR_ISSUER, type ControlClient } from '../control/contract.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../telemetry/logger.ts'
import { metrics } from '../telemetry/metrics.ts'
import type { OpsTeller } from './ops-teller.ts'

/** Of an issuer's name. */
const NAME_MAX = 128

export interface ResyncCommandsParts {
  readonly control: Pick<ControlClient, 'submit'>
  readonly worker: string
  readonly clock: Clock
  readonly logger: Logger
  readonly tellOps: OpsTeller
}

/** What the conductor doubts becomes a command on the control stream, counted and told to the operators. */
export function resyncCommands({ control, worker, clock, logger, tellOps }: ResyncCommandsParts): ResyncRequests {
  return {
    request: (name, reason) => {
      metrics.conductorResyncs.inc({ reason })
      const message = 'the book cannot be trusted and needs a new snapshot'
      logger.warn('resync-asked', message, { ...name, reason })
      tellOps({ kind: 'resync-asked', severity: 'warning', message, ...name, reason })
      control
        .submit({
          ...{
            id: randomUUID(),
            type: 'resync',
            issuer: `${CONDUCTOR_ISSUER}${worker}`.slice(0, NAME_MAX),
            consumer: 'conductor',
          },
          ...{ trace: randomBytes(16).toString('hex'), issuedAtUs: clock.nowUs(), payload: { ...name, reason } },
        })
        // The conductor asks again while it doubts.
        .catch(() => metrics.controlFailures.inc())
    },
  }
}
