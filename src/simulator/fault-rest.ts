import type { Clock } from '../lib/clock.ts'
import { ageSnapshot, skewServerTime } from './corrupt.ts'
import type { ActiveFault } from './fault-engine.ts'
import type { RestFault } from './faults.ts'
import { banned, tooManyRequests } from './request-weight.ts'
import type { RestAnswer } from './source.ts'

const DEPTH = '/api/v3/depth'

/** Faults of REST answers. Several may strike one request, in the order in which they were told. */
export class FaultyRest {
  /** Requests that came although a 429 or 418 had announced that they must not. */
  askedWhileRefused = 0
  readonly #clock: Clock
  readonly #after: (ms: number, callback: () => void) => void
  readonly #active = new Set<ActiveFault<RestFault>>()
  readonly #sleeping = new Set<() => void>()
  #refusedUntilMs = 0
  #refusedStatus: 429 | 418 = 429

  constructor(clock: Clock, after: (ms: number, callback: () => void) => void) {
    this.#clock = clock
    this.#after = after
  }

  add(active: ActiveFault<RestFault>): () => void {
    this.#active.add(active)
    return () => this.#active.delete(active)
  }

  async answer(
    path: string,
    query: URLSearchParams,
    ask: () => Promise<RestAnswer | null>,
  ): Promise<RestAnswer | null> {
    if (this.#clock.monotonicMs() < this.#refusedUntilMs) {
      this.askedWhileRefused++
      return this.#refusal()
    }
    for (const active of this.#active) {
      if (!strikes(active, path, query)) continue
      const answer = await this.#before(active, path)
      if (answer !== null) return answer
    }
    const answer = await ask()
    return answer === null ? null : this.#behind(path, query, answer)
  }

  /** Whoever is kept waiting waits no longer. */
  close(): void {
    for (const wake of this.#sleeping) wake()
  }

  /** What is answered instead of asking the source; null: go on. */
  async #before(active: ActiveFault<RestFault>, path: string): Promise<RestAnswer | null> {
    const { fault } = active
    switch (fault.fault) {
      case 'rest-slow':
        this.#apply(active, path)
        await this.#sleep(fault.ms)
        return null
      case 'rest-5xx':
        this.#apply(active, path)
        return {
          status: fault.status,
          body: '{"code":-1000,"msg":"An unknown error occurred while processing the request."}',
        }
      case 'rest-429':
      case 'rest-418':
        this.#apply(active, path)
        this.#refusedStatus = fault.fault === 'rest-429' ? 429 : 418
        this.#refusedUntilMs = this.#clock.monotonicMs() + fault.retryAfter * 1000
        return this.#refusal()
      default:
        return null
    }
  }

  /** What is changed in the answer of the source. */
  #behind(path: string, query: URLSearchParams, answer: RestAnswer): RestAnswer {
    let changed = answer
    for (const active of this.#active) {
      const { fault } = active
      if (!strikes(active, path, query) || changed.status !== 200) continue
      if (fault.fault === 'snapshot-old') {
        const body = ageSnapshot(changed.body, fault.by)
        if (body === null) continue
        // The source's own answer was not given, so it may give it again.
        changed.written?.(false)
        changed = { status: 200, body }
        this.#apply(active, path)
      } else if (fault.fault === 'clock-skew') {
        const body = skewServerTime(changed.body, fault.ms)
        if (body === null) continue
        changed = { ...changed, body }
        active.tell({ path })
      }
    }
    return changed
  }

  #apply(active: ActiveFault<RestFault>, path: string): void {
    active.apply({ path })
    if (active.stage === 'over') this.#active.delete(active)
  }

  #refusal(): RestAnswer {
    const leftMs = Math.max(0, this.#refusedUntilMs - this.#clock.monotonicMs())
    const leftSeconds = Math.ceil(leftMs / 1000)
    return this.#refusedStatus === 429
      ? tooManyRequests(leftSeconds, 'Too many requests; please use WebSocket Streams for live updates.')
      : banned(leftSeconds, this.#clock.nowUs() / 1000 + leftMs)
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#sleeping.add(resolve)
      this.#after(ms, () => {
        this.#sleeping.delete(resolve)
        resolve()
      })
    })
  }
}

function strikes(active: ActiveFault<RestFault>, path: string, query: URLSearchParams): boolean {
  const { fault } = active.fault
  if (fault === 'snapshot-old') return path === DEPTH && active.pattern.matches(query.get('symbol') ?? '')
  return fault === 'clock-skew' || active.pattern.matches(path)
}
