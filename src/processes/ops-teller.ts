import type { Clock } from '../lib/clock.ts'
import type { OpsEvent, OpsLog } from '../redis/ops-log.ts'
import { directLossMetrics } from '../telemetry/loss-metrics.ts'
import { metrics } from '../telemetry/metrics.ts'

/** One entry a kind and instrument in this time enters the ops stream, and of a kind not more than so many. */
const OPS_REPEAT_US = 1_000_000
const ENTRIES_PER_KIND_MAX = 50
/** Kinds with instruments that are told apart; beyond, what was told longest ago is forgotten. */
const SUBJECTS_MAX = 2_000

export interface Told {
  readonly kind: string
  readonly severity: OpsEvent['severity']
  readonly message: string
  readonly error?: unknown
  readonly [fact: string]: unknown
}

export type OpsTeller = (incident: Told) => void

/** How often a kind was told within the window that began at `sinceUs`, and what was left out since one said how many. */
interface KindWindow {
  sinceUs: number
  entries: number
  suppressed: number
}

/**
 * Incidents as entries of the ops stream; when Redis cannot take one, its connection has told that already. A storm of one
 * trouble does not hide another, nor one instrument's another's: what is left out is counted, and the next entry of its
 * kind says how many that were.
 */
export function opsTeller(opsLog: Pick<OpsLog, 'append'>, worker: string, clock: Clock): OpsTeller {
  const toldUs = new Map<string, number>()
  // As many as there are words for kinds in the code.
  const kinds = new Map<string, KindWindow>()

  const admits = (kind: string, instrument: unknown, nowUs: number, window: KindWindow): boolean => {
    if (nowUs - window.sinceUs >= OPS_REPEAT_US) Object.assign(window, { sinceUs: nowUs, entries: 0 })
    const subject = `${kind} ${typeof instrument === 'string' ? instrument : ''}`
    if (window.entries >= ENTRIES_PER_KIND_MAX || nowUs - (toldUs.get(subject) ?? 0) < OPS_REPEAT_US) return false
    window.entries++
    // In the order of their telling.
    toldUs.delete(subject)
    toldUs.set(subject, nowUs)
    const [oldest] = toldUs.keys()
    if (toldUs.size > SUBJECTS_MAX && oldest !== undefined) toldUs.delete(oldest)
    return true
  }

  return ({ kind, severity, message, error, ...facts }) => {
    const nowUs = clock.nowUs()
    const window = kinds.get(kind) ?? { sinceUs: nowUs, entries: 0, suppressed: 0 }
    kinds.set(kind, window)
    if (!admits(kind, facts.instrument, nowUs, window)) {
      window.suppressed++
      directLossMetrics.opsSuppressed.inc({ kind })
      return
    }
    const cause = error instanceof Error ? { error: error.message } : {}
    const more = window.suppressed > 0 ? { suppressed: window.suppressed } : {}
    window.suppressed = 0
    const words = JSON.stringify({ ...facts, ...cause, ...more })
    opsLog
      .append({ kind, severity, message, worker, time: String(nowUs), facts: words })
      .catch(() => metrics.opsLost.inc())
  }
}
