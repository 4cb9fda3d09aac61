import type { Clock } from '../lib/clock.ts'
import type { OpsEvent, OpsLog } from '../redis/ops-log.ts'
import { metrics } from '../telemetry/metrics.ts'

/** One entry a kind in this time enters the ops stream. */
const OPS_REPEAT_US = 1_000_000

export interface Told {
  readonly kind: string
  readonly severity: OpsEvent['severity']
  readonly message: string
  readonly error?: unknown
  readonly [fact: string]: unknown
}

export type OpsTeller = (incident: Told) => void

/** Incidents as entries of the ops stream; when Redis cannot take one, its connection has told that already. */
export function opsTeller(opsLog: OpsLog, worker: string, clock: Clock): OpsTeller {
  const toldUs = new Map<string, number>()
  return ({ kind, severity, message, error, ...facts }) => {
    const nowUs = clock.nowUs()
    if (nowUs - (toldUs.get(kind) ?? 0) < OPS_REPEAT_US) return
    toldUs.set(kind, nowUs)
    const cause = error instanceof Error ? { error: error.message } : {}
    opsLog
      .append({ kind, severity, message, worker, time: String(nowUs), facts: JSON.stringify({ ...facts, ...cause }) })
      .catch(() => metrics.opsLost.inc())
  }
}
