import { MelticaError } from '../errors.ts'
import type { PublishFailure } from './lane.ts'
import type { DispatcherIncident } from './options.ts'

/**
 * The bus answers, and takes nothing until somebody changes something: memory, disk, replicas, password, rights. The rest
 * mends itself: a connection that is made anew, a fail-over, a slot that moves.
 */
const NEEDS_AN_OPERATOR = new Set(['oom', 'misconfigured', 'noauth', 'noperm', 'other'])

/** Calls that failed and are made again, counted by reason; nothing of what they carry is dropped. */
export class PublishFailures {
  /** By the `code` of the error; `unknown` where it has none. */
  readonly byReason: Record<string, number> = {}
  total = 0

  /** Counts it and says it. */
  add({ error, attempt, delayMs }: PublishFailure): DispatcherIncident {
    const reason = error instanceof MelticaError ? error.code : 'unknown'
    this.total++
    this.byReason[reason] = (this.byReason[reason] ?? 0) + 1
    const again = `for the ${attempt}. time, it is made again in ${Math.round(delayMs)} ms`
    if (!NEEDS_AN_OPERATOR.has(reason)) {
      return { kind: 'publish-failed', message: `a call to the data bus failed (${reason}) ${again}`, error }
    }
    const message = `the data bus takes nothing (${reason}) and needs an operator: a call failed ${again}`
    return { kind: 'publish-refused', message, error }
  }
}
